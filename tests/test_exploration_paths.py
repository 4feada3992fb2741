"""Paths: their ends, their smoothness, and the way to noise and back."""

from functools import partial

import pytest
import torch
from test_samplers import mixture, normal

from diffusion.exploration.paths import (
    MIXES,
    invert,
    linear,
    loop,
    path,
    restore,
    spherical,
    square,
    through_noise,
)
from diffusion.process import PROCESSES
from diffusion.samplers import heun, result, time_steps

EVERY = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)


@pytest.fixture
def corners():
    return torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_a_path_begins_and_ends_where_it_should_and_steps_evenly(corners, mix):
    points = path(corners[:2], 9, mix)
    assert points[0].equal(corners[0])
    assert points[-1].equal(corners[1])
    steps = points.diff(dim=0).flatten(1).norm(dim=1)
    if mix is linear:
        torch.testing.assert_close(steps, steps[:1].expand(8))
    assert steps.max() < 1.5 * steps.min()


def test_an_arc_between_noises_stays_as_far_out_as_they_are(corners):
    norms = path(corners[:2], 21, spherical).flatten(1).norm(dim=1)
    low, high = sorted(corners[:2].flatten(1).norm(dim=1).tolist())
    assert norms.min() > 0.97 * low
    assert norms.max() < 1.03 * high
    assert path(corners[:2], 21).flatten(1).norm(dim=1).min() < 0.9 * low  # the straight line
    angle = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    torch.testing.assert_close(spherical(*angle, 0.5), torch.tensor([0.5, 0.5]).sqrt())
    assert spherical(angle[0], angle[0], 0.3).equal(angle[0])  # no angle to divide by


def test_a_square_has_its_corners_at_its_corners(corners):
    points = square(corners, 5).reshape(5, 5, 2, 8, 8)
    for place, corner in zip(((0, 0), (0, -1), (-1, 0), (-1, -1)), corners, strict=True):
        assert points[place].equal(corner)
    torch.testing.assert_close(points[2, 2], corners.mean(0))


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
@pytest.mark.parametrize("count", [2, 4])
def test_a_loop_passes_every_corner_and_never_jumps(corners, mix, count):
    points = loop(corners[:count], 40, mix)
    for i in range(count):
        assert points[i * 40 // count].equal(corners[i])
    around = torch.cat([points, points[:1]])
    steps = around.diff(dim=0).flatten(1).norm(dim=1)
    assert steps.max() < 2 * steps.mean()
    assert (points[-1] - points[0]).norm() > 0  # the first does not come twice


@EVERY
def test_to_noise_and_back_is_where_one_was(process):
    denoise = partial(mixture, process)
    drawn = result(heun(denoise, normal()(), process, time_steps(400)))
    for steps, error in ((25, 0.05), (100, 0.005)):
        noise = result(invert(denoise, drawn, process, steps))
        back = result(restore(denoise, noise, process, steps))
        assert (back - drawn).abs().max() < error
    assert (noise - drawn).abs().mean() > 0.3  # it has been away


def test_what_noise_leads_to_leads_back_to_that_noise():
    process = PROCESSES["flow"]
    denoise, noise = partial(mixture, process), normal()()
    drawn = result(heun(denoise, noise, process, time_steps(400)))
    assert (result(invert(denoise, drawn, process, 400)) - noise).abs().max() < 0.05


def test_halfway_there_is_halfway_back():
    process = PROCESSES["flow"]
    denoise = partial(mixture, process)
    drawn = result(heun(denoise, normal()(), process, time_steps(400)))
    times = [t for t, _, _ in invert(denoise, drawn, process, 20, 0.5)]
    assert times[-1] == 0.5
    x = result(invert(denoise, drawn, process, 20, 0.5))
    assert (result(restore(denoise, x, process, 20, 0.5)) - drawn).abs().max() < 0.01


@EVERY
def test_through_noise_a_point_between_becomes_one_of_the_data(process):
    """The middle of two Gaussians lies in neither; what comes out does, and little noise keeps."""
    middle = torch.tensor([-0.35, 0.85]).double().reshape(1, 2, 1, 1).expand(64, 2, 1, 1)
    denoise, noise = partial(mixture, process), normal(64)()

    def surprise(x):
        t = torch.full((64,), 0.001, dtype=torch.float64)
        return float((mixture(process, x, t) - x).abs().mean())

    def after(time):
        return result(through_noise(denoise, middle, noise, process, time, 60))

    assert (after(1e-4) - middle).abs().max() < 0.05
    far = after(0.7).reshape(64, 2)
    near = (far[:, None] - torch.tensor([[-1.5, 0.5], [0.8, 1.2], [1.0, -1.4]])).norm(dim=2)
    assert (near.min(1).values < 1.3).double().mean() > 0.9
    assert near.argmin(1).unique().numel() > 1
