"""What a glyph may be called, and how often it is called so in training."""

from collections import Counter

import pytest
from test_latents import RECORDS

from autoencoder.batches import Draw
from diffusion.pipeline import NULL_CAPTION
from diffusion.training import captions as naming
from diffusion.training.captions import (
    NO_MORE_WORDS,
    CaptionMix,
    MoreWords,
    all_captions,
    captions_of,
)
from diffusion.training.data import LatentDataset, build_words


def test_what_a_glyph_may_be_called():
    assert captions_of(RECORDS[0]) == {
        "caption": ["gold; metal; money"],
        "sense": ["gold", "metal", "money"],
        "radical": ["gold", "metal"],
        "gloss": [],
        "kind": [],
    }
    more = MoreWords({"金": ("golden", "Au")}, {167: ("zinc",), 104: ()})
    assert captions_of(RECORDS[0], more)["gloss"] == ["golden", "Au"]
    assert captions_of(RECORDS[0], more)["kind"] == ["zinc"]
    assert set(all_captions(RECORDS, more)) - set(all_captions(RECORDS)) == {"golden", "Au", "zinc"}
    texts = all_captions(RECORDS)
    assert len(texts) == len(set(texts))
    assert texts[0] == NULL_CAPTION == ""
    for one in RECORDS:
        assert {text for kind in captions_of(one).values() for text in kind} <= set(texts)


def mix_of(**shares):
    """A mix of these alone."""
    names = "sense", "radical", "null", "gloss", "kind", "named", "layout"
    return CaptionMix(**dict.fromkeys(names, 0.0) | shares)


def draws(words, mix, count=4000, more=NO_MORE_WORDS):
    """How often each caption of the fourth glyph is drawn, with its layout."""
    dataset = LatentDataset([7], [RECORDS[3]], words, mix, more)
    return Counter("; ".join(dataset[Draw(0, seed)][1]) for seed in range(count))


@pytest.fixture
def words(tmp_path, tiny_text_encoder):
    return build_words(all_captions(RECORDS), tiny_text_encoder, tmp_path)


def test_captions_come_as_often_as_the_mix_says(words):
    counts = draws(words, mix_of(sense=0.3, radical=0.2, null=0.1))
    names = captions_of(RECORDS[3])["radical"]
    expected = Counter({"illness, sickness; disease": 0.4, NULL_CAPTION: 0.1})
    for sense in ("illness, sickness", "disease"):
        expected[sense] += 0.3 / 2
    for name in names:
        expected[name] += 0.2 / len(names)
    assert set(counts) == set(expected)
    for text, share in expected.items():
        assert counts[text] / 4000 == pytest.approx(share, abs=0.03), text


