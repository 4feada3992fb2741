"""The transformer: how it starts, its two paths for words, and its patches."""

from dataclasses import replace

import pytest
import torch
from conftest import DENOISER

from diffusion.condition import Condition
from diffusion.networks.dit import DiT

ZERO = (
    "cross_attention.out.weight",
    "modulation.weight",
    "patch_out.weight",
    "blocks.0.modulation",
)


def test_it_starts_at_zero_and_its_blocks_as_the_identity(inputs):
    model = DiT(DENOISER)
    assert not model(*inputs).any()
    embedding, mask, _ = inputs[2]
    x = torch.randn(3, 64, 32)
    modulation = model.modulation(torch.randn(3, 32)).reshape(3, 6, 32)
    words = model.words_in(embedding)
    for block in model.blocks:
        assert block(x, modulation, words, mask, model.angles).equal(x)


def test_what_starts_at_zero_is_what_was_meant_to():
    """A later initialisation that overwrites an earlier one is found here."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DiT(replace(DENOISER, flow_map=True))
    weights = {n: p for n, p in network.named_parameters() if not n.endswith("bias")}
    zero = {name for name, weight in weights.items() if not weight.any()}
    assert zero == {
        "guide_out.weight",
        "modulation.weight",
        "patch_out.weight",
        *(f"leap.{part}.layers.2.weight" for part in ("length", "scale")),
        *(f"blocks.{i}.{part}" for i in range(2) for part in ("modulation", ZERO[0])),
    }
    for name, weight in weights.items():
        if weight.ndim == 2 and name not in {*zero, "position"}:
            assert weight.std().item() == pytest.approx(weight.shape[1] ** -0.5, rel=0.15), name


@pytest.mark.parametrize("path", ["meaning_in", "words_in"])
def test_words_enter_by_each_of_two_paths(tiny_denoiser, inputs, path):
    x_t, t, words = inputs
    with torch.no_grad():
        getattr(tiny_denoiser, path).weight.zero_()  # only the other path is left
        before = tiny_denoiser(x_t, t, words)
        after = tiny_denoiser(x_t, t, words._replace(embedding=words.embedding.flip(0)))
    assert (before - after)[words.mask.all(1)].abs().max() > 1e-3


def test_the_meaning_is_the_mean_of_real_words(tiny_denoiser, inputs):
    x_t, t, words = inputs
    with torch.no_grad():
        tiny_denoiser.words_in.weight.zero_()
        mean = torch.stack([e[m].mean(0) for e, m, _ in map(words.rows, range(3))])
        one = Condition(mean[:, None], torch.ones(3, 1, dtype=torch.bool))
        pooled = tiny_denoiser(x_t, t, one)
        torch.testing.assert_close(tiny_denoiser(x_t, t, words), pooled, atol=1e-5, rtol=0)


def test_rotary_angles_alone_tell_the_places_apart(tiny_denoiser, inputs):
    """Without them and the positions that are learnt, attention is blind to where a token is."""
    x_t, t, words = inputs
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))

    def shuffled(x):
        return x.flatten(2)[..., order].reshape(x.shape)

    def difference():
        after = tiny_denoiser(shuffled(x_t), t, words)
        return (after - shuffled(tiny_denoiser(x_t, t, words))).abs().max()

    with torch.no_grad():
        tiny_denoiser.position.zero_()
        assert difference() > 1e-3
        tiny_denoiser.angles.zero_()
        assert difference() < 1e-5


@pytest.mark.parametrize("patch", [2, 4])
def test_patches_come_back_where_they_were(patch):
    """With blocks that do nothing and inverse projections, the network is the identity."""
    config = replace(DENOISER, patch_size=patch, width=4 * patch**2, head_width=4 * patch**2)
    model = DiT(config)
    with torch.no_grad():
        model.patch_in.weight.copy_(torch.eye(config.width))
        model.patch_out.weight.copy_(torch.eye(config.width))
        model.position.zero_()
        model.norm_out = torch.nn.Identity()
        x_t = torch.randn(2, 4, 8, 8)
        words = Condition(torch.randn(2, 1, 16), torch.ones(2, 1, dtype=torch.bool))
        assert model(x_t, torch.zeros(2), words).equal(x_t)
