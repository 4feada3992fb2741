"""Samplers against diffusers, and against a Gaussian mixture, whose denoiser is known exactly."""

import math
from functools import cache, partial
from itertools import pairwise

import diffusers
import pytest
import torch

from diffusion.process import PROCESSES
from diffusion.request import SAMPLER_NAMES
from diffusion.samplers import (
    SAMPLERS,
    ddim,
    ddpm,
    dpmpp_2m,
    dpmpp_sde,
    euler,
    flow_map,
    half_log_snr,
    heun,
    time_steps,
)

MEANS = torch.tensor([[-1.5, 0.5], [0.8, 1.2], [1.0, -1.4]], dtype=torch.float64)
STDS = torch.tensor([0.4, 0.6, 0.3], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)

EVERY = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
DETERMINISTIC = "ddim", "euler", "heun", "dpmpp_2m"


def mixture(process, x_t, t):
    """E[x_0 | x_t] of three round Gaussians in the plane; `x_t` is `(B, 2, 1, 1)`."""
    x = x_t.reshape(-1, 1, 2)
    alpha, sigma = process.alpha(t)[:, None], process.sigma(t)[:, None]
    variance = alpha**2 * STDS**2 + sigma**2  # (B, 3)
    distance = x - alpha[..., None] * MEANS  # (B, 3, 2)
    logits = WEIGHTS.log() - variance.log() - distance.square().sum(-1) / (2 * variance)
    means = MEANS + (alpha * STDS**2 / variance)[..., None] * distance
    return (logits.softmax(1)[..., None] * means).sum(1).reshape(x_t.shape)


def normal(count=8, seed=0):
    """A `randn` of `(count, 2, 1, 1)` in double precision."""
    generator = torch.Generator().manual_seed(seed)
    return partial(torch.randn, count, 2, 1, 1, generator=generator, dtype=torch.float64)


def draw(sampler, process, times, count=8, seed=0):
    randn = normal(count, seed)
    *_, (_, x, _) = sampler(partial(mixture, process), randn(), process, times, randn)
    return x


# ---- parity with diffusers -----------------------------------------------------------------------


def reference(kind, process, steps, **options):
    """A scheduler of theirs, in double precision where it allows, and the times that it visits."""
    betas = {"linear": "linear", "cosine": "squaredcos_cap_v2"}[process]
    spacing = "trailing" if 1000 % steps == 0 else "leading"  # where its chain ends at step 0
    scheduler = kind(1000, 1e-4, 0.02, betas, timestep_spacing=spacing, **options)
    scheduler.alphas_cumprod = (1 - scheduler.betas.double()).cumprod(0)
    scheduler.set_timesteps(steps)
    return scheduler, [(int(t) + 1) / 1000 for t in scheduler.timesteps] + [0.0]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # theirs, under numpy 2
@pytest.mark.parametrize("process", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 5, 120])
@pytest.mark.parametrize(
    ("sampler", "kind", "options"),
    [
        (ddpm, diffusers.DDPMScheduler, {"clip_sample": False, "prediction_type": "sample"}),
        (ddim, diffusers.DDIMScheduler, {"clip_sample": False, "prediction_type": "sample"}),
        (
            partial(ddim, eta=0.7),
            diffusers.DDIMScheduler,
            {"clip_sample": False, "prediction_type": "sample"},
        ),
        (euler, diffusers.EulerDiscreteScheduler, {"prediction_type": "sample"}),
        (dpmpp_2m, diffusers.DPMSolverMultistepScheduler, {"prediction_type": "sample"}),
        (
            dpmpp_sde,
            diffusers.DPMSolverMultistepScheduler,
            {"prediction_type": "sample", "algorithm_type": "sde-dpmsolver++"},
        ),
    ],
    ids=["ddpm", "ddim", "ddim-0.7", "euler", "dpmpp_2m", "dpmpp_sde"],
)
def test_the_last_state_is_that_of_diffusers(sampler, kind, options, steps, process):
    if sampler is euler:
        options = {"prediction_type": "original_sample"}  # what theirs calls it
    scheduler, times = reference(kind, process, steps, **options)
    ours = draw(sampler, PROCESSES[process], times)

    randn = normal()
    x = randn()
    if sampler is euler:  # theirs walks in x / alpha
        x = x / PROCESSES[process].alpha(torch.tensor(times[0], dtype=torch.float64))
    for timestep, t in zip(scheduler.timesteps, times, strict=False):
        scaled = scheduler.scale_model_input(x, timestep)
        x_0 = mixture(PROCESSES[process], scaled, torch.full((8,), t, dtype=torch.float64))
        extra = {}
        if kind is diffusers.DDIMScheduler and getattr(sampler, "keywords", None):
            extra = {"eta": 0.7, "variance_noise": randn() if t > times[-2] else 0 * x}
        elif sampler is dpmpp_sde:
            extra = {"variance_noise": randn()}
        elif sampler is ddpm:
            extra = {"generator": randn.keywords["generator"]}
        x = scheduler.step(x_0, timestep, x, **extra).prev_sample
    assert (ours - x).abs().max() < 1e-4


