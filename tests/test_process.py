"""Noise processes against diffusers and closed forms; predictions; times; weights; the loss."""

import pytest
import torch
from diffusers import DDPMScheduler

from diffusion.condition import Condition
from diffusion.process import (
    LARGEST,
    PREDICTIONS,
    PROCESSES,
    cosine_betas,
    ends,
    known,
    linear_betas,
    target,
    x_0_predictor,
)
from diffusion.training.loss import TIMES, WEIGHTINGS, denoising_loss, min_snr_weight

FLOW = PROCESSES["flow"]
EVERY = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
MIDDLE = torch.tensor([0.02, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64)


@pytest.fixture
def latents():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 5, 4, 3, 3, generator=generator, dtype=torch.float64)  # x_0 and noise


# ---- the processes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")]
)
def test_the_discrete_grid_is_that_of_diffusers(name, theirs):
    reference = DDPMScheduler(1000, 1e-4, 0.02, theirs)
    alphas_cumprod = (1 - reference.betas.double()).cumprod(0)
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    process = PROCESSES[name]
    assert (process.alpha(t) - alphas_cumprod.sqrt()).abs().max() < 1e-6
    assert (process.sigma(t) - (1 - alphas_cumprod).sqrt()).abs().max() < 1e-6
    assert (process.alpha(t.float()) - alphas_cumprod.sqrt()).abs().max() < 1e-6
    assert (process.sigma(t.float()) - (1 - alphas_cumprod).sqrt()).abs().max() < 1e-6
    x_0, noise = torch.randn(2, 7, 2, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    steps = torch.tensor([0, 1, 10, 200, 500, 998, 999])
    torch.testing.assert_close(
        process.add_noise(x_0, noise, t[steps]),
        reference.add_noise(x_0, noise, steps),
        atol=1e-5,  # theirs is float32 inside
        rtol=0,
    )


def test_the_grid_is_the_definition_to_the_last_digits():
    """`alpha²` is the product of `1 - beta`, the cosine's its cosine but for the last step."""
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    for name, betas in (("linear", linear_betas()), ("cosine", cosine_betas())):
        products = (1 - betas).cumprod(0)
        torch.testing.assert_close(PROCESSES[name].alpha(t).square(), products, atol=0, rtol=1e-11)
    assert linear_betas()[[0, -1]].tolist() == [1e-4, 0.02]
    assert cosine_betas()[-1] == 0.999
    wave = ((t + 0.008) / 1.008 * torch.pi / 2).cos().square()
    wave = wave / torch.tensor(0.008 / 1.008 * torch.pi / 2).double().cos().square()
    torch.testing.assert_close(PROCESSES["cosine"].alpha(t[:-1]).square(), wave[:-1])


@EVERY
def test_time_is_continuous_and_noise_only_grows(process):
    t = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    alpha, sigma = process.alpha(t), process.sigma(t)
    assert (alpha[0], sigma[0]) == (1, 0)
    assert (alpha.diff() < 0).all()
    assert (sigma.diff() > 0).all()
    # Steeper than any chord of two steps of the chain, there would be a jump between them.
    assert alpha.diff().abs().max() < 0.01
    log_snr = process.log_snr(t)
    assert log_snr[0] == torch.inf
    assert (log_snr.diff() < 0).all()
    torch.testing.assert_close(log_snr[1:-1].exp(), (alpha / sigma).square()[1:-1])


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_variance_is_preserved_and_a_little_data_is_left(name):
    t = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    process = PROCESSES[name]
    squares = process.alpha(t).square() + process.sigma(t).square()
    torch.testing.assert_close(squares, torch.ones_like(t), atol=1e-14, rtol=0)
    assert 0 < process.alpha(torch.tensor(1.0)) < 0.01


def test_between_two_steps_the_chain_is_the_product_of_a_shorter_one():
    """Half of a step keeps the square root of what the step keeps."""
    process = PROCESSES["linear"]
    kept = process.alpha(torch.tensor([0.5, 0.5005, 0.501], dtype=torch.float64))
    torch.testing.assert_close(kept[1] / kept[0], kept[2] / kept[1])


def test_the_flow_goes_straight_from_data_to_noise(latents):
    x_0, noise = latents
    assert FLOW.add_noise(x_0, noise, torch.zeros(5)).equal(x_0)
    assert FLOW.add_noise(x_0, noise, torch.ones(5)).equal(noise)
    t = torch.full((5,), 0.4, dtype=torch.float64)
    step = FLOW.add_noise(x_0, noise, t + 1e-6) - FLOW.add_noise(x_0, noise, t - 1e-6)
    truth = target(FLOW, "velocity", x_0, noise, t)
    torch.testing.assert_close(step / 2e-6, truth, atol=1e-8, rtol=0)


@EVERY
def test_each_sample_has_its_own_time(process, latents):
    x_0, noise = latents
    x_t = process.add_noise(x_0, noise, MIDDLE)
    for i, t in enumerate(MIDDLE):
        torch.testing.assert_close(x_t[i], process.alpha(t) * x_0[i] + process.sigma(t) * noise[i])


# ---- predictions ---------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("source", PREDICTIONS)
@pytest.mark.parametrize("goal", PREDICTIONS)
def test_each_prediction_follows_from_each_other(process, source, goal, latents):
    x_0, noise = latents
    x_t = process.add_noise(x_0, noise, MIDDLE)
    output = target(process, source, x_0, noise, MIDDLE)
    found = ends(process, source, output, x_t, MIDDLE)
    torch.testing.assert_close(found, (x_0, noise))
    torch.testing.assert_close(
        target(process, goal, *found, MIDDLE), target(process, goal, x_0, noise, MIDDLE)
    )


def test_v_is_what_diffusers_calls_velocity(latents):
    x_0, noise = latents
    steps = torch.tensor([19, 249, 499, 749, 899])
    theirs = DDPMScheduler(1000, 1e-4, 0.02, "linear").get_velocity(x_0, noise, steps)
    ours = target(PROCESSES["linear"], "v", x_0, noise, MIDDLE)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@EVERY
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_at_both_ends_of_time_every_prediction_is_finite(process, prediction, latents):
    x_0, noise = latents
    for t in (torch.zeros(5), torch.ones(5)):
        x_t = process.add_noise(x_0, noise, t)
        output = target(process, prediction, x_0, noise, t) + 0.1
        predict = x_0_predictor(lambda *_, output=output: output, process, prediction)
        found = predict(x_t, t, None)
        assert found.isfinite().all()
        assert all(x.isfinite().all() for x in ends(process, prediction, output, x_t, t))
        if prediction == "noise":
            assert found.abs().max() <= LARGEST
        if t[0] == 0 and prediction in ("noise", "v"):  # what was handed in is data already
            torch.testing.assert_close(found, x_0)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match='no process "magic": there are flow, linear, cosine'):
        known("process", "magic", PROCESSES)
    with pytest.raises(ValueError, match="there are noise, x_0, v, velocity"):
        known("prediction", "", PREDICTIONS)


