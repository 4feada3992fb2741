"""The autoencoder: its one normalisation, its invariances, its files, and the one that ships."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import AUTOENCODER, make_autoencoder
from safetensors.torch import load_file, save_file

from autoencoder import Autoencoder, AutoencoderConfig, storage
from autoencoder.blocks import ResidualBlock
from autoencoder.glyphs import default_font, draw_glyph, held_out, load_font
from autoencoder.loss import reconstruction_loss
from autoencoder.storage import WeightsError
from autoencoder.training import GlyphData, latent_statistics, peak_signal_to_noise, shift
from conditioning.captions import load_entries


def draw(characters) -> torch.Tensor:
    """Real glyphs `(B, 1, 128, 128)`."""
    pytest.importorskip("pylopdf_fonts_zh_cn")
    font = load_font(default_font())
    images = [torch.from_numpy(draw_glyph(c, font).copy()) for c in characters]
    return torch.stack(images)[:, None].float() / 255


class Glyphs:
    """Images in the place of a `GlyphDataset`."""

    def __init__(self, images):
        self.everything = images

    def __len__(self):
        return len(self.everything)

    def images(self, indices):
        return self.everything[list(indices)]


@pytest.fixture
def glyphs():
    return torch.rand(5, 1, 128, 128, generator=torch.Generator().manual_seed(0))


def test_measured_statistics_make_latents_zero_mean_and_unit_variance(tiny_autoencoder, glyphs):
    glyphs = glyphs * torch.linspace(0, 1, 5)[:, None, None, None]
    mean, std = latent_statistics(tiny_autoencoder, Glyphs(glyphs), batch_size=2)
    raw = tiny_autoencoder.encode_raw(glyphs)[0]
    torch.testing.assert_close(mean.float(), raw.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(std.float(), raw.std((0, 2, 3), correction=0), atol=1e-5, rtol=1e-4)
    tiny_autoencoder.config = replace(
        AUTOENCODER, latent_mean=tuple(mean.tolist()), latent_std=tuple(std.tolist())
    )
    latents = tiny_autoencoder.encode(glyphs)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        latents.std((0, 2, 3), correction=0), torch.ones(4), atol=1e-3, rtol=0
    )


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


def test_eight_glyphs_are_learnt_by_heart():
    glyphs = draw("金魚病竹山水龍永")
    config = replace(AUTOENCODER, widths=(32, 64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Autoencoder(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)

    def logits():
        return model.decode_raw(model.encode_raw(glyphs)[0])

    first = reconstruction_loss(logits(), glyphs).item()
    for _ in range(100):
        loss = reconstruction_loss(logits(), glyphs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3 * first
    assert peak_signal_to_noise(logits().sigmoid(), glyphs).mean() > 17  # a blank page has 7


def test_a_shift_moves_a_glyph_by_whole_pixels_and_no_further_than_told(glyphs):
    glyph = torch.nn.functional.pad(glyphs[0, :, :16, :16], (8, 8, 8, 8))
    places = {(dy, dx): glyph.roll((dy, dx), (1, 2)) for dy in range(-2, 3) for dx in range(-2, 3)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        moved = [shift(glyph, 2) for _ in range(200)]
    seen = {place for one in moved for place, there in places.items() if one.equal(there)}
    assert seen == set(places)
    assert all(any(one.equal(there) for there in places.values()) for one in moved)
    assert shift(glyph, 0).equal(glyph)


class Few(list):
    """Glyphs of five and of ten strokes in turn."""

    records = [SimpleNamespace(strokes=strokes) for strokes in (5, 10)] * 500


def test_dense_glyphs_come_up_as_often_as_the_power_of_their_strokes_says():
    data = GlyphData(batch_size=50, density=2.0)
    images = [torch.full((1, 8, 8), value) for value in (0.25, 0.5)] * 500
    data.train = Few(images)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = torch.cat(list(data.train_dataloader()))
    assert len(drawn) == 1000
    dense = (drawn.amax((1, 2, 3)) == 0.5).float().mean()
    assert dense == pytest.approx(100 / 125, abs=0.05)  # 10² against 5²
    data.hparams.density = 0
    every = torch.cat(list(data.train_dataloader()))
    assert (every.amax((1, 2, 3)) == 0.5).float().mean() == 0.5  # each of them once


def test_psnr_is_its_closed_form():
    glyphs = torch.zeros(2, 1, 4, 4)
    decoded = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), 0.01)])
    assert peak_signal_to_noise(decoded, glyphs).tolist() == pytest.approx([20, 40], rel=1e-4)


def test_a_grown_encoder_encodes_alike_and_learns_with_its_new_blocks(glyphs):
    small = make_autoencoder()
    grown = small.grown((2, 3))
    assert grown.config == replace(small.config, encoder_blocks=(2, 3))
    for there, here in ((grown, small), (grown.grown((2, 4)), grown)):
        assert there.encode(glyphs).equal(here.encode(glyphs))
        assert there.decode(here.encode(glyphs)).equal(here.decode(here.encode(glyphs)))
    blocks = [layer for layer in grown.encoder.layers if isinstance(layer, ResidualBlock)]
    still = [block for block in blocks if not block.contract.weight.any()]
    assert len(blocks) - len(still) == sum(small.config.encoder_blocks)
    grown.encode_raw(glyphs)[0].square().sum().backward()
    assert all(block.contract.weight.grad.any() for block in still)
    with pytest.raises(ValueError, match="can only grow"):
        grown.grown((1, 3))


# ---- files ---------------------------------------------------------------------------------------


def test_what_is_loaded_is_what_was_saved_rounded_to_float16(tmp_path, glyphs):
    model = make_autoencoder()
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 1.0001  # no longer exact in float16
    loaded = Autoencoder.from_pretrained(model.save_pretrained(tmp_path))
    assert loaded.config == model.config
    assert not loaded.training
    for (name, a), b in zip(loaded.state_dict().items(), model.state_dict().values(), strict=True):
        assert a.dtype == torch.float32
        assert a.equal(b.half().float()), name
    torch.testing.assert_close(loaded.encode(glyphs), model.encode(glyphs), atol=0.02, rtol=0.02)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert {t.dtype for t in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert len(modes) == 1  # others may read the weights wherever they may read the settings


def test_the_fingerprint_follows_what_decides_latents(tmp_path):
    model = make_autoencoder()
    first = model.fingerprint
    assert first == make_autoencoder().fingerprint
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 1.00001  # less than float16 holds
    assert model.fingerprint == first
    assert Autoencoder.from_pretrained(model.save_pretrained(tmp_path)).fingerprint == first
    assert make_autoencoder(seed=1).fingerprint != first
    assert make_autoencoder(config=replace(AUTOENCODER, latent_std=(1.0,) * 4)).fingerprint != first
    with torch.no_grad():
        next(model.decoder.parameters()).add_(0.1)
        assert model.fingerprint == first  # a better decoder leaves latents valid
        next(model.encoder.parameters())[0, 0, 0, 0] += 0.01
    assert model.fingerprint != first


def test_a_stop_half_way_leaves_the_old_model(tmp_path, monkeypatch):
    make_autoencoder().save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.json, "dumps", stop)
    with pytest.raises(KeyboardInterrupt):
        make_autoencoder(seed=1).save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_weights_that_float16_cannot_hold_are_not_saved(tiny_autoencoder, tmp_path, value):
    with torch.no_grad():
        tiny_autoencoder.encoder.layers[0].conv.bias[0] = value
    with pytest.raises(WeightsError, match=r"layers\.0\.conv\.bias is not finite"):
        tiny_autoencoder.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def damage_config(text):
    return lambda folder: (folder / "config.json").write_text(text)


def change_config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def drop_a_tensor(folder):
    path = folder / "model.safetensors"
    save_file(dict(list(load_file(path).items())[1:]), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json in"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors in"),
        (damage_config('{"stem": 8'), "config.json does not fit"),
        (damage_config("[]"), "settings are not those of AutoencoderConfig"),
        (damage_config("{}"), "settings are not those of AutoencoderConfig"),
        (change_config(colour="red"), "settings are not those of AutoencoderConfig"),
        (change_config(widths=[8, 32]), "another architecture"),
        (truncate, "model.safetensors is damaged"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "is damaged"),
        (drop_a_tensor, "another architecture"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_clear_line(tmp_path, damage, message):
    folder = make_autoencoder().save_pretrained(tmp_path)
    damage(folder)
    with pytest.raises(WeightsError) as error:
        Autoencoder.from_pretrained(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(WeightsError, match=r"no config\.json in .*name a folder"):
        Autoencoder.from_pretrained(tmp_path / "none")


# ---- the weights that ship -----------------------------------------------------------------------


def test_the_shipped_one_draws_glyphs_it_has_never_seen():
    held = [entry.character for entry in load_entries() if held_out(entry.caption)]
    glyphs = draw([c for c in held if "\u4e00" <= c <= "\u9fff"][::8][:64])
    model = Autoencoder.from_pretrained()
    with torch.inference_mode():
        latents = model.encode(glyphs)
        psnr = peak_signal_to_noise(model.decode(latents), glyphs)
    assert len(psnr) == 64
    assert psnr.mean() >= 30
    assert psnr.min() > 20
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(8), atol=0.15, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(8), atol=0.15, rtol=0)


def test_refining_brings_the_hardest_glyphs_back_and_leaves_the_model_alone():
    glyphs, model = draw("鬱爨"), Autoencoder.from_pretrained()
    with torch.inference_mode():
        latents = model.encode(glyphs)
        refined = model.refine(glyphs, latents)
        plain, better = (peak_signal_to_noise(model.decode(z), glyphs) for z in (latents, refined))
        assert model.refine(glyphs, latents, steps=0).equal(latents)
    assert (better > plain + 1.5).all()
    assert better.min() > 20
    assert all(weight.grad is None for weight in model.parameters())


def test_the_shipped_one_is_small():
    model = Autoencoder.from_pretrained()
    assert sum(weight.numel() for weight in model.parameters()) < 10_000_000
    assert model.config.latent_channels == 8
