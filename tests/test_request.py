"""Reading and checking what is asked for."""

import numpy as np
import pytest

from diffusion.request import (
    LONGEST_PROMPT,
    MOST_GLYPHS,
    SAMPLER_NAMES,
    Request,
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


def test_the_largest_request_is_fine_and_one_more_is_not():
    last = 2**63 - 1
    for name, most in (
        ("num_images_per_prompt", MOST_GLYPHS),
        ("num_inference_steps", 1000),
        ("seed", last),
        ("redraws", 1000),
    ):
        Request("gold", **{name: most})
        with pytest.raises(ValueError, match=r"take|ask"):
            Request("gold", **{name: most + 1})
    Request("gold", num_images_per_prompt=2, seed=last - 1)
    with pytest.raises(ValueError, match="seed"):
        Request("gold", num_images_per_prompt=2, seed=last)
    for name in ("prompts", "negative_prompt"):
        Request(**{"prompts": "gold", name: "g" * LONGEST_PROMPT})
        with pytest.raises(ValueError, match="characters"):
            Request(**{"prompts": "gold", name: "g" * (LONGEST_PROMPT + 1)})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": []}, "no prompt"),
        ({"prompts": ""}, "empty prompt"),
        ({"prompts": ["gold", " \n"]}, "empty prompt"),
        ({"prompts": ["\0"]}, "no text"),
        ({"prompts": "_\u200b"}, "empty prompt"),
        ({"prompts": None}, "a prompt is a string, or a list of them, not None"),
        ({"prompts": ["gold", 7]}, "a prompt is a string, not 7"),
        ({"prompts": b"gold"}, "a prompt is a string, not 103"),
        ({"negative_prompt": ["fish"]}, "negative_prompt is one string for all images"),
        ({"num_images_per_prompt": 2.0}, "num_images_per_prompt of 2.0: take a whole number"),
        ({"num_inference_steps": "12"}, "num_inference_steps of '12': take a whole number"),
        ({"calls": 3}, "3 calls: take 1, 2, 4 or 8"),
        ({"calls": 0}, "0 calls: take 1, 2, 4 or 8"),
        ({"calls": 4.0}, "calls of 4.0: take a whole number"),
        ({"seed": None}, "seed of None: take a whole number"),
        ({"seed": True}, "seed of True: take a whole number"),
        ({"seed": [1, 2]}, "seed of [1, 2]: take a whole number"),
        ({"redraws": 0.5}, "redraws of 0.5: take a whole number"),
        ({"guidance_scale": "4"}, "guidance_scale of '4': take a number"),
        ({"guidance_scale": np.ones(2)}, "guidance_scale of array([1., 1.]): take a number"),
        ({"eta": None, "sampler": "ddim"}, "eta of None: take a number"),
        ({"guidance_interval": (0.1,)}, "guidance_interval of (0.1,): take two numbers"),
        ({"guidance_interval": 0.5}, "guidance_interval of 0.5: take two numbers"),
        ({"guidance_interval": ("0", "1")}, "take two numbers"),
        ({"prompts": "gold AND "}, "one side of AND is empty"),
        ({"num_images_per_prompt": 0}, "at least 1"),
        ({"num_inference_steps": 0}, "take 1 to 1000"),
        ({"guidance_scale": float("nan")}, "take -100 to 100"),
        ({"guidance_scale": 1e9}, "take -100 to 100"),
        ({"sampler": "magic"}, f'no sampler "magic": there are {", ".join(SAMPLER_NAMES)}'),
        ({"guidance_interval": (0.9, 0.1)}, "LOW <= HIGH"),
        ({"guidance_interval": (-0.1, 1.0)}, "LOW <= HIGH"),
        ({"guidance_interval": (float("nan"), 1.0)}, "LOW <= HIGH"),
        ({"eta": 0.5}, "belongs to the sampler ddim"),
        ({"eta": 1.1, "sampler": "ddim"}, "take 0 to 1"),
        ({"radical": "gossip"}, 'no radical "gossip"'),
        ({"radical": "215"}, "1 to 214"),
        ({"layout": "auto"}, 'no layout "auto"'),
        ({"redraws": -1}, "take 0 to 1,000"),
        ({"seed": -1}, "seed -1"),
        ({"sede": 1}, 'no setting "sede"'),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_one_clear_line(settings, message):
    settings = {"prompts": "gold"} | settings
    with pytest.raises(ValueError) as error:
        Request.of(settings.pop("prompts"), **settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_request_knows_the_prompt_and_the_seed_of_each_image():
    request = Request.of(["gold", "fish"], num_images_per_prompt=2, seed=5)
    assert request.total == 4
    assert request.texts == ["gold", "gold", "fish", "fish"]
    assert request.seeds == [5, 6, 7, 8]
    assert Request.of(request, seed=0).texts == request.texts
    assert Request("gold").prompts == ("gold",)


def test_values_of_other_libraries_and_names_in_any_case_are_taken():
    numbers = {"seed": np.int64(7), "guidance_scale": np.float32(2.5), "guidance_interval": [0, 1]}
    assert Request("gold", sampler="DPM++ 2M").sampler == "dpmpp_2m"
    names = {"sampler": "DPMPP-2M", "radical": "Speech", "layout": "LEFT_right"}
    request = Request((text for text in ("gold", "fish")), **numbers, **names)
    names = {"sampler": "dpmpp_2m", "radical": "speech", "layout": "left-right"}
    assert request == Request(["gold", "fish"], seed=7, guidance_scale=2.5, **names)
    assert type(request.seed) is int
    assert Request("gold", radical=149, layout=None).radical == "149"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a lake without a Boat", '"without a boat" asks for boat too'),
        ("(gold:1.5) fish", 'weights as in "(gold:1.5)" are not supported'),
        ("[gold|fish]", '"[gold|fish]" is not supported'),
    ],
)
def test_the_syntax_of_other_programs_gets_a_hint(prompt, said):
    with pytest.warns(UserWarning) as caught:
        Request(["gold; a (fish)", prompt])
    (warning,) = caught
    assert str(warning.message).startswith(said)


def test_every_sampler_can_be_asked_for():
    for name in SAMPLER_NAMES:
        Request("gold", sampler=name)
    Request("gold", sampler="ddim", eta=1.0, guidance_interval=(0.5, 0.5))


def test_and_in_capitals_between_spaces_divides_a_prompt():
    assert conjuncts("sickness AND fire") == ["sickness", "fire"]
    assert conjuncts(" a sea\nAND\tgold AND  the fire ") == ["a sea", "gold", "the fire"]
    for whole in ("fire and water", "SAND of the LAND", "ANDROID", "gold ", "R&AND-D"):
        assert conjuncts(whole) == [whole]


@pytest.mark.parametrize("prompt", ["AND", "AND fire", "fire AND", "fire AND AND gold", " AND "])
def test_an_empty_side_of_and_is_said(prompt):
    with pytest.raises(ValueError, match="one side of AND is empty"):
        Request(["gold", prompt])
