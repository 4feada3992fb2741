"""Sketches: a character that nobody has written, put together from outlines of its two parts.

A part is cut from a real character, where it stands in the same place, and comes with the frame
that it filled there: 金 at the left of 鋰 is narrow, and so is its frame. Two frames side by side
make the square. Where the frames of a sketch are others, outlines are stretched with them, and
strokes get back the width that this takes from them.

A sketch says which strokes stand where. Diffusion makes a character of it.
"""

from __future__ import annotations

import lzma
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

TABLE = Path(__file__).with_name("outlines.tsv.xz")
UNITS = 1000  # of the em, in the table
EM = 122 / 128  # the em box as a part of the image: some strokes reach a little out of the box
SMOOTH = 4  # samples along a pixel's side
ACROSS, DOWN, ALONE = "a", "d", ""  # of two parts; all other kinds are one inside the other
LIGHTER = 0.2  # the power of a part's size that the width of its strokes goes by
DENSEST = 0.65  # share of ink up to which strokes are thickened, so that dense parts do not clot
SHARPEST = 0.5  # bounds how far a corner moves out, where an edge turns back
WHITE = 0.1  # of ink, in [0, 1]
GAP, WIDEST = 2, 0.08  # white pixels between two parts, and what frames give up for them at most
LARGEST = 4096  # pixels on a side of a drawing
FAINT, FILLED = 0.1, 0.9  # of a drawing: the least contrast, and how much of the square it fills
HALF = 0.45  # of the em, for the first of two parts that nothing is known of
FREE_STANDING = 0.1  # what it counts, as a mismatch, that a part is not cut from such a place
LEAST = 0.15  # of the em, that either part gets
NARROW = 0.4  # of the em: less is too little for such a part
CHOICE, MOVE, HEAVIER = 0.05, 0.02, 0.06  # how far sketches of the same parts differ

Outline = list[np.ndarray]  # closed polygons `(N, 2)`, x and y in parts of the em, y down


