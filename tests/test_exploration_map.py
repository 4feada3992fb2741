"""The map, and its page: all that it shows is in it, and nothing is fetched."""

import base64
import io
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from autoencoder.data.glyphs import GlyphRecord
from diffusion.exploration.map import GREY, THUMBNAIL, colours, thumbnail, umap, write_page


def test_a_thumbnail_is_the_glyph_black_on_white():
    glyph = torch.zeros(1, 128, 128)
    glyph[..., :64] = 1
    image = Image.open(io.BytesIO(base64.b64decode(thumbnail(glyph, 32)))).convert("L")
    assert image.size == (32, 32)
    assert image.getpixel((3, 16)) == 0
    assert image.getpixel((28, 16)) == 255


def test_the_commonest_get_colours_of_their_own():
    found = colours(["a"] * 3 + ["b"] * 2 + ["c"], most=2)
    assert found[0] == found[2] != found[3]
    assert found[5] == GREY
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in found)


def test_umap_keeps_two_heaps_apart():
    pytest.importorskip("umap")
    points = torch.randn(60, 3, 2, generator=torch.Generator().manual_seed(0))
    points[30:] += 20
    places = umap(points)
    assert places.shape == (60, 2)
    centres = places[:30].mean(0), places[30:].mean(0)
    apart = np.linalg.norm(centres[0] - centres[1])
    assert apart > 3 * max(places[:30].std(), places[30:].std()) or apart > 5


@pytest.fixture
def world(tmp_path):
    """A page of four glyphs, and the pictures in it."""
    pytest.importorskip("bokeh")
    records = [GlyphRecord(c, 85, 8, "train", f'a "{c}" & <b>') for c in "河海湖江"]
    glyphs = torch.rand(4, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    thumbnails = [thumbnail(glyph) for glyph in glyphs]
    places = {"latents": points, "pixels": points[::-1]}
    write_page(tmp_path / "map.html", records, thumbnails, places, ["whole"] * 4)
    return tmp_path / "map.html", thumbnails


def test_the_page_holds_everything_and_asks_for_nothing(world):
    path, thumbnails = world
    page = path.read_text("utf-8")
    assert all(png in page for png in thumbnails)
    for text in ("U+6CB3", "湖", "water 水", "by pixels", "coloured by radical"):
        assert text in page or text.encode("ascii", "backslashreplace").decode() in page, text
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=", markup)
    assert not re.search(r"<script[^>]*src=", page)


@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium here: apt install chromium")
def test_in_a_browser_search_finds_and_the_picture_appears(world):
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    state = """() => {
        const all = [...Bokeh.documents[0]._all_models.values()];
        const source = all.find(m => m.type == "ColumnDataSource" && m.data.character);
        return source.selected.indices.map(i => source.data.character[i]);
    }"""
    pictures = """() => {
        const inside = root => [...root.querySelectorAll("*")].flatMap(
            e => [...(e.shadowRoot ? inside(e.shadowRoot) : []), ...(e.tagName == "IMG" ? [e] : [])]
        );
        return inside(document).map(image => image.naturalWidth);
    }"""
    with api.sync_playwright() as playwright:
        options = {"executable_path": shutil.which("chromium"), "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        page = browser.new_page(viewport={"width": 900, "height": 600})
        errors = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:"))
                else errors.append(r.url))  # fmt: skip
        page.goto(f"file://{world[0]}")
        search = page.locator("input[type=text]").first
        search.fill("湖")
        search.press("Enter")
        page.wait_for_timeout(1500)
        assert page.evaluate(state) == ["湖"]
        box = page.locator(".bk-Figure").first.bounding_box()  # the search has put it in the middle
        middle = box["x"] + 5 + (box["width"] - 35) / 2, box["y"] + box["height"] / 2
        page.mouse.move(middle[0] - 20, middle[1])
        page.mouse.move(*middle)
        page.wait_for_timeout(800)
        assert page.evaluate(pictures) == [THUMBNAIL]
        search.fill('a "')
        search.press("Enter")
        page.get_by_text("by pixels", exact=True).click()
        page.get_by_text("by layout", exact=True).click()
        page.wait_for_timeout(800)
        assert page.evaluate(state) == list("河海湖江")
        browser.close()
    assert errors == []
