"""Representation alignment: its closed forms, and the cells that it takes."""

import pytest
import torch
from conftest import DENOISER, UNET, make_denoiser
from torch import nn

from diffusion.alignment import Alignment


def features(batch=6, channels=5, size=4, seed=0):
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(seed))


def told(grid):
    """A grid `(B, C, H, W)` as cells `(B, H W, C)`, row by row."""
    return grid.flatten(2).transpose(1, 2)


@pytest.fixture
def plain():
    """An alignment whose head hands on what it is given."""
    alignment = Alignment(5, 5)
    alignment.layers = nn.Identity()
    return alignment


def test_what_is_told_right_costs_nothing_and_its_opposite_two(plain):
    seen = features()
    own = told(seen - seen.mean((0, 2, 3), keepdim=True))
    assert plain(own, seen).item() == pytest.approx(0, abs=1e-6)
    assert plain(-own, seen).item() == pytest.approx(2, abs=1e-6)
    # Only the direction counts, and not what all glyphs share.
    assert plain(7 * own, 3 * seen + 11).item() == pytest.approx(0, abs=1e-5)
    # Cells in another order are other cells.
    assert plain(own.flip(1), seen) > 0.5


def test_it_is_the_mean_of_cosines(plain):
    seen, said = features(2, 5, 2), told(features(2, 5, 2, seed=1))
    own = told(seen - seen.mean((0, 2, 3), keepdim=True))
    cosines = [
        float(a @ b / (a.norm() * b.norm()))
        for a, b in zip(said.flatten(0, 1), own.flatten(0, 1), strict=True)
    ]
    assert plain(said, seen).item() == pytest.approx(1 - sum(cosines) / 8, abs=1e-6)


def test_features_are_brought_to_the_cells_of_the_denoiser(plain):
    seen = features()
    seen -= seen.mean((0, 2, 3), keepdim=True)
    fine = seen.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert plain(told(fine), seen).item() == pytest.approx(0, abs=1e-6)
    assert plain(told(seen), fine).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("config", [DENOISER, UNET], ids=["dit", "unet"])
def test_a_denoiser_says_the_same_with_its_cells_and_they_are_half_way(config, inputs):
    denoiser = make_denoiser(config=config)
    output, cells = denoiser.with_cells(*inputs)
    assert output.equal(denoiser(*inputs))
    side = 8 if config is DENOISER else 4
    assert cells.shape == (len(output), side**2, denoiser.cell_width)
    # What stands before them is reached by a gradient from there, what stands behind is not.
    cells.square().sum().backward()
    first, last = (
        (denoiser.patch_in, denoiser.patch_out)
        if config is DENOISER
        else (denoiser.conv_in, denoiser.conv_out)
    )
    assert first.weight.grad.any()
    assert last.weight.grad is None


@pytest.mark.parametrize("config", [DENOISER, UNET], ids=["dit", "unet"])
def test_cells_stand_where_the_latents_stand(config, inputs):
    """A change in one corner of the latents changes the cells there most."""
    denoiser = make_denoiser(config=config)
    x_t, *rest = inputs
    moved = x_t.clone()
    moved[:, :, :2, 6:] += 1  # above, at the right
    with torch.no_grad():
        before, after = (denoiser.with_cells(x, *rest)[1] for x in (x_t, moved))
    change = (after - before).norm(dim=2)  # (B, L)
    side = round(change.shape[1] ** 0.5)
    for most in change.argmax(dim=1).tolist():
        row, column = divmod(most, side)
        assert row < side / 2 <= column
