"""Guidance: what a scale means, and that batches of words can be joined."""

import pytest
import torch

from diffusion.guidance import classifier_free, conditional, join


@pytest.fixture
def inputs():
    """Noisy latents, their times, three captions and three shorter ones to keep away from."""
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(3, 4, 8, 8, generator=generator)
    t = torch.tensor([0.2, 0.5, 1.0])
    words = torch.randn(3, 6, 16, generator=generator), torch.ones(3, 6, dtype=torch.bool)
    negative = torch.randn(3, 2, 16, generator=generator), torch.tensor([[True, False]] * 3)
    return x_t, t, words, negative


def test_scale_one_is_the_conditional_and_scale_zero_the_other(tiny_denoiser, inputs):
    x_t, t, words, negative = inputs
    with torch.no_grad():
        positive = conditional(tiny_denoiser, words)(x_t, t)
        away = conditional(tiny_denoiser, negative)(x_t, t)
        assert classifier_free(tiny_denoiser, words, negative, 1)(x_t, t).equal(positive)
        assert classifier_free(tiny_denoiser, words, negative, 0)(x_t, t).equal(away)
    assert (positive - away).abs().max() > 0.01


@pytest.mark.parametrize("scale", [-1.0, 0.5, 1.0001, 3.0, 7.5])
def test_the_result_is_linear_in_the_scale(tiny_denoiser, inputs, scale):
    x_t, t, words, negative = inputs
    with torch.no_grad():
        positive = conditional(tiny_denoiser, words)(x_t, t)
        away = conditional(tiny_denoiser, negative)(x_t, t)
        guided = classifier_free(tiny_denoiser, words, negative, scale)(x_t, t)
    torch.testing.assert_close(guided, away + scale * (positive - away), atol=1e-4, rtol=1e-4)


def test_one_call_of_the_network_a_step(tiny_denoiser, inputs):
    x_t, t, words, negative = inputs
    sizes = []

    def counted(x_t, *rest):
        sizes.append(len(x_t))
        return tiny_denoiser(x_t, *rest)

    for scale in (0.0, 1.0, 2.0):
        classifier_free(counted, words, negative, scale)(x_t, t)
    assert sizes == [3, 3, 6]


def test_conditional_turns_the_velocity_into_data(inputs):
    x_t, t, words, _ = inputs
    x_0 = conditional(lambda x_t, t, embedding, mask: torch.ones_like(x_t), words)(x_t, t)
    torch.testing.assert_close(x_0, x_t - t[:, None, None, None])


@pytest.mark.parametrize("turned", [False, True])
def test_join_pads_with_what_is_never_seen(tiny_denoiser, inputs, turned):
    x_t, t, words, negative = inputs
    first, second = (negative, words) if turned else (words, negative)
    embedding, mask = join(first, second)
    assert embedding.shape == (6, 6, 16)
    assert mask.sum() == first[1].sum() + second[1].sum()
    with torch.no_grad():
        both = tiny_denoiser(x_t.repeat(2, 1, 1, 1), t.repeat(2), embedding, mask)
        alone = [tiny_denoiser(x_t, t, *words) for words in (first, second)]
    torch.testing.assert_close(both, torch.cat(alone), atol=1e-5, rtol=0)
