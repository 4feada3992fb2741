"""Parts of characters as outlines, cut from a font's own characters, for `autoencoder.sketches`.

A part that stands beside another one has a form of its own: 土 at the left of 地 is narrow and its
foot rises. So parts are cut from real characters, where white separates both, and each keeps the
frame that it filled there. Parts that stand alone come from their own glyphs, for places in which
no character has them.
"""

from __future__ import annotations

import lzma
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from pathlib import Path
from typing import TypeVar

import numpy as np
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont
from rich.progress import track
from scipy.ndimage import maximum_filter

from autoencoder.data.composites import WHITE, Cut, Parts, cut_glyphs
from autoencoder.data.fonts import REGULAR, Font
from autoencoder.data.glyphs import GlyphRecord
from autoencoder.files import atomic
from autoencoder.sketches import (
    ACROSS,
    ALONE,
    DOWN,
    EM,
    TABLE,
    UNITS,
    WHOLE,
    Frame,
    Outline,
    Piece,
    area,
    path_of,
)

FLAT = 1.5 / UNITS  # of the em: how far a chord may lie from its curve
SURE = 0.9  # of the ink around the corners of a contour: in one of both parts
MARGIN = 0.05  # around a glyph, as a part of its size
VARIANTS_OF_RADICAL, VARIANTS = 5, 2  # pieces of a part in one place
WIDER = 0.06  # of the square: what frames must differ by for more than one
UNLIKE = 0.35  # of the contours of a part alone: a piece with more or fewer was not cut well
PEERS = 30  # of a part in one place, whose outlines are compared
T = TypeVar("T")


class Flattener(BasePen):
    """A pen that makes polygons, in parts of the em from the upper left corner of its box."""

    def __init__(self, glyphs, place: Callable[[tuple[float, float]], tuple[float, float]]) -> None:
        super().__init__(glyphs)
        self.place = place
        self.contours: list[list[tuple[float, float]]] = []

    def _moveTo(self, point: tuple[float, float]) -> None:
        self.contours.append([self.place(point)])

    def _lineTo(self, point: tuple[float, float]) -> None:
        self.contours[-1].append(self.place(point))

    def _curveToOne(self, *points: tuple[float, float]) -> None:
        curve = np.array([self.contours[-1][-1], *map(self.place, points)])
        # The second differences of its corners bound how far it bends (Wang 1984).
        bent = np.linalg.norm(np.diff(curve, n=2, axis=0), axis=1).max()
        t = np.linspace(0, 1, ceil((0.75 * bent / FLAT) ** 0.5) + 1)[1:, None]
        terms = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        line = sum(term * corner for term, corner in zip(terms, curve, strict=True))
        self.contours[-1] += map(tuple, line)


class Outlines:
    """The outlines of a font's characters, placed in their em box as `draw_glyph` places them."""

    def __init__(self, path: str | Path, font: Font, index: int = 0) -> None:
        tables = TTFont(path, fontNumber=index)
        self.names, self.em = tables.getBestCmap(), tables["head"].unitsPerEm
        self.glyphs = tables.getGlyphSet(location={"wght": REGULAR})
        self.font = font

    def __getitem__(self, character: str) -> Outline:
        """The outline of a character that the font has."""
        name = self.names[ord(character)]
        left = (1 - self.glyphs[name].width / self.em) / 2 + self.font.shift[0]
        top = self.font.ascent + self.font.shift[1]
        pen = Flattener(self.glyphs, lambda at: (left + at[0] / self.em, top - at[1] / self.em))
        self.glyphs[name].draw(pen)
        outline = [np.array(contour, np.float32) for contour in pen.contours]
        turned = -1 if sum(map(area, outline)) < 0 else 1  # PostScript goes the other way round
        return [contour[::turned] for contour in outline]


def collect_pieces(
    images: np.ndarray,
    records: Sequence[GlyphRecord],
    parts: Parts,
    forms: Callable[[int], Sequence[str]],
    outlines: Outlines,
) -> list[Piece]:
    """The pieces of a font: of each part in each place the usual one, and some that differ from it.

    Args:
        images, records, parts, forms: as for `cut_glyphs`, of this font.
        outlines: of the same font.
    """
    known = {form for number in range(1, 215) for form in forms(number)}
    alone = {record.character for record in records}
    used = {part for _, *both in parts.values() for part in both}
    whole = {
        one: Piece(one, ALONE, True, one, WHOLE, path_of(outlines[one]))
        for one in sorted(used & alone)
    }
    pieces = []
    places = cuts_by_place(images, cut_glyphs(images, records, parts, forms))
    for (part, kind, first), members in track(places.items(), "cutting", transient=True):
        found = []
        for cut, frame in spaced(members, PEERS):
            source = records[cut.row].character
            halves = divide(outlines[source], images[cut.row], cut.pixels)
            half = halves[0 if cut.first == first and cut.radical == part else 1]
            if all(halves):
                found.append(Piece(part, kind, first, source, frame, path_of(half)))
        found = well_cut(found, whole.get(part))
        wide = found and area_of(found[-1].frame) - area_of(found[0].frame) > WIDER
        most = VARIANTS_OF_RADICAL if part in known else VARIANTS
        pieces += spaced(found, most if wide else 1)
    return [*pieces, *whole.values()]


