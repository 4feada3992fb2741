"""New characters from old ones: the radical of one glyph beside the other part of another.

銷 and 聰 make a character of 釒 and 悤 that nobody has written, drawn as well as the two that it
comes from. A denoiser that learns from these as well meets each radical with parts that it never
stood beside, and learns less by heart.

Where two parts are side by side or one above the other, a path through white separates them; where
one is inside the other, strokes that all characters with it share are the outer one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import label
from torch import Tensor
from torch.nn.functional import max_pool2d

from autoencoder.data.glyphs import GlyphDataset, GlyphRecord
from autoencoder.readers.recognizer import Recognizer

ACROSS, DOWN = "a", "d"  # of two parts; all other kinds are one inside the other
WHITE = 0.02  # of ink, in [0, 1]
FEWEST = 5  # glyphs with one radical in one place that say where it ends
BEND, FAR = 2, 0.08  # pixels a row, and parts of the width, that a path may leave the straight
PEERS = 12  # other parts that are tried beside a radical in one round
GAP = 2  # white pixels that stay between two parts


@dataclass(frozen=True)
class Cut:
    """A glyph cut in two: its row, and which of its pixels are the radical's, `(size, size)`."""

    row: int
    kind: str
    radical: str  # as it is written in the glyph: 釒 and 钅 are two
    other: str
    first: bool  # whether the radical is the left, the upper or the outer part
    pixels: np.ndarray


Parts = Mapping[str, tuple[str, str, str]]  # of a character: its kind, first and second part


@dataclass(frozen=True)
class Composites:
    """Composites of some glyphs: `pairs`, of which the first glyph gives its radical.

    Attributes:
        images: of all training glyphs, uint8 `(count, size, size)`, 255 = ink.
        records: what is known of each of these. A composite goes by that of its radical.
        pairs: of cuts of these.
    """

    images: np.ndarray
    records: list[GlyphRecord]
    pairs: list[tuple[Cut, Cut]]

    def draw(self, places: range) -> Tensor:
        """The composites at some places, float32 `(B, 1, size, size)` in [0, 1], 1 = ink."""
        return _to_tensor(compose(self.images, self.pairs[places.start : places.stop]))


def make_composites(
    sources: Iterable[GlyphDataset],
    parts: Parts,
    forms: Callable[[int], Sequence[str]],
    recognizer: Recognizer,
    count: int,
    seed: int = 0,
    advance: Callable[[int], object] = lambda found: None,
) -> Composites:
    """Composites of the training glyphs of some folders, as in `cut_glyphs` and `pair_cuts`.

    Nothing held out is cut, and what the recogniser takes for a character is none of them. Raises
    GlyphError for glyphs of another size than it reads.
    """

    def new(composites: np.ndarray) -> list[bool]:
        matches = recognizer.match(recognizer.embed(_to_tensor(composites)))
        return [not match.exists for match in matches]

    sources = list(sources)
    for source in sources:
        source.check_size(recognizer.config.image_size)
    images, records = _training_glyphs(sources)
    cuts = cut_glyphs(images, records, parts, forms)
    pairs = pair_cuts(images, cuts, parts, count, seed, new, advance)
    return Composites(images, records, pairs)


def _training_glyphs(sources: Iterable[GlyphDataset]) -> tuple[np.ndarray, list[GlyphRecord]]:
    """All that is not held out, uint8 `(count, size, size)`, 255 = ink, and what is known of it."""
    images, records = [], []
    for source in sources:
        rows = [row for row, one in enumerate(source.records) if one.split == "train"]
        images.append((source.images(rows)[:, 0] * 255).round().byte().numpy())
        records += [source.records[row] for row in rows]
    return np.concatenate(images), records


