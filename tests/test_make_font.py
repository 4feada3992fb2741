"""Fonts: what HarfBuzz, FreeType and the OpenType sanitiser make of them, and the command line."""

import csv
import os
import re
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import SCRIPTS, files, make_pipeline, process, shake
from fontTools.pens.recordingPen import RecordingPen
from fontTools.ttLib import TTFont
from fontTools.ufoLib import UFOReader
from PIL import Image, ImageFont

from autoencoder.data.fonts import EM, default_font, draw_glyph, load_font
from conditioning.words import content_words
from diffusion.fonts import Font, characters_of, make_font
from diffusion.outlines import path_data, to_svg, trace
from diffusion.specimen import SHOT, browser, page, take_pictures
from diffusion.training.student import student_of

hb = pytest.importorskip("uharfbuzz")
ots = pytest.importorskip("ots")

WORDS = [
    "gold", "sea", "sea monster", "monster", "ice", "old", "one", "include", "by", "i", "café",
    "mother", "mother-in-law", "o'clock", "mp3", "king's", "66",
]  # fmt: skip
TYPED = WORDS[:-1]
CHARACTERS = 2 * "金海怪鬼冰老一入近我咖母姑時樂王六"


@pytest.fixture(scope="module")
def glyphs(draw):
    """Pixels `(34, 128, 128)`, two glyphs for each word."""
    return draw(CHARACTERS)[:, 0].numpy()


@pytest.fixture(scope="module")
def made(glyphs):
    return Font.of([trace(glyph) for glyph in glyphs], WORDS)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fonts")
    for ending in ("ttf", "otf", "woff2", "ufo"):
        made.save(folder / f"font.{ending}")
    return folder


def shaper(path):
    """A function from a text to the names of the glyphs that HarfBuzz sets for it."""
    face = hb.Font(hb.Face(hb.Blob.from_file_path(str(path))))

    def shape(text, **features):
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        hb.shape(face, buffer, features)
        return [face.glyph_to_string(info.codepoint) for info in buffer.glyph_infos]

    return shape


@pytest.fixture(scope="module", params=["ttf", "otf"])
def shape(folder, request):
    return shaper(folder / f"font.{request.param}")


@pytest.fixture(scope="module")
def named(made):
    """The glyph of each word."""
    return {one.word: one.glyph for one in made.characters}


def test_every_word_becomes_its_character_wherever_it_stands(shape, named):
    for word, text in product(
        TYPED, ("{}", "see {}, then", "({})", "“{}”", "a-{}-a", "{}.", "{}’")
    ):
        for spelt in (word, word.capitalize(), word.title() if " " in word else word, word.upper()):
            around = shape(text.format("@"))
            around[around.index("at")] = named[word]
            assert shape(text.format(spelt)) == around, spelt


def test_inside_a_longer_word_it_stays_letters(shape, named):
    for word in TYPED:
        for text in (f"x{word}", f"{word}n", f"7{word}", f"{word}7", f"o'{word}", f"{word}’t"):
            assert named[word] not in shape(text), text
    assert shape("golden dice") == [*"golden", "space", *"dice"]


def test_the_longest_of_two_entries_wins(shape, named):
    assert shape("sea monster") == [named["sea monster"]]
    assert shape("sea monsters") == [named["sea"], "space", *"monsters"]
    assert shape("mother-in-law") == [named["mother-in-law"]]
    assert shape("mother-in-laws")[0] == named["mother"]
    assert shape("king's gold's") == ["king_s", "space", "gold", "quotesingle", "s"]


def test_what_is_off_or_another_drawing(shape, named):
    assert shape("gold", liga=False) == list("gold")
    assert shape("Gold one", ss01=True) == ["gold.ss01", "space", "one.word.ss01"]
    assert shape("\ue000", ss01=True) == ["gold.ss01"]
    assert shape("66") == ["six", "six"]


def test_letters_are_kerned_as_in_their_font(folder):
    ours = hb.Font(hb.Face(hb.Blob.from_file_path(str(folder / "font.ttf"))))
    theirs = hb.Font(hb.Face(hb.Blob.from_file_path(str(default_font()))))
    for text in ("AVAToWaYo", "“Typed, L’Été”"):
        advances = []
        for face in (ours, theirs):
            buffer = hb.Buffer()
            buffer.add_str(text)
            buffer.guess_segment_properties()
            hb.shape(face, buffer, {"pwid": face is theirs, "liga": False})
            advances.append([one.x_advance for one in buffer.glyph_positions])
        assert advances[0] == advances[1]


