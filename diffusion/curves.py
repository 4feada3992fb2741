"""Cubic Bézier curves through points, with few nodes and those where type has them.

Lengths are in pixels, and points are complex numbers, x + iy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

CLOSE = 0.25  # what points may lie beside their curve
BULGE = 0.4  # what they reach beyond the ends of a curve whose extreme becomes a node
STEPS, ROUNDS = 2, 4  # of fitting curves, and of splitting those that do not fit
STIFF, TIED = 0.02, 1e4  # how strongly handles are drawn to a third, and to their tangent
LEAST = 0.05  # of a curve's length: the shortest handle along a tangent
WAYS = np.array([1, -1, 1j, -1j])  # factors that turn right, left, up and down to the right


@dataclass
class Piece:
    """What lies between two nodes: a line, or a curve near `points` `(N,)`.

    A direction at a node, `ahead` or `back`, is 0 at a corner, where the points decide it.
    """

    start: complex
    stop: complex
    ahead: complex = 0
    back: complex = 0
    points: np.ndarray | None = None
    controls: Sequence[complex] = ()
    halves: Sequence[Piece] = ()

    def segments(self) -> Iterator[np.ndarray]:
        """What was fitted, `(1,)` or `(3,)`: the end of a line, or controls and end of a curve."""
        for half in self.halves:
            yield from half.segments()
        if not self.halves:
            yield np.array([*self.controls, self.stop])

    def split(self, k: int, along: complex) -> tuple[Piece, Piece]:
        """Two pieces that meet in a point, in a direction."""
        node = self.points[k]
        return (
            Piece(self.start, node, self.ahead, along, self.points[:k]),
            Piece(node, self.stop, along, self.back, self.points[k + 1 :]),
        )

    def at_extremes(self) -> Iterator[Piece]:
        """Pieces with nodes where the points reach farthest left, right, up or down."""
        if len(self.points) > 2:
            reach = (self.points * WAYS[:, None]).real
            ends = (np.array([self.start, self.stop]) * WAYS[:, None]).real
            beyond = reach.max(axis=1) - ends.max(axis=1)
            way = int(beyond.argmax())
            k = int(np.flatnonzero(reach[way] > reach[way].max() - BULGE / 4).mean())
            if beyond[way] > BULGE and 0 < k < len(self.points) - 1:
                step = (self.points[k + 1] - self.points[k - 1]) * WAYS[way]
                for half in self.split(k, 1j * np.sign(step.imag) / WAYS[way]):
                    yield from half.at_extremes()
                return
        yield self


def fit(pieces: list[Piece]) -> None:
    """Fits curves to their points, and splits those that do not come close."""
    pieces = [piece for piece in pieces if piece.points is not None]
    for _ in range(ROUNDS):
        halves = []
        for piece, beside in zip(pieces, bezier(pieces) if pieces else (), strict=True):
            count = len(piece.points)
            if count >= 8 and beside.max() > CLOSE:
                k = min(max(int(beside.argmax()) - 1, count // 3), 2 * count // 3)
                chord = piece.points[k + 2] - piece.points[k - 2]
                piece.halves = piece.split(k, chord / abs(chord))
                halves += piece.halves
        pieces = halves


def bezier(pieces: list[Piece]) -> list[np.ndarray]:
    """Fits one cubic curve to each piece; gives how far points lie beside it, and both its ends.

    Schneider (1990), An Algorithm for Automatically Fitting Digitized Curves, for all pieces at
    once, and with free handles at corners.
    """
    points = np.concatenate([run for p in pieces for run in ([p.start], p.points, [p.stop])])
    sizes = np.array([len(p.points) + 2 for p in pieces])
    first = sizes.cumsum() - sizes
    own = np.repeat(np.arange(len(pieces)), sizes)
    steps = np.append(0, np.abs(np.diff(points)))
    steps[first] = 0
    total = np.add.reduceat(steps, first)
    t = (steps.cumsum() - steps.cumsum()[first][own]) / total[own].clip(1e-9)

    start, stop = np.array([(p.start, p.stop) for p in pieces]).T
    along = np.array([(p.ahead, -p.back) for p in pieces], complex)  # of the two handles
    thirds = np.where(along, along * total[:, None], (stop - start)[:, None] * [1, -1]) / 3
    # The least squares of a handle's real and imaginary part, held near a third and its tangent.
    normal = pairs(1j * along)
    held = np.zeros((len(pieces), 2, 2, 2, 2))
    for i in (0, 1):
        held[:, i, :, i] = TIED * normal[:, i, :, None] * normal[:, i, None] + STIFF * np.eye(2)
    for _ in range(STEPS):
        s = 1 - t
        b0, b1, b2, b3 = s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t
        rest = points - (b0 + b1) * start[own] - (b2 + b3) * stop[own]
        b11, b12, b22 = np.add.reduceat([b1 * b1, b1 * b2, b2 * b2], first, axis=1)
        squares = np.einsum("ijk,de->kidje", [[b11, b12], [b12, b22]], np.eye(2))
        right = np.add.reduceat([b1 * rest, b2 * rest], first, axis=1).T + STIFF * thirds
        handles = np.linalg.solve(
            (held + squares).reshape(-1, 4, 4), pairs(right).reshape(-1, 4, 1)
        ).reshape(-1, 2, 2)
        handles = handles[..., 0] + 1j * handles[..., 1]
        long = np.maximum(dot(handles, along), LEAST * total[:, None])
        handles = np.where(along, along * long, handles)
        one, two = start + handles[:, 0], stop + handles[:, 1]
        beside = b0 * start[own] + b1 * one[own] + b2 * two[own] + b3 * stop[own] - points
        # Each point's place on the curve, by a step of Newton's method.
        slope = (
            s * s * (one - start)[own] + 2 * s * t * (two - one)[own] + t * t * (stop - two)[own]
        )
        t = (t - dot(beside, slope) / (3 * dot(slope, slope)).clip(1e-9)).clip(0, 1)
    for piece, *controls in zip(pieces, one, two, strict=True):
        piece.controls = controls
    return np.split(np.abs(beside), first[1:])


def pairs(points: np.ndarray) -> np.ndarray:
    """Points `(...,)` as x and y, `(..., 2)`."""
    return np.stack([points.real, points.imag], axis=-1)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The dot products of vectors."""
    return (np.conj(a) * b).real