def cut_glyphs(
    images: np.ndarray,
    records: Sequence[GlyphRecord],
    parts: Parts,
    forms: Callable[[int], Sequence[str]],
) -> list[Cut]:
    """All glyphs that can be cut between their radical and their other part.

    `images` is uint8 `(count, size, size)`, 255 = ink; `parts` of a character starts with "a" for
    across, "d" for down and another letter for one part inside another; `forms` says how a
    radical, by its number, is written.
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
            found = _beside(ink, first)
        elif kind[0] == DOWN:
            found = (m if m is None else m.T for m in _beside(ink.transpose(0, 2, 1), first))
        else:
            found = _around(ink)
        for (row, other), pixels in zip(members, found, strict=True):
            image = images[row]
            if pixels is not None and image[pixels].any() and image[~pixels].any():
                cuts.append(Cut(row, kind, radical, other, first, pixels))
    return cuts


def _beside(ink: np.ndarray, first: bool) -> Iterator[np.ndarray | None]:
    """Which pixels of glyphs `(N, rows, columns)` are those of the part that all have at one side.

    The path between the parts is that of the least ink and the fewest bends, near the column where
    most of the glyphs let one through from top to bottom. None for glyphs that let none through.
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
    """Of a row of pixels `(N, columns)`, which are or touch one that is true."""
    padded = np.pad(row, ((0, 0), (1, 1)))
    return padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]


def _around(ink: np.ndarray) -> Iterator[np.ndarray | None]:
    """Which pixels of glyphs `(N, size, size)` are those of the part that all of them share.

    They are the connected strokes that lie for the most part where most glyphs have ink. None where
    strokes of both parts touch.
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
    """Pairs of cut glyphs, each once: one that gives its radical, and one its other part.

    They fit where both parts stand alike in either glyph, and do not touch. Two parts that make a
    character of `parts` are no pair, nor are those whose composites, like `images`, are not `new`.
    `advance` is called with the number of pairs found since the last call.

    Raises ValueError, in one line, where there are not so many, or none are asked for.
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
            fitting = {
                a: b
                for (a, b), free in zip(asked, _apart(images, cuts, asked), strict=True)
                if free
            }
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
                f"these glyphs make {len(pairs):,} composites and few more: ask for fewer"
            )
    return [(cuts[a], cuts[b]) for a, b in list(pairs)[:count]]


def _box(other: np.ndarray, cut: Cut) -> tuple[int, ...]:
    """Where the other part of a glyph has its edges: that to the radical, or all four inside it."""
    rows, columns = (np.flatnonzero(other.any(axis=axis)) for axis in (1, 0))
    if cut.kind[0] in (ACROSS, DOWN):
        edges = columns if cut.kind[0] == ACROSS else rows
        return (edges[0 if cut.first else -1],) * 4
    return rows[0], rows[-1], columns[0], columns[-1]


def compose(images: np.ndarray, pairs: Sequence[tuple[Cut, Cut]]) -> np.ndarray:
    """The radical of the first and the other part of the second of each pair, like `images`."""
    return np.maximum(*_halves(images, pairs))


def _to_tensor(glyphs: np.ndarray) -> Tensor:
    return torch.from_numpy(glyphs)[:, None].float() / 255


def _halves(images: np.ndarray, pairs: Sequence[tuple[Cut, Cut]]) -> tuple[np.ndarray, np.ndarray]:
    radicals = np.stack([images[a.row] * a.pixels for a, _ in pairs])
    return radicals, np.stack([images[b.row] * ~b.pixels for _, b in pairs])


def _apart(images: np.ndarray, cuts: Sequence[Cut], pairs: Sequence[tuple[int, int]]) -> list[bool]:
    """Whether there is white between the two parts of each pair of places among `cuts`."""
    if not pairs:
        return []
    halves = _halves(images, [(cuts[a], cuts[b]) for a, b in pairs])
    first, second = (torch.from_numpy(half > 255 * WHITE).float()[:, None] for half in halves)
    touch = max_pool2d(first, 2 * GAP + 1, stride=1, padding=GAP) * second
    return (touch.amax(dim=(1, 2, 3)) == 0).tolist()
