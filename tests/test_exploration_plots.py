"""Still pictures: how many panels there are, and what decides them."""

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion.exploration.plots import draw_map, draw_noising

pytest.importorskip("matplotlib")


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_map_shows_both_projections(tmp_path):
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    places = {"latents": points, "pixels": points[::-1]}
    titles = {"latents": "one", "pixels": "two"}
    draw_map(tmp_path / "map.png", places, [85] * 4, titles)
    first = pixels(tmp_path / "map.png")
    assert first.shape[1] == 2 * first.shape[0]
    draw_map(tmp_path / "map.png", places | {"pixels": points[:, ::-1] ** 2}, [85] * 4, titles)
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
