"""Files that the page makes: the same outlines, pictures and fonts as from Python."""

import json
import subprocess
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import ots
import pytest
import uharfbuzz
from fontTools.pens.recordingPen import RecordingPen
from fontTools.ttLib import TTFont
from PIL import Image

from autoencoder.sketches import Sketcher, rasterise
from diffusion.export.page import SOURCES
from diffusion.fonts import Latin, make_font
from diffusion.outlines import path_data, read_svg, to_svg, trace
from diffusion.pictures import file_stem, sheet

ESBUILD = SOURCES / "node_modules" / ".bin" / "esbuild"
WORDS = ["gold", "sea monster", "Don't", "a", "café", "star", "鋰", "10"]
ABOUT = {"prompt": "<gold> & “水”", "caption": "café", "seed": "7"}
STEMS = ["Sea monster!", "", "con", "水と火", "a" * 70, "words and " * 9]
TEXTS = [
    "Gold GOLD golden marigold gold's 'gold' gold7",
    "the sea monster, (Sea Monster) seas monster",
    "don't Don’t dont a A ab a's",
    "star-gold AVATAR To café CAFÉ 10 100",
]


def shapes():
    """Holes, corners that touch, curves and ties, as polygons in parts of the em."""

    def ring(n, radius, x=0.5, y=0.5, turn=0.0):
        angles = turn + 2 * np.pi * np.arange(n) / n
        return np.array([x, y]) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    yield [ring(200, 0.4)]
    yield [ring(200, 0.4), ring(200, 0.2)[::-1]]
    yield [square * 0.3 + 0.2, square * 0.3 + 0.5]  # touch at a corner
    yield [square * 0.7 + 0.15, (square * 0.4 + 0.3)[::-1]]
    yield [ring(4, 0.4)]
    yield [ring(6, 0.35, turn=0.2), ring(5, 0.1, 0.9, 0.1)]
    yield []
    yield [square * [0.8, 0.1] + [0.1, 0.45], square * [0.1, 0.8] + [0.45, 0.1]]


@pytest.fixture(scope="module")
def glyphs():
    """`(N, 128, 128)` grey, 255 = paper."""
    sketcher = Sketcher.load()
    places = [*product("a", "金木氵言", "里工分方文"), *product("d", "宀雨", "里工分")]
    places += product(["sbl"], "辶", "里文分")
    drawn = [sketcher.sketch(*place) for place in places if sketcher.can(*place)]
    assert len(drawn) > 20
    inks = np.stack([*drawn, *map(rasterise, shapes())])
    return np.uint8(np.round(255 * (1 - inks)))


@pytest.fixture(scope="module")
def made(node, glyphs, tmp_path_factory):
    """The folder of what the page makes of glyphs."""
    folder = tmp_path_factory.mktemp("formats")
    (folder / "glyphs.bin").write_bytes(glyphs.tobytes())
    (folder / "asked.json").write_text(json.dumps({"words": WORDS, "about": ABOUT, "stems": STEMS}))
    options = ["--bundle", "--platform=node", "--format=esm", "--log-level=error"]
    source, bundle = SOURCES / "test" / "formats.ts", folder / "formats.mjs"
    subprocess.run([ESBUILD, source, *options, f"--outfile={bundle}"], check=True)
    subprocess.run(["node", bundle, folder], check=True)
    return folder


def traced(glyphs):
    return [trace(Image.fromarray(glyph)) for glyph in glyphs]


def test_outlines_are_those_of_python(glyphs, made):
    known = json.loads((made / "known.json").read_text("utf-8"))
    for ours, theirs in zip(map(path_data, traced(glyphs)), known["paths"], strict=True):
        pairs = list(zip(ours.split(), theirs.split(), strict=True))
        assert all(a == b or abs(int(a) - int(b)) <= 1 for a, b in pairs)


def test_names_of_files_are_those_of_python(made):
    assert json.loads((made / "known.json").read_text("utf-8"))["stems"] == [*map(file_stem, STEMS)]


def test_a_sheet_is_the_same_svg(glyphs, made):
    text = (made / "sheet.svg").read_text("utf-8")
    assert text == to_svg(traced(glyphs[:6]), blocks=2)
    assert len(ElementTree.fromstring(text).findall("{*}path")) == 6


def test_a_glyph_as_svg_is_read_back(glyphs, made):
    known, outline = read_svg((made / "glyph.svg").read_text("utf-8"))
    assert known == ABOUT
    assert path_data(outline) == path_data(trace(Image.fromarray(glyphs[0])))


def test_a_png_has_the_pixels_and_its_text(glyphs, made):
    with Image.open(made / "sheet.png") as image:
        image.load()
        assert image.text == ABOUT
        assert image.mode == "L"
        assert image.tobytes() == sheet([*map(Image.fromarray, glyphs[:6])], 2).tobytes()


def test_letters_of_fonts_are_those_of_noto():
    table = json.loads((SOURCES / "src" / "formats" / "latin.json").read_text("utf-8"))
    assert table == json.loads(json.dumps(Latin.read().table()))


# ---- fonts ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fonts(glyphs, made):
    """The page's font, and the same one by Python."""
    make_font(traced(glyphs[: len(WORDS)]), WORDS, made / "python.otf", family="Tiān")
    return TTFont(made / "font.otf"), TTFont(made / "python.otf")


def test_a_font_is_sound(made):
    found = ots.sanitize(str(made / "font.otf"), capture_output=True)
    assert found.returncode == 0, found.stderr.decode()
    assert not found.stderr


@pytest.mark.parametrize("tag", ["head", "hhea", "maxp", "OS/2", "post", "vhea", "VORG"])
def test_a_font_has_the_measures_of_pythons(fonts, tag):
    ours, theirs = (vars(font[tag]) for font in fonts)
    for name, value in theirs.items():
        if isinstance(value, int | float | str) and name != "checkSumAdjustment":
            assert ours[name] == value, name


def test_a_font_has_the_names_of_pythons(fonts):
    ours, theirs = ([(n.nameID, n.toUnicode()) for n in font["name"].names] for font in fonts)
    assert ours == theirs
    cffs = [font["CFF "].cff for font in fonts]
    assert cffs[0].fontNames == cffs[1].fontNames
    assert cffs[0][0].FullName == cffs[1][0].FullName


def test_glyphs_are_drawn_and_set_as_by_python(fonts):
    assert fonts[0].getBestCmap().keys() == fonts[1].getBestCmap().keys()
    for code in fonts[0].getBestCmap():
        seen = []
        for font in fonts:
            name, pen = font.getBestCmap()[code], RecordingPen()
            font.getGlyphSet()[name].draw(pen)
            seen.append((pen.value, font["hmtx"][name], font["vmtx"][name]))
        assert seen[0] == seen[1], chr(code)


@pytest.mark.parametrize("text", TEXTS)
def test_words_become_their_characters_as_by_python(fonts, text):
    lines = []
    for font in fonts:
        codes = {font.getGlyphID(name): code for code, name in font.getBestCmap().items()}
        shaper = uharfbuzz.Font(uharfbuzz.Face(Path(font.reader.file.name).read_bytes()))
        buffer = uharfbuzz.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        uharfbuzz.shape(shaper, buffer)
        places = zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
        lines.append([(codes[info.codepoint], place.x_advance) for info, place in places])
    assert lines[0] == lines[1]
    assert any(code >= 0xE000 for code, _ in lines[0])
