"""Still pictures: axes and densities, how many panels there are, and what decides them."""

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion.exploration.plots import density, draw_map, draw_noising, principal_axes

pytest.importorskip("matplotlib")


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_principal_axes_are_those_along_which_points_vary_most():
    generator = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator))
    spread = torch.tensor([5.0, 3.0, 1.0, 0.5, 0.2, 0.1])
    points = torch.randn(5000, 6, generator=generator) * spread @ turn.T + 7
    mean, axes = principal_axes(points)
    torch.testing.assert_close(mean, points.mean(0))
    for axis, truth in zip(axes.T, turn.T[:2], strict=True):
        assert abs(float(axis @ truth)) > 0.99
        assert axis[axis.abs().argmax()] > 0
    torch.testing.assert_close(axes.T @ axes, torch.eye(2), atol=1e-5, rtol=0)


def test_density_is_a_density_and_highest_where_most_points_are():
    points = np.random.default_rng(0).normal([1, -2], [0.5, 0.5], (5000, 2))
    found = density(points, (-3, 5, -6, 2), 160)
    assert found.sum() * (8 / 160) ** 2 == pytest.approx(1, abs=0.01)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert column / 160 * 8 - 3 == pytest.approx(1, abs=0.3)
    assert row / 160 * 8 - 6 == pytest.approx(-2, abs=0.3)
    assert found.max() == pytest.approx(1 / (2 * np.pi * 0.25), rel=0.15)


def test_the_map_shows_both_projections(tmp_path):
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    places = {"latents": points, "pixels": points[::-1]}
    draw_map(tmp_path / "map.png", places, [85] * 4)
    first = pixels(tmp_path / "map.png")
    assert first.shape[1] == 2 * first.shape[0]
    draw_map(tmp_path / "map.png", places | {"pixels": points[:, ::-1] ** 2}, [85] * 4)
    left, right = np.split(np.abs(pixels(tmp_path / "map.png") - first), 2, axis=1)
    assert left.max() < 40  # the palette is of both halves
    assert right.max() > 200


def test_noising_has_a_row_for_each_process_and_depends_on_the_model(tiny_pipeline, tmp_path):
    x_0, noise = torch.randn(2, 90, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    done = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.png"
        draw_noising(path, tiny_pipeline, x_0, noise, [0.2, 0.8], done.append)
        with torch.no_grad():
            tiny_pipeline.denoiser.patch_out.weight.neg_()
    assert sum(done) == 2 * 3 * 2 * 90
    one, two = pixels(tmp_path / "one.png"), pixels(tmp_path / "two.png")
    assert one.shape[:2] == (900, 600)
    assert (one != two).any()  # other arrows
