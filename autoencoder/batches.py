"""What a training sees at each step, as a function of a seed and the step and of nothing else.

So a run that was cut off sees, from its last checkpoint on, what it would have seen; and several
processes see together what one process sees alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """A row of a data set, and the seed of all that is left to chance in its sample."""

    row: int
    seed: int


def seed_of(*parts: int) -> int:
    """A seed of 63 bits for a place in a training, such as (seed, epoch, position), from 0 on.

    Places of different depth have different seeds: (seed, 5) has not that of (seed, 5, 0).
    """
    place = np.random.SeedSequence((len(parts), *parts))
    return int(place.generate_state(1, np.uint64)[0]) >> 1


def generator_of(*parts: int) -> torch.Generator:
    """A generator on the CPU that begins at `seed_of` these parts."""
    return torch.Generator().manual_seed(seed_of(*parts))


def choose(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` rows, int64, each drawn with a chance in proportion to its weight `(rows,)`."""
    ends = weights.double().cumsum(0)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64) * ends[-1]
    return torch.searchsorted(ends, drawn, right=True).clamp_(max=len(weights) - 1)


class SeededBatches(Sampler[list[Draw]]):
    """Batches of an epoch, from the step that a trainer has come to; those of one process.

    Each epoch goes through all rows once in an order of its own, or, with weights, draws as many by
    chance. What is left of an epoch after its last whole batch is not seen.

    Args:
        weights: how often each row comes up, compared with the others; or the number of rows, which
            then come up alike.
        batch_size: samples a step and process.
        seed: of the orders, and of the seeds that go with the rows.
        trainer: says the step, and which of how many processes this is; None is the first step of
            one process.

    Raises ValueError, in one line, where the rows do not fill a batch of all processes.
    """

    def __init__(
        self,
        weights: int | Sequence[float] | Tensor,
        batch_size: int,
        seed: int = 0,
        trainer: Trainer | None = None,
    ) -> None:
        self.weights = None if isinstance(weights, int) else torch.as_tensor(weights).double()
        self.rows = weights if isinstance(weights, int) else len(weights)
        self.batch_size, self.seed, self.trainer = batch_size, seed, trainer
        self.rank, self.processes = process(trainer)
        if not len(self):
            raise ValueError(
                f"{self.rows} glyphs fill no batch of {batch_size * self.processes}: "
                "take a smaller --data.batch_size"
            )

    def __len__(self) -> int:
        return self.rows // (self.batch_size * self.processes)

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, done = self.place()
        generator = generator_of(self.seed, epoch)
        if self.weights is None:
            order = torch.randperm(self.rows, generator=generator)
        else:
            order = choose(self.weights, self.rows, generator)
        seeds = np.random.SeedSequence((self.seed, epoch)).generate_state(self.rows, np.uint64) >> 1
        size = self.batch_size * self.processes
        for start in range(done * size, len(self) * size, size):
            places = range(start + self.rank, start + size, self.processes)
            yield [Draw(int(order[i]), int(seeds[i])) for i in places]

    def place(self) -> tuple[int, int]:
        """The epoch that the trainer is in, and how many of its batches are behind."""
        if self.trainer is None:
            return 0, 0
        # A step takes several batches under accumulation, the last of an epoch perhaps fewer.
        several = self.trainer.accumulate_grad_batches
        epoch, steps = divmod(self.trainer.global_step, -(-len(self) // several))
        return epoch, steps * several


def process(trainer: Trainer | None) -> tuple[int, int]:
    """Which process of a training this is, from 0, and of how many."""
    return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)


def is_exporter(trainer: Trainer) -> bool:
    """Whether this process writes the finished model: the first one of a training that counts."""
    return trainer.is_global_zero and not (trainer.interrupted or trainer.fast_dev_run)


def step_generator(trainer: Trainer, seed: int, batch: int) -> torch.Generator:
    """What all processes leave to chance at a step: the same generator for each of them.

    `batch` is the index of the batch in its epoch: under accumulation a step takes several.
    """
    return generator_of(seed, trainer.global_step, batch % trainer.accumulate_grad_batches)


def randn(shape: Sequence[int], generator: torch.Generator, count: int) -> Tensor:
    """Normal noise `(count, *shape)`."""
    return torch.randn(count, *shape, generator=generator)


def draw_for(trainer: Trainer, count: int, draw: Callable[[int], Tensor]) -> Tensor:
    """What `draw(B)` makes for the samples of all processes, `(B, ...)`: the `count` of this one.

    They go with the samples that `SeededBatches` gives it, where all draw from the same generator.
    """
    rank, processes = process(trainer)
    return draw(count * processes)[rank::processes]