def cuts_by_place(
    images: np.ndarray, cuts: Iterable[Cut]
) -> dict[tuple[str, str, bool], list[tuple[Cut, Frame]]]:
    """By a part and its place, the cuts that have it there, each with the frame that it fills."""
    groups = defaultdict(list)
    for cut in cuts:
        ink = images[cut.row] > 255 * WHITE
        if (ink & cut.pixels).any() and (ink & ~cut.pixels).any():
            groups[cut.kind.partition("/")[0], cut.radical, cut.first].append(cut)
    places = defaultdict(list)
    for (kind, radical, first), alike in groups.items():
        inks = [(images[cut.row] > 255 * WHITE, cut.pixels) for cut in alike]
        mine = np.array([box(ink & pixels) for ink, pixels in inks])
        its = np.array([box(ink & ~pixels) for ink, pixels in inks])
        inner = Frame(*with_margin(np.median(its if first else mine, axis=0)).tolist())
        for cut, one, other in zip(alike, mine, its, strict=True):
            before, after = frames_of(kind, *((one, other) if first else (other, one)), inner)
            one, other = (before, after) if first else (after, before)
            places[radical, kind, first].append((cut, one))
            places[cut.other, kind, not first].append((cut, other))
    return places


def well_cut(pieces: Sequence[Piece], whole: Piece | None) -> list[Piece]:
    """Pieces of one part in one place without those that were cut badly, from narrow to wide.

    A cut that went wrong leaves strokes behind, or takes some of the other part along. `whole` is
    the part alone, if it is a character.
    """
    if whole:
        own = contours(whole)
        pieces = [one for one in pieces if abs(contours(one) - own) <= max(1, UNLIKE * own)]
    counts = [contours(one) for one in pieces]
    usual = max(counts, key=counts.count, default=0)
    same = [one for one in pieces if contours(one) == usual]
    return sorted(same, key=lambda piece: area_of(piece.frame))


def divide(outline: Outline, image: np.ndarray, pixels: np.ndarray) -> tuple[Outline, Outline]:
    """An outline's contours whose ink is in `pixels`, `(size, size)`, and those whose is not.

    One list is empty where a contour lies in both.
    """
    ink = np.stack([image * pixels, image * ~pixels]).astype(np.float32)
    around = maximum_filter(ink, size=(0, 3, 3))
    halves = [], []
    for contour in outline:
        places = ((contour - 0.5) * EM + 0.5) * len(image)
        x, y = places.astype(int).clip(0, len(image) - 1).T
        inside, outside = around[:, y, x].sum(axis=1)
        share = inside / (inside + outside + 1e-6)
        if 1 - SURE < share < SURE:
            return [], []
        halves[0 if share >= SURE else 1].append(contour)
    return halves


def box(ink: np.ndarray) -> np.ndarray:
    """The smallest rectangle around ink, booleans `(size, size)`, as a `Frame`."""
    edges = []
    for axis in (0, 1):
        filled = np.flatnonzero(ink.any(axis=axis))
        edges.append((filled[0], filled[-1] + 1))
    (left, right), (top, bottom) = (np.array(edges) / len(ink) - 0.5) / EM + 0.5
    return np.array([left, top, right, bottom])


def with_margin(frame: np.ndarray) -> np.ndarray:
    """A box with as much white around it as a glyph has in its em box."""
    width, height = frame[2:] - frame[:2]
    return frame + MARGIN * np.array([-width, -height, width, height])


def frames_of(
    kind: str, first: np.ndarray, second: np.ndarray, inner: Frame
) -> tuple[Frame, Frame]:
    """The frames of two parts by the boxes around them."""
    if kind == ACROSS:
        border = float(first[2] + second[0]) / 2
        return Frame(0, 0, border, 1), Frame(border, 0, 1, 1)
    if kind == DOWN:
        border = float(first[3] + second[1]) / 2
        return Frame(0, 0, 1, border), Frame(0, border, 1, 1)
    return inner, inner


def contours(piece: Piece) -> int:
    """The number of contours of a piece."""
    return piece.path.count("z")


def area_of(frame: Frame) -> float:
    """How much of the square a frame takes."""
    return (frame.right - frame.left) * (frame.bottom - frame.top)


def spaced(members: list[T], most: int) -> list[T]:
    """At most so many of a list, evenly spaced."""
    ranks = ((np.arange(most) + 0.5) / most * len(members)).astype(int)
    return [members[rank] for rank in dict.fromkeys(ranks.tolist())] if members else []


def save_pieces(pieces: Iterable[Piece], path: Path = TABLE) -> None:
    """Writes the table of pieces, an xz file, whole or not at all."""
    lines = []
    for part, kind, first, source, frame, outline in pieces:
        corners = " ".join(str(round(UNITS * value)) for value in frame)
        lines.append("\t".join((part, kind, str(int(first)), source, corners, outline)))
    text = "\n".join(lines) + "\n"
    with atomic(path) as part:
        part.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