@pytest.mark.parametrize("ending", ["ttf", "otf", "woff2"])
def test_freetype_draws_the_characters_that_were_traced(folder, ending):
    """In the em box that they were drawn for, as `prepare_data.py` would draw them, at 1024."""
    ours, theirs = (
        load_font(path, size=1024 * EM) for path in (folder / f"font.{ending}", default_font())
    )
    assert (ours.ascent, ours.shift) == (0.88, (0, 0))
    for i, character in enumerate(CHARACTERS[::2]):
        drawn = draw_glyph(chr(0xE000 + i), ours, 1024) > 127
        real = draw_glyph(character, theirs, 1024) > 127
        assert (drawn & real).sum() > 0.9 * (drawn | real).sum(), character


def test_svg_and_font_have_the_same_points(folder, glyphs):
    """Then the two differ only by how programs blend the pixels of an edge."""
    drawn = TTFont(folder / "font.otf").getGlyphSet()
    for code, glyph in enumerate(glyphs[::2], 0xE000):
        pen = RecordingPen()
        drawn[drawn.font.getBestCmap()[code]].draw(pen)
        font = {point for _, points in pen.value for point in points}
        numbers = list(map(int, re.findall("-?[0-9]+", path_data(trace(glyph)))))
        assert {(x, 880 - y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)} == font


def test_glyphs_of_a_pipeline_become_a_font_and_a_sheet(tiny_pipeline, tmp_path):
    words = ["gold", "sea dragon"]
    drawn = tiny_pipeline(words, num_images_per_prompt=2, num_inference_steps=1)
    make_font(drawn.outlines, words, tmp_path / "mine.ttf")
    assert shaper(tmp_path / "mine.ttf")("Gold", ss01=True) == ["gold.ss01"]
    assert to_svg(drawn.outlines, blocks=2).count("<path ") == 4


def test_vertical_text_steps_by_the_em_with_characters_in_the_middle(folder):
    for ending in ("ttf", "otf"):
        face = hb.Font(hb.Face(hb.Blob.from_file_path(str(folder / f"font.{ending}"))))
        buffer = hb.Buffer()
        buffer.add_str("\ue000\ue001")
        buffer.direction, buffer.script = "ttb", "Hani"
        hb.shape(face, buffer)
        for one in buffer.glyph_positions:
            assert (one.y_advance, one.x_offset, one.y_offset) == (-1000, -500, -880)


@pytest.mark.parametrize("ending", ["ttf", "otf", "woff2"])
def test_the_sanitiser_passes_and_tables_say_what_it_is(folder, ending, tmp_path):
    path = folder / f"font.{ending}"
    result = ots.sanitize(str(path), str(tmp_path / "out"), capture_output=True)
    assert result.returncode == 0, result.stderr
    tables = TTFont(path)
    assert tables["OS/2"].fsType == 0
    assert tables["name"].getDebugName(1) == "Tianshu"
    assert "SIL Open Font License" in tables["name"].getDebugName(13)
    assert "Adobe" in tables["name"].getDebugName(0)
    codes = tables.getBestCmap()
    assert [codes[0xE000 + i] for i in range(3)] == ["gold", "sea", "sea_monster"]
    assert len(tables.getGlyphOrder()) == len(set(tables.getGlyphOrder()))


def test_an_editor_reads_the_same_font(folder, made):
    reader = UFOReader(folder / "font.ufo", validate=True)
    glyphs = reader.getGlyphSet(validateRead=True)
    assert {name: codes[0] for name, codes in glyphs.getUnicodes().items() if codes} == {
        name: code for code, name in made.cmap.items()
    }
    assert reader.readFeatures() == made.rules.text
    assert len(glyphs) == len(made.shapes)


def test_the_same_outlines_make_the_same_bytes(made, folder, tmp_path):
    again = Font(**{name: getattr(made, name) for name in made.__dataclass_fields__})
    again.save(tmp_path / "font.ttf")
    assert (tmp_path / "font.ttf").read_bytes() == (folder / "font.ttf").read_bytes()


def test_names_are_those_of_words_and_never_twice():
    words = ["one", "one!", "一", "ümlaut", "9 lives", "x" * 90, "x" * 91]
    names = [one.glyph for one in characters_of(words, 1, ["one"])]
    assert names[:2] == ["one.word", "one.word2"]
    assert names[3:5] == ["umlaut", "word_9_lives"]
    assert len(set(names)) == len(words)
    assert all(re.fullmatch(r"[A-Za-z_][\w.]{0,62}", name) for name in names)


