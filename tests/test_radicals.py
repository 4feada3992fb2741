"""The table of radicals against what Unicode says about them."""

import unicodedata

import pytest

from conditioning.radicals import RADICALS, find_radical, radical
from conditioning.sources.tables import read_unihan

# Where our name and Unicode's have no word in common, on purpose.
OTHER_WORDS = {
    "DOWN BOX", "HALF TREE TRUNK", "TURBAN", "FRAGRANT", "HAIR", "POWER",
}  # fmt: skip


def test_all_214_are_numbered_in_order():
    assert [r.number for r in RADICALS] == list(range(1, 215))


def test_the_first_form_is_unicodes():
    for r in RADICALS:
        unicodes = unicodedata.normalize("NFKC", chr(0x2F00 + r.number - 1))
        # U+2FAD decomposes to 靑, the old shape of 青.
        assert unicodes == r.forms[0] or (r.number == 174 and unicodes in r.forms)


def test_names_agree_with_unicode():
    for r in RADICALS:
        official = unicodedata.name(chr(0x2F00 + r.number - 1)).removeprefix("KANGXI RADICAL ")
        ours = {word for name in r.names for word in name.upper().replace("-", " ").split()}
        assert ours & set(official.split()) or official in OTHER_WORDS, (r, official)


def test_every_form_is_filed_under_its_radical():
    """A form is its radical and no further strokes, or another character that lends its shape."""
    filed = {character: value for character, _, value, _ in read_unihan()}
    borrowed = {"丷": 3, "月": 74, "阝": 170, "斗": 68, "卤": 25, "歯": 77, "竜": 117, "亀": 5}
    for r in RADICALS:
        for form in r.forms:
            if form in filed:
                number = int(filed[form].split(".")[0].rstrip("'"))
                assert number in (r.number, borrowed.get(form)), (form, filed[form])


def test_names_are_plain_and_the_usual_ones_are_unique():
    names = [name for r in RADICALS for name in r.names]
    assert all(name == name.strip() and name.isascii() and name for name in names)
    assert all(1 <= len(r.names) <= 3 and len(set(r.names)) == len(r.names) for r in RADICALS)
    usual = [r.names[0] for r in RADICALS]
    assert len(set(usual)) == len(usual)


@pytest.mark.parametrize(
    ("number", "form", "name"),
    [(9, "亻", "man"), (85, "氵", "water"), (104, "疒", "disease"), (120, "纟", "silk thread"),
     (140, "艹", "plant"), (142, "虫", "insect"), (149, "讠", "speech"), (167, "钅", "metal"),
     (195, "鱼", "fish"), (196, "鸟", "bird"), (214, "龠", "flute")],
)  # fmt: skip
def test_radicals_that_everybody_knows(number, form, name):
    assert form in radical(number).forms
    assert name in radical(number).names


@pytest.mark.parametrize("number", [0, -1, 215])
def test_there_is_no_other_radical(number):
    with pytest.raises(ValueError, match="1 to 214"):
        radical(number)


@pytest.mark.parametrize(
    ("asked", "number"),
    [("speech", 149), ("Speech ", 149), ("言", 149), ("讠", 149), ("149", 149), ("blade", 18),
     ("hill", 170), ("1", 1), ("wood", 75), ("hair", 59)],
)  # fmt: skip
def test_a_radical_is_found_by_name_form_or_number(asked, number):
    assert find_radical(asked).number == number


def test_every_name_and_form_finds_a_radical_of_it():
    for r in RADICALS:
        assert find_radical(r.names[0]) is r
        assert all(text in (*find_radical(text).names, *find_radical(text).forms)
                   for text in (*r.names, *r.forms))  # fmt: skip


@pytest.mark.parametrize(
    "asked", ["", "gossip", "0", "215", "9" * 5000, "0000000149", "x" * 5000, "金属"]
)
def test_what_is_no_radical_is_one_line(asked):
    with pytest.raises(ValueError) as error:
        find_radical(asked)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200
