"""The autoencoder: its one normalisation, its invariances, and the one that ships."""

from dataclasses import replace

import pytest
import torch
from conftest import AUTOENCODER

from autoencoder import Autoencoder, AutoencoderConfig
from autoencoder.blocks import ResidualBlock
from autoencoder.data.glyphs import held_out
from autoencoder.loss import reconstruction_loss
from autoencoder.similarity import peak_signal_to_noise
from conditioning.captions import load_entries


@pytest.fixture
def glyphs():
    return torch.rand(5, 1, 128, 128, generator=torch.Generator().manual_seed(0))


def test_decoding_undoes_the_normalisation_of_encoding(tiny_autoencoder, glyphs):
    mean, _ = tiny_autoencoder.encode_raw(glyphs)
    latents = tiny_autoencoder.encode(glyphs)
    shift, scale = (
        torch.tensor(values)[:, None, None]
        for values in (AUTOENCODER.latent_mean, AUTOENCODER.latent_std)
    )
    torch.testing.assert_close(latents, (mean - shift) / scale)
    straight = tiny_autoencoder.decode_raw(mean).sigmoid()
    torch.testing.assert_close(tiny_autoencoder.decode(latents), straight, atol=1e-4, rtol=0)
    assert (latents - mean).abs().max() > 0.1  # the statistics of the fixture do something


def test_glyphs_of_a_batch_do_not_touch_each_other(tiny_autoencoder, glyphs):
    latents = tiny_autoencoder.encode(glyphs)
    torch.testing.assert_close(
        tiny_autoencoder.encode(glyphs[2:3]), latents[2:3], atol=1e-5, rtol=0
    )


def test_residual_blocks_start_as_the_identity_and_the_rest_keeps_variance():
    model = Autoencoder(AUTOENCODER)
    blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == 4
    for block in blocks:
        x = torch.randn(1, block.look.in_channels, 6, 6)
        assert block(x).equal(x)
    zero = {n for n, p in model.named_parameters() if n.endswith("weight") and not p.any()}
    assert zero == {n for n, _ in model.named_parameters() if n.endswith("contract.weight")}
    logits = Autoencoder(AutoencoderConfig()).decode_raw(torch.randn(2, 8, 8, 8))
    assert 0.5 < logits.std() < 2


def test_latents_move_with_the_glyph(tiny_autoencoder):
    """Sixteen pixels are one latent cell; cells near the border see the border, others do not."""
    glyph = torch.rand(1, 1, 320, 320, generator=torch.Generator().manual_seed(0))
    latents = tiny_autoencoder.encode(glyph)
    moved = tiny_autoencoder.encode(glyph.roll((16, -16), (2, 3)))
    back = moved.roll((-1, 1), (2, 3))
    torch.testing.assert_close(
        back[..., 7:-7, 7:-7], latents[..., 7:-7, 7:-7], atol=1e-4, rtol=1e-4
    )
    assert (moved - latents)[..., 7:-7, 7:-7].abs().max() > 0.01


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_blank_and_full_glyphs_are_finite(tiny_autoencoder, value):
    glyph = torch.full((1, 1, 128, 128), value)
    decoded = tiny_autoencoder.decode(100 * tiny_autoencoder.encode(glyph))
    assert decoded.isfinite().all()
    assert 0 <= decoded.min() <= decoded.max() <= 1


def test_four_glyphs_are_learnt_by_heart(draw):
    glyphs = draw("金魚病竹")
    config = replace(AUTOENCODER, widths=(24, 48))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Autoencoder(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)

    def logits():
        return model.decode_raw(model.encode_raw(glyphs)[0])

    first = reconstruction_loss(logits(), glyphs).item()
    for _ in range(80):
        loss = reconstruction_loss(logits(), glyphs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3 * first
    assert peak_signal_to_noise(logits().sigmoid(), glyphs).mean() > 17  # a blank page has 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder_blocks": (-3, 1)}, "at least 0"),
        ({"decoder_blocks": (1, -1)}, "at least 0"),
        ({"latent_std": (0.0, 1.0, 1.0, 1.0)}, "above 0"),
        ({"widths": (8,)}, "one length"),
        ({"image_size": 100}, "does not divide"),
    ],
)
def test_settings_that_make_no_autoencoder_say_why(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(AUTOENCODER, **settings)


# ---- the weights that ship -----------------------------------------------------------------------


def test_the_shipped_one_draws_glyphs_it_has_never_seen(draw):
    held = [entry.character for entry in load_entries() if held_out(entry.caption)]
    glyphs = draw([c for c in held if "\u4e00" <= c <= "\u9fff"][::16][:24])
    model = Autoencoder.from_pretrained()
    assert sum(weight.numel() for weight in model.parameters()) < 10_000_000
    with torch.inference_mode():
        latents = model.encode(glyphs)
        psnr = peak_signal_to_noise(model.decode(latents), glyphs)
    assert psnr.mean() >= 30
    assert psnr.min() > 20
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(8), atol=0.15, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(8), atol=0.15, rtol=0)


def test_refining_brings_the_hardest_glyphs_back_and_leaves_the_model_alone(draw):
    glyphs, model = draw("爨"), Autoencoder.from_pretrained()
    with torch.inference_mode():
        latents = model.encode(glyphs)
        refined = model.refine(glyphs)
        plain, better = (peak_signal_to_noise(model.decode(z), glyphs) for z in (latents, refined))
        assert model.refine(glyphs, steps=0).equal(latents)
    assert better > plain + 1.5
    assert (refined - latents).std() < 0.4  # of latents whose own is 1
    assert better > 20
    assert all(weight.grad is None for weight in model.parameters())