class Frame(NamedTuple):
    """A rectangle in the em box, whose corners are (0, 0) and (1, 1); y points down."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Frame(0, 0, 1, 1)


class Piece(NamedTuple):
    """A part as it stands in one place of a real character.

    Attributes:
        part: the part, 金 where the piece looks like 釒.
        kind: how the two parts of the character stand: "a" across, "d" down, "s" and the sides
            surrounded for one in the other, as in cjk-decomp; "" for a part alone.
        first: whether it is the left, the upper or the outer one.
        source: the character.
        frame: what it fills there; of an outer part, what it leaves to the inner one.
        path: its outline, as relative path data of SVG in `UNITS` of the em.
    """

    part: str
    kind: str
    first: bool
    source: str
    frame: Frame
    path: str

    @property
    def outer(self) -> bool:
        """Whether the other part stands inside."""
        return self.first and self.kind not in (ACROSS, DOWN, ALONE)


class Sketcher:
    """Puts characters together from the pieces of a table.

    Example:
        >>> Sketcher.load().sketch("a", "金", "里")
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces: dict[tuple[str, str, bool], list[Piece]] = defaultdict(list)
        for piece in pieces:
            self.pieces[piece.part, piece.kind, piece.first].append(piece)
        self.parts = {part for part, *_ in self.pieces}

    @classmethod
    def load(cls, path: Path = TABLE) -> Sketcher:
        """The sketcher of a table that `save_pieces` wrote."""
        return cls(load_pieces(path))

    def knows(self, part: str) -> bool:
        """Whether there is an outline of a part, in any place."""
        return part in self.parts

    def find(self, part: str, kind: str, first: bool) -> list[Piece]:
        """The pieces of a part for a place: those cut from there, and the part alone."""
        outer = first and kind not in (ACROSS, DOWN)
        alone = [] if outer else self.pieces.get((part, ALONE, True), [])
        return [*self.pieces.get((part, kind, first), []), *alone]

    def can(self, kind: str, first: str, second: str) -> bool:
        """Whether there is an outline of both parts for such a place."""
        return bool(self.find(first, kind, True) and self.find(second, kind, False))

    def sketch(
        self,
        kind: str,
        first: str,
        second: str,
        generator: np.random.Generator | None = None,
        size: int = 128,
    ) -> np.ndarray:
        """Two parts in their places, as a glyph `(size, size)` in [0, 1], 1 = ink.

        All is as for `inks`.
        """
        return np.maximum(*self.inks(kind, first, second, generator, size))

    def inks(
        self,
        kind: str,
        first: str,
        second: str,
        generator: np.random.Generator | None = None,
        size: int = 128,
        without: str = "",
    ) -> list[np.ndarray]:
        """Two parts in their places, each by itself, `(size, size)` in [0, 1], 1 = ink.

        Args:
            kind: as of a `Piece`, but "a" or "d" or one inside the other.
            first, second: the left, upper or outer part, and the other one.
            generator: draws proportions and weight, which differ as between fonts; None is the
                usual ones. It need only have `random` and `standard_normal`.
            size: pixels on a side.
            without: a character that no piece is to come from, where there are others.

        Raises ValueError, in one line, for parts without an outline for this place.
        """
        move, heavier = 0.0, 1.0
        pair = self.pair(kind, first, second, generator, without)
        if generator is not None:
            move = MOVE * generator.standard_normal()
            heavier = 1 + HEAVIER * generator.standard_normal()
        for gap in np.arange(0, WIDEST, 0.01):
            places = frames(*pair, kind, move, gap)
            inks = [
                rasterise(fit(piece, frame, heavier), size)
                for piece, frame in zip(pair, places, strict=True)
            ]
            if apart(*inks):
                break
        return inks

    def room(self, kind: str, first: str, second: str) -> float:
        """What strokes keep of their width where they keep least, as a part of it."""
        pair = self.pair(kind, first, second)
        places = frames(*pair, kind)
        return min(float(kept(*one).min()) for one in zip(pair, places, strict=True))

    def pair(
        self,
        kind: str,
        first: str,
        second: str,
        generator: np.random.Generator | None = None,
        without: str = "",
    ) -> tuple[Piece, Piece]:
        """The pieces of two parts whose frames fit each other best, or one of such pairs."""
        lists = [self.find(first, kind, True), self.find(second, kind, False)]
        lists = [[piece for piece in each if piece.source != without] or each for each in lists]
        for part, found in zip((first, second), lists, strict=True):
            if not found:
                raise ValueError(f"there is no outline of {part} for such a place")
        pairs = list(product(*lists))
        cut = [[piece for piece in each if piece.kind != ALONE] or each for each in lists]
        usual = [each[len(each) // 2] for each in cut]
        strain = np.array([mismatch(*pair, *usual) for pair in pairs])
        if generator is not None:
            strain += CHOICE * generator.random(len(pairs))
        return pairs[int(strain.argmin())]


def mismatch(first: Piece, second: Piece, usual_first: Piece, usual_second: Piece) -> float:
    """How much the frames of two pieces differ from what each leaves to the other.

    What a part alone leaves to the other is what that one usually takes.
    """
    price = FREE_STANDING * ((first.kind == ALONE) + (second.kind == ALONE))
    a = usual_second if first.kind == ALONE else first
    b = usual_first if second.kind == ALONE else second
    if ALONE in (a.kind, b.kind):
        return price
    if first.outer:
        return price + float(np.abs(np.subtract(a.frame, b.frame)).mean())
    if first.kind == ALONE:
        price += max(0, NARROW - boundary(b))
    if second.kind == ALONE:
        price += max(0, NARROW - 1 + boundary(a))
    return price + abs(boundary(a) - boundary(b))


def boundary(piece: Piece) -> float:
    """Where the frame of a piece meets the other: across or down, as a part of the em."""
    across = piece.kind == ACROSS
    if piece.first:
        return piece.frame.right if across else piece.frame.bottom
    return piece.frame.left if across else piece.frame.top


def frames(
    first: Piece, second: Piece, kind: str, move: float = 0.0, gap: float = 0.0
) -> tuple[Frame, Frame]:
    """What two pieces fill in one square; `gap` is what each gives up, and `move` of the em."""
    if first.outer:
        left, top, right, bottom = first.frame
        x, y = (left + right) / 2 + move, (top + bottom) / 2 + move
        width, height = (max(side / 2 - gap, LEAST / 2) for side in (right - left, bottom - top))
        return WHOLE, Frame(x - width, y - height, x + width, y + height)
    known = [boundary(piece) for piece in (first, second) if piece.kind != ALONE]
    border = min(max((sum(known) / len(known) if known else HALF) + move, LEAST), 1 - LEAST)
    if kind == ACROSS:
        return Frame(0, 0, border - gap, 1), Frame(border + gap, 0, 1, 1)
    return Frame(0, 0, 1, border - gap), Frame(0, border + gap, 1, 1)


def fit(piece: Piece, frame: Frame, heavier: float = 1.0) -> Outline:
    """The outline of a piece in another frame, with strokes `heavier` than there is room for."""
    outline = outline_of(piece.path)
    corner, scale = np.array(frame[:2]), stretch(piece, frame)
    old = np.array(WHOLE[:2] if piece.outer else piece.frame[:2])
    lost = stroke_width(outline) * (kept(piece, frame, heavier) - scale)
    return [thicken(corner + (c - old) * scale, lost / 2) for c in outline]


def stretch(piece: Piece, frame: Frame) -> np.ndarray:
    """How much a frame is wider and higher than that of a piece, `(2,)`."""
    old = WHOLE if piece.outer else piece.frame
    return np.subtract(frame[2:], frame[:2]) / np.subtract(old[2:], old[:2])


def kept(piece: Piece, frame: Frame, heavier: float = 1.0) -> np.ndarray:
    """What strokes keep of their width across and down in another frame, `(2,)`."""
    scale = stretch(piece, frame)
    room = scale * DENSEST / density(outline_of(piece.path))
    return np.minimum(heavier * scale.prod() ** LIGHTER, room)


def stroke_width(outline: Outline) -> float:
    """The mean width of the strokes: twice the area over the length of the edges."""
    length = sum(np.linalg.norm(c - np.roll(c, 1, axis=0), axis=1).sum() for c in outline)
    return 2 * abs(sum(map(area, outline))) / length


def density(outline: Outline) -> float:
    """The share of ink in the smallest rectangle around an outline."""
    width, height = np.ptp(np.concatenate(outline), axis=0)
    return abs(sum(map(area, outline))) / (width * height)


def area(contour: np.ndarray) -> float:
    """The signed area of a polygon `(N, 2)`, positive where it turns clockwise as y points down."""
    x, y = contour.T
    return float((x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0]) / 2)


def thicken(contour: np.ndarray, by: np.ndarray) -> np.ndarray:
    """A polygon with its edges moved out of the ink, `by` so much across and down.

    The ink is at the right of each edge, so that outer contours go clockwise.
    """
    edges = np.roll(contour, -1, axis=0) - contour
    lengths = np.linalg.norm(edges, axis=1, keepdims=True)
    kept = lengths[:, 0] > 1e-6
    contour, edges = contour[kept], (edges / np.maximum(lengths, 1e-9))[kept]
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1)  # to the left, out of the ink
    before = np.roll(normals, 1, axis=0)
    cosine = (normals * before).sum(axis=1, keepdims=True)
    mitre = (normals + before) / np.maximum(1 + cosine, SHARPEST)
    return contour + by * mitre


