"""Cards: what they say is true of the tables, and nothing of a prompt is markup."""

import json
from dataclasses import asdict
from html.parser import HTMLParser
from io import BytesIO
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from autoencoder.readers.recognizer import Match
from conditioning.parts import Arrangement, compositions
from conditioning.radicals import RADICALS
from diffusion.cards import Card, page, reading
from diffusion.inventions import Invention


def made(radical, part, kind="a", first="", second="", radical_first=True):
    form = RADICALS[radical - 1].forms[0]
    way = Arrangement(kind, first or form, second or part, radical_first)
    return Invention(f"{RADICALS[radical - 1].names[0]}; thing", radical, part, way)


LITHIUM = made(167, "里")


@pytest.mark.parametrize(
    ("invention", "said"),
    [
        (LITHIUM, "金 gold + 里 lǐ, left-right: is 鋰 U+92F0, lithium"),
        (made(167, "里", first="钅"), "钅 gold + 里 lǐ, left-right: is 锂 U+9502, lithium"),
        (made(30, "木", "d"), "口 mouth + 木 mù, top-bottom: is 呆 U+5446, "),
        (made(30, "木", "d", "木", "口", False), "口 mouth + 木 mù, top-bottom: is 杏 U+674F, "),
        (made(104, "火", "stl"), "疒 sickness + 火 huǒ, enclosed: is 疢 U+75A2, "),
        (made(85, "鳥", first="氵"), "氵 water + 鳥 niǎo, left-right"),
        (made(140, "氵", "d"), "艸 grass + 氵 shuǐ, top-bottom"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_put_together_is_said_in_a_line(invention, said):
    assert str(Card.of("thing", 0, invention)).startswith(said)


def test_every_real_character_is_named_first_where_its_parts_stand_as_in_it():
    """Unless another has the same components in the same places."""
    rows = [one for one in compositions().values() if one.radical and "/" not in one.kind]
    for one in rows[::50]:
        forms = RADICALS[one.radical - 1].forms
        if one.first in forms and one.second:
            way = Arrangement(one.kind, one.first, one.second, True)
            card = Card.of("x", 0, Invention("x", one.radical, one.second, way))
            best = compositions()[card.existing[0].character]
            assert (best.first, best.second) == (one.first, one.second), one
            assert best.kind[0] == one.kind[0], one


def test_a_form_without_a_tone_is_read_as_its_radical():
    assert [reading(part) for part in "里氵艹王"] == ["lǐ", "shuǐ", "cǎo", "wáng"]


def test_a_sound_that_the_part_alone_has_not_is_said():
    for part, sound, said in (("累", "luo", "lèi for luo"), ("羅", "luó", "luó"), ("里", "", "lǐ")):
        invention = Invention("gold; robot", 167, part, LITHIUM.arrangement, sound=sound)
        assert Card.of("robot", 0, invention).heard == said


def test_of_words_alone_the_radical_is_known_by_its_name():
    heron = Card.of("heron", 3, Invention("bird; heron"), Match("鶴", 0.5, False))
    assert (heron.radical, heron.form, heron.part, str(heron)) == (196, "鳥", "", "")
    assert (heron.nearest.character, heron.nearest.code_point) == ("鶴", "U+9DB4")
    for caption in ("heron", "a bird; heron", "bird; heron AND fire; red"):
        assert Card.of("heron", 3, Invention(caption)).radical is None


def test_a_card_survives_json():
    card = Card.of("lithium", 7, LITHIUM, Match("鋰", 0.97, True))
    assert Card.read(json.loads(json.dumps(asdict(card)))) == card


class Reader(HTMLParser):
    """All tags with their attributes, and all text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)


def test_a_page_shows_the_glyphs_themselves_and_prompts_as_they_are():
    prompt = "</h2><script>alert('&amp;')</script>\" onload=\"x"
    pixels = np.random.default_rng(0).integers(0, 256, (2, 128, 128), np.uint8)
    inventions = Invention(prompt), LITHIUM
    cards = [Card.of(prompt, i, one, Match("鋰", 0.9, True)) for i, one in enumerate(inventions)]
    shown = Reader(page(cards, [Image.fromarray(each) for each in pixels], prompt))
    images = [attributes for tag, attributes in shown.tags if tag == "img"]
    for attributes, ink in zip(images, pixels, strict=True):
        assert prompt in attributes["alt"] and "onload" not in attributes
        assert attributes["src"].startswith("data:image/png;base64,")
        with urlopen(attributes["src"]) as file:
            drawn = Image.open(BytesIO(file.read()))
        paper = Image.new("RGBA", drawn.size, "white")
        paper.alpha_composite(drawn.convert("RGBA"))
        assert (np.asarray(paper.convert("L")) == ink).all()
    assert shown.text.count(prompt) == 1 + 1 + 2 + 1  # title, header, two headings, a caption
    assert not {tag for tag, _ in shown.tags} & {"script", "link", "iframe"}
    assert not [one for _, one in shown.tags if {"href", "onload"} & set(one)]
