"""The recogniser: whom it takes a glyph for, its folder, and what the one that ships knows."""

import pytest
import torch
import torch.nn.functional as F
from conftest import shake

from autoencoder.pretrained import WeightsError
from autoencoder.readers.recognizer import KnownCharacters, Recognizer, RecognizerConfig

TINY = RecognizerConfig(widths=(8, 12), blocks=(1, 1), features=6, threshold=0.8)


@pytest.fixture
def noise():
    return torch.rand(5, 1, 128, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny(noise):
    """It knows the first three of the glyphs of noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        recognizer = shake(Recognizer(TINY)).eval()
    recognizer.known = KnownCharacters.of("甲乙𠀋", recognizer.embed(noise[:3]))
    return recognizer


def test_embeddings_have_length_one_in_any_batches(tiny, noise):
    embeddings = tiny.embed(noise)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(tiny.embed(noise, batch_size=2), embeddings)


def test_a_match_is_the_nearest_known_character_and_exists_from_the_threshold_on():
    recognizer = Recognizer(TINY)
    axes = torch.eye(6)
    recognizer.known = KnownCharacters.of("甲乙丙", 5 * axes[:3])  # their length does not matter
    angle = torch.tensor(0.8).acos()
    for turn, exists in ((-0.01, True), (0.01, False)):
        glyph = (angle + turn).cos() * axes[1] + (angle + turn).sin() * axes[4]
        (match,) = recognizer.match(glyph[None])
        assert (match.character, match.exists) == ("乙", exists)
        assert match.likeness == pytest.approx(float((angle + turn).cos()), abs=1e-5)


def test_the_nearest_are_those_of_the_largest_cosines():
    generator = torch.Generator().manual_seed(0)
    known, asked = (torch.randn(count, 6, generator=generator) for count in (300, 20))
    values, rows = KnownCharacters.of("字" * 300, known).nearest(asked)
    cosine = F.normalize(asked, dim=1) @ F.normalize(known, dim=1).T
    truth = cosine.max(dim=1)
    torch.testing.assert_close(values, truth.values, atol=0.01, rtol=0)  # eight bits
    assert (rows == truth.indices).float().mean() > 0.9


def test_a_match_is_the_same_to_the_last_bit_in_any_company(tiny, noise):
    embeddings = tiny.embed(noise)
    together = tiny.known.nearest(embeddings)[0]
    for i in range(5):
        assert tiny.known.nearest(embeddings[i : i + 1])[0].equal(together[i : i + 1])


def test_what_is_left_out_is_not_known(tiny):
    fewer = tiny.known.without({"乙"})
    assert fewer.characters == "甲𠀋"
    assert fewer.codes.equal(tiny.known.codes[[0, 2]])


def test_without_known_characters_there_is_no_match():
    with pytest.raises(ValueError, match="knows no characters"):
        Recognizer(TINY).match(torch.eye(6))


def test_a_folder_gives_the_same_recogniser_back(tiny, noise, tmp_path):
    again = Recognizer.from_pretrained(tiny.save_pretrained(tmp_path))
    assert again.config == TINY
    assert again.known.characters == "甲乙𠀋"
    assert again.match(again.embed(noise)) == tiny.match(tiny.embed(noise))
    assert [match.exists for match in again.match(again.embed(noise[:3]))] == [True] * 3


@pytest.mark.parametrize("what", ["missing", "cut", "changed", "another's"])
def test_characters_that_do_not_belong_are_one_line(tiny, tmp_path, what):
    folder = tiny.save_pretrained(tmp_path / "a")
    path = folder / "characters.safetensors"
    if what == "missing":
        path.unlink()
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif what == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    else:
        tiny.known.save(path, shake(Recognizer(TINY), seed=3).fingerprint)
    with pytest.raises(WeightsError, match=r"characters\.safetensors cannot be used"):
        Recognizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": 0}, "at least 1"),
        ({"threshold": 1.5}, r"threshold of 1\.5"),
        ({"image_size": 100}, "does not halve"),
    ],
)
def test_settings_that_make_no_recogniser_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RecognizerConfig(**settings)


# ---- the one that ships --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    return Recognizer.from_pretrained()


def test_it_is_small_and_knows_the_characters_of_the_font(shipped):
    assert sum(weight.numel() for weight in shipped.parameters()) <= 1_700_000
    assert len(shipped.known.characters) == len(set(shipped.known.characters)) > 27_000


def test_it_knows_characters_again_moved_bent_and_in_thinner_strokes(shipped, draw):
    text = "鉻鈧錐鍢錉鱗蟲蛇馬嗎媽未末土士天夫"
    glyphs = draw(text)
    thinner = -F.max_pool2d(-glyphs, 3, 1, 1)
    for varied in (glyphs, glyphs.roll((2, -2), (2, 3)), 0.5 * (glyphs + thinner)):
        matches = shipped.match(shipped.embed(varied))
        assert "".join(match.character for match in matches) == text
        assert all(match.exists for match in matches)


def test_it_tells_a_new_character_from_all_it_knows(shipped, draw):
    """Halves of two characters side by side. Nobody has written such pairs, but for 虫 and 包."""

    def pairs(left, right):
        glyphs = torch.cat([draw(left)[..., :60], draw(right)[..., 60:]], dim=3)
        return shipped.match(shipped.embed(glyphs))

    assert not any(match.exists for match in pairs("鈴鯉語駒", "蟬讀鵝灣"))
    (match,) = pairs("蛉", "飽")
    assert (match.character, match.exists) == ("蚫", True)
    for empty in (torch.zeros(1, 1, 128, 128), torch.ones(1, 1, 128, 128)):
        assert not shipped.match(shipped.embed(empty))[0].exists