def rasterise(outline: Outline, size: int = 128) -> np.ndarray:
    """The ink of an outline, `(size, size)` in [0, 1], by the nonzero winding rule.

    It is the share of `SMOOTH` by `SMOOTH` samples in a pixel that are inside. An edge that crosses
    a row of samples turns once around all that are right of it.
    """
    side, outline = size * SMOOTH, [np.zeros((0, 2)), *outline]
    starts, ends = (
        ((1 - EM) / 2 + np.concatenate(corners) * EM) * side - 0.5  # samples are at whole numbers
        for corners in (outline, [np.roll(contour, -1, axis=0) for contour in outline])
    )
    starts, ends = starts[starts[:, 1] != ends[:, 1]], ends[starts[:, 1] != ends[:, 1]]
    (x, y), (dx, dy) = starts.T, (ends - starts).T
    low, high = (np.ceil(f(y, y + dy)).clip(0, side).astype(int) for f in (np.minimum, np.maximum))
    edge = np.repeat(np.arange(len(y)), high - low)
    row = np.arange(len(edge)) + np.repeat(high - (high - low).cumsum(), high - low)
    column = np.ceil(x[edge] + (row - y[edge]) * (dx / dy)[edge]).clip(0, side).astype(int)
    turns = np.bincount(row * (side + 1) + column, np.sign(dy)[edge], side * (side + 1))
    winding = turns.astype(np.int8).reshape(side, side + 1)[:, :side].cumsum(axis=1, dtype=np.int8)
    inside = (winding != 0).astype(np.uint8)
    rows = sum(inside[i::SMOOTH] for i in range(SMOOTH))
    samples = sum(rows[:, i::SMOOTH] for i in range(SMOOTH))
    return samples.astype(np.float32) / SMOOTH**2


