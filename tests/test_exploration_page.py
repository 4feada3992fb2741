"""The map as a page: all that it shows is in it, and nothing is fetched."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from autoencoder.glyphs import GlyphRecord
from diffusion.exploration.page import GREY, colours, draw_map, thumbnail, write_page


def test_a_thumbnail_is_the_glyph_black_on_white():
    pixels = np.zeros((128, 128), np.uint8)
    pixels[:, :64] = 255
    image = Image.open(io.BytesIO(base64.b64decode(thumbnail(pixels, 32)))).convert("L")
    assert image.size == (32, 32)
    assert image.getpixel((3, 16)) == 0
    assert image.getpixel((28, 16)) == 255


def test_the_commonest_get_colours_of_their_own():
    found = colours(["a"] * 3 + ["b"] * 2 + ["c"], most=2)
    assert found[0] == found[2] != found[3]
    assert found[5] == GREY
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in found)


@pytest.fixture
def world():
    records = [GlyphRecord(c, 85, 8, "train", f'a "{c}" & <b>') for c in "河海湖江"]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 128, 128), np.uint8)
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    return records, pixels, {"latents": points, "pixels": points[::-1]}


def test_the_page_holds_everything_and_asks_for_nothing(world, tmp_path):
    pytest.importorskip("bokeh")
    records, pixels, places = world
    thumbnails = [thumbnail(glyph) for glyph in pixels]
    write_page(tmp_path / "map.html", records, thumbnails, places, ["whole"] * 4)
    page = (tmp_path / "map.html").read_text("utf-8")
    assert all(png in page for png in thumbnails)
    for text in ("U+6CB3", "湖", "water 水", "by pixels", "coloured by radical"):
        assert text in page or text.encode("ascii", "backslashreplace").decode() in page, text
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=", markup)
    assert not re.search(r"<script[^>]*src=", page)


def test_the_still_picture_shows_both(world, tmp_path):
    pytest.importorskip("matplotlib")
    records, _, places = world
    titles = {"latents": "one", "pixels": "two"}
    draw_map(tmp_path / "map.png", places, [record.radical for record in records], titles)
    width, height = Image.open(tmp_path / "map.png").size
    assert width == 2 * height
