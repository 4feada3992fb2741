"""The readers of radicals and of parts: their interface, and what those that ship can read."""

import pytest
import torch
from conftest import shake

from autoencoder.data.glyphs import held_out
from autoencoder.pretrained import WeightsError
from autoencoder.readers.reader import (
    PartReader,
    PartReaderConfig,
    RadicalReader,
    ReaderConfig,
)
from conditioning.captions import load_entries
from conditioning.parts import compositions
from diffusion.exploration.plots import radicals_seen

TINY = ReaderConfig(widths=(8, 12), blocks=(1, 1), features=6, dropout=0.5)


@pytest.fixture
def tiny_reader():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return shake(RadicalReader(TINY)).eval()


@pytest.fixture
def noise():
    return torch.rand(5, 1, 128, 128, generator=torch.Generator().manual_seed(0))


def test_what_is_read_is_the_likeliest_radical_in_any_batches(tiny_reader, noise):
    logits = tiny_reader(noise)
    assert logits.shape == (5, 214)
    radicals, probabilities, features = tiny_reader.read(noise, batch_size=2)
    assert radicals.equal(logits.argmax(dim=1) + 1)
    torch.testing.assert_close(probabilities, logits.softmax(dim=1).amax(dim=1))
    torch.testing.assert_close(features, tiny_reader.features(noise))
    torch.testing.assert_close(tiny_reader.decide(features), logits)


def test_features_are_dropped_in_training_alone(tiny_reader, noise):
    assert tiny_reader(noise).equal(tiny_reader(noise))
    tiny_reader.train()
    with torch.random.fork_rng(devices=[]):
        assert not tiny_reader(noise).equal(tiny_reader(noise))


def test_blocks_start_as_the_identity(noise):
    reader = RadicalReader(TINY)
    x = torch.randn(2, 8, 16, 16)
    block = next(m for m in reader.layers if type(m).__name__ == "ResidualBlock")
    assert block(x).equal(x)


def test_a_folder_gives_the_same_reader_back(tiny_reader, noise, tmp_path):
    again = RadicalReader.from_pretrained(tiny_reader.save_pretrained(tmp_path))
    assert again.config == TINY
    assert again.fingerprint == tiny_reader.fingerprint
    assert again(noise).equal(tiny_reader(noise))
    with pytest.raises(WeightsError, match=r"no config\.json"):
        RadicalReader.from_pretrained(tmp_path / "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": (1,)}, "one length"),
        ({"features": 0}, "at least 1"),
        ({"blocks": (-1, 3)}, "at least 0"),
        ({"dropout": 1.0}, "dropout of 1.0"),
        ({"image_size": 100}, "does not halve"),
    ],
)
def test_settings_that_make_no_reader_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ReaderConfig(**settings)


def test_parts_are_read_from_the_threshold_on_and_found_by_any_form(noise, tmp_path, seeded):
    settings = {"widths": (8, 12), "blocks": (1, 1), "features": 6}
    config = PartReaderConfig(**settings, parts="水氵氺 里 木", threshold=0.51)
    reader = shake(PartReader(config)).eval()
    probabilities = reader(noise).sigmoid()
    assert probabilities.shape == (5, 3)
    assert reader.read(noise, batch_size=2).equal(probabilities >= 0.51)
    assert [reader.place(one) for one in "水氺里木金"] == [0, 0, 1, 2, None]
    again = PartReader.from_pretrained(reader.save_pretrained(tmp_path))
    assert again.read(noise).equal(reader.read(noise)) and again.place("氵") == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": " "}, "at least one"),
        ({"parts": "水氵 氵"}, "no form in two"),
        ({"threshold": 1.0}, "threshold of 1.0"),
    ],
)
def test_parts_that_make_no_reader_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PartReaderConfig(**settings)


# ---- those that ship --------------------------------------------------------------------------


def test_the_reader_that_ships_is_small_and_knows_both_scripts(draw):
    reader = RadicalReader.from_pretrained()
    assert sum(weight.numel() for weight in reader.parameters()) <= 2_000_000
    pairs = ["銀银", "語语", "紅红", "飯饭", "鯉鲤", "鳩鸠", "駒驹", "軌轨", "閃闪", "頂顶"]
    read = [reader.read(draw(pair))[0].tolist() for pair in pairs]
    assert read == [[number] * 2 for number in (167, 149, 120, 184, 195, 196, 187, 159, 169, 181)]


def test_the_reader_that_ships_reads_characters_it_never_learnt_from(draw):
    """A sample of the held-out split; the table in the README is over all of it."""
    entries = [entry for entry in load_entries() if held_out(entry.caption)][::12]
    read = RadicalReader.from_pretrained().read(draw("".join(e.character for e in entries)))[0]
    truth = torch.tensor([entry.radical for entry in entries])
    assert (read == truth).double().mean() > 0.88


def test_what_is_written_under_a_glyph_is_what_the_reader_sees(draw):
    glyphs = draw("河銀")
    _, sure, _ = RadicalReader.from_pretrained().read(glyphs)
    water, gold = radicals_seen(glyphs)
    assert (water, gold) == (f"water {sure[0]:.0%}", f"gold {sure[1]:.0%}")


def test_the_reader_of_parts_that_ships_is_small_and_reads_what_it_never_learnt_from(draw):
    """The table in its README is over the whole held-out split, and so are all characters here."""
    reader = PartReader.from_pretrained()
    assert sum(weight.numel() for weight in reader.parameters()) <= 2_000_000
    held = {entry.character for entry in load_entries() if held_out(entry.caption)}
    ones = [one for one in compositions().values() if one.character in held and one.kind in "ad"]
    places = [tuple(map(reader.place, (one.first, one.second))) for one in ones]
    known = [
        (one.character, both) for one, both in zip(ones, places, strict=True) if None not in both
    ]
    known = known[::6]
    read = reader.read(draw("".join(character for character, _ in known)))
    right = [bool(row[a] and row[b]) for row, (_, (a, b)) in zip(read, known, strict=True)]
    assert len(right) > 50 and sum(right) > 0.75 * len(right)
