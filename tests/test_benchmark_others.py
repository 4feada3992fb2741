"""The networks of others are what they are said to be."""

import sys
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from diffusion.benchmark import others
from diffusion.benchmark.others import RELATIVES, article_step, article_unet
from diffusion.benchmark.timing import parameters, random, untrained
from diffusion.benchmark.training import denoiser_inputs
from diffusion.networks.dit import DiT, DiTConfig
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.request import GUIDANCE

# diffusers' own, which Python keeps to itself unless it is asked.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CPU = torch.device("cpu")


def test_the_networks_of_others_are_the_published_ones():
    with torch.device("meta"):
        unet = article_unet()
        codecs = others.autoencoders(torch.empty(1, 1, 128, 128))
    kinds = Counter(type(block).__name__ for block in (*unet.down_blocks, *unet.up_blocks))
    assert kinds == {
        "DownBlock2D": 3, "CrossAttnDownBlock2D": 1, "UpBlock2D": 3, "CrossAttnUpBlock2D": 1,
    }  # fmt: skip
    assert parameters(unet) == 130_790_657  # of the article's listing, as diffusers builds it
    assert tuple(unet.conv_in.weight.shape) == (128, 1, 3, 3)
    # As the table of https://github.com/madebyollin/taesd has them.
    kl, tiny = codecs["kl"][0], codecs["tiny"][0]
    assert parameters(kl.encoder, kl.decoder) == 34_163_592 + 49_490_179
    assert parameters(tiny.encoder, tiny.decoder) == 1_222_532 + 1_222_531


@pytest.mark.parametrize(
    ("kind", "config", "near"),
    [
        (DiT, DiTConfig(patch_size=1), 0.03),
        (DiT, DiTConfig(), 0.03),
        (UNet, UNetConfig(), 0.25),
        (UNet, UNetConfig(widths=(128, 192)), 0.25),
    ],
)
def test_the_other_network_is_of_our_size_and_call(kind, config, near):
    network = untrained(lambda: RELATIVES[type(config)](config), CPU)
    ours = parameters(untrained(lambda: kind(config), CPU))
    assert parameters(network) == pytest.approx(ours, rel=near)
    x_t, t, embedding, mask = denoiser_inputs(config, 2, 6, CPU)
    mask[:, 4:] = False
    with torch.inference_mode():
        predicted = network(x_t, t, embedding, mask)
        embedding[:, 4:] = 9  # padding
        same = network(x_t, t, embedding, mask)
        other = network(x_t, t / 2, embedding, mask)
    assert predicted.shape == x_t.shape
    torch.testing.assert_close(predicted, same)
    assert (predicted - other).abs().max() > 1e-4


@torch.inference_mode()
def test_the_articles_step_is_its_solver_under_guidance(tiny_networks):
    """Against two predictions one after the other, for the first three of its fifty steps."""
    unet = untrained(article_unet, CPU)
    step = article_step(unet, 2, CPU)
    scheduler = DPMSolverMultistepScheduler(algorithm_type="dpmsolver++", solver_order=2)
    scheduler.set_timesteps(50)
    x = random(0, 2, 1, 16, 16)
    words = random(1, 4, 8, 64)[:2]
    for t in scheduler.timesteps[:3]:
        positive = unet(x, t, encoder_hidden_states=words).sample
        away = unet(x, t, encoder_hidden_states=torch.zeros_like(words)).sample
        guided = (1 - GUIDANCE) * away + GUIDANCE * positive
        x = scheduler.step(guided, t, x).prev_sample
        torch.testing.assert_close(step(), x, rtol=1e-3, atol=1e-3)


def test_a_diffusers_that_does_not_load_is_not_the_end(monkeypatch):
    broken = SimpleNamespace(__spec__=None)  # has none of the names
    monkeypatch.setitem(sys.modules, "diffusers", broken)
    assert "diffusers does not load" in others.why_no_diffusers()