def apart(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether there are `GAP` white pixels between two inks of one size."""
    wide = np.pad(first > WHITE, GAP)  # so that nothing reaches round the border
    for _ in range(GAP):
        wide = wide | np.roll(wide, 1, axis=0) | np.roll(wide, -1, axis=0)
        wide = wide | np.roll(wide, 1, axis=1) | np.roll(wide, -1, axis=1)
    return not (wide[GAP:-GAP, GAP:-GAP] & (second > WHITE)).any()


def read_drawing(drawing: Any, size: int = 128) -> np.ndarray:
    """A drawing of a whole character as a glyph, `(size, size)` in [0, 1], 1 = ink.

    Its ink fills the em box, and its darkest and lightest parts are ink and paper; light on dark is
    turned round.

    Args:
        drawing: a file, a PIL image, or an array or tensor `(height, width)` in [0, 1], 1 = ink.

    Raises ValueError, in one line, for what is no picture or blank, and OSError for a file that
    cannot be read.
    """
    if isinstance(drawing, str | Path):
        try:
            with Image.open(drawing) as image:
                if max(image.size) > LARGEST:
                    wide = f"{image.width}×{image.height} pixels"
                    raise ValueError(f"{drawing} has {wide}: at most {LARGEST} on a side")
                drawing = ImageOps.exif_transpose(image)
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            if getattr(error, "strerror", None):  # of the system, not of Pillow
                raise
            raise ValueError(f"{drawing} cannot be read: give a PNG or a JPEG") from None
    if isinstance(drawing, Image.Image):
        flat = Image.new("RGBA", drawing.size, "white")
        flat.alpha_composite(drawing.convert("RGBA"))
        ink = 1 - np.asarray(flat.convert("L"), np.float32) / 255
    else:
        ink = np.asarray(drawing, np.float32).squeeze()
        if ink.ndim != 2 or not np.isfinite(ink).all():
            raise ValueError(f"a drawing of the shape {ink.shape}: give (height, width) in [0, 1]")
    low, high = ink.min(), ink.max()
    if high - low < FAINT:
        raise ValueError("the drawing is blank: draw a character, dark on light")
    ink = (ink - low) / (high - low)
    edge = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    if np.median(edge) > 0.5:
        ink = 1 - ink
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = max(bottom - top, right - left)
    within = round(size * FILLED)
    scaled = Image.fromarray((255 * ink[top:bottom, left:right]).astype(np.uint8)).resize(
        [max(1, round(length * within / side)) for length in (right - left, bottom - top)],
        Image.Resampling.LANCZOS,
    )
    glyph = Image.new("L", (size, size))
    glyph.paste(scaled, ((size - scaled.width) // 2, (size - scaled.height) // 2))
    return np.asarray(glyph, np.float32) / 255


# ---- the table -----------------------------------------------------------------------------------


@cache
def outline_of(path: str) -> Outline:
    """The polygons of path data."""
    contours, start = [], np.zeros(2)
    for text in path.split("z")[:-1]:
        steps = np.fromstring(text[1:], dtype=np.float64, sep=" ").reshape(-1, 2)
        steps[0] += start
        points = steps.cumsum(axis=0)
        start = points[0]
        contours.append(points / UNITS)
    return contours


def path_of(outline: Outline) -> str:
    """The path data of polygons."""
    words, start = [], np.zeros(2, int)
    for contour in outline:
        points = np.round(contour * UNITS).astype(int)
        points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
        if len(points) < 3:
            continue
        steps = np.diff(points, axis=0, prepend=start[None])
        start = points[0]
        words.append("m" + " ".join(map(str, steps.ravel().tolist())) + "z")
    return "".join(words)


def load_pieces(path: Path = TABLE) -> Iterator[Piece]:
    """The pieces of a table. Raises ValueError, in one line, for a damaged one."""
    return read_pieces(lzma.decompress(path.read_bytes()).decode())


def read_pieces(text: str) -> Iterator[Piece]:
    """The pieces of the text of a table, one a line."""
    for line in text.splitlines():
        part, kind, first, source, corners, outline = line.split("\t")
        frame = Frame(*(int(corner) / UNITS for corner in corners.split()))
        yield Piece(part, kind, first == "1", source, frame, outline)
