"""Prompts: what stands behind their words."""

import pytest

from conditioning.prompts import LAYOUTS, Prompt


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("fish", Prompt("fish")),
        ("fish; top-bottom", Prompt("fish", "top-bottom")),
        ("fish; salmon; left-right", Prompt("fish; salmon", "left-right")),
        ("fish ;enclosed ", Prompt("fish", "enclosed")),
        ("a large\nfish; enclosed", Prompt("a large\nfish", "enclosed")),
        # words
        ("left-right", Prompt("left-right")),
        ("; left-right", Prompt("; left-right")),
        ("left-right; fish", Prompt("left-right; fish")),
        ("a fish, enclosed", Prompt("a fish, enclosed")),
        ("fish; Enclosed", Prompt("fish; Enclosed")),
        ("x; enclosed; enclosed", Prompt("x; enclosed", "enclosed")),
    ],
)
def test_a_layout_is_what_stands_last(text, prompt):
    assert Prompt.parse(text) == prompt
    assert Prompt.parse(str(prompt)) == prompt


def test_a_prompt_says_itself():
    assert str(Prompt("fish", LAYOUTS[0])) == "fish; left-right"
    assert Prompt("fish", LAYOUTS[2]).texts == ["fish", "enclosed"]
    assert Prompt("fish").texts == ["fish"]
