"""Random numbers that are the same everywhere: in Python, on a GPU's host, in a browser.

Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") enciphers a
counter with the seed as its key, so a number depends on nothing but its place. It takes products
of 32-bit integers, which any language has, and this file is all that one has to write again.
"""

from __future__ import annotations

from enum import IntEnum
from math import prod

import numpy as np

ROUNDS = 10
MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
WEYL = np.array([[0x9E3779B9], [0xBB67AE85]], np.uint64)  # added to the key after each round
LOW = np.uint64(0xFFFFFFFF)


class Stream(IntEnum):
    """What a seed decides, each by numbers of its own."""

    NOISE = 0
    ATTEMPT = 1  # the seed of another attempt
    RADICAL = 2
    PART = 3
    ARRANGEMENT = 4
    ROLES = 5  # which side of AND is the radical
    PROPORTIONS = 6  # of radical and part put together


def philox(counters: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Counters `(4, N)` enciphered with a key `(2,)`, `(4, N)`; all are numbers below 2^32."""
    counters, key = counters.astype(np.uint64), key.astype(np.uint64)[:, None]
    for _ in range(ROUNDS):
        products = MULTIPLIERS * counters[::2]
        high, low = products >> np.uint64(32), products & LOW
        mixed = high[::-1] ^ counters[1::2] ^ key
        counters = np.stack([mixed[0], low[1], mixed[1], low[0]])
        key = (key + WEYL) & LOW
    return counters


class Philox:
    """The numbers of a seed in one stream, with the names of `numpy.random.Generator`.

    Args:
        seed: 0 to 2^64 - 1.
        stream: which of its streams.
        turn: which of further streams in there, below 2^32.

    Each call goes on with the block of four numbers after the last of the call before.
    """

    def __init__(self, seed: int, stream: Stream, turn: int = 0) -> None:
        self.key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint64)
        self.stream, self.turn, self.block = stream, turn, 0

    def integers(self, count: int) -> np.ndarray:
        """Integers below 2^32, `(count,)`, all as likely."""
        blocks = -(-count // 4)
        counters = np.zeros((4, blocks), np.uint64)
        counters[0] = np.arange(self.block, self.block + blocks)
        counters[2:] = [[self.stream], [self.turn]]
        self.block += blocks
        return philox(counters, self.key).T.reshape(-1)[:count]

    def random(self, shape: tuple[int, ...] | int = ()) -> np.ndarray:
        """Numbers in [0, 1), of a shape; float64."""
        shape = (shape,) if isinstance(shape, int) else shape
        return self.integers(prod(shape)).reshape(shape) / 2.0**32

    def standard_normal(self, shape: tuple[int, ...] | int = ()) -> np.ndarray:
        """Normal numbers of a shape, float64, two of two integers (Box and Muller 1958)."""
        shape = (shape,) if isinstance(shape, int) else shape
        count = prod(shape)
        pairs = self.integers(count + count % 2).reshape(-1, 2)
        radius = np.sqrt(-2 * np.log((pairs[:, 0] + 1.0) / 2.0**32))
        angle = 2 * np.pi * (pairs[:, 1] / 2.0**32)
        both = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return both.reshape(-1)[:count].reshape(shape)