# ---- times, weights and the loss -----------------------------------------------------------------


def test_times_are_as_named_and_come_from_the_generator():
    before = torch.get_rng_state()
    cdf = {"uniform": lambda t: t, "logit_normal": lambda t: torch.special.ndtr(t.logit())}
    for name, draw in TIMES.items():
        t = draw(20_000, torch.Generator().manual_seed(0))
        assert t.equal(draw(20_000, torch.Generator().manual_seed(0)))
        assert 0 <= t.min() < t.max() < 1
        expected = cdf[name](t.double().sort().values)
        uniform = (torch.arange(20_000) + 0.5) / 20_000
        assert (expected - uniform).abs().max() < 1.63 / 20_000**0.5  # Kolmogorov-Smirnov, 1 %
    assert torch.get_rng_state().equal(before)


def test_min_snr_weights_are_those_of_the_paper():
    """Hang et al. 2023, section 3.4: min(SNR, 5) over 1, SNR and SNR + 1."""
    process = PROCESSES["cosine"]
    t = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)
    snr = process.log_snr(t).exp()
    for prediction, over in (("x_0", 1), ("noise", snr), ("v", snr + 1)):
        weight = min_snr_weight(process, prediction, t)
        torch.testing.assert_close(weight, snr.clamp_max(5) / over, atol=1e-5, rtol=1e-4)


@EVERY
def test_under_min_snr_every_prediction_is_weighted_as_its_error_in_x_0(process, latents):
    x_0, noise = latents

    def loss(prediction):
        def model(x_t, t, words):  # errs in x_0 by 0.3
            wrong = x_0 + 0.3
            alpha, sigma = (f(t)[:, None, None, None] for f in (process.alpha, process.sigma))
            return target(process, prediction, wrong, (x_t - alpha * wrong) / sigma, t)

        return denoising_loss(model, process, prediction, x_0, None, MIDDLE, noise, "min_snr")

    truth = 0.09 * process.log_snr(MIDDLE).exp().clamp_max(5)
    for prediction in PREDICTIONS:
        torch.testing.assert_close(loss(prediction), truth, atol=1e-6, rtol=1e-4)


@EVERY
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_loss_is_zero_for_the_truth_and_finite_for_the_rest(
    process, prediction, weighting, latents
):
    x_0, noise = latents
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    truth = target(process, prediction, x_0, noise, t)

    def loss(output):
        return denoising_loss(
            lambda *_: output, process, prediction, x_0, None, t, noise, weighting
        )

    assert loss(truth).tolist() == [0.0] * 5
    weight = WEIGHTINGS[weighting](process, prediction, t)
    assert weight.isfinite().all()
    errors = ((2 - truth) ** 2).flatten(1).mean(1)
    torch.testing.assert_close(loss(torch.full_like(x_0, 2)), weight * errors)


def test_the_loss_hands_the_model_noisy_latents_their_time_and_the_words(latents):
    x_0, noise = latents
    words = Condition(torch.randn(5, 2, 3), torch.ones(5, 2, dtype=torch.bool))
    seen = []

    def model(*inputs):
        seen.extend(inputs)
        return torch.zeros_like(inputs[0])

    process = PROCESSES["linear"]
    denoising_loss(model, process, "v", x_0, words, MIDDLE, noise)
    assert seen[0].equal(process.add_noise(x_0, noise, MIDDLE))
    assert seen[1] is MIDDLE
    assert seen[2] is words


def test_the_optimal_loss_of_a_gaussian_is_reached_by_its_exact_velocity():
    """Data N(0, s²): the best velocity explains all but s² / ((1-t)² s² + t²) of the variance."""
    generator = torch.Generator().manual_seed(0)
    s, t = 0.5, torch.full((4000,), 0.3)
    x_0, noise = torch.randn(2, 4000, 1, 4, 4, generator=generator)
    variance = 0.7**2 * s**2 + 0.3**2

    def model(x_t, t, words):
        return (0.3 - 0.7 * s**2) / variance * x_t  # cov(noise - x_0, x_t) / var(x_t)

    loss = denoising_loss(model, FLOW, "velocity", s * x_0, None, t, noise).mean()
    assert loss == pytest.approx(s**2 / variance, rel=0.02)
