"""What a training sees: the same wherever it was cut off, and however many share it."""

from types import SimpleNamespace

import pytest
import torch

from autoencoder.batches import (
    SeededBatches,
    choose,
    draw_for,
    generator_of,
    randn,
    seed_of,
    step_generator,
)


def at(step=0, rank=0, processes=1, several=1):
    """As much of a Lightning trainer as batches ask for."""
    return SimpleNamespace(
        global_step=step,
        global_rank=rank,
        world_size=processes,
        accumulate_grad_batches=several,
    )


def test_seeds_are_of_their_place_alone():
    seeds = {seed_of(a, b) for a in range(100) for b in range(100)}
    assert len(seeds) == 10_000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(1, 2) == seed_of(1, 2)
    assert len({seed_of(1, *[0] * depth) for depth in range(5)}) == 5


def test_glyphs_that_fill_no_batch_are_refused():
    assert len(SeededBatches(20, 10, trainer=at(processes=2))) == 1
    with pytest.raises(ValueError, match=r"19 glyphs fill no batch of 20: take a smaller"):
        SeededBatches(19, 10, trainer=at(processes=2))


def test_an_epoch_is_all_rows_once_in_an_order_of_its_own():
    first, second = (
        [draw for batch in SeededBatches(103, 10, seed=1, trainer=at(step)) for draw in batch]
        for step in (0, 10)
    )
    for epoch in (first, second):
        rows = {draw.row for draw in epoch}
        assert len(rows) == len(epoch) == 100
        assert rows <= set(range(103))
    assert [draw.row for draw in first] != [draw.row for draw in second]
    assert not {draw.seed for draw in first} & {draw.seed for draw in second}
    other = [draw for batch in SeededBatches(103, 10, seed=2) for draw in batch]
    assert [draw.row for draw in other] != [draw.row for draw in first]


@pytest.mark.parametrize("weights", [103, torch.arange(103.0)])
def test_what_was_cut_off_goes_on_where_it_was(weights):
    whole = list(SeededBatches(weights, 10, trainer=at(20)))  # the third epoch
    for done in (0, 1, 7, 9):
        assert list(SeededBatches(weights, 10, trainer=at(20 + done))) == whole[done:]
    # Two batches a step: five steps an epoch.
    whole = list(SeededBatches(weights, 10, trainer=at(10, several=2)))
    assert list(SeededBatches(weights, 10, trainer=at(12, several=2))) == whole[4:]


@pytest.mark.parametrize("weights", [103, torch.arange(103.0)])
def test_processes_share_the_batches_of_one(weights):
    alone = list(SeededBatches(weights, 12))
    shares = [list(SeededBatches(weights, 4, trainer=at(0, rank, 3))) for rank in range(3)]
    assert [len(share) for share in shares] == [len(alone)] * 3
    for together, *parts in zip(alone, *shares, strict=True):
        assert sorted(together) == sorted(draw for part in parts for draw in part)


def test_processes_share_the_noise_of_one():
    """And it goes with the same samples."""
    batch = next(iter(SeededBatches(100, 12)))
    noise = draw_for(at(3), 12, lambda count: randn((2, 2), generator_of(5), count))
    of_draw = {draw: tuple(one.flatten().tolist()) for draw, one in zip(batch, noise, strict=True)}
    for rank in range(3):
        batch = next(iter(SeededBatches(100, 4, trainer=at(0, rank, 3))))
        trainer = at(3, rank, 3)
        noise = draw_for(trainer, 4, lambda count: randn((2, 2), generator_of(5), count))
        for draw, one in zip(batch, noise, strict=True):
            assert of_draw[draw] == tuple(one.flatten().tolist())


def test_noise_is_of_the_step_and_the_batch_within_it():
    places = [(at(step, several=2), batch) for step in range(3) for batch in (0, 1)]
    drawn = [float(torch.randn((), generator=step_generator(t, 0, b))) for t, b in places]
    assert len(set(drawn)) == 6
    again = [float(torch.randn((), generator=step_generator(t, 0, b + 4))) for t, b in places]
    assert again == drawn  # the batch counts from the start of its step


def test_rows_are_chosen_as_their_weights_say():
    weights = torch.tensor([1.0, 0.0, 3.0])
    rows = choose(weights, 20_000, generator_of(0))
    shares = rows.bincount(minlength=3) / 20_000
    assert shares.tolist() == pytest.approx([0.25, 0, 0.75], abs=0.015)
    drawn = [draw.row for b in SeededBatches(weights.repeat(1000), 10) for draw in b]
    assert torch.tensor(drawn).remainder(3).bincount(minlength=3)[1] == 0
