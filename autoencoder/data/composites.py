"""Composites: new characters of the radical of one glyph and the other part of another.

銷 and 聰 make a character of 釒 and 悤 that nobody has written. A denoiser that trains on these too
meets each radical with new parts, and memorises less.

Where two parts stand side by side or one above the other, a path through white separates them;
where one is inside the other, the outer one is the strokes that all characters with it share.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import label
from torch.nn.functional import max_pool2d
from torch.utils.data import Dataset

from autoencoder.data.glyphs import GlyphDataset, GlyphRecord, write_folder
from autoencoder.readers.recognizer import Recognizer

ACROSS, DOWN = "a", "d"  # of two parts; all other kinds are one inside the other
WHITE = 0.02  # of ink, in [0, 1]
FEWEST = 5  # glyphs with a radical in one place, to tell where it ends
BEND, FAR = 2, 0.08  # how far a path may go sideways: pixels a row, and part of the width in all
PEERS = 12  # other parts tried beside a radical in one round
THROUGH = 0.1  # of the glyphs with a radical: a path that fewer let through goes astray
GAP = 2  # white pixels that stay between two parts


@dataclass(frozen=True)
class Cut:
    """A glyph cut in two."""

    row: int  # among the images
    kind: str
    radical: str  # as it is written in the glyph: 釒 and 钅 are two
    other: str
    first: bool  # whether the radical is the left, the upper or the outer part
    pixels: np.ndarray  # True = the radical's, `(size, size)`


Parts = Mapping[str, tuple[str, str, str]]  # of a character: its kind, first and second part


@dataclass(frozen=True)
class Composites(Dataset):
    """Pairs of cut glyphs: of each the first gives its radical, the second its other part.

    As a dataset, the glyphs that they make, `(1, size, size)`, float32 in [0, 1].

    Attributes:
        images: of all training glyphs, uint8 `(count, size, size)`, 255 = ink.
        records: of these glyphs.
        pairs: of cuts of them.
    """

    images: np.ndarray
    records: list[GlyphRecord]
    pairs: list[tuple[Cut, Cut]]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.from_numpy(compose(self.images, [self.pairs[i]])).float() / 255

    def save(self, folder: str | Path) -> None:
        """Writes them as glyphs, each under the record of the one that gave its radical."""
        images = compose(self.images, self.pairs)
        about = {
            "composites": {"sha256": hashlib.sha256(images).hexdigest()},
            "size": images.shape[-1],
            "counts": {"glyphs": len(images)},
        }
        write_folder(folder, images, [self.records[first.row] for first, _ in self.pairs], about)


def make_composites(
    sources: Sequence[GlyphDataset],
    parts: Parts,
    forms: Callable[[int], Sequence[str]],
    recognizer: Recognizer | None,
    count: int,
    seed: int = 0,
    advance: Callable[[int], object] = lambda found: None,
) -> Composites:
    """Composites of the training glyphs of some folders, as in `cut_glyphs` and `pair_cuts`.

    Held-out glyphs are not cut, and what the recogniser, if any, takes for a character is left out.
    Raises GlyphError for glyphs of another size than it reads.
    """

    def new(composites: np.ndarray) -> list[bool]:
        if not recognizer:
            return [True] * len(composites)
        glyphs = torch.from_numpy(composites)[:, None].float() / 255
        return [not match.exists for match in recognizer.match(recognizer.embed(glyphs))]

    images, records = [], []
    for source in sources:
        if recognizer:
            source.check_size(recognizer.config.image_size)
        rows = [row for row, one in enumerate(source.records) if one.split == "train"]
        images.append((source.images(rows)[:, 0] * 255).round().byte().numpy())
        records += [source.records[row] for row in rows]
    images = np.concatenate(images)
    cuts = cut_glyphs(images, records, parts, forms)
    return Composites(images, records, pair_cuts(images, cuts, parts, count, seed, new, advance))


def cut_glyphs(
    images: np.ndarray,
    records: Sequence[GlyphRecord],
    parts: Parts,
    forms: Callable[[int], Sequence[str]],
) -> list[Cut]:
    """All glyphs that can be cut between their radical and their other part.

    Args:
        images: uint8 `(count, size, size)`, 255 = ink.
        records: of these glyphs.
        parts: of each character; the kind starts with "a" for across, "d" for down, and another
            letter for one part inside another.
        forms: how a radical, by its number, is written.
    """
    groups: dict[tuple[str, str, bool], list[tuple[int, str]]] = defaultdict(list)
    for row, record in enumerate(records):
        if record.character not in parts:
            continue
        kind, *both = parts[record.character]
        known = [part in forms(record.radical) for part in both]
        if sum(known) == 1:
            first = known[0]
            radical, other = both if first else both[::-1]
            groups[kind, radical, first].append((row, other))
    cuts = []
    for (kind, radical, first), members in groups.items():
        if len(members) < FEWEST:
            continue
        ink = images[[row for row, _ in members]].astype(np.float32) / 255
        if kind[0] == ACROSS:
            found = list(_beside(ink, first))
        elif kind[0] == DOWN:
            turned = _beside(ink.transpose(0, 2, 1), first)
            found = [m if m is None else m.T for m in turned]
        else:
            found = []
        if sum(m is not None for m in found) < THROUGH * len(members):
            found = list(_around(ink))  # the foot of ⺮ lets no path through
        for (row, other), pixels in zip(members, found, strict=True):
            image = images[row]
            if pixels is not None and image[pixels].any() and image[~pixels].any():
                cuts.append(Cut(row, kind, radical, other, first, pixels))
    return cuts


def _beside(ink: np.ndarray, first: bool) -> Iterator[np.ndarray | None]:
    """The pixels of the part that all glyphs `(N, rows, columns)` have at one side, or None.

    The path between the parts is that of the least ink and the fewest bends, near the column where
    most of the glyphs let one through from top to bottom. None where there is no such path.
    """
    count, rows, columns = ink.shape
    free = ink < WHITE
    down, up = free.copy(), free.copy()
    for row in range(1, rows):
        down[:, row] &= _widened(down[:, row - 1])
        up[:, -1 - row] &= _widened(up[:, -row])
    open_to = (down & up).mean(axis=(0, 1))
    ink_before = ink.mean(axis=(0, 1)).cumsum()
    inside = (ink_before > 0.08 * ink_before[-1]) & (ink_before < 0.92 * ink_before[-1])
    near = np.convolve(np.pad(open_to * inside, 3), np.ones(7), "valid").argmax()
    away = np.abs(np.arange(columns) - near)
    price = np.where(free & (away <= FAR * columns), 0.02 * away, 1e6).astype(np.float32)
    cost, came = price[:, 0], []
    for row in range(1, rows):
        padded = np.pad(cost, ((0, 0), (BEND, BEND)), constant_values=np.inf)
        steps = range(-BEND, BEND + 1)
        ways = np.stack([padded[:, BEND + s : BEND + s + columns] + 0.3 * abs(s) for s in steps])
        came.append(ways.argmin(axis=0) - BEND)
        cost = ways.min(axis=0) + price[:, row]
    column, ok = cost.argmin(axis=1), cost.min(axis=1) < 1e6
    path = [column]
    for back in reversed(came):
        column = column + back[np.arange(count), column]
        path.append(column)
    before = np.arange(columns) <= np.stack(path[::-1], axis=1)[..., None]
    for mask, possible in zip(before if first else ~before, ok, strict=True):
        yield mask if possible else None


def _widened(row: np.ndarray) -> np.ndarray:
    """A row of pixels `(N, columns)`, with the neighbours of each true one true as well."""
    padded = np.pad(row, ((0, 0), (1, 1)))
    return padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]


def _around(ink: np.ndarray) -> Iterator[np.ndarray | None]:
    """The pixels of the part that all glyphs `(N, size, size)` share, or None.

    These are the connected strokes that lie mostly where most glyphs have ink. None where strokes
    of both parts touch.
    """
    shared = ink.mean(axis=0)
    core, wide = shared > 0.7, shared > 0.6
    for glyph in ink:
        strokes, number = label(glyph > WHITE, np.ones((3, 3)))
        weights = np.bincount(strokes.ravel(), glyph.ravel(), number + 1)
        in_common = np.bincount(strokes.ravel(), (glyph * wide).ravel(), number + 1)
        own = (in_common > 0.5 * weights)[strokes] & (strokes > 0)
        mine, all_ink = glyph[own].sum(), glyph.sum()
        covered = (own & core).sum() > 0.93 * core.sum()
        alone = mine < 1.5 * shared[wide].sum() and all_ink - mine > 0.12 * all_ink
        yield own if covered and alone and core.any() else None


def pair_cuts(
    images: np.ndarray,
    cuts: Sequence[Cut],
    parts: Parts,
    count: int,
    seed: int = 0,
    new: Callable[[np.ndarray], Sequence[bool]] = lambda composites: [True] * len(composites),
    advance: Callable[[int], object] = lambda found: None,
) -> list[tuple[Cut, Cut]]:
    """Distinct pairs of cut glyphs: one that gives its radical, and one its other part.

    They fit where both parts stand alike in either glyph, and do not touch. Two parts that make a
    character of `parts` are no pair, nor are those whose composites, like `images`, are not `new`.
    `advance` is called with the number of pairs found since the last call. Raises ValueError where
    there are fewer, or for a count below 1.
    """
    if count < 1:
        raise ValueError(f"{count} composites: ask for at least 1")
    known = {(kind[0], *both) for kind, *both in parts.values()}
    alike = defaultdict(list)
    for place, cut in enumerate(cuts):
        alike[cut.kind, cut.first].append(place)
    near = 0.08 * images.shape[-1]
    boxes = np.array([_box(images[cut.row] * ~cut.pixels, cut) for cut in cuts])
    generator = np.random.default_rng(seed)

    def beside(a: int) -> Iterator[tuple[int, int]]:
        """Pairs of a radical with some other parts that might fit it."""
        peers = alike[cuts[a].kind, cuts[a].first]
        for b in generator.choice(peers, size=PEERS).tolist():
            both = (cuts[a].radical, cuts[b].other)[:: 1 if cuts[a].first else -1]
            stand_alike = np.abs(boxes[a] - boxes[b]).max() <= near
            if stand_alike and (cuts[a].kind[0], *both) not in known:
                yield a, b

    pairs: dict[tuple[int, int], None] = {}
    while len(pairs) < count:  # a round gives each radical of a glyph one other part at most
        before = len(pairs)
        order = generator.permutation(len(cuts)).tolist()
        for start in range(0, len(cuts), 256):
            asked = [pair for a in order[start : start + 256] for pair in beside(a)]
            free = _apart(images, [(cuts[a], cuts[b]) for a, b in asked])
            fitting = dict(pair for pair, ok in zip(asked, free, strict=True) if ok)
            if fitting:
                made = compose(images, [(cuts[a], cuts[b]) for a, b in fitting.items()])
                good = zip(fitting.items(), new(made), strict=True)
                found = min(len(pairs), count)
                pairs.update(dict.fromkeys(pair for pair, ok in good if ok))
                advance(min(len(pairs), count) - found)
            if len(pairs) >= count:
                break
        if len(pairs) < count and len(pairs) - before <= 0.01 * len(cuts):
            raise ValueError(
                f"these glyphs make only {len(pairs):,} composites: ask for fewer, or draw more"
            )
    return [(cuts[a], cuts[b]) for a, b in list(pairs)[:count]]


def _box(other: np.ndarray, cut: Cut) -> tuple[int, ...]:
    """The edges of the other part of a glyph: the one beside the radical, or all four inside it."""
    rows, columns = (np.flatnonzero(other.any(axis=axis)) for axis in (1, 0))
    if cut.kind[0] in (ACROSS, DOWN):
        edges = columns if cut.kind[0] == ACROSS else rows
        return (edges[0 if cut.first else -1],) * 4
    return rows[0], rows[-1], columns[0], columns[-1]


def compose(images: np.ndarray, pairs: Sequence[tuple[Cut, Cut]]) -> np.ndarray:
    """The radical of the first and the other part of the second of each pair, like `images`."""
    composites = np.empty((len(pairs), *images.shape[1:]), np.uint8)
    for out, (a, b) in zip(composites, pairs, strict=True):
        np.maximum(images[a.row] * a.pixels, images[b.row] * ~b.pixels, out=out)
    return composites


def _apart(images: np.ndarray, pairs: Sequence[tuple[Cut, Cut]]) -> list[bool]:
    """Whether there is white between the two parts of each pair."""
    if not pairs:
        return []
    radicals = np.stack([images[a.row] * a.pixels for a, _ in pairs])
    others = np.stack([images[b.row] * ~b.pixels for _, b in pairs])
    first, second = (
        torch.from_numpy(half > 255 * WHITE).float()[:, None] for half in (radicals, others)
    )
    touch = max_pool2d(first, 2 * GAP + 1, stride=1, padding=GAP) * second
    return (touch.amax(dim=(1, 2, 3)) == 0).tolist()
