"""Glyphs: what the folder and the dataset promise."""

import json
import pickle

import numpy as np
import pytest
import torch
from test_fonts import build_font, ink

from autoencoder.data.fonts import EM, SIZE, GlyphError, default_font, draw_glyph, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, held_out, record, write_folder
from conditioning.captions import load_entries

MIDDLE = (SIZE - 1) / 2


@pytest.fixture(scope="module")
def entries():
    return load_entries()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, entries, font):
    """Every fiftieth character, four hundred in all."""
    folder = tmp_path_factory.mktemp("data")
    records = [record(e.character, e.radical, e.strokes, e.caption) for e in entries[::50]]
    write_glyphs(folder, records, default_font())
    return folder


def test_glyphs_are_centred_on_average_large_and_whole(folder):
    glyphs = np.load(folder / "glyphs.npy")
    boxes = np.array([ink(glyph) for glyph in glyphs])
    top, bottom, left, right = boxes.mean(0)
    assert (top + bottom) / 2 == pytest.approx(MIDDLE, abs=1)
    assert (left + right) / 2 == pytest.approx(MIDDLE, abs=1)
    assert bottom - top > 0.85 * SIZE
    edges = np.concatenate([glyphs[:, 0], glyphs[:, -1], glyphs[:, :, 0], glyphs[:, :, -1]])
    assert not edges.any()


def test_a_font_without_chinese_writes_nothing(tmp_path):
    build_font(tmp_path / "latin.ttf", character="A")
    with pytest.raises(GlyphError, match="has no Chinese"):
        write_glyphs(tmp_path / "out", [record("一", 1, 1, "one")], tmp_path / "latin.ttf")
    assert not (tmp_path / "out").exists()


def test_characters_without_ink_are_left_out(tmp_path):
    font = build_font(tmp_path / "bar.ttf")
    font["cmap"].tables[0].cmap[ord("二")] = ".notdef"  # mapped, but blank
    font.save(tmp_path / "bar.ttf")
    records = [record(c, 1, 1, c) for c in "二一三"]
    counts = write_glyphs(tmp_path, records, tmp_path / "bar.ttf")
    assert (counts.glyphs, counts.missing) == (1, 2)
    dataset = GlyphDataset(tmp_path)
    assert [r.character for r in dataset.records] == ["一"]
    assert dataset[0].any()


def test_a_font_of_blanks_is_refused_and_one_too_large_is_warned_of(tmp_path, recwarn):
    records = [record(c, 1, 1, c) for c in "一二三"]
    font = build_font(tmp_path / "bar.ttf", "一二三")
    write_glyphs(tmp_path / "out", records, tmp_path / "bar.ttf")
    assert not recwarn.list
    font["hmtx"]["bar"] = 700, 0  # the bar is 800 wide, and is cut off on the right
    font["head"].unitsPerEm = 700
    font.save(tmp_path / "bar.ttf")
    with pytest.warns(UserWarning, match=r"100\.0% of the glyphs touch the border"):
        assert write_glyphs(tmp_path / "out", records, tmp_path / "bar.ttf").clipped == 3
    font["glyf"]["bar"] = font["glyf"][".notdef"]
    font.save(tmp_path / "bar.ttf")
    with pytest.raises(GlyphError, match="has blanks for Chinese"):
        write_glyphs(tmp_path / "blank", records, tmp_path / "bar.ttf")
    assert not (tmp_path / "blank").exists()


def test_a_stop_half_way_leaves_the_old_data(tmp_path):
    build_font(tmp_path / "bar.ttf")
    write_glyphs(tmp_path / "out", [record("一", 1, 1, "one")], tmp_path / "bar.ttf")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert set(before) == {"glyphs.npy", "glyphs.tsv", "glyphs.json"}

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records = [record("一", 1, 1, "uno")]
        write_glyphs(tmp_path / "out", records, tmp_path / "bar.ttf", advance=stop)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("size", [0, -128, 15, 100_000])
def test_absurd_sizes_are_refused(tmp_path, size):
    with pytest.raises(GlyphError, match="size from 16 to 1024"):
        write_glyphs(tmp_path / "out", [], tmp_path / "bar.ttf", size=size)


