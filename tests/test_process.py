"""The noise process: the two ends of the path, its velocity, and the loss in closed form."""

import pytest
import torch

from diffusion.process import (
    add_noise,
    alpha,
    flow_matching_loss,
    logit_normal_times,
    predict_x_0,
    sigma,
)


@pytest.fixture
def latents():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 5, 4, 3, 3, generator=generator, dtype=torch.float64)  # x_0 and noise


def test_the_path_goes_from_data_to_noise(latents):
    x_0, noise = latents
    assert add_noise(x_0, noise, torch.zeros(5)).equal(x_0)
    assert add_noise(x_0, noise, torch.ones(5)).equal(noise)
    assert (alpha(0.25), sigma(0.25)) == (0.75, 0.25)


def test_each_sample_has_its_own_time(latents):
    x_0, noise = latents
    t = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
    x_t = add_noise(x_0, noise, t)
    for i in range(5):
        torch.testing.assert_close(x_t[i], (1 - t[i]) * x_0[i] + t[i] * noise[i])


def test_the_velocity_is_the_derivative_of_the_path(latents):
    x_0, noise = latents
    t, h = torch.full((5,), 0.4, dtype=torch.float64), 1e-6
    slope = (add_noise(x_0, noise, t + h) - add_noise(x_0, noise, t - h)) / (2 * h)
    torch.testing.assert_close(slope, noise - x_0, atol=1e-8, rtol=0)
    torch.testing.assert_close(predict_x_0(add_noise(x_0, noise, t), slope, t), x_0)


def test_the_loss_is_zero_for_the_truth_and_known_for_a_constant(latents):
    x_0, noise = latents
    words = torch.zeros(5, 1, 2), torch.ones(5, 1, dtype=torch.bool)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)

    def loss(model):
        return flow_matching_loss(model, x_0, *words, t, noise)

    assert loss(lambda x_t, t, embedding, mask: noise - x_0).tolist() == [0.0] * 5
    torch.testing.assert_close(
        loss(lambda x_t, t, embedding, mask: torch.full_like(x_t, 2)),
        ((2 - noise + x_0) ** 2).flatten(1).mean(1),
    )


def test_the_loss_hands_the_model_noisy_latents_their_time_and_the_words(latents):
    x_0, noise = latents
    embedding, mask = torch.randn(5, 2, 3), torch.ones(5, 2, dtype=torch.bool)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    seen = []

    def model(*inputs):
        seen.extend(inputs)
        return torch.zeros_like(inputs[0])

    flow_matching_loss(model, x_0, embedding, mask, t, noise)
    assert seen[0].equal(add_noise(x_0, noise, t))
    assert seen[1] is t
    assert seen[2] is embedding
    assert seen[3] is mask


def test_the_optimal_loss_of_a_gaussian_is_reached_by_its_exact_velocity():
    """Data N(0, s²): the best velocity explains all but s² / ((1-t)² s² + t²) of the variance."""
    generator = torch.Generator().manual_seed(0)
    s, t = 0.5, torch.full((4000,), 0.3)
    x_0, noise = torch.randn(2, 4000, 1, 4, 4, generator=generator)
    variance = 0.7**2 * s**2 + 0.3**2

    def model(x_t, t, embedding, mask):
        return (0.3 - 0.7 * s**2) / variance * x_t  # cov(noise - x_0, x_t) / var(x_t)

    loss = flow_matching_loss(model, s * x_0, None, None, t, noise).mean()
    assert loss == pytest.approx(s**2 / variance, rel=0.02)


def test_times_are_logit_normal_and_come_from_the_generator():
    before = torch.get_rng_state()
    t = logit_normal_times(20_000, torch.Generator().manual_seed(0))
    assert torch.get_rng_state().equal(before)
    assert t.equal(logit_normal_times(20_000, torch.Generator().manual_seed(0)))
    assert 0 < t.min() < t.max() < 1
    normal = t.double().logit().sort().values
    expected = torch.distributions.Normal(0, 1).cdf(normal)
    uniform = (torch.arange(20_000) + 0.5) / 20_000
    assert (expected - uniform).abs().max() < 1.63 / 20_000**0.5  # Kolmogorov-Smirnov, 1 %
