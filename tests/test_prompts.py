"""Prompts: what stands behind their words."""

import warnings

import pytest

from conditioning import TextEncoder
from conditioning.prompts import LAYOUTS, Prompt, normalise
from diffusion.request import conjuncts


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("fish", Prompt("fish")),
        ("fish; top-bottom", Prompt("fish", "top-bottom")),
        ("fish; salmon; left-right", Prompt("fish; salmon", "left-right")),
        ("fish ;enclosed ", Prompt("fish", "enclosed")),
        ("a large\nfish; enclosed", Prompt("a large fish", "enclosed")),
        ("fish; Enclosed", Prompt("fish", "enclosed")),
        ("Fish；Left–Right", Prompt("fish", "left-right")),
        ("fish; top bottom", Prompt("fish", "top-bottom")),
        ("fish; top_bottom", Prompt("fish", "top-bottom")),
        # words
        ("left-right", Prompt("left-right")),
        ("; left-right", Prompt("; left-right")),
        ("left-right; fish", Prompt("left-right; fish")),
        ("a fish, enclosed", Prompt("a fish, enclosed")),
        ("x; enclosed; enclosed", Prompt("x; enclosed", "enclosed")),
    ],
)
def test_a_layout_is_what_stands_last(text, prompt):
    assert Prompt.parse(text) == prompt
    assert Prompt.parse(str(prompt)) == prompt


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("金", Prompt("gold")),
        ("⽔", Prompt("water")),  # of Unicode's block of radicals
        ("氵; top-bottom", Prompt("water", "top-bottom")),
        ("明\ufe00", Prompt("bright, light, brilliant")),
        ("𠀀", Prompt("𠀀")),  # Unihan says nothing of it here
        ("é", Prompt("é")),
        ("金魚", Prompt("金魚")),
    ],
)
def test_a_character_is_read_as_what_it_means(text, prompt):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert Prompt.parse(text) == prompt
    said = [f'{normalise(text)[0]} is read as "{prompt.words}"'] * prompt.words.isascii()
    assert [str(one.message) for one in caught] == said


def test_a_prompt_says_itself():
    assert str(Prompt("fish", LAYOUTS[0])) == "fish; left-right"
    assert Prompt("fish", LAYOUTS[2]).texts == ["fish", "enclosed"]
    assert Prompt("fish").texts == ["fish"]


SPELLINGS = {
    "gold": [
        "Gold", "GOLD", "\tgold\r\n", "\xa0gold\u3000", "ｇｏｌｄ", "𝐠𝐨𝐥𝐝", "Ⓖⓞⓛⓓ", "_gold_",
        "go\xadld", "\ufeffgold", "gold\u200b", "\u2060gold", "\u202agold\u202c", "gold\ufe0f",
        "go\u200dld",
    ],
    "sea monster": [
        "sea_monster", "Sea  Monster", "SEA__MONSTER", "sea\tmonster", "sea\nmonster",
        "sea\u2003monster", "sea＿monster", "sea\x0cmonster",
    ],
    "dragon's": ["dragon’s", "dragon‘s", "dragon´s", "dragon′s", "Dragon＇s", "dragonʼs"],
    '"gold"': ["“gold”", "„gold“", "«Gold»", "＂gold＂"],
    "sea-horse": [
        "sea‐horse", "sea‑horse", "sea–horse", "sea—horse", "sea―horse", "sea−horse", "sea﹣horse",
        "Sea－Horse", "sea﹘horse",
    ],
    "gold...": ["gold…", "Gold‥."],
    "a (fish)!": ["A （fish）！", "a  ⁽fish⁾!"],
    "café": ["CAFÉ", "cafe\u0301"],
    "straße": ["STRASSE", "Straẞe"],
    "fish 2": ["ﬁsh ²"],
    "bird; left-right": [
        "bird; Left-Right", "BIRD ;LEFT_RIGHT", "bird；left‑right", "bird;left right",
        "\ufeffbird;\xa0left—right",
    ],
    "water AND bird": ["Water AND Bird", "water\xa0AND\tBIRD", " water_\nAND\u2003bird"],
}  # fmt: skip


def test_a_text_has_one_spelling():
    encoder = TextEncoder.from_pretrained()
    pairs = [(plain, other) for plain, others in SPELLINGS.items() for other in others]
    assert len(pairs) >= 50
    for plain, other in pairs:
        sides = [conjuncts(text) for text in (plain, other)]
        heard = [[Prompt.parse(side) for side in each] for each in sides]
        assert heard[0] == heard[1], other
        if ";" not in plain:  # the encoder leaves layouts to the prompt
            assert encoder.tokenize(sides[0]) == encoder.tokenize(sides[1]), other
        assert normalise(normalise(other)) == normalise(other), other


def test_a_spelling_changes_no_bit(tiny_pipeline):
    for plain in ("gold", "sea monster", "bird; left-right", "water AND bird"):
        first, *rest = (
            tiny_pipeline(text, num_inference_steps=2, output_type="pt").images
            for text in (plain, *SPELLINGS[plain][:4])
        )
        assert all(image.equal(first) for image in rest)
