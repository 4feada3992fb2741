"""Samplers against a Gaussian, whose denoiser and whose path are known in closed form."""

import math
from itertools import pairwise

import pytest
import torch

from diffusion.request import SAMPLER_NAMES
from diffusion.samplers import SAMPLERS, euler, log_ratio, time_steps

MEAN, STD = 0.7, 1.5  # of the data


def gaussian(x_t, t):
    """E[x_0 | x_t] of data N(MEAN, STD²) under rectified flow."""
    t = t[:, None, None, None]
    a, variance = 1 - t, (1 - t) ** 2 * STD**2 + t**2
    return MEAN + a * STD**2 / variance * (x_t - a * MEAN)


@pytest.fixture
def noise():
    return torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0)).double()


def error(sampler, noise, steps):
    """Distance from where the probability-flow ODE leads: every quantile to the same quantile."""
    *_, (_, x, _) = sampler(gaussian, noise, steps)
    return float((x - (MEAN + STD * noise)).abs().max())


@pytest.mark.parametrize(("name", "lowest", "highest"), [("euler", 1.8, 2.2), ("dpmpp_2m", 3, 4.5)])
def test_the_order_of_convergence(name, lowest, highest, noise):
    """Twice the steps, half of the error at first order and a quarter at second."""
    errors = [error(SAMPLERS[name], noise, steps) for steps in (16, 32, 64, 128)]
    for coarse, fine in pairwise(errors):
        assert lowest < coarse / fine < highest


def test_the_second_order_pays_at_the_usual_number_of_steps(noise):
    assert error(SAMPLERS["dpmpp_2m"], noise, 12) < error(euler, noise, 12) / 2.5


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 50])
def test_every_number_of_steps_is_walked_and_finite(name, steps, noise):
    times = []

    def denoise(x_t, t):
        assert t.shape == (4,)
        assert x_t.dtype == t.dtype
        times.append(t.tolist())
        return gaussian(x_t, t)

    states = list(SAMPLERS[name](denoise, noise, steps))
    assert len(states) == len(times) == steps
    grid = torch.linspace(1, 0, steps + 1).tolist()
    assert [t[0] for t in times] == pytest.approx(grid[:-1])
    assert [t for t, _, _ in states] == pytest.approx(grid[1:])
    assert states[-1][0] == 0
    assert all(x.isfinite().all() and x_0.isfinite().all() for _, x, x_0 in states)
    assert states[-1][1].equal(states[-1][2])  # nothing of the noise is left


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_a_constant_denoiser_lands_on_its_constant(name, steps, noise):
    target = torch.linspace(-3, 3, noise.numel()).reshape(noise.shape).double()
    for t, x, x_0 in SAMPLERS[name](lambda x_t, t: target, noise, steps):
        torch.testing.assert_close(x, (1 - t) * target + t * noise)  # on the straight line
        assert x_0.equal(target)
    assert x.equal(target)


def test_the_first_prediction_is_the_same_for_all(noise):
    firsts = [next(sampler(gaussian, noise, 8)) for sampler in SAMPLERS.values()]
    for _, x, x_0 in firsts:
        torch.testing.assert_close(x, firsts[0][1])
        torch.testing.assert_close(x_0, torch.full_like(x_0, MEAN))


@pytest.mark.parametrize("name", SAMPLERS)
def test_noise_and_random_state_are_left_alone(name, noise):
    before, state = noise.clone(), torch.get_rng_state()
    list(SAMPLERS[name](gaussian, noise, 6))
    assert noise.equal(before)
    assert torch.get_rng_state().equal(state)


def test_log_ratio_is_minus_the_logit():
    assert log_ratio(0.25) == pytest.approx(-torch.tensor(0.25).logit().item())
    assert (log_ratio(0.0), log_ratio(1.0)) == (math.inf, -math.inf)
    assert time_steps(4) == [1, 0.75, 0.5, 0.25, 0]


def test_the_names_that_requests_are_checked_against_are_these():
    assert tuple(SAMPLERS) == SAMPLER_NAMES
