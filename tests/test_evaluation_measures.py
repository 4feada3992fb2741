"""The measures against closed forms, second implementations, and cases with known answers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import DENOISER, make_pipeline
from scipy.linalg import sqrtm
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from diffusion.condition import Condition
from diffusion.evaluation import measures
from diffusion.evaluation.measures import (
    NEAR_COPY,
    STROKES,
    TIMES,
    commonest,
    frechet_distance,
    kernel_distance,
    legibility,
    losses_by_time,
    novelty,
    pooled,
    reconstruction,
)
from diffusion.process import PROCESSES
from diffusion.training.loss import denoising_loss


def overlap(*sets):
    return SimpleNamespace(**measures.overlap(*sets))


def normal(count, width=4, mean=0.0, std=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return mean + std * torch.randn(count, width, generator=generator, dtype=torch.float64)


def whitened(x):
    """The same points with mean zero and covariance one, exactly."""
    x = x - x.mean(dim=0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T.cov())).T


def test_the_frechet_distance_of_two_normals_is_its_closed_form():
    """|2 - 0|² a dimension, and (3 - 1)² for the standard deviations: 4 (4 + 4)."""
    one, two = whitened(normal(200)), 2 + 3 * whitened(normal(300, seed=1))
    assert frechet_distance(one, two) == pytest.approx(4 * (4 + 4), rel=1e-9)
    assert frechet_distance(two, one) == pytest.approx(4 * (4 + 4), rel=1e-9)


def test_the_frechet_distance_is_that_of_scipys_square_root():
    mix = normal(16, 16, seed=2)
    a, b = normal(100, 16) @ mix, normal(150, 16, 0.3, 1.5, seed=1)
    cov_a, cov_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    mean = np.square(a.numpy().mean(0) - b.numpy().mean(0)).sum()
    truth = mean + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet_distance(a, b) == pytest.approx(truth, abs=1e-4)


def test_the_kernel_distance_is_its_sum_over_pairs():
    a, b = normal(5), normal(6, mean=1.0, seed=1)

    def k(x, y):
        return float((x @ y / 4 + 1) ** 3)

    truth = (
        np.mean([k(a[i], a[j]) for i in range(5) for j in range(5) if i != j])
        + np.mean([k(b[i], b[j]) for i in range(6) for j in range(6) if i != j])
        - 2 * np.mean([k(x, y) for x in a for y in b])
    )
    assert kernel_distance(a, b) == pytest.approx(truth, rel=1e-9)


def test_the_kernel_distance_has_no_bias():
    """Over many pairs of draws from one source the mean is zero, within its standard error."""
    draws = [
        kernel_distance(normal(20, seed=2 * i), normal(20, seed=2 * i + 1)) for i in range(200)
    ]
    error = np.std(draws) / len(draws) ** 0.5
    assert abs(np.mean(draws)) < 4 * error
    assert np.min(draws) < 0 < np.max(draws)


def test_identical_sets():
    a = normal(50)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert kernel_distance(a, a) <= 0  # the pairs of a glyph with itself count only across
    same = overlap(a, a)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    # Each glyph lies in its own neighbourhood and in those of others: in k + 1 on average.
    assert same.density == pytest.approx(6 / 5)


def test_disjoint_sets():
    a, b = normal(50), normal(50, mean=100.0, seed=1)
    apart = overlap(a, b)
    assert (apart.precision, apart.recall, apart.density, apart.coverage) == (0, 0, 0, 0)
    assert frechet_distance(a, b) > 4 * 90**2
    assert kernel_distance(a, b) > 1


def test_two_draws_of_one_source_overlap():
    """Density 1 and coverage 1 - 2^-k in expectation (Naeem et al., sections 3.2 and 4.1)."""
    a, b = normal(1000, 8), normal(1000, 8, seed=1)
    alike = overlap(a, b)
    assert alike.density == pytest.approx(1, abs=0.1)
    assert alike.coverage == pytest.approx(1 - 1 / 2**5, abs=0.03)
    assert frechet_distance(a, b) < 0.2


def test_overlaps_of_sets_of_two_sizes_are_those_of_scipys_trees():
    """Each figure by its own definition, over neighbours that another implementation finds."""
    generated, real, k = normal(90, 3, 0.8, 0.7).numpy(), normal(40, 3, seed=1).numpy(), 5
    generated_radii = KDTree(generated).query(generated, k + 1)[0][:, -1]
    real_radii = KDTree(real).query(real, k + 1)[0][:, -1]
    nearest = KDTree(generated).query(real)[0]  # of the generated to each of the real
    apart = cdist(generated, real)
    in_real = apart <= real_radii
    in_generated = apart <= generated_radii[:, None]
    found = overlap(torch.from_numpy(generated), torch.from_numpy(real), k)
    assert found.precision == pytest.approx(in_real.any(axis=1).mean())
    assert found.density == pytest.approx(in_real.sum() / (k * 90))
    assert found.coverage == pytest.approx(np.mean(nearest <= real_radii))
    assert found.recall == pytest.approx(in_generated.any(axis=0).mean())
    values = (found.precision, found.recall, found.density, found.coverage)
    assert len(set(values)) == 4 and min(values) > 0


def test_a_dropped_mode_costs_recall_and_coverage_and_not_precision():
    near, far = normal(200), normal(200, mean=20.0, seed=1)
    real = torch.cat([near, far])
    one_mode = normal(400, seed=2)
    dropped = overlap(one_mode, real)
    whole = overlap(torch.cat([one_mode[:200], normal(200, mean=20.0, seed=3)]), real)
    assert dropped.precision > 0.9
    assert dropped.recall < 0.6 < 0.9 < whole.recall
    assert dropped.coverage < 0.55 < 0.9 < whole.coverage
    assert frechet_distance(one_mode, real) > 50 * frechet_distance(real[::2], real[1::2])


def test_one_point_repeated_has_precision_and_no_recall():
    real = normal(200)
    repeated = overlap(real.mean(dim=0).expand(200, -1), real)
    assert repeated.precision == 1
    assert repeated.recall == 0
    assert repeated.coverage < 0.2


@pytest.mark.parametrize(
    ("metric", "needed"),
    [(frechet_distance, 5), (kernel_distance, 2), (overlap, 6)],
)
def test_too_few_glyphs_are_refused_with_the_number_needed(metric, needed):
    metric(normal(needed), normal(needed, seed=1))
    for pair in ((needed - 1, needed), (needed, needed - 1)):
        with pytest.raises(ValueError, match=rf"needs {needed} glyphs .* there are {needed - 1}"):
            metric(normal(pair[0]), normal(pair[1], seed=1))


def test_reconstruction_counts_each_glyph_once_and_shows_the_dense_apart():
    glyphs = torch.rand(9, 1, 32, 32, generator=torch.Generator().manual_seed(0)).round()
    strokes = [1, 5, 6, 9, 13, 17, 21, 25, 40]
    decoded = glyphs.clone()
    decoded[-1] = 1 - glyphs[-1]
    rows = reconstruction(glyphs, decoded, strokes)
    assert {name: row["glyphs"] for name, row in rows.items()} == {
        "all": 9,
        "1 to 5 strokes": 2,
        "6 to 9 strokes": 2,
        "10 to 13 strokes": 1,
        "14 to 17 strokes": 1,
        "18 to 21 strokes": 1,
        "22 to 25 strokes": 1,
        "26 and more": 1,
    }
    assert rows["26 and more"]["psnr"] == pytest.approx(0, abs=1e-5)  # every pixel wrong by one
    assert rows["26 and more"]["iou"] == 0
    assert rows["all"]["worst_psnr"] == rows["26 and more"]["worst_psnr"]
    assert rows["all"]["psnr"] == pytest.approx(8 * 100 / 9, rel=1e-5)
    assert rows["1 to 5 strokes"]["ssim"] == pytest.approx(1)
    assert "lpips" not in rows["all"]
    measured = reconstruction(
        glyphs, decoded, strokes, lpips=lambda a, b: (a - b).abs().mean((1, 2, 3))
    )
    assert measured["all"]["lpips"] == pytest.approx(1 / 9)
    assert len(STROKES) == len(rows) - 1


def test_legibility_asks_only_of_what_was_read_before():
    found = legibility("金木水火", ["金", "木", "氷", "火"], ["金", "本", "水", "火"])
    assert found == {"shown": 4, "read": 3, "share": pytest.approx(2 / 3)}
    assert legibility("金", [""], [""])["share"] is None


def test_the_commonest_come_first():
    assert commonest(torch.tensor([7, 7, 7, 3, 3, 214, 5]), 3) == [7, 3, 5]


def test_near_copies_are_those_from_the_threshold_on():
    found = novelty(torch.tensor([0.5, NEAR_COPY, 0.9, 0.7]))
    assert found.pop("exist") is None
    assert found == pytest.approx({"mean": 0.725, "highest": 0.9, "near_copies": 0.5})
    exist = torch.tensor([True, False, False, False])
    assert novelty(torch.zeros(4), exist)["exist"] == 0.25


def test_captions_keep_their_order_when_pooled(tiny_text_encoder):
    captions = ["the gold of the dragon", "fish", "a bird and a fish"]
    together = pooled(tiny_text_encoder, captions, lambda done: None)
    for row, caption in zip(together, captions, strict=True):
        alone = tiny_text_encoder.pool(*tiny_text_encoder([caption]))[0]
        torch.testing.assert_close(row, alone, atol=1e-6, rtol=1e-5)


def test_the_denoising_loss_is_the_training_loss_at_its_times():
    pipe = make_pipeline(config=replace(DENOISER, process="linear", prediction="v"))
    glyphs = torch.rand(70, 1, 128, 128, generator=torch.Generator().manual_seed(1))  # two batches
    captions = ["gold", "fish"] * 35
    found = losses_by_time(pipe, glyphs, captions, lambda done: None)
    generator = torch.Generator().manual_seed(0)
    noise = torch.cat([torch.randn(n, 4, 8, 8, generator=generator) for n in (64, 6)])
    with torch.no_grad():
        latents, words = pipe.autoencoder.encode(glyphs), Condition(*pipe.text_encoder(captions))
        for time, value in zip(TIMES, found, strict=True):
            t = torch.full((70,), time)
            truth = denoising_loss(
                pipe.denoiser, PROCESSES["linear"], "v", latents, words, t, noise
            ).mean()
            assert value == pytest.approx(truth.item(), rel=1e-4)
