"""A model as a folder: what comes back is what went in, and what cannot be used is said."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import AUTOENCODER, make_autoencoder
from safetensors.torch import load_file, save_file

from autoencoder import Autoencoder
from autoencoder.pretrained import WeightsError


@pytest.fixture
def glyphs():
    return torch.rand(5, 1, 128, 128, generator=torch.Generator().manual_seed(0))


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
        deeper = Autoencoder(replace(model.config, decoder_blocks=(1, 2)))
        deeper.encoder.load_state_dict(model.encoder.state_dict())
        assert deeper.fingerprint == first
        next(model.encoder.parameters())[0, 0, 0, 0] += 0.01
    assert model.fingerprint != first


def test_a_stop_half_way_leaves_the_old_model(tmp_path, monkeypatch):
    make_autoencoder().save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", stop)  # once the weights are written
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


def change_a_tensor(change):
    def damage(folder):
        path = folder / "model.safetensors"
        tensors = load_file(path)
        name = next(iter(tensors))
        save_file(tensors | {name: change(tensors[name])}, path)

    return damage


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
        (change_a_tensor(lambda x: x * torch.nan), "not of finite numbers"),
        (change_a_tensor(lambda x: x.int()), "not of finite numbers"),
        (change_a_tensor(lambda x: x.flatten()[:-1]), "another architecture"),
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
