"""The score field against a mixture of Gaussians, whose density can be differentiated."""

from functools import partial

import pytest
import torch
from test_samplers import MEANS, STDS, WEIGHTS, mixture, normal

from diffusion.exploration.fields import mean_arrows, score, time_of, under
from diffusion.process import PROCESSES

EVERY = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)


def log_density(process, x, t):
    """Of the noisy mixture at `x` `(B, 2)`, by its definition."""
    alpha, sigma = process.alpha(t)[:, None], process.sigma(t)[:, None]
    variance = alpha**2 * STDS**2 + sigma**2
    distance = (x[:, None] - alpha[..., None] * MEANS).square().sum(2)
    return torch.logsumexp(WEIGHTS.log() - variance.log() - distance / (2 * variance), 1)


@EVERY
@pytest.mark.parametrize("time", [0.05, 0.4, 0.95])
def test_the_score_is_the_gradient_of_the_log_density(process, time):
    x = normal(50)().reshape(50, 2).requires_grad_()
    t = torch.full((50,), time, dtype=torch.float64)
    (truth,) = torch.autograd.grad(log_density(process, x, t).sum(), x)
    found = score(partial(mixture, process), x.detach().reshape(50, 2, 1, 1), t, process)
    torch.testing.assert_close(found.reshape(50, 2), truth)


@EVERY
@pytest.mark.parametrize("own", PROCESSES.values(), ids=PROCESSES)
def test_a_model_of_one_process_is_a_model_of_every_other(process, own):
    x = normal(20)()
    for time in (0.05, 0.4, 0.9):
        t = torch.full((20,), time, dtype=torch.float64)
        found = under(partial(mixture, own), own, process)(x, t)
        torch.testing.assert_close(found, mixture(process, x, t), atol=1e-6, rtol=1e-5)


@EVERY
def test_a_time_is_found_by_its_signal_to_noise_ratio(process):
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    torch.testing.assert_close(time_of(process, process.log_snr(t)), t)
    assert time_of(process, torch.tensor([1e9, -1e9])).tolist() == pytest.approx([0, 1], abs=1e-6)


def test_arrows_are_the_means_of_their_cells():
    points = torch.tensor([[-0.5, -0.5], [-0.4, -0.6], [0.5, 0.5], [0.5, 0.4], [9.0, 9.0]])
    vectors = torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 1.0], [0.0, 3.0], [7.0, 7.0]])
    where, mean = mean_arrows(points, vectors, cells=2, reach=1.0, fewest=2)
    torch.testing.assert_close(where, torch.tensor([[-0.45, -0.55], [0.5, 0.45]]))
    torch.testing.assert_close(mean, torch.tensor([[2.0, 1.0], [0.0, 2.0]]))
    assert len(mean_arrows(points, vectors, 2, 1.0, fewest=3)[0]) == 0


@EVERY
def test_on_a_case_in_closed_form_the_arrows_match_it(process):
    """As in the picture: noisy data, the mean score of each cell, here the field at the cell."""
    count, time = 4000, 0.4
    pick = torch.multinomial(WEIGHTS, count, True, generator=torch.Generator().manual_seed(0))
    x_0 = MEANS[pick] + STDS[pick, None] * normal(count)().reshape(count, 2)
    t = torch.full((count,), time, dtype=torch.float64)
    x_t = process.add_noise(x_0.reshape(count, 2, 1, 1), normal(count, 1)(), t)
    field = score(partial(mixture, process), x_t, t, process).reshape(count, 2)
    where, arrows = mean_arrows(x_t.reshape(count, 2), field, 25, 3.0, fewest=8)
    t = t[: len(where)]
    (truth,) = torch.autograd.grad(log_density(process, where.requires_grad_(), t).sum(), where)
    assert len(where) > 50
    assert (arrows - truth).norm() / truth.norm() < 0.05
