"""What a training sees at each step, as a function of the seed and the step alone.

So a run that was cut off resumes exactly, and several processes see together what one sees alone.
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
    """A row of a data set, and the seed of what is random in its sample."""

    row: int
    seed: int


def seed_of(*parts: int) -> int:
    """A seed of 63 bits for a place in a training, such as (seed, epoch, position).

    Depth counts too: (seed, 5) and (seed, 5, 0) differ.
    """
    place = np.random.SeedSequence((len(parts), *parts))
    return int(place.generate_state(1, np.uint64)[0]) >> 1


def generator_of(*parts: int) -> torch.Generator:
    """A generator on the CPU, seeded by `seed_of`."""
    return torch.Generator().manual_seed(seed_of(*parts))


def choose(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` rows, int64, drawn with chances in proportion to their weights `(rows,)`."""
    ends = weights.double().cumsum(0)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64) * ends[-1]
    return torch.searchsorted(ends, drawn, right=True).clamp_(max=len(weights) - 1)


class SeededBatches(Sampler[list[Draw]]):
    """The batches of one process in an epoch, from the trainer's step on.

    Each epoch has all rows once in an order of its own, or, with weights, draws as many at random.
    Rows that fill no batch at the end are dropped.

    Args:
        weights: chances of the rows, up to a factor; or the number of rows, each once an epoch.
        batch_size: samples a step and process.
        seed: of the orders, and of the seeds in the draws.
        trainer: tells the step and the process; None is the first step of a single process.

    Raises ValueError where the rows do not fill a batch of all processes.
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
        """The trainer's epoch, and how many of its batches are done."""
        if self.trainer is None:
            return 0, 0
        # Under accumulation a step takes several batches, the last of an epoch perhaps fewer.
        several = self.trainer.accumulate_grad_batches
        epoch, steps = divmod(self.trainer.global_step, -(-len(self) // several))
        return epoch, steps * several


def process(trainer: Trainer | None) -> tuple[int, int]:
    """Which process of a training this is, from 0, and of how many."""
    return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)


def is_exporter(trainer: Trainer) -> bool:
    """Whether this process writes the finished model: the first one, of a completed run."""
    return trainer.is_global_zero and not (trainer.interrupted or trainer.fast_dev_run)


def step_generator(trainer: Trainer, seed: int, batch: int) -> torch.Generator:
    """The generator of a step, the same in all processes.

    `batch` is the index of the batch in its epoch: under accumulation a step takes several.
    """
    return generator_of(seed, trainer.global_step, batch % trainer.accumulate_grad_batches)


def randn(shape: Sequence[int], generator: torch.Generator, count: int) -> Tensor:
    """Normal noise `(count, *shape)`."""
    return torch.randn(count, *shape, generator=generator)


def draw_for(trainer: Trainer, count: int, draw: Callable[[int], Tensor]) -> Tensor:
    """This process's `count` of what `draw(B)`, `(B, ...)`, makes for the samples of all.

    They go with its samples from `SeededBatches`, if all processes draw from the same generator.
    """
    rank, processes = process(trainer)
    return draw(count * processes)[rank::processes]
