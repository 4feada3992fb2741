"""The U-Net: its identity at the start, its two resolutions and what crosses between them."""

from dataclasses import replace

import pytest
import torch
from conftest import UNET, make_denoiser

from diffusion.condition import Condition
from diffusion.networks.unet import UNet

LEAP = "leap.length.layers.2.weight", "leap.scale.layers.2.weight"


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(2, 4, 8, 8, generator=generator)
    embedding = torch.randn(2, 5, 16, generator=generator)
    words = Condition(embedding, torch.ones(2, 5, dtype=torch.bool))
    return x_t, torch.tensor([0.1, 0.9]), words


def test_what_starts_at_zero_is_what_was_meant_to():
    """A later initialisation that overwrites an earlier one is found here."""
    network = UNet(replace(UNET, flow_map=True))
    weights = {n: p for n, p in network.named_parameters() if not n.endswith("bias")}
    for name, weight in weights.items():
        zero = name.endswith(("modulation.weight", "conv_2.weight", "attention.out.weight"))
        if zero or name in ("conv_out.weight", "guide_out.weight", *LEAP):
            assert not weight.any(), name
        elif weight.ndim > 1:
            assert weight.std().item() == pytest.approx(weight[0].numel() ** -0.5, rel=0.2), name


def test_a_block_starts_as_the_identity(inputs):
    _, _, (embedding, mask, _) = inputs
    model = UNet(UNET)
    x = torch.randn(2, 32, 4, 4)
    assert model.middle(x, torch.randn(2, 32), embedding, mask).equal(x)


@torch.no_grad()
@pytest.mark.parametrize("level", [0, 1])
def test_what_was_seen_on_the_way_down_comes_in_again(inputs, level):
    """With the coarser path cut behind the first resolution, the finer one still crosses."""
    model = make_denoiser(config=UNET)
    crossing = []
    block = model.up[1 - level][0]  # the finest is the last on the way up
    block.register_forward_hook(lambda module, inputs, output: crossing.append(inputs[0]))
    seen = []
    model.down[level][0].register_forward_hook(lambda module, _, output: seen.append(output))
    model(*inputs)
    width = UNET.widths[level]
    assert crossing[0].shape[1] == 2 * width
    assert crossing[0][:, width:].equal(seen[0])


@torch.no_grad()
def test_the_coarse_grid_carries_what_is_far_across(inputs):
    """A change in one corner reaches the other, through 4×4 cells and attention."""
    x_t, t, words = inputs
    model = make_denoiser(config=UNET)
    moved = x_t.clone()
    moved[:, :, 0, 0] += 1
    change = (model(moved, t, words) - model(x_t, t, words)).abs()
    assert change[:, :, -1, -1].max() > 1e-4


@torch.no_grad()
def test_one_resolution_and_three_work_too(inputs):
    for widths in ((16,), (8, 16, 24)):
        model = make_denoiser(config=replace(UNET, widths=widths))
        assert model(*inputs).shape == inputs[0].shape


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": ()}, "at least 1"),
        ({"blocks": 0}, "at least 1"),
        ({"widths": (16, 16, 16, 16, 16)}, "do not halve"),
        ({"widths": (20,)}, "a width of 20"),
    ],
)
def test_settings_that_make_none_say_why(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(UNET, **settings)