def test_the_dataset_returns_what_was_drawn(folder, entries, font):
    dataset = GlyphDataset(folder)
    assert [r.character for r in dataset.records] == [e.character for e in entries[::50]]
    assert [r.caption for r in dataset.records] == [e.caption for e in entries[::50]]
    assert [(r.radical, r.strokes) for r in dataset.records] == [
        (e.radical, e.strokes) for e in entries[::50]
    ]
    glyph = dataset[7]
    assert glyph.shape == (1, SIZE, SIZE)
    assert glyph.dtype == torch.float32
    drawn = torch.from_numpy(draw_glyph(dataset.records[7].character, font) / 255.0).float()
    assert torch.equal(glyph[0], drawn)
    assert torch.equal(dataset.images(torch.tensor([3, 7]))[1], glyph)
    assert torch.equal(dataset.images(np.array([7])), glyph[None])


def test_the_splits_part_the_dataset(folder):
    train, test, both = (GlyphDataset(folder, split) for split in ("train", "test", None))
    assert len(train) + len(test) == len(both)
    assert {r.split for r in train.records} == {"train"}
    assert not {r.caption.casefold() for r in train.records} & {
        r.caption.casefold() for r in test.records
    }
    position = {r.character: i for i, r in enumerate(both.records)}
    i = len(test) // 2
    assert torch.equal(test[i], both[position[test.records[i].character]])
    with pytest.raises(GlyphError, match='no split "validation"'):
        GlyphDataset(folder, "validation")


def test_a_twentieth_of_the_whole_table_is_held_out(entries):
    held = sum(held_out(entry.caption) for entry in entries) / len(entries)
    assert held == pytest.approx(0.05, abs=0.006)
    captions = {entry.caption for entry in entries}
    assert sum(map(held_out, captions)) / len(captions) == pytest.approx(0.05, abs=0.006)


def test_the_split_is_fixed_for_good():
    """Whatever changes, a character once held out must never be trained on."""
    assert all(map(held_out, ("ginger", "sunset", "iron", "to fall down", "he, she, it")))
    assert not any(map(held_out, ("fish", "mountain", "gold", "water", "hillock or mound")))
    assert held_out("GINGER")


def test_the_dataset_pickles_without_its_pixels(folder):
    dataset = GlyphDataset(folder)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < (folder / "glyphs.npy").stat().st_size / 10
    assert torch.equal(pickle.loads(pickled)[5], dataset[5])


def test_a_folder_whose_table_still_names_a_second_character_reads_the_same(tmp_path):
    records = [record(one, 167, 8, "gold") for one in "金針"]
    about = {"size": 8, "counts": {"glyphs": 2}}
    write_folder(tmp_path, np.zeros((2, 8, 8), np.uint8), records, about)
    table = tmp_path / "glyphs.tsv"
    lines = zip(table.read_text("utf-8").splitlines(), ("other", "鐵", ""), strict=True)
    table.write_text("".join(f"{line}\t{other}\n" for line, other in lines), "utf-8")
    assert GlyphDataset(tmp_path).records == records


def test_a_missing_or_mixed_folder_says_what_to_run(tmp_path):
    with pytest.raises(GlyphError, match=r"run python scripts/prepare_data\.py first"):
        GlyphDataset(tmp_path)
    build_font(tmp_path / "bar.ttf")
    write_glyphs(tmp_path, [record("一", 1, 1, "one")], tmp_path / "bar.ttf")
    about = json.loads((tmp_path / "glyphs.json").read_text())
    about["counts"]["glyphs"] = 2
    (tmp_path / "glyphs.json").write_text(json.dumps(about))
    with pytest.raises(GlyphError, match="of different runs"):
        GlyphDataset(tmp_path)


def test_the_index_names_the_font(folder, font):
    about = GlyphDataset(folder).about
    assert about["font"]["name"] == font.name == "Noto Sans SC Regular"
    assert len(about["font"]["sha256"]) == 64
    assert (about["size"], about["em"]) == (SIZE, EM)
    assert about["counts"]["glyphs"] == about["counts"]["train"] + about["counts"]["test"]