# ---- the mixture ---------------------------------------------------------------------------------


FINE = torch.linspace(0, 1, 100_001, dtype=torch.float64)


def even(values, steps, start, stop):
    """Times at which what has `values` at the times `FINE`, rising, takes even steps."""
    wanted = torch.linspace(start, stop, steps + 1, dtype=torch.float64)
    i = torch.searchsorted(values, wanted).clamp(1, len(FINE) - 1)
    part = (wanted - values[i - 1]) / (values[i] - values[i - 1])
    return torch.lerp(FINE[i - 1], FINE[i], part).clamp(0, 1).tolist()


def even_shares(process, steps):
    """Even steps of the noise's share of alpha + sigma, from noise to data."""
    alpha, sigma = process.alpha(FINE), process.sigma(FINE)
    share = sigma / (alpha + sigma)
    return even(share, steps, share[-1], 0)


def even_lambdas(process, steps):
    """Even steps of lambda, as DPM-Solver's theory wants them, far from both infinite ends."""
    return even(-process.log_snr(FINE) / 2, steps, 3, -3)


@cache
def finest(process, grid):
    return draw(heun, process, grid(process, 1024))


@EVERY
@pytest.mark.parametrize(
    ("name", "grid", "low", "high"),
    [
        ("ddim", even_shares, 1.8, 2.2),
        ("euler", even_shares, 1.8, 2.2),
        ("heun", even_shares, 3.7, 4.3),
        ("dpmpp_2m", even_lambdas, 3.7, 4.3),
    ],
)
def test_the_order_of_convergence(name, grid, low, high, process):
    """Twice the steps, half of the error at first order and a quarter at second."""
    truth = finest(process, grid)
    errors = [
        float((draw(SAMPLERS[name], process, grid(process, steps)) - truth).norm())
        for steps in (48, 96, 192)
    ]
    for coarse, fine in pairwise(errors):
        assert low < coarse / fine < high, errors
    assert errors[-1] < 0.03


@EVERY
def test_of_a_gaussian_the_ode_leads_every_quantile_to_the_same_quantile(process):
    """Data N(m, s²) has a flow in closed form: x_t stays at its place in N(alpha m, variance)."""
    mean, std = 0.7, 1.5
    x = torch.randn(8, 1, 1, 1, generator=torch.Generator().manual_seed(0)).double()

    def denoise(x_t, t):
        alpha, sigma = process.alpha(t)[:, None, None, None], process.sigma(t)[:, None, None, None]
        variance = alpha**2 * std**2 + sigma**2
        return mean + alpha * std**2 / variance * (x_t - alpha * mean)

    t = torch.ones((), dtype=torch.float64)
    alpha, sigma = process.alpha(t), process.sigma(t)
    quantile = (x - alpha * mean) / (alpha**2 * std**2 + sigma**2).sqrt()
    *_, (_, found, _) = dpmpp_2m(denoise, x, process, even_shares(process, 400))
    assert (found - (mean + std * quantile)).abs().max() < 1e-3


@pytest.mark.parametrize("start", [1.0, 0.3])
@pytest.mark.parametrize("calls", [1, 2, 4])
def test_exact_mean_velocities_stay_on_the_flow_in_any_number_of_calls(calls, start):
    """Again N(m, s²): from time t to s the deviation from the mean grows as the variance does."""
    mean, std = 0.7, 1.5

    def flow(x, t, s):
        grown = ((1 - s) ** 2 * std**2 + s**2) / ((1 - t) ** 2 * std**2 + t**2)
        return (1 - s) * mean + grown**0.5 * (x - (1 - t) * mean)

    def leap(x, t, length):
        t, length = (each.view(-1, 1, 1, 1) for each in (t, length))
        return (x - flow(x, t, t - length)) / length

    begun = x = normal()()
    times = time_steps(calls, start)
    states = list(flow_map(leap, begun, times))
    assert [s for s, _, _ in states] == times[1:]
    for t, (s, x_s, x_0) in zip(times, states, strict=False):
        torch.testing.assert_close(x_s, flow(begun, start, s))
        torch.testing.assert_close(x_s, x_0 + s / t * (x - x_0))  # data and both on one line
        x = x_s
    assert x.equal(states[-1][2])


