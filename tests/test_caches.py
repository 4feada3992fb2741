"""The caches: never stale, never made twice, and true to the encoders."""

import pytest
import torch
from conftest import make_autoencoder, make_text_encoder

from autoencoder import Autoencoder
from autoencoder.data.glyphs import GlyphDataset
from conditioning import TextEncoder
from diffusion.training.data import NOTHING, build_latents, build_words


@pytest.fixture
def glyphs(training_folder):
    return GlyphDataset(training_folder / "data")


def test_latents_are_those_of_the_autoencoder(glyphs, tmp_path, tiny_autoencoder):
    latents = build_latents(glyphs, tiny_autoencoder, tmp_path)
    with torch.no_grad():
        truth = tiny_autoencoder.encode(glyphs.images(range(len(glyphs))))
    torch.testing.assert_close(latents, truth, atol=1e-3, rtol=1e-3)
    assert latents.dtype == torch.float32
    assert not latents.is_inference()
    assert build_latents(glyphs, tiny_autoencoder, tmp_path).equal(latents)


def test_latents_are_made_once_for_each_encoder_and_each_set_of_glyphs(
    glyphs, tmp_path, tiny_autoencoder, monkeypatch
):
    def files():
        return {path.name for path in tmp_path.iterdir()}

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
    def stop(path, **arrays):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("diffusion.training.data.np.savez", stop)
        with pytest.raises(KeyboardInterrupt):
            build_words(["gold"], tiny_text_encoder, tmp_path)
    assert not list(tmp_path.iterdir())
    assert build_words(["gold"], tiny_text_encoder, tmp_path).length("gold") == 2
