"""The terms of the loss against closed forms, and what each is there to see."""

import logging
from urllib.error import URLError

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from autoencoder.loss import (
    LossConfig,
    autoencoder_loss,
    edge_loss,
    kl_loss,
    perceptual_loss,
    reconstruction_loss,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_kl_is_that_of_torch_summed_over_a_glyph():
    mean, logvar = random(3, 8, 4, 4), random(3, 8, 4, 4, seed=1)
    truth = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_loss(mean, logvar), truth.sum() / 3)
    assert kl_loss(torch.zeros(2, 1), torch.zeros(2, 1)) == 0


def test_cross_entropy_is_its_closed_form():
    logits, glyphs = random(3, 1, 8, 8), random(3, 1, 8, 8, seed=1).sigmoid()
    p = logits.double().sigmoid()
    truth = -(glyphs * p.log() + (1 - glyphs) * (1 - p).log()).sum() / 3
    assert reconstruction_loss(logits, glyphs).item() == pytest.approx(truth.item())
    blank = torch.zeros(2, 1, 8, 8)
    assert reconstruction_loss(blank, blank).item() == pytest.approx(64 * torch.tensor(2.0).log())
    assert reconstruction_loss(blank + 200, blank).isfinite()


def two_strokes():
    glyph = torch.zeros(1, 1, 32, 32)
    glyph[..., 4:28, 10:13] = 1
    glyph[..., 4:28, 16:19] = 1
    return glyph


def test_edges_of_equal_images_agree_and_melted_strokes_cost_more_than_a_haze():
    glyph = two_strokes()
    assert edge_loss(glyph, glyph) == 0
    melted = glyph.clone()
    melted[..., 4:28, 13:16] = 1  # the gap between the strokes is gone
    error = (melted - glyph).sum()
    haze = glyph + (1 - glyph) * error / (1 - glyph).sum()
    assert (haze - glyph).abs().sum().item() == pytest.approx(error.item(), rel=1e-5)
    assert edge_loss(melted, glyph) > 1.5 * edge_loss(haze, glyph)
    assert edge_loss(glyph, melted) == edge_loss(melted, glyph)


def test_edges_of_one_known_pixel():
    """One pixel of an 8×8 image: 4 differences of 1, 4 of a quarter, 4 of a sixteenth."""
    image = torch.zeros(1, 1, 8, 8)
    image[..., 3, 3] = 1
    at_quarter = 4 / 16 - 2 / 16  # at 2×2 the pixel lies in a corner: two neighbours
    assert edge_loss(image, torch.zeros_like(image)).item() == pytest.approx(4 + 1 + at_quarter)


@pytest.mark.parametrize("name", ["alex", "vgg", "squeeze"])
def test_without_a_network_one_line_says_that_edges_are_used(name, monkeypatch, caplog):
    lpips = pytest.importorskip("lpips")

    def offline(*_, **__):
        raise URLError(OSError(-3, "Temporary failure in name resolution"))

    monkeypatch.setattr(lpips, "LPIPS", offline)
    with caplog.at_level(logging.INFO):
        assert perceptual_loss(name) is edge_loss
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert "\n" not in message
    assert name in message
    assert "edges" in message


def test_lpips_gets_three_channels_and_is_scaled_by_pixels(monkeypatch):
    lpips = pytest.importorskip("lpips")

    class Distance(torch.nn.Module):
        def forward(self, a, b, normalize):
            assert a.shape == b.shape == (2, 3, 8, 8)
            assert normalize  # ours are in [0, 1], LPIPS's own in [-1, 1]
            return (a - b).abs().mean(dim=(1, 2, 3), keepdim=True)

    monkeypatch.setattr(lpips, "LPIPS", lambda net, verbose: Distance())
    images, glyphs = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    value = perceptual_loss("alex")(images, glyphs)
    torch.testing.assert_close(value, (images - glyphs).abs().sum() / 2)


def test_other_names():
    assert perceptual_loss("edges") is edge_loss
    assert perceptual_loss("none")(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4)) == 0
    with pytest.raises(ValueError, match='no perceptual term "lpips": alex, vgg'):
        perceptual_loss("lpips")


def test_the_total_is_the_weighted_sum():
    logits, glyphs = random(2, 1, 8, 8), random(2, 1, 8, 8, seed=1).sigmoid()
    mean, logvar = random(2, 4, 2, 2, seed=2), random(2, 4, 2, 2, seed=3)
    config = LossConfig(perceptual_weight=0.5, kl_weight=0.25)
    total, terms = autoencoder_loss(logits, glyphs, mean, logvar, config, edge_loss)
    assert terms["reconstruction"].equal(reconstruction_loss(logits, glyphs))
    assert terms["perceptual"].equal(edge_loss(logits.sigmoid(), glyphs))
    assert terms["kl"].equal(kl_loss(mean, logvar))
    truth = terms["reconstruction"] + 0.5 * terms["perceptual"] + 0.25 * terms["kl"]
    torch.testing.assert_close(total, truth)
