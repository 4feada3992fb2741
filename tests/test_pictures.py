"""Sheets of glyphs, the names of files, and PNGs that say what drew them."""

import shutil
import sys

import pytest
from PIL import Image, ImageFont

from diffusion import pictures
from diffusion.pictures import (
    LABEL,
    MARGIN,
    columns,
    file_stem,
    fitting,
    labelled,
    sheet,
    write_frames,
    write_png,
)


def test_a_sheet_is_as_square_as_its_prompts_allow():
    assert [columns(n) for n in (1, 2, 3, 4, 5, 9, 10, 16, 17)] == [1, 2, 2, 2, 3, 3, 4, 4, 5]
    assert columns(8, blocks=2) == 4  # two rows each
    assert columns(8, blocks=20) == 8
    with pytest.raises(ValueError, match="do not make 2 blocks"):
        sheet([Image.new("L", (4, 4))] * 3, blocks=2)


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("gold", "gold"),
        ("Sea monster", "sea-monster"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\x?*", "c-x"),
        ("龍 и café", "龍-и-café"),
        ("!?", "glyphs"),
        ("-rf", "rf"),
        ("CON", "con-glyphs"),
        ("lpt1", "lpt1-glyphs"),
        ("cafe\u0301", "caf\xe9"),
        ("\U00020000" * 60, "\U00020000" * 45),
        ("word " * 40, "-".join(["word"] * 12)),
        ("x" * 300, "x" * 60),
    ],
)
def test_file_names_are_safe(prompt, stem):
    assert file_stem(prompt) == stem


def test_a_sheet_with_a_row_to_spare_is_white_there():
    paper = sheet([Image.new("L", (10, 10), 0)] * 3)  # two by two
    assert paper.size == (2 * (10 + MARGIN) + MARGIN,) * 2
    assert paper.histogram()[0] == 3 * 100
    assert paper.getpixel((MARGIN + 10 + MARGIN, MARGIN + 10 + MARGIN)) == 255


def test_text_of_every_script_survives_in_a_png(tmp_path):
    about = {"prompt": "café 龍\nсеребро 🐉", "seed": 7}
    write_png(Image.new("L", (2, 2), 9), tmp_path / "x.png", about)
    with Image.open(tmp_path / "x.png") as image:
        assert image.text == {"prompt": about["prompt"], "seed": "7"}
        assert image.getpixel((1, 1)) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_labels_stand_below_their_glyphs_and_take_no_room_where_there_are_none():
    glyph = Image.new("L", (40, 40), 0)
    paper = labelled([[glyph] * 3, [glyph] * 2], [["one", "", "x" * 50], ["", ""]])
    cell = 40 + MARGIN
    assert paper.size == (MARGIN + 3 * cell, MARGIN + 2 * cell + LABEL + MARGIN)
    below = paper.crop((0, MARGIN + 40, paper.width, MARGIN + cell + LABEL))
    dark = [below.crop((MARGIN + i * cell, 0, (i + 1) * cell, below.height)) for i in range(3)]
    ink = [255 - crop.getextrema()[0] for crop in dark]
    assert ink[0] > 100 and ink[1] == 0 and ink[2] > 100
    assert paper.getpixel((MARGIN + 5, MARGIN + cell + LABEL + MARGIN + 5)) == 0  # the second row


@pytest.mark.parametrize("text", ["café", "Жизнь", "0.91 金"])
def test_labels_have_letters_of_every_script(monkeypatch, recwarn, text):
    font, lacking = pictures.label_font(text)
    if lacking:
        pytest.skip("no font here has them")
    assert pictures.label_font("gold")[0].getname() == ImageFont.load_default(LABEL).getname()
    letters = {bytes(font.getmask(letter)) for letter in text}
    assert len(letters) == len(set(text))  # boxes would all be the same
    assert bytes(font.getmask("\U0010ffff")) not in letters
    glyph = Image.new("L", (90, 40), 0)
    shown = labelled([[glyph]], [[text]])
    assert not recwarn.list
    monkeypatch.setattr(pictures, "label_fonts", lambda: [ImageFont.load_default(LABEL)])
    with pytest.warns(UserWarning, match="no font here has [éЖизнь金]+: labels show boxes"):
        assert labelled([[glyph]], [[text]]) != shown


def test_text_is_cut_to_the_width_it_has():
    font = ImageFont.load_default(LABEL)
    assert fitting("gold", font, 1000) == "gold"
    cut = fitting("a name of a variety of grass", font, 60)
    assert "a name of a variety of grass".startswith(cut)
    assert 30 < font.getlength(cut) <= 60
    assert fitting("gold", font, 1) == ""


@pytest.mark.parametrize("kind", ["gif", "webp", "GIF"])
def test_an_animation_has_its_frames_its_size_and_its_rate(tmp_path, kind):
    frames = [Image.new("L", (30, 20), shade) for shade in (0, 60, 120, 250)]
    write_frames(frames, tmp_path / f"x.{kind}", rate=10)
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{kind}"]
    with Image.open(tmp_path / f"x.{kind}") as image:
        assert (image.n_frames, image.size) == (4, (30, 20))
        for i, frame in enumerate(frames):
            image.seek(i)
            assert image.convert("L").getpixel((3, 3)) == frame.getpixel((3, 3))
        assert image.info["duration"] == 100
        assert image.info["loop"] == 0


def test_what_cannot_be_animated_leaves_nothing(tmp_path):
    frames = [Image.new("L", (30, 20), shade) for shade in (0, 60)]
    with pytest.raises(ValueError, match=r"end the name in \.webp, \.gif, \.mp4"):
        write_frames(frames, tmp_path / "x.png")
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        write_frames(frames, tmp_path / "file" / "x.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_ffmpeg_gets_the_frames_and_its_complaint_is_handed_on(tmp_path, monkeypatch):
    """A program in its place keeps what it is given."""
    frames = [Image.new("L", (3, 2), shade) for shade in (0, 60)]
    tool = tmp_path / "ffmpeg"
    tool.write_text(f'#!/bin/sh\ncat > {tmp_path}/seen\nfor last; do :; done\necho mp4 > "$last"\n')
    tool.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(tool))
    write_frames(frames, tmp_path / "x.mp4")
    assert (tmp_path / "seen").read_bytes() == b"\x00" * 6 + b"\x3c" * 6
    assert (tmp_path / "x.mp4").read_text() == "mp4\n"
    tool.write_text("#!/bin/sh\ncat > /dev/null\necho no encoder >&2\nexit 1\n")
    with pytest.raises(ValueError, match="cannot encode this: no encoder"):
        write_frames(frames, tmp_path / "y.mp4")
    assert not (tmp_path / "y.mp4").exists()