def test_code_points_go_on_in_plane_15():
    characters = characters_of([f"word{i}" for i in range(6401)], 2)
    assert [hex(characters[i].code) for i in (0, 6399, 6400)] == ["0xe000", "0xf8ff", "0xf0000"]


def test_letters_of_another_font(glyphs, tmp_path):
    """A TrueType font of 2048 units with accents as components, and its licence."""
    pytest.importorskip("matplotlib")
    from matplotlib import get_data_path

    path = Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    make_font([trace(glyphs[0])], ["café"], tmp_path / "mine.ttf", family="Mine", latin=path)
    assert "Bitstream" in TTFont(tmp_path / "mine.ttf")["name"].getDebugName(13)
    assert shaper(tmp_path / "mine.ttf")("Café, caf") == ["cafe", "comma", "space", *"caf"]
    mine, real = (ImageFont.truetype(one, 500) for one in (tmp_path / "mine.ttf", path))
    for letter in "Aéß":
        assert abs(mine.getlength(letter) - real.getlength(letter)) < 2
        assert np.abs(np.subtract(mine.getbbox(letter), real.getbbox(letter))[::2]).max() < 3
        ink = [np.asarray(one.getmask(letter), float).sum() for one in (mine, real)]
        assert abs(ink[0] / ink[1] - 1) < 0.02


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (["gold", "gold"], {}, 'the word "gold" is there twice'),
        ([], {}, "no words"),
        (["gold"], {"family": "Noto Gold"}, '"Noto" is reserved'),
        (["gold"], {"family": "龍"}, "take one with Latin letters"),
        (["gold"], {"latin": SCRIPTS / "generate.py"}, "not a font that can be read"),
        (["blank"], {}, 'the glyph of "blank" has no ink'),
    ],
    ids=str,
)
def test_what_makes_no_font(words, options, said, tmp_path, glyphs):
    outlines = [[] if word == "blank" else trace(glyphs[0]) for word in words]
    with pytest.raises(ValueError, match=said):
        make_font(outlines, words, tmp_path / "font.ttf", **options)
    with pytest.raises(ValueError, match=r"a font holds 64,000"):
        characters_of([str(i) for i in range(64_001)], 1)
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_whole_and_shows_words_as_they_are(made):
    characters = [*characters_of(["star <b>"], 1), *made.characters[1:]]
    text = page(made.woff2(), characters, "<i>Mine")
    assert "star &lt;b&gt;" in text and "<b>;" not in text and "<i>Mine" not in text
    assert not re.search(r"(src|href)=|https?://(?!www\.w3\.org)|<script", text)
    assert text.count("<text ") == 3 + 1  # columns of six, and a leaf's number
    for one in characters:
        assert text.count(f"&#x{one.code:X};") == 2


def test_pictures_are_made_whole_or_not_at_all(made, tmp_path, monkeypatch):
    html = tmp_path / "page.html"
    html.write_text(page(made.woff2(), made.characters, made.family), "utf-8")
    pictures = tmp_path / "page.png", tmp_path / "page.pdf"
    if browser():
        assert take_pictures(html, *pictures)
        ink = 255 - np.asarray(Image.open(pictures[0]).convert("L"))
        assert ink.shape == (SHOT[1], SHOT[0])
        columns = (ink[110:1020] > 128).mean(axis=0)  # the first character is at the right
        assert columns[1200:1440].mean() > 0.1 > columns[120:360].mean()
        assert pictures[1].read_bytes().startswith(b"%PDF")
    for path in pictures:
        path.unlink(missing_ok=True)
    monkeypatch.setattr("diffusion.specimen.BROWSERS", ("false",))  # a program that fails
    with pytest.warns(UserWarning, match="no pictures of"):
        assert not take_pictures(html, *pictures)
    assert list(tmp_path.iterdir()) == [html]


def test_common_words_mean_something():
    pytest.importorskip("wordfreq")
    words = content_words(4000)
    assert len(set(words)) == 4000
    assert {"time", "water", "gold", "tiger"} <= set(words)
    assert not {"the", "and", "which", "don't", "is", "would"} & set(words)


# ---- the command line ----------------------------------------------------------------------------


@pytest.fixture
def make(script, tiny_model_folder, monkeypatch):
    """Runs make_font.py with a tiny model, and no browser."""
    monkeypatch.setattr("diffusion.specimen.browser", lambda: None)

    def call(*options):
        options = "--model", tiny_model_folder, "--steps", 1, "--device", "cpu", *options
        return script("make_font.py", *options)

    return call


