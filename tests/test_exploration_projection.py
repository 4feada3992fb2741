"""Projections and densities against cases with known answers."""

import numpy as np
import pytest
import torch

from diffusion.exploration.projection import density, principal_axes, umap


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


def test_umap_keeps_two_heaps_apart():
    pytest.importorskip("umap")
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(60, 3, 2, generator=generator)
    points[30:] += 20
    places = umap(points)
    assert places.shape == (60, 2)
    centres = places[:30].mean(0), places[30:].mean(0)
    apart = np.linalg.norm(centres[0] - centres[1])
    assert apart > 3 * max(places[:30].std(), places[30:].std()) or apart > 5
