"""Reading and checking what is asked for."""

import pytest

from diffusion.request import (
    LONGEST_PROMPT,
    MOST_GLYPHS,
    SAMPLER_NAMES,
    check_request,
    conjuncts,
    read_prompts,
)


def test_lines_are_counted_as_editors_count_them(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("gold\x0c\u2028\nfish\r\n\rsea dragon".encode())
    assert read_prompts(path) == {1: "gold", 2: "fish", 4: "sea dragon"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines_and_the_mark_of_windows_do_not_matter(tmp_path, end):
    path = tmp_path / "words.txt"
    path.write_bytes(end.join(["\ufeff gold ", "", "魚"]).encode())
    assert read_prompts(path) == {1: "gold", 3: "魚"}


def request(**changes):
    asked = {"prompts": ["gold"], "count": 1, "steps": 1, "guidance_scale": 0.0}
    asked |= {"sampler": "euler", "seed": 0, "negative_prompt": None}
    check_request(**asked | changes)


def test_the_largest_request_is_fine_and_one_more_is_not():
    last = 2**63 - 1
    for name, most in (
        ("count", MOST_GLYPHS),
        ("steps", 1000),
        ("seed", last),
    ):
        request(**{name: most})
        with pytest.raises(ValueError, match=r"take|ask"):
            request(**{name: most + 1})
    request(count=2, seed=last - 1)
    with pytest.raises(ValueError, match="seed"):
        request(count=2, seed=last)
    for name, value in (("prompts", lambda text: [text]), ("negative_prompt", str)):
        request(**{name: value("g" * LONGEST_PROMPT)})
        with pytest.raises(ValueError, match="characters"):
            request(**{name: value("g" * (LONGEST_PROMPT + 1))})


def test_a_mistake_is_said_in_one_line():
    for changes in (
        {"prompts": []},
        {"prompts": ["gold", " \n"]},
        {"guidance_scale": float("inf")},
        {"sampler": "magic"},
        {"prompts": ["\0"]},
        {"prompts": ["gold AND"]},
        {"guidance_interval": (0.6, 0.4)},
        {"guidance_interval": (-0.1, 1.0)},
        {"guidance_interval": (float("nan"), 1.0)},
        {"sampler": "ddim", "eta": 1.1},
        {"sampler": "ddpm", "eta": 0.5},
    ):
        with pytest.raises(ValueError) as error:
            request(**changes)
        assert "\n" not in str(error.value)


def test_and_in_capitals_between_spaces_divides_a_prompt():
    assert conjuncts("sickness AND fire") == ["sickness", "fire"]
    assert conjuncts(" a sea\nAND\tgold AND  the fire ") == ["a sea", "gold", "the fire"]
    for whole in ("fire and water", "SAND of the LAND", "ANDROID", "gold ", "R&AND-D"):
        assert conjuncts(whole) == [whole]


@pytest.mark.parametrize("prompt", ["AND", "AND fire", "fire AND", "fire AND AND gold", " AND "])
def test_an_empty_side_of_and_is_said(prompt):
    with pytest.raises(ValueError, match="one side of AND is empty"):
        request(prompts=["gold", prompt])


def test_an_unknown_sampler_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=", ".join(SAMPLER_NAMES)):
        request(sampler="magic")
    for name in SAMPLER_NAMES:
        request(sampler=name)
    request(sampler="ddim", eta=1.0, guidance_interval=(0.5, 0.5))