def test_a_list_becomes_a_font_and_a_cut_run_goes_on(make):
    Path("words.txt").write_text("gold\nGold\nsea dragon\nfish; top-bottom\n66\n", "utf-8")
    result = make("words.txt", "--out", "mine/book.ttf", "--count", 2)
    assert result.code == 0, result.err
    assert "wrote mine/book.ttf: 4 words, 2 glyphs each" in result.out
    assert "only a code point, for 66" in result.out
    assert "kept once: gold" in result.err
    shape = shaper("mine/book.ttf")
    assert shape("Gold, sea dragon fish") == [
        "gold", "comma", "space", "sea_dragon", "space", "fish",
    ]  # fmt: skip
    rows = list(csv.DictReader(StringIO(Path("mine/characters.csv").read_text("utf-8"))))
    assert [row["seed"] for row in rows] == [str(i) for i in range(8)]
    assert rows[4]["prompt"] == "fish; top-bottom" and rows[4]["word"] == "fish"
    assert rows[1]["set"] == "ss01" and rows[1]["glyph"] == "gold.ss01"
    assert "@font-face" in Path("mine/specimen.html").read_text("utf-8")
    whole = Path("mine/book.ttf").read_bytes()

    taken = make("words.txt", "--out", "mine/book.ttf", "--count", 2)
    assert taken.code == 2 and "--overwrite" in taken.err
    parts = sorted(Path("mine/book.parts").iterdir())
    parts[3].unlink()
    again = make("words.txt", "--out", "mine/book.ttf", "--count", 2, "--overwrite")
    assert "7 of 8 glyphs are in mine/book.parts/ already" in again.out
    assert Path("mine/book.ttf").read_bytes() == whole
    parts[3].write_bytes(parts[3].read_bytes()[:150])
    broken = make("words.txt", "--out", "mine/book.ttf", "--count", 2, "--overwrite")
    assert broken.err.endswith(f"error: {parts[3]} is damaged: delete it, and run this again\n")
    assert (broken.code, Path("mine/book.ttf").read_bytes()) == (2, whole)


def test_glyphs_are_those_that_generate_draws(make, script, tiny_model_folder):
    Path("words.txt").write_text("gold\nfish\n", "utf-8")
    assert make("words.txt", "--seed", 5, "--out", "font.ttf").code == 0
    options = "--model", tiny_model_folder, "--steps", 1, "--count", 1, "--seed", 5
    drawn = script("generate.py", "--prompts-file", "words.txt", *options, "--out", "glyphs/")
    assert drawn.code == 0, drawn.err
    for word, number in (("gold", "001"), ("fish", "002")):
        (part,) = Path("font.parts").glob(f"{word}-*.png")
        (file,) = Path("glyphs").glob(f"{number}-{word}*.png")
        assert (np.asarray(Image.open(part)) == np.asarray(Image.open(file))).all()


def test_glyphs_of_another_student_are_drawn_again(make, tmp_path_factory):
    Path("words.txt").write_text("gold\n", "utf-8")
    pipe, models = make_pipeline(), []
    for seed in (1, 2):
        pipe.student = shake(student_of(pipe.denoiser), seed)
        models.append(pipe.save_pretrained(tmp_path_factory.mktemp("model")))
    for model, kept in ((models[0], False), (models[0], True), (models[1], False)):
        result = make("words.txt", "--model", model, "--out", "font.ttf", "--overwrite")
        assert result.code == 0, result.err
        assert ("1 of 1 glyphs are in font.parts/ already" in result.out) == kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["empty.txt"], "no prompts in empty.txt"),
        (["none.txt"], "none.txt"),
        ([], "name a file"),
        (["words.txt", "--words", "common"], "name a file"),
        (["--words", "rare"], 'no words "rare"'),
        (["words.txt", "--out", "font.svg"], "font.svg"),
        (["words.txt", "--count", "22"], "take 1 to 21"),
        (["words.txt", "--family", "Source Han"], '"Source" is reserved'),
        (["many.txt", "--count", "21"], "a font holds 64,000"),
        (["words.txt", "--latin", "words.txt"], "not a font"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(make, options, said):
    Path("words.txt").write_text("gold\n", "utf-8")
    Path("empty.txt").write_text("# nothing\n", "utf-8")
    Path("many.txt").write_text("".join(f"word {i}\n" for i in range(4000)), "utf-8")
    before = files()
    result = make(*options)
    assert result.code == 2
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert said in result.err
    assert files() == before


def test_help_does_not_wait_for_torch_or_fonttools(tmp_path):
    env = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    result = process("make_font.py", "--help", cwd=tmp_path, env=env)
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "typer" in imported and not imported & {"torch", "fontTools"}
    assert "python scripts/make_font.py words.txt --out tianshu.ttf" in result.stdout
