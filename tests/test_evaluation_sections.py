"""Each figure of an evaluation against cases with known answers."""

from dataclasses import replace

import pytest
import torch
from conftest import DENOISER, make_pipeline

from diffusion.evaluation.sections import (
    NEAR_COPY,
    STROKES,
    TIMES,
    adherence,
    commonest,
    legibility,
    losses_by_time,
    novelty,
    pooled,
    reconstruction,
)
from diffusion.process import PROCESSES, denoising_loss


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


def test_adherence_and_the_commonest():
    assert adherence(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 4, 3])) == 0.5
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
        latents, words = pipe.autoencoder.encode(glyphs), pipe.text_encoder(captions)
        for time, value in zip(TIMES, found, strict=True):
            t = torch.full((70,), time)
            truth = denoising_loss(
                pipe.denoiser, PROCESSES["linear"], "v", latents, *words, t, noise
            ).mean()
            assert value == pytest.approx(truth.item(), rel=1e-4)
