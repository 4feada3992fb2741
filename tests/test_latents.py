"""Latents with their words in batches: whose they are, and which are trained on."""

import pytest
import torch
from conftest import make_autoencoder, make_text_encoder

from autoencoder import Autoencoder
from autoencoder.batches import Draw
from autoencoder.data.fonts import GlyphError, default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, record
from conditioning import TextEncoder
from diffusion.pipeline import NULL_CAPTION
from diffusion.training.captions import CaptionMix
from diffusion.training.data import LatentData

RECORDS = [
    record("金", 167, 8, "gold; metal; money"),
    record("魚", 195, 11, "fish"),
    record("龍", 212, 16, "dragon"),
    record("病", 104, 10, "illness, sickness; disease"),
    record("姜", 38, 9, "ginger"),  # held out, as are the next two
    record("鐵", 167, 21, "iron"),
    record("他", 9, 5, "he, she, it"),
    record("山", 46, 3, "mountain"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("pylopdf_fonts_zh_cn")
    folder = tmp_path_factory.mktemp("data")
    write_glyphs(folder, RECORDS, default_font())
    make_autoencoder().save_pretrained(folder / "autoencoder")
    make_text_encoder().save_pretrained(folder / "text_encoder")
    return folder


PLAIN = CaptionMix(gloss=0, kind=0, layout=0)


def load(folder, more=()):
    encoders = folder / "autoencoder", str(folder / "text_encoder")
    data = LatentData(folder, more, *encoders, batch_size=2, mix=PLAIN)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def data(folder):
    return load(folder)


def test_a_batch_is_latents_with_their_own_words(data, folder):
    (batch,) = data.val_dataloader()
    latents, (embedding, mask, _) = data.on_after_batch_transfer(batch)
    assert embedding.shape[1] == 24
    held = [one for one in RECORDS if one.split == "test"]
    assert [one.character for one in held] == ["姜", "鐵", "他"]
    glyphs = GlyphDataset(folder, "test")
    with torch.no_grad():
        truth = make_autoencoder().encode(glyphs.images(range(3)))
    torch.testing.assert_close(latents, truth, atol=1e-3, rtol=1e-3)
    words, real = make_text_encoder()([one.caption for one in held])
    n = words.shape[1]
    torch.testing.assert_close(embedding[:, :n], words, atol=2e-3, rtol=2e-3)
    assert mask[:, :n].equal(real)
    assert not mask[:, n:].any()


def test_training_sees_the_training_split_alone(data):
    seen = torch.cat([rows for rows, *_ in data.train_dataloader()]).tolist()
    trained = [i for i, one in enumerate(RECORDS) if one.split == "train"]
    assert data.splits["train"].rows == trained
    assert len(seen) == 4  # five glyphs in batches of two: the odd one waits for the next epoch
    assert set(seen) <= set(trained)
    assert {one.split for one in data.splits["train"].records} == {"train"}


def test_further_glyphs_are_learnt_from_by_their_radicals_and_never_held_out(folder, tmp_path):
    more = tmp_path / "more"
    undefined = [record(character, 167, 12, "") for character in "釛釚釟鐵"]
    write_glyphs(more, [*undefined, record("姜", 38, 9, "ginger")], default_font())
    data = load(folder, (more,))
    train, test = data.splits["train"], data.splits["test"]
    assert "".join(one.character for one in train.records) == "金魚龍病山釛釚釟"
    assert "".join(one.character for one in test.records) == "姜鐵他"
    with torch.no_grad():
        truth = make_autoencoder().encode(GlyphDataset(more).images(range(3)))
    torch.testing.assert_close(data.latents[train.rows[5:]], truth, atol=1e-3, rtol=1e-3)
    captions = {train.texts(Draw(row, seed))[0] for row in (5, 6, 7) for seed in range(200)}
    assert captions == {NULL_CAPTION, "gold", "metal", "gold; metal", "gold; gold"}


def test_captions_that_the_text_encoder_cannot_read_are_said(folder, tmp_path):
    records = [record("馬", 187, 10, "馬匹"), record("金", 167, 8, "gold; Metal")]
    write_glyphs(tmp_path, records, default_font())
    data = LatentData(tmp_path, (), folder / "autoencoder", mix=PLAIN)
    with pytest.warns(UserWarning, match=r'^1 of 2 captions have parts .*, such as "馬匹"'):
        data.prepare_data()


def test_a_process_that_did_not_prepare_reads_the_same(data, folder, monkeypatch):
    """Lightning lets one process of a machine prepare; the others only set up, after it."""
    monkeypatch.setattr(Autoencoder, "encode", lambda *_: pytest.fail("the cache was not used"))
    monkeypatch.setattr(TextEncoder, "forward", lambda *_: pytest.fail("the cache was not used"))
    encoders = folder / "autoencoder", str(folder / "text_encoder")
    other = LatentData(folder, (), *encoders, mix=PLAIN)
    other.setup("fit")
    assert other.latents.equal(data.latents)
    assert other.splits["train"].rows == data.splits["train"].rows
    assert other.autoencoder.fingerprint == data.autoencoder.fingerprint
    assert other.text_encoder.fingerprint == data.text_encoder.fingerprint


def test_glyphs_of_another_size_than_the_autoencoder_s_are_refused(tmp_path, folder):
    write_glyphs(tmp_path, RECORDS, default_font(), size=64)
    data = LatentData(tmp_path, (), folder / "autoencoder", str(folder / "text_encoder"))
    with pytest.raises(GlyphError, match=r"64 pixels a side, and the model takes 128: draw"):
        data.prepare_data()
