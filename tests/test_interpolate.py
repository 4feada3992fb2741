"""Walks between characters, by the command line: their ends, their size, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import files, make_pipeline
from PIL import Image

from autoencoder.data.fonts import default_font, draw_glyph, load_font
from diffusion.pictures import LABEL, MARGIN
from diffusion.pipeline import to_pil

pytest.importorskip("pylopdf_fonts_zh_cn")

CELL = 128 + MARGIN


@pytest.fixture
def walk(script, tiny_model_folder):
    """interpolate.py with the tiny model, in few steps."""

    def call(verb, *arguments):
        options = () if "--model" in arguments else ("--model", tiny_model_folder)
        steps = () if "--steps" in arguments else ("--steps", 2)
        return script("interpolate.py", verb, *arguments, *options, *steps, "--device", "cpu")

    return call


def pixels(path, column=0, row=0):
    """A glyph of a picture with labels."""
    x, y = MARGIN + column * CELL, MARGIN + row * (CELL + LABEL + MARGIN)
    return np.asarray(Image.open(path).convert("L"), int)[y : y + 128, x : x + 128]


def reconstruction(character):
    """What the autoencoder makes of a character, once its latents are refined."""
    glyph = torch.tensor(draw_glyph(character, load_font(default_font())))[None, None] / 255
    model = make_pipeline().autoencoder
    with torch.inference_mode():
        return np.asarray(to_pil(model.decode(model.refine(glyph)))[0], int)


def test_both_ends_are_the_autoencoder_s_own(walk):
    result = walk("glyphs", "明", "草", "--frames", 5)
    assert result.code == 0, result.err
    assert files() == ["明-草.png"]
    assert result.err == ""
    width, height = Image.open("明-草.png").size
    assert f"wrote 明-草.png: {width}×{height}" in result.out
    assert width == MARGIN + 5 * CELL
    assert abs(pixels("明-草.png", 0) - reconstruction("明")).max() <= 1
    assert abs(pixels("明-草.png", 4) - reconstruction("草")).max() <= 1


def test_a_square_has_four_characters_at_its_corners(walk):
    assert walk("glyphs", *"明草河火", "--frames", 3, "--out", "a/square.png").code == 0
    for character, column, row in (("明", 0, 0), ("草", 2, 0), ("河", 0, 2), ("火", 2, 2)):
        found = pixels("a/square.png", column, row)
        assert abs(found - reconstruction(character)).max() <= 1, character


def test_through_diffusion_there_is_a_second_row(walk):
    options = "glyphs", "明", "草", "--frames", 3, "--through", "Diffusion"
    assert walk(*options, "--time", 0.6, "--out", "far.png").code == 0
    assert walk(*options, "--time", 0, "--out", "none.png").code == 0
    assert abs(pixels("far.png", 0, 0) - reconstruction("明")).max() <= 1
    assert abs(pixels("far.png", 1, 1) - pixels("far.png", 1, 0)).mean() > 1
    assert (pixels("none.png", 1, 1) == pixels("none.png", 1, 0)).all()  # no noise, no change
    assert walk(*options, "--time", 0.6, "--prompt", "fire", "--out", "fire.png").code == 0
    assert (pixels("fire.png", 1, 1) != pixels("far.png", 1, 1)).any()


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_an_animation_comes_back_without_a_jump(walk, kind):
    out = f"walk.{kind}"
    assert walk("glyphs", *"明草河火", "--frames", 24, "--out", out).code == 0
    with Image.open(out) as animation:
        assert animation.n_frames == 24
        assert animation.size == (MARGIN + CELL, MARGIN + CELL + LABEL + MARGIN)
        assert animation.info.get("loop") == 0
        frames = []
        for i in range(24):
            animation.seek(i)
            frames.append(np.asarray(animation.convert("L"), float)[: MARGIN + CELL])
    around = np.stack([*frames, frames[0]])
    changes = abs(np.diff(around, axis=0)).mean((1, 2))
    assert changes.max() < 4 * changes.mean()
    assert changes.min() > 0


def test_prompts_and_seeds_end_in_what_they_would_draw(walk, script, tiny_model_folder):
    def plain(prompt, seed):
        options = "--count", 1, "--steps", 2, "--model", tiny_model_folder, "--device", "cpu"
        script("generate.py", prompt, "--seed", seed, *options, "--out", "plain.png", "--overwrite")
        image = np.asarray(Image.open("plain.png"), int)
        return image[MARGIN : MARGIN + 128, MARGIN : MARGIN + 128]

    assert walk("prompts", "gold", "fish", "--frames", 3, "--seed", 3).code == 0
    assert walk("seeds", "gold", "--seed", 3, "--last", 8, "--frames", 3).code == 0
    assert "gold-fish.png" in files()
    assert abs(pixels("gold-fish.png", 0) - plain("gold", 3)).max() <= 1
    assert abs(pixels("gold-fish.png", 2) - plain("fish", 3)).max() <= 1
    assert abs(pixels("gold-3-8.png", 0) - plain("gold", 3)).max() <= 1
    assert abs(pixels("gold-3-8.png", 2) - plain("gold", 8)).max() <= 1
    assert (pixels("gold-3-8.png", 1) != pixels("gold-3-8.png", 0)).any()


def test_an_edit_begins_with_the_character_and_moves_away(walk):
    assert walk("edit", "明", "--towards", "water", "--frames", 4, "--steps", 3).code == 0
    first = pixels("明-water.png", 0)
    assert abs(first - reconstruction("明")).max() <= 1
    away = [abs(pixels("明-water.png", i) - first).mean() for i in range(4)]
    assert away[3] > away[1] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("glyphs", "明", "草", "河"), "3 characters: give two, or four"),
        (("glyphs", "明草"), "a space goes between characters"),
        (("glyphs", "明", "草", "--prompt", "water"), "belongs to --through diffusion"),
        (("glyphs", "明", "草", "--time", 2), "a time of 2: take 0"),
        (("glyphs", "明", "草", "--time", "nan"), "a time of nan"),
        (("glyphs", "明", "x\U0001f409"), "no glyph for"),
        (("glyphs", "明", "\U0001f409"), "no glyph for"),
        (("glyphs", "明", "草", "--font", "nowhere.ttf"), "no font at nowhere.ttf"),
        (("glyphs", "明", "草", "--index", 1), "no font of index 1"),
        (("glyphs", "🙂", "草"), 'has no glyph for "🙂": name one character'),
        (("edit", "明", "--towards", "gold", "--index", 1), "no font of index 1"),
        (("glyphs", "明", "草", "--out", "x.jpg"), "end the name in .png"),
        (("glyphs", "明", "草", "--frames", 1), "--frames"),
        (("glyphs", *"明草河火", "--loop"), "a square of glyphs is no walk"),
        (("seeds", "gold", "--frames", 401), "401 glyphs in a strip: take 400, or name a .webp"),
        (("glyphs", *"明草河火", "--frames", 65), "a square of 65 by 65 glyphs: take at most 4096"),
        (("glyphs", "明", "草", "--steps", 0), "take 1 to 1000"),
        (("prompts", "gold", ""), "empty prompt"),
        (("prompts", "gold AND fish", "water"), "a conjunction on one side"),
        (("seeds", "gold", "--last", -1), "seed -1"),
        (("edit", "明", "--towards", " "), "empty prompt"),
        (("edit", "明"), "--towards"),
        (("edit", "明", "--towards", "x", "--model", "nowhere"), "no model in nowhere"),
        (("dance",), "No such command"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_leaves_nothing(walk, arguments, said):
    result = walk(*arguments)
    assert result.code == 2, result.out
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert said in result.err
    assert files() == []


def test_an_mp4_is_written_where_there_is_ffmpeg_and_refused_where_not(walk, monkeypatch):
    import shutil

    if shutil.which("ffmpeg"):
        assert walk("glyphs", "明", "草", "--frames", 4, "--out", "x.mp4").code == 0
        assert b"ftyp" in Path("x.mp4").read_bytes()[:16]
        Path("x.mp4").unlink()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = walk("glyphs", "明", "草", "--frames", 4, "--out", "x.mp4")
    assert result.code == 2
    assert "ffmpeg" in result.err
    assert files() == []


def test_help_teaches(script):
    for verb in ("glyphs", "prompts", "seeds", "edit"):
        result = script("interpolate.py", verb, "--help")
        assert result.code == 0
        assert "python scripts/interpolate.py " + verb in result.out