@EVERY
@pytest.mark.parametrize(
    "sampler", [ddpm, partial(ddim, eta=1.0), dpmpp_sde], ids=["ddpm", "ddim-1", "dpmpp_sde"]
)
def test_what_adds_noise_reproduces_mean_and_covariance(sampler, process):
    count = 10_000
    x = draw(sampler, process, even_shares(process, 120), count).reshape(count, 2)
    mean = WEIGHTS @ MEANS
    apart = MEANS - mean
    covariance = (WEIGHTS[:, None] * apart).T @ apart + (WEIGHTS @ STDS**2) * torch.eye(2)
    assert (x.mean(0) - mean).abs().max() < 4 * (covariance.diag().max() / count) ** 0.5
    # The fourth moment of what is so far from normal is below 4 times the second's square.
    assert (x.T.cov() - covariance).abs().max() < 4 * covariance.max() * (3 / count) ** 0.5
    # And not only the moments: the share that falls to each Gaussian.
    nearest = torch.cdist(x, MEANS).argmin(1)
    shares = nearest.bincount(minlength=3) / count
    assert (shares - WEIGHTS).abs().max() < 0.03


# ---- every sampler, process and number of steps --------------------------------------------------


@EVERY
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_number_of_steps_is_walked_and_finite(name, process):
    for steps in (*range(1, 14), 50, 1000 if process is PROCESSES["linear"] else 120):
        asked = []

        def denoise(x_t, t, asked=asked):
            assert t.shape == (8,)
            assert x_t.dtype == t.dtype
            asked.append(float(t[0]))
            return mixture(process, x_t, t)

        randn = normal()
        states = list(SAMPLERS[name](denoise, randn(), process, time_steps(steps), randn))
        assert len(states) == steps
        assert len(asked) == (2 * steps - 1 if name == "heun" else steps)
        assert [t for t, _, _ in states] == pytest.approx(torch.linspace(1, 0, steps + 1)[1:])
        assert states[-1][0] == 0
        assert all(0 < t <= 1 for t in asked)
        assert all(x.isfinite().all() and x_0.isfinite().all() for _, x, x_0 in states)
        torch.testing.assert_close(states[-1][1], states[-1][2])  # nothing of the noise is left


@EVERY
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_constant_denoiser_lands_on_its_constant(name, steps, process):
    goal = torch.linspace(-3, 3, 16, dtype=torch.float64).reshape(8, 2, 1, 1)
    randn = normal()
    noise = randn()
    alpha, sigma = (f(torch.ones((), dtype=torch.float64)) for f in (process.alpha, process.sigma))
    implied = (noise - alpha * goal) / sigma  # what is noise of it, if that is the data
    for t, x, x_0 in SAMPLERS[name](lambda x_t, t: goal, noise, process, time_steps(steps), randn):
        assert x_0.equal(goal)
        if name in DETERMINISTIC:  # on the one path from that noise to that data
            truth = process.add_noise(goal, implied, torch.tensor([t], dtype=torch.float64))
            torch.testing.assert_close(x, truth)
    torch.testing.assert_close(x, goal)


@EVERY
def test_euler_is_ddim_and_ddim_with_eta_one_is_ddpm(process):
    for steps in (1, 2, 7):
        times = time_steps(steps)
        for one, other in ((euler, ddim), (partial(ddim, eta=1.0), ddpm)):
            torch.testing.assert_close(draw(one, process, times), draw(other, process, times))


@EVERY
def test_the_second_order_pays_at_the_usual_number_of_steps(process):
    truth = finest(process, even_shares)
    times = even_shares(process, 12)
    first = (draw(euler, process, times) - truth).norm()
    assert (draw(dpmpp_2m, process, times) - truth).norm() < first / 1.5
    assert (draw(heun, process, times) - truth).norm() < first / 3


@pytest.mark.parametrize("name", SAMPLERS)
def test_noise_and_random_state_are_left_alone(name):
    process, state = PROCESSES["flow"], torch.get_rng_state()
    randn = normal()
    noise = randn()
    before = noise.clone()
    denoise = partial(mixture, process)
    list(SAMPLERS[name](denoise, noise, process, time_steps(6), randn))
    assert noise.equal(before)
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_those_that_add_no_noise_need_none(name):
    process = PROCESSES["flow"]
    list(SAMPLERS[name](partial(mixture, process), normal()(), process, time_steps(3)))


def test_half_log_snr_is_half_of_the_log_snr():
    process, t = PROCESSES["linear"], torch.tensor(0.3, dtype=torch.float64)
    found = half_log_snr(float(process.alpha(t)), float(process.sigma(t)))
    assert found == pytest.approx(float(process.log_snr(t)) / 2)
    assert (half_log_snr(1, 0), half_log_snr(0, 1)) == (math.inf, -math.inf)
    assert time_steps(4) == [1, 0.75, 0.5, 0.25, 0]


def test_the_names_that_requests_are_checked_against_are_these():
    assert tuple(SAMPLERS) == SAMPLER_NAMES
