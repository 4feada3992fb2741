"""Students: the flow map of a Gaussian, which is known, what is taught, and a training."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import FEW, QUIET, UNET, make_autoencoder, make_denoiser, make_text_encoder

from autoencoder.optim import Muon, trapezoid
from autoencoder.pretrained import read_model
from diffusion.condition import Condition
from diffusion.networks.dit import DiT
from diffusion.networks.unet import UNet
from diffusion.process import column
from diffusion.request import GUIDANCE
from diffusion.samplers import at, flow_map, time_steps
from diffusion.training.student import (
    StudentModule,
    guided_velocity,
    halves,
    leap,
    lessons,
    student_of,
    walk,
)

SPREAD = 0.5  # of the data, of which each number is Gaussian, around a mean that the words say
TRUTH = {"atol": 1e-12, "rtol": 0}  # in double precision


def asked(mean, count, dtype=torch.float64):
    """Words that say a mean for each of four channels, `count` times."""
    embedding = torch.zeros(count, 1, 16, dtype=dtype)
    embedding[:, 0, :4] = torch.tensor(mean, dtype=dtype)
    return Condition(embedding, torch.ones(count, 1, dtype=torch.bool))


def told(condition):
    """The mean, `(B, 4, 1, 1)`."""
    return condition.embedding[:, 0, :4, None, None]


def spread(t):
    """The standard deviation of `x_t`, which is `(1 - t) x_0 + t noise`."""
    return (((1 - t) * SPREAD) ** 2 + t**2).sqrt()


def velocity(x_t, t, condition):
    """`dx_t / dt` where data is Gaussian: the teacher."""
    t = column(t, x_t)
    rate = (t - (1 - t) * SPREAD**2) / spread(t) ** 2  # of the logarithm of the spread
    return rate * (x_t - (1 - t) * told(condition)) - told(condition)


def arrived(x_t, t, length, mean):
    """Where the flow takes `x_t`: the linear map from one Gaussian to the other."""
    t, s = column(t, x_t), column(t - length, x_t)
    return (1 - s) * mean + spread(s) / spread(t) * (x_t - (1 - t) * mean)


def student(x_t, t, condition):
    """The mean velocity on that way, from no words to the words and on, as the scale says."""
    length, scale = condition.leap.unbind(1)
    mean = column(scale, x_t) * told(condition)  # that of no words is 0
    words = condition._replace(embedding=scale[:, None, None] * condition.embedding)
    way = (x_t - arrived(x_t, t, length, mean)) / column(length, x_t).clamp_min(1e-9)
    return torch.where(column(length, x_t) > 0, way, velocity(x_t, t, words))


@pytest.fixture
def gaussian():
    """Latents `(9, 4, 2, 2)` at times, with words and scales."""
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(9, 4, 2, 2, generator=generator, dtype=torch.float64)
    t = torch.linspace(0.2, 1, 9, dtype=torch.float64)
    scale = torch.linspace(1, 8, 9, dtype=torch.float64)
    return x_t, t, asked([0.3, -0.3, 0.2, 0.1], 9), scale


def test_the_guided_velocity_is_that_of_the_guided_mean(gaussian):
    x_t, t, words, scale = gaussian
    found = guided_velocity(velocity, x_t, t, words, asked([0.0] * 4, 9), scale)
    truth = velocity(x_t, t, words._replace(embedding=scale[:, None, None] * words.embedding))
    torch.testing.assert_close(found, truth, **TRUTH)
    # And from some other mean to that of the words, and beyond.
    found = guided_velocity(velocity, x_t, t, words, asked([0.5] * 4, 9), scale)
    mean = 0.5 + scale[:, None] * (words.embedding[:, 0, :4] - 0.5)
    truth = velocity(x_t, t, Condition(mean[:, None], words.mask))
    torch.testing.assert_close(found, truth, **TRUTH)


def test_two_leaps_of_half_a_length_are_the_whole_one(gaussian):
    x_t, t, words, scale = gaussian
    for share in (0.1, 0.5, 1):
        given = x_t, t, share * t, words, scale
        found = halves(student, *given, torch.zeros(9, dtype=torch.bool))
        torch.testing.assert_close(found, leap(student, *given), **TRUTH)


def test_the_shortest_leaps_go_by_the_midpoint_rule_and_only_they_do(gaussian):
    """Which is of second order, and here of third, as the variance is quadratic in the time."""
    x_t, t, words, scale = gaussian
    errors = []
    for length in (0.1, 0.05, 0.025):
        given = x_t, t, torch.full_like(t, length), words, scale
        found = halves(student, *given, torch.arange(9) < 8)
        error = (found - leap(student, *given)).abs().amax((1, 2, 3))
        assert error[8] < 1e-12 < error[:8].min()
        errors.append(error[:8].max())
    ratios = [float(a / b) for a, b in pairwise(errors)]
    assert ratios == pytest.approx([8, 8], rel=0.05)


def test_a_student_walks_to_where_the_flow_goes(gaussian):
    x, start, words, scale = gaussian
    for share in (0, 0.3, 1):
        found = walk(student, x, start, share * start, words, scale)
        mean = column(scale, x) * told(words)
        truth = arrived(x, start, (1 - share) * start, mean)
        torch.testing.assert_close(found, truth, **TRUTH)


def test_lessons_are_velocities_and_the_leaps_of_whole_drawings():
    lesson = lessons(4000, 1000, torch.Generator().manual_seed(0))
    start, t, length, scale, shortest = lesson
    assert not length[:1000].any() and length[1000:].min() > 0
    assert t.min() >= 0 and (t <= start).all() and start.min() >= 0.2 and start.max() == 1
    assert (start == 1).float().mean() == pytest.approx(0.7, abs=0.03)
    assert (t / start)[:1000].mean() == pytest.approx(2 / 3, abs=0.03)
    assert 1 <= scale.min() < 1.1 and 7 < scale.max() <= 8
    usual = scale == GUIDANCE
    assert usual.float().mean() == pytest.approx(0.5, abs=0.03)
    assert scale[~usual].log2().mean() == pytest.approx(1.5, abs=0.05)  # uniform in 0 to 3
    t, length, shortest = (each[1000:] for each in (t, length, shortest))
    assert (t - length).min() > -1e-6
    before = t / length  # leaps that are left, this one too
    assert (before - before.round()).abs().max() < 1e-4
    calls = torch.tensor([1, 2, 4, 8])
    starts = calls * length[:, None]  # of a drawing of so many calls
    able = (calls >= before.round()[:, None]) & (starts > 0.2 - 1e-6) & (starts < 1 + 1e-6)
    assert able[shortest, 3].all() and able[~shortest, :3].any(1).all()
    from_noise = torch.isin(length, 1 / calls).float().mean()
    assert from_noise == pytest.approx(0.7, abs=0.03)
    for count, often in ((8, 0.3), (4, 0.3), (2, 0.25), (1, 0.15)):
        found = (length == 1 / count).float().mean() / from_noise
        assert found == pytest.approx(often, abs=0.03), count
    again = lessons(4000, 1000, torch.Generator().manual_seed(0))
    assert all(a.equal(b) for a, b in zip(lesson, again, strict=True))


def test_a_student_says_whose_it_is_and_is_nobody_s_of_another_process():
    teacher = make_denoiser(config=replace(UNET, autoencoder="a", text_encoder="b"))
    made = replace(teacher.config, flow_map=True, teacher=teacher.fingerprint)
    assert student_of(teacher).config == made
    for changes in ({"process": "cosine"}, {"prediction": "x_0"}):
        other = make_denoiser(config=replace(UNET, **changes))
        with pytest.raises(ValueError, match="predicts the velocity of the process flow"):
            student_of(other)
    with pytest.raises(ValueError, match="a student teaches no other"):
        student_of(student_of(teacher))


def test_one_call_comes_to_where_the_guided_teacher_goes_in_sixteen_steps(tmp_path, seeded):
    """Of a Gaussian, whose ways bend: one step of the teacher ends at the mean from any noise."""
    config = replace(UNET, latent_size=2, widths=(32,))
    module = StudentModule(UNet(config).save_pretrained(tmp_path), compile=False)
    network, generator = module.denoiser, torch.Generator().manual_seed(0)
    steps, count = 100, 64
    words = asked([0.3, -0.3, 0.2, 0.0], count, torch.float32)
    module.nothing = asked([0.0] * 4, 1, torch.float32)
    noise, x_0 = (torch.randn(steps, count, 4, 2, 2, generator=generator) for _ in range(2))
    x_0 = told(words) + SPREAD * x_0
    optimizer = Muon(network.hidden_matrices(), network.parameters(), lr=1e-2, adam_lr=1e-2)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, trapezoid(10, 0.5, steps))
    for step in range(steps):
        velocities = count if step < 15 else 22
        lesson = lessons(count, velocities, generator)
        batch = x_0[step], words
        loss = module.loss(network, velocity, batch, lesson, noise[step], velocities)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        rate.step()
    start, nothing = noise[0], module.nothing.rows([0] * count)
    for scale in (2.0, GUIDANCE):

        @torch.no_grad()
        def end(steps, mean_velocity):
            *_, (_, x, _) = flow_map(mean_velocity, start, time_steps(steps))
            return x

        def teacher(x_t, t, length, scale=scale):
            return guided_velocity(velocity, x_t, t, words, nothing, at(scale, x_t))

        def taught(x_t, t, length, scale=scale):
            return leap(network, x_t, t, length, words, at(scale, x_t))

        truth = end(16, teacher)
        one, other = ((end(1, way) - truth).square().mean().sqrt() for way in (taught, teacher))
        assert one < 0.45 * other, scale


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on loaders and hardware
def test_a_training_writes_a_student_of_its_teacher(script, training_folder):
    """After a step of velocities and one of leaps too."""
    for name in ("data", "tiny", "text"):
        Path(name).symlink_to(training_folder / name)
    teacher = make_denoiser(config=UNET)
    teacher.save_pretrained("teacher")
    data = "--data.autoencoder=tiny", "--data.text_encoder=text", "--data.mix.layout=0"
    model = "--model.teacher=teacher", "--model.out=teacher/student", "--model.compile=false"
    rates = "--model.early=0.5", "--model.warmup_steps=0"
    trainer = "--trainer.logger=false", "--trainer.max_steps=2", "--trainer.val_check_interval=2"
    options = *data, "--data.mix.gloss=0", *model, *rates, *trainer
    result = script("train_student.py", *QUIET, *FEW, *options)
    assert result.code == 0, result.err
    assert "wrote teacher/student" in result.out
    found, start = read_model("teacher/student", DiT, UNet), student_of(teacher)
    assert found.config == start.config and found.config.flow_map
    before = start.state_dict()
    assert not any(weight.equal(before[name]) for name, weight in found.state_dict().items())


def test_encoders_that_are_not_the_teacher_s_are_refused(tmp_path):
    encoders = {"autoencoder": make_autoencoder(), "text_encoder": make_text_encoder()}
    own = {name: encoder.fingerprint for name, encoder in encoders.items()}
    for changes in ({}, {"autoencoder": "another"}, {"text_encoder": "another"}):
        teacher = make_denoiser(config=replace(UNET, **own | changes))
        module = StudentModule(teacher.save_pretrained(tmp_path))
        assert all(name.startswith("denoiser.") for name in module.state_dict())
        if not changes:
            module.check_encoders(*encoders.values())
            continue
        (name,) = changes
        message = f"trained with another {name} than this one: name its own, --data.{name}$"
        with pytest.raises(ValueError, match=message):
            module.check_encoders(*encoders.values())
