"""Glyphs as outlines: closed paths of lines and cubic Bézier curves, as type designers draw them.

The grey of an edge says where in its pixel the edge lies. Along the edges corners are found first,
then straight runs, and curves fill what is left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape, unescape

import numpy as np
from PIL import Image

from autoencoder.sketches import EM, rasterise
from diffusion.curves import CLOSE, Piece, dot, fit, pairs
from diffusion.pictures import layout

UNITS = 1000  # of the em
FRAME = UNITS / EM  # of a glyph's picture, with the em box in its middle
STEPS = 8  # of a curve that becomes lines

# All else is in pixels of a glyph of 128 and in degrees, and points are complex numbers, x + iy.
DEEP = 3  # how far from an edge its grey reaches
SPECK = 3.0  # ink and holes of a smaller area are dropped
FLAT = 0.4  # what points lie beside the polygon that has their corners
CHAMFER, SHORT = 1.6, 3.2  # vertices so close are one corner; those so close may be
NEAR, FAR = 1.0, 6.0  # from a corner to the points that tell its tangents
SHARP, TIGHT, SLACK = 25.0, 3.0, 0.12  # a corner turns by more, in a smaller radius, with an error
LOST = 3.0  # what a corner lies beside its points at most
LONG, UNBENT = 8.0, 2.0  # a straight run beside a curve is level, longer, and turns by less
JOINED, WAVY = 0.06, 0.45  # what points lie beside it where it begins; beside level lines
SLANT, STEEP, TILT = 0.5, 8.0, 0.7  # level lines rise by less and are less steep, or by this little

Contour = list[np.ndarray]
Outline = list[Contour]


def trace(glyph: np.ndarray | Image.Image) -> Outline:
    """The outline of a glyph; empty where it has no ink.

    A contour is a list of segments, each `(1, 2)`, the end of a line, or `(3, 2)`, the two controls
    and the end of a cubic curve; the first one starts where the last one ends. Points are x and y
    in `UNITS` of the em, from the lower left corner of the em box; y points up. Outer contours go
    counter-clockwise and holes clockwise, as in PostScript. They are the edges of one level of
    grey, so that none overlap.

    Args:
        glyph: `(128, 128)` in [0, 1], 1 = ink, or a picture, mode "L", black ink on white.
    """
    if isinstance(glyph, Image.Image):
        glyph = 1 - np.asarray(glyph) / 255
    loops = [loop for loop in edges(np.asarray(glyph, np.float64)) if abs(area(loop)) > SPECK]
    if not loops:
        return []
    contours = divide(Edges(loops))
    fit([piece for contour in contours for piece in contour])
    corner, scale = complex(1 - EM, 1 + EM) / 2 * len(glyph), UNITS / (EM * len(glyph))
    return [
        [pairs((p - corner).conj() * scale) for piece in contour for p in piece.segments()]
        for contour in contours
    ]


def flat(contour: Contour) -> np.ndarray:
    """A contour as a polygon `(N, 2)` in parts of the em; y points down."""
    t = np.linspace(0, 1, STEPS + 1)[1:, None]
    start, lines = contour[-1][-1], []
    for segment in contour:
        if len(segment) == 3:
            one, two, stop = segment
            curve = (1 - t) ** 3 * start + 3 * t * (1 - t) ** 2 * one
            segment = curve + 3 * t**2 * (1 - t) * two + t**3 * stop
        lines.append(segment)
        start = segment[-1]
    return np.concatenate(lines) * [1, -1] / UNITS + [0, 1]


def picture(outline: Outline, size: int = 128) -> Image.Image:
    """An outline as a picture like that it was traced from, mode "L", black ink on white."""
    ink = rasterise([flat(contour) for contour in outline], size)
    return Image.fromarray(np.uint8(np.round(255 * (1 - ink))))


# ---- files ---------------------------------------------------------------------------------------


def path_data(outline: Outline) -> str:
    """An outline as path data of SVG, from the upper left corner of the em box; y points down.

    Points are in whole `UNITS`, which are all that fonts have, so that both show the same.
    """
    words = []
    for contour in outline:
        for letter, segment in [("M", contour[-1][-1:]), *(("LC"[len(s) > 1], s) for s in contour)]:
            words.append(letter)
            for x, y in segment.tolist():
                words += [str(round(x)), str(UNITS - round(y))]
        words.append("Z")
    return " ".join(words)


def to_svg(
    outlines: Sequence[Outline], blocks: int = 1, about: Mapping[str, object] | None = None
) -> str:
    """Glyphs on one sheet, as `diffusion.pictures.sheet` lays them out, as an SVG.

    Args:
        outlines: `blocks` times the same number of glyphs, prompt after prompt.
        blocks: prompts; each starts a row of its own.
        about: goes into the metadata, as JSON.
    """
    size = 128
    (width, height), corners = layout(len(outlines), blocks, (size, size))
    scale, edge = EM * size / UNITS, (1 - EM) / 2 * size
    paths = (
        f'<path transform="translate({x + edge:g} {y + edge:g}) scale({scale:g})" '
        f'd="{path_data(outline)}"/>'
        for outline, (x, y) in zip(outlines, corners, strict=True)
    )
    paper = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return _svg(f"0 0 {width} {height}", about, paper, *paths)


def glyph_to_svg(outline: Outline, about: Mapping[str, object] | None = None) -> str:
    """A glyph alone, on no paper and framed as its picture, as an SVG in `UNITS` of the em."""
    edge = (UNITS - FRAME) / 2
    box = f"{edge:.2f} {edge:.2f} {FRAME:.2f} {FRAME:.2f}"
    return _svg(box, about, f'<path d="{path_data(outline)}"/>')


def _svg(box: str, about: Mapping[str, object] | None, *shapes: str) -> str:
    known = json.dumps(dict(about or {}), ensure_ascii=False, default=str)
    known = f"<metadata>{escape(known, quote=False)}</metadata>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">'
    return "\n".join([head, known, *shapes, "</svg>\n"])


def read_svg(text: str) -> tuple[dict[str, object], Outline]:
    """What `glyph_to_svg` wrote: what is known of a glyph, and its outline in whole `UNITS`.

    Raises ValueError for any other SVG.
    """
    found = re.search(r'<metadata>({.*})</metadata>\n<path d="([MLCZ0-9 -]*)"/>', text)
    if not found:
        raise ValueError("no SVG of one glyph that generate.py wrote")
    return json.loads(unescape(found[1])), [
        [
            np.array(numbers.split(), float).reshape(-1, 2) * [1, -1] + [0, UNITS]
            for numbers in re.split("[LCZ]", contour)[1:-1]
        ]
        for contour in found[2].split("M")[1:]
    ]


# ---- points along edges --------------------------------------------------------------------------


def edges(glyph: np.ndarray) -> Iterator[np.ndarray]:
    """Points about a pixel apart along each edge of a glyph, ink at the left; y points down."""
    ink = np.pad(glyph, DEEP)
    width = ink.shape[1]
    grey, inside = ink.ravel(), (ink >= 0.5).ravel()
    # A crack is a side of a pixel of ink beside one of paper. It is walked down, right, up or left:
    # the step along it, the step out of the ink, and the step from the pixel to its start.
    along, out = np.array([width, 1, -width, -1]), np.array([-1, width, 1, -width])
    start = np.array([0, width, width + 1, 1])
    pixels = np.flatnonzero(inside)
    way, pixel = np.nonzero(~inside[pixels + out[:, None]])
    pixel = pixels[pixel]
    begin = pixel + start[way]
    end = begin + along[way]
    number = np.full((4, len(grey)), -1)
    number[way, begin] = np.arange(len(way))
    left, straight, right = (number[(way + turn) % 4, end] for turn in (1, 0, 3))
    # Pixels of ink that meet at a corner hang together where the four pixels there are dark enough.
    joined = grey[end[:, None] - [0, 1, width, width + 1]].mean(axis=1) >= 0.5
    turned = np.where((left >= 0) & ~((right >= 0) & joined), left, right)
    following = np.where(straight >= 0, straight, turned)

    # The grey across an edge, added up from deep in the ink to far outside, is where the edge lies
    # in the middle of this row or column of pixels, whatever its slope.
    deep = np.arange(DEEP)[:, None] * out[way]
    offset = falling(grey[pixel + out[way] + deep]) - falling(1 - grey[pixel - deep])
    middle = (begin % width + end % width + 1j * (begin // width + end // width)) / 2
    exact = middle + offset.clip(-0.7, 0.7) * np.array([-1, 1j, 1, -1j])[way] - DEEP * (1 + 1j)
    # Of a slanted edge, only rows or only columns cross it once.
    before = np.argsort(following)
    chord = middle[following[following]] - middle[before[before]]
    flatter = np.abs(chord.imag) <= np.abs(chord.real)
    once = np.where(way % 2 == 1, flatter, ~flatter)

    seen, following = [False] * len(way), following.tolist()
    for crack in range(len(way)):
        loop = []
        while not seen[crack]:
            seen[crack] = True
            loop.append(crack)
            crack = following[crack]
        if loop:
            yield exact[loop][once[loop]]


def falling(profiles: np.ndarray) -> np.ndarray:
    """The sums of profiles `(n, N)`, each as far as it falls."""
    falls = np.logical_and.accumulate(profiles[1:] < profiles[:-1])
    return profiles[0] + (profiles[1:] * falls).sum(axis=0)


class Edges:
    """The edges of a glyph, `points` `(N,)`, each from its sharpest turn on and back to there.

    `first` and `last` are where they begin and end, `length` is how far along the points are.
    """

    def __init__(self, loops: Sequence[np.ndarray]) -> None:
        closed = []
        for loop in loops:
            step = np.roll(loop, -2) - loop
            tip = turning(np.roll(step, 2), step).argmax()
            closed.append(np.concatenate([loop[tip:], loop[: tip + 1]]))
        self.points = np.concatenate(closed)
        self.last = np.cumsum([len(loop) for loop in closed]) - 1
        self.first = np.append(0, self.last[:-1] + 1)
        self.length = np.append(0, np.abs(np.diff(self.points)).cumsum())
        self.sums = np.zeros((2, len(self.points) + 1), complex)
        np.cumsum([self.points, self.points**2], axis=1, out=self.sums[:, 1:])

    def lines(self, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Lines through the points between two lengths, by least squares.

        Gives `(2, M)`, a place on each line and its direction.
        """
        low, high = np.searchsorted(self.length, start), np.searchsorted(self.length, stop, "right")
        few = high - low < 2
        if few.any():
            middle = np.searchsorted(self.length, (start + stop) / 2) - 1
            low = np.where(few, middle, low).clip(0, len(self.points) - 2)
            high = np.where(few, low + 2, high)
        place, square = (self.sums[:, high] - self.sums[:, low]) / (high - low)
        # The mean square of what points differ by has twice the angle of the line.
        along = np.sqrt(square - place**2)
        along /= np.abs(along).clip(1e-9)
        chord = self.points[high - 1] - self.points[low]
        return np.stack([place, np.where(dot(chord, along) < 0, -along, along)])

    def tangents(
        self, v: np.ndarray, line: np.ndarray | None = None, lines: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lines into and out of vertices: through ends of sides, or through whole `line`s."""
        low, high = self.inner(v)
        start, stop = np.maximum(high - FAR, low), np.minimum(low + FAR, high)
        ends = self.lines(np.append(start, low), np.append(high, stop))
        late, early = ends[:, : len(low)], ends[:, len(low) :]
        if line is not None:
            late, early = np.where(line, lines, late), np.where(line, lines, early)
        into, out = np.append(late[:, :1], late, axis=1), np.append(early, early[:, :1], axis=1)
        first, last = self.borders(v)
        into[:, first], out[:, last] = into[:, last], out[:, first]
        return into, out

    def inner(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The lengths between which sides lie, without their ends at vertices."""
        start, stop = self.length[v[:-1]], self.length[v[1:]]
        gap = np.minimum(NEAR, (stop - start) / 3)
        return start + gap, stop - gap

    def borders(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which vertices are the first and the last ones of edges."""
        return np.searchsorted(v, self.first), np.searchsorted(v, self.last)

    def straight(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which sides are straight, which are level, and their lines, made level."""
        low, high = self.inner(v)
        place, along = self.lines(low, high)
        slant = np.minimum(np.abs(along.real), np.abs(along.imag))
        steep, tilt = np.sin(np.radians([STEEP, TILT]))
        level = (slant < tilt) | (slant < steep) & (slant * np.diff(self.length[v]) < SLANT)
        along = np.where(level, np.round(along), along)
        worn = np.where(level, NEAR, 0).clip(0, (high - low) / 4)  # where a decoder rounds corners
        low, high, size = low + worn, high - worn, np.diff(v)
        beside = self.points[:-1] - np.repeat(place, size)
        beside = np.abs(cross(np.repeat(along, size), beside))
        length = self.length[:-1]
        beside *= (length >= np.repeat(low, size)) & (length <= np.repeat(high, size))
        close = np.maximum.reduceat(beside, v[:-1]) < np.where(level, WAVY, CLOSE)
        return close, level, np.stack([place, along])


# ---- corners -------------------------------------------------------------------------------------


def polygon(edges: Edges) -> np.ndarray:
    """Which points are vertices of polygons whose sides lie at most `FLAT` beside all points.

    Ramer (1972), Douglas and Peucker (1973). Each edge's first and last point are vertices.
    """
    points, ends = edges.points, zip(edges.first, edges.last, strict=True)
    far = [i + np.abs(points[i : j + 1] - points[i]).argmax() for i, j in ends]
    v = new = np.sort(np.concatenate([edges.first, far, edges.last]))
    while len(new):
        size, start = np.diff(v), points[v[:-1]]
        chord = points[v[1:]] - start
        chord /= np.abs(chord).clip(1e-9)
        beside = np.abs(cross(np.repeat(chord, size), points[:-1] - np.repeat(start, size)))
        highest = np.maximum.reduceat(beside, v[:-1])
        new = np.flatnonzero((beside == np.repeat(highest, size)) & (beside > FLAT))
        side = np.searchsorted(v, new)
        new = new[np.diff(side, prepend=0) > 0]  # one a side
        v = np.sort(np.append(v, new))
    return v


def merge(edges: Edges, v: np.ndarray) -> np.ndarray:
    """Vertices without the chamfers that pixels give to corners."""
    points, length = edges.points, edges.length
    apart = (np.diff(length[v]) > CHAMFER) | np.isin(v[1:], edges.first)
    begin, end = v[np.append(True, apart)], v[np.append(apart, True)]
    middle = np.searchsorted(length, (length[begin] + length[end]) / 2)
    inner = ~np.isin(begin, edges.first) & ~np.isin(end, edges.last)
    v = np.sort(np.concatenate([edges.first, middle[inner], edges.last]))
    # The sides around a short one meet sharply right beyond it.
    into, out = edges.tangents(v)
    first, last = edges.borders(v)
    into, out, size = into[:, :-1], out[:, 1:], np.diff(length[v])
    short = (size < SHORT) & (size < np.roll(size, 1)) & (size <= np.roll(size, -1))
    short[last[:-1]] = False
    middle = np.searchsorted(length, length[v[:-1]] + size / 2)
    cut, tip = nearest(points, middle, meet(into, out))
    short &= sharp(turning(into[1], out[1]), cut) & (tip >= v[:-1]) & (tip <= v[1:])
    tip[first], tip[last - 1] = v[first], v[last]
    kept = ~(np.append(short, False) | np.append(False, short))
    return np.sort(np.append(v[kept], tip[short]))


def nearest(points: np.ndarray, at: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far places `p` lie from the edge around points, and which points are nearest to them."""
    around = (at + np.arange(-3, 4)[:, None]).clip(1, len(points) - 2)
    near = around[np.abs(points[around] - p).argmin(axis=0), np.arange(len(at))]
    start = points[[near - 1, near]]
    chord = points[[near, near + 1]] - start
    t = dot(chord, p - start) / dot(chord, chord).clip(1e-9)
    return np.abs(p - start - t.clip(0, 1) * chord).min(axis=0), near


def sharp(turn: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Whether edges that lie `cut` from where their tangents meet have a corner and no curve."""
    return (turn > SHARP) & (cut < TIGHT * (1 / np.cos(np.radians(turn / 2)).clip(0.1) - 1) + SLACK)


# ---- lines, and what curves go through -----------------------------------------------------------


def divide(edges: Edges) -> list[list[Piece]]:
    """The pieces of each contour: lines, and the points that curves go through."""
    points, v = edges.points, merge(edges, polygon(edges))
    into, out = edges.tangents(v)
    corner = sharp(turning(into[1], out[1]), nearest(points, v, meet(into, out))[0])
    corner[np.append(*edges.borders(v))] = True
    # Between corners with a line between them are no vertices.
    straight, *_ = edges.straight(v[corner])
    kept = corner | ~np.append(straight, True)[corner.cumsum() - 1]
    v, corner = v[kept], corner[kept]

    straight, level, lines = edges.straight(v)
    low, high = edges.inner(v)
    half = (low + high) / 2
    bend = 2 * turning(edges.lines(low, half)[1], edges.lines(half, high)[1])
    run = straight & level & (bend < UNBENT) & (high - low > LONG)
    line = run | (straight & corner[:-1] & corner[1:])
    corner[1:-1] |= run[1:] & run[:-1]
    into, out = edges.tangents(v, line, lines)
    node = meet(into, out)
    node = np.where(np.abs(node - points[v]) > LOST, points[v], node)
    smooth = turning(into[1], out[1]) < SHARP
    ahead = np.where(smooth, into[1] + out[1], 0) / np.abs(into[1] + out[1]).clip(1e-9)

    contours, borders = [], edges.borders(v)
    v, node, ahead, line, corner = (a.tolist() for a in (v, node, ahead, line, corner))
    for first, last in zip(*borders, strict=True):
        pieces: list[Piece] = []
        node[last] = node[first]
        at, start, way = v[first], node[first], ahead[first]
        for j in range(first, last):
            end, stop, turned = v[j + 1], node[j + 1], ahead[j + 1]
            if line[j]:
                if not (corner[j] and corner[j + 1]):
                    # A curve begins where the points leave the line.
                    middle, along = lines[:, j]
                    away = (points[v[j] : end] - middle) / along
                    beside = np.abs(away.imag)
                    on = np.flatnonzero(beside <= max(JOINED, beside.min()))
                    feet = middle + away[on].real * along
                    if not corner[j + 1]:
                        end, stop, turned = v[j] + on[-1], feet[-1], along
                    if not corner[j]:
                        curve = Piece(start, feet[0], way, along)
                        pieces += curves(edges, at, v[j] + on[0], curve)
                        start = feet[0]
                pieces.append(Piece(start, stop))
            elif corner[j + 1]:
                pieces += curves(edges, at, end, Piece(start, stop, way, turned))
            else:
                continue
            at, start, way = end, stop, turned
        contours.append(pieces)
    return contours


def curves(edges: Edges, begin: int, end: int, piece: Piece) -> Iterator[Piece]:
    """A curve through the points from one to another, with nodes at its extremes."""
    low, high = np.searchsorted(edges.length, edges.length[[begin, end]] + [NEAR, -NEAR])
    piece.points = edges.points[low:high]
    return piece.at_extremes()


# ---- geometry ----------------------------------------------------------------------------------


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cross products of vectors."""
    return (np.conj(a) * b).imag


def turning(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angles between vectors, in degrees."""
    return np.abs(np.angle(np.conj(a) * b, deg=True))


def area(loop: np.ndarray) -> float:
    """The area that a loop goes round, negative where it is a hole."""
    return -float(cross(loop, np.roll(loop, -1)).sum()) / 2


def meet(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where lines `(2, N)` meet, or the middle of their places where they are parallel."""
    sine = cross(a[1], b[1])
    parallel = np.abs(sine) < 0.05
    step = cross(b[0] - a[0], b[1]) / np.where(parallel, 1, sine)
    return np.where(parallel, (a[0] + b[0]) / 2, a[0] + step * a[1])