@pytest.mark.parametrize(
    "kind, more",
    [
        ("gloss", MoreWords(glosses={"病": ("ill", "fault")})),
        ("kind", MoreWords(kinds={104: ("ill", "fault")})),
    ],
)
def test_glosses_and_kinds_come_where_there_are_some(tmp_path, tiny_text_encoder, kind, more):
    words = build_words(all_captions(RECORDS, more), tiny_text_encoder, tmp_path)
    mix = mix_of(null=0.2, **{kind: 0.5})
    counts = draws(words, mix)  # without any, the whole caption has their share
    assert set(counts) == {"illness, sickness; disease", NULL_CAPTION}
    assert counts[NULL_CAPTION] / 4000 == pytest.approx(0.2, abs=0.03)
    counts = draws(words, mix, more=more)
    assert counts["ill"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert counts["fault"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert counts[NULL_CAPTION] / 4000 == pytest.approx(0.2, abs=0.03)


def test_captions_have_the_name_of_their_radical_before_them_as_often_as_asked(
    tmp_path, tiny_text_encoder
):
    words = build_words(all_captions(RECORDS, named=True), tiny_text_encoder, tmp_path)
    counts = draws(words, mix_of(radical=0.4, null=0.2, named=0.25))
    whole, names = RECORDS[3].caption, captions_of(RECORDS[3])["radical"]
    for text, share in [(whole, 0.4), *((name, 0.4 / len(names)) for name in names)]:
        assert counts[text] / 4000 == pytest.approx(0.75 * share, abs=0.03), text
        assert counts[f"{names[0]}; {text}"] / 4000 == pytest.approx(0.25 * share, abs=0.03), text
    assert counts[NULL_CAPTION] / 4000 == pytest.approx(0.2, abs=0.03)
    assert sum(counts.values()) == 4000 and len(counts) == 2 * (1 + len(names)) + 1


def test_a_caption_that_a_name_would_make_too_long_stays_without(tmp_path, tiny_text_encoder):
    words = build_words(all_captions(RECORDS, named=True), tiny_text_encoder, tmp_path)
    whole = RECORDS[3].caption
    mix = mix_of(named=1, longest=words.length(whole))
    assert set(draws(words, mix)) == {whole}


PLACED = MoreWords(layouts={"病": "enclosed", "金": "top-bottom"})


def test_layouts_are_texts_of_their_own():
    more = set(all_captions(RECORDS, PLACED, named=True)) - set(all_captions(RECORDS, named=True))
    assert more == {"enclosed", "top-bottom"}


def test_layouts_come_as_often_as_asked(tmp_path, tiny_text_encoder):
    words = build_words(all_captions(RECORDS, PLACED), tiny_text_encoder, tmp_path)
    mix = mix_of(null=0.2, layout=0.25)
    whole = RECORDS[3].caption
    expected = {
        NULL_CAPTION: 0.2,  # and nothing behind it
        whole: 0.8 * 0.75,
        f"{whole}; enclosed": 0.8 * 0.25,
    }
    counts = draws(words, mix, more=PLACED)
    assert set(counts) == set(expected)
    for text, share in expected.items():
        assert counts[text] / 4000 == pytest.approx(share, abs=0.03), text
    assert set(draws(words, mix)) == {whole, NULL_CAPTION}  # of whose layout nothing is known


def test_a_layout_is_left_out_where_there_is_no_room(tmp_path, tiny_text_encoder):
    words = build_words(all_captions(RECORDS, PLACED), tiny_text_encoder, tmp_path)
    whole = RECORDS[3].caption
    longest = words.length(whole) + words.length("enclosed")
    for most, kept in ((longest, f"{whole}; enclosed"), (longest - 1, whole)):
        assert set(draws(words, mix_of(layout=1.0, longest=most), 20, PLACED)) == {kept}


def test_more_words_are_read_only_where_they_are_asked_for(monkeypatch):
    for name in ("load_glosses", "load_kinds", "load_layouts"):
        monkeypatch.setattr(naming, name, lambda: pytest.fail("not asked for"))
    assert MoreWords.load(mix_of(sense=0.5)) == MoreWords({}, {}, {})


def test_a_kind_that_the_evaluation_asks_for_goes_with_all_its_words(monkeypatch):
    kinds = {104: (("flu", "influenza"), ("asthma",), ("swimmer's itch",)), 196: (("penguins",),)}
    monkeypatch.setattr(naming, "load_kinds", lambda: kinds)
    assert MoreWords.load(mix_of(kind=0.1)).kinds == {104: ["asthma"], 196: []}


def test_a_caption_too_long_gives_way_to_its_senses(words):
    whole, length = RECORDS[3].caption, words.length(RECORDS[3].caption)
    assert set(draws(words, mix_of(null=0.5, longest=length))) == {whole, NULL_CAPTION}
    counts = draws(words, mix_of(null=0.5, longest=length - 1))
    assert set(counts) == {"illness, sickness", "disease", NULL_CAPTION}
    assert counts[NULL_CAPTION] / 4000 == pytest.approx(0.5, abs=0.03)
    assert counts["disease"] / 4000 == pytest.approx(0.25, abs=0.03)


def test_without_a_mix_a_glyph_has_its_whole_caption(words):
    dataset = LatentDataset(list(range(10, 18)), RECORDS, words, None)
    whole = [(10 + i, [one.caption]) for i, one in enumerate(RECORDS)]
    assert [dataset[i] for i in range(8)] == whole


@pytest.mark.parametrize("longest", [0, 513, int("9" * 300)])
def test_a_length_that_no_batch_can_have_is_refused(longest):
    with pytest.raises(ValueError, match="tokens: take 1 to 512"):
        CaptionMix(longest=longest)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"sense": 0.6, "kind": 0.3, "radical": 0.3}, "come to 1.2: at most 1"),
        ({"gloss": -0.1}, "a share of -0.1 for gloss"),
        ({"named": 1.5}, "a share of 1.5 for named"),
        ({"layout": -1}, "a share of -1 for layout"),
        ({"null": float("nan")}, "a share of nan for null"),
    ],
)
def test_shares_that_are_none_are_refused(shares, said):
    mix_of(sense=0.6, kind=0.2, radical=0.1, null=0.1, named=1, layout=1)
    with pytest.raises(ValueError, match=said):
        mix_of(**shares)
