"""The exported folder is held to the pipeline, picture by picture and choice by choice."""

import importlib
import json
import random
import runpy
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import slow

pytest.importorskip("onnxscript", reason='pip install ".[export]"')

from conditioning.radicals import RADICALS
from diffusion import GlyphPipeline
from diffusion.export import MANIFEST, export_onnx
from diffusion.export.networks import pack
from diffusion.inventions import Inventor, sketcher
from diffusion.philox import Philox, Stream
from diffusion.request import Request

OWN = "draw", "choices", "philox", "prompts", "sketches"  # modules of a folder


@pytest.fixture(scope="module")
def runner(exported):
    """The modules of an exported folder, as programs in it import them."""
    sys.path.insert(0, str(exported))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in OWN})
    sys.path.remove(str(exported))
    for name in OWN:
        del sys.modules[name]


@pytest.fixture(scope="module")
def model(runner, exported):
    return runner.draw.Model(exported)


@pytest.fixture(scope="module")
def pipe():
    return GlyphPipeline.from_pretrained()


def drawn_alike(model, pipe, prompt, seed, **settings):
    """The share of pixels within two grey levels of the pipeline's; all else must be the same."""
    settings = {"radical": "auto", "part": "auto", "sound": "", "layout": "none"} | settings
    glyph = model.draw(model.chooser.ask(prompt, **settings), seed)
    drawn = pipe(prompt, seed=seed, **(settings | {"sound": settings["sound"] or None}))
    (made,), (image,) = drawn.inventions, drawn.images
    assert (glyph.made.caption, glyph.made.part) == (made.caption, made.part)
    assert glyph.made.way == made.arrangement and [glyph.redrawn] == drawn.redrawn
    assert glyph.exists == any(match.exists for match in drawn.matches)
    return (np.abs(np.subtract(glyph.image, image, dtype=int)) <= 2).mean()


@pytest.mark.parametrize(
    ("prompt", "settings", "alike"),
    [
        ("gold", {}, 0.998),
        ("sea monster; part ghost", {"radical": "fish"}, 0.998),
        ("robot", {"sound": "luo"}, 0.998),
        ("fish; top-bottom", {}, 0.998),
        ("bamboo", {"part": "none"}, 0.98),
    ],
)
def test_the_folder_draws_what_the_pipeline_draws(model, pipe, prompt, settings, alike):
    assert drawn_alike(model, pipe, prompt, 5, **settings) >= alike


@slow
def test_a_model_of_any_folder_is_exported(runner, tiny_model_folder, tmp_path):
    pipe = GlyphPipeline.from_pretrained(tiny_model_folder)
    pipe.recognizer = None  # it may be missing, too
    known = export_onnx(pipe, tmp_path)
    assert known["model"] == pipe.denoiser.fingerprint
    assert not (tmp_path / "prior.onnx").exists()  # its text encoder is another one's
    model = runner.draw.Model(tmp_path)
    assert drawn_alike(model, pipe, "gold", 3, radical="metal") >= 0.99
    assert drawn_alike(model, pipe, "sea dragon", 3) >= 0.99


def test_another_process_is_not_exported(tiny_pipeline, tmp_path):
    tiny_pipeline.denoiser.config = replace(tiny_pipeline.denoiser.config, process="cosine")
    with pytest.raises(ValueError, match="only the velocity of flow"):
        export_onnx(tiny_pipeline, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_choices_are_those_of_python(runner, exported):
    tables, settings = (
        json.loads((exported / name).read_text("utf-8")) for name in ("tables.json", MANIFEST)
    )
    settings = SimpleNamespace(**settings["settings"])

    def logits(words):
        return np.array(Philox(len(words), Stream.RADICAL).standard_normal(len(RADICALS)))

    def radical(words, seed, turn):
        return RADICALS[runner.choices.choose(chooser.chances(words), seed, 2, turn) - 1]

    chooser = runner.choices.Chooser(tables, settings, sketcher(), logits)
    chance, made = random.Random(0), []
    for seed in range(150):
        radicals = "auto", "auto", "auto", "metal", "水", "149", chance.choice(RADICALS).forms[-1]
        words = (
            "gold",
            "Sea  monster",
            "fish; top bottom",
            "金",
            "鋰; left-right",
            "door; part of it",
        )
        own = chance.choice(
            [{}, {}, {}, {"part": "none"}, {"part": "里"}, {"part": "a ghost"}, {"part": "⺡"}]
            + [{"sound": sound} for sound in ("luo", "luó", "lv4", "lu:", "ma5", "jing1", "blorp")]
        )
        prompt, layouts = chance.choice(words), ["none", "left-right", "top-bottom", "enclosed"]
        layout = "none" if prompt in words[2::2] else chance.choice(layouts)  # it has its own
        asked = {"radical": chance.choice(radicals), "layout": layout, **own}

        def python(prompt=prompt, asked=asked, seed=seed):
            found = Inventor(Request(prompt, **asked), radical)(prompt, seed, seed + 99)
            return found.caption, found.part, found.arrangement, found.fixed

        def folder(prompt=prompt, asked=asked, seed=seed):
            asked = {"part": "auto", "sound": "", **asked}
            found = chooser.invent(chooser.ask(prompt, **asked), seed, seed + 99)
            return found.caption, found.part, found.way, found.fixed

        made.append(outcome(python))
        assert outcome(folder) == made[-1], (prompt, asked, seed)
    assert 20 < sum(one is ValueError for one in made) < 75
    assert len(set(made)) > 60


def outcome(choose):
    try:
        return choose()
    except ValueError:
        return ValueError


def test_the_manifest_knows_every_file_and_all_fit_in_fifty_megabytes(exported):
    files = json.loads((exported / MANIFEST).read_text("utf-8"))["files"]
    assert {path.name for path in exported.iterdir()} - {MANIFEST, "__pycache__"} == files.keys()
    for name, known in files.items():
        data = (exported / name).read_bytes()
        assert known == {"sha256": sha256(data).hexdigest(), "bytes": len(data)}
    assert sum(known["bytes"] for known in files.values()) < 50e6
    assert len((exported / "draw.py").read_text("utf-8").splitlines()) <= 200


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_packed_weights_are_within_half_a_step(bits):
    numbers = np.random.default_rng(0).normal(size=(8, 3, 4, 4)).astype(np.float32)
    stored, rest = pack(numbers, bits), bits - 8
    codes = stored["high"].astype(int) << rest
    if rest:
        shifts = range(8 - rest, -1, -rest)
        codes += np.concatenate([stored["low"] >> n & 2**rest - 1 for n in shifts], axis=1)
    read, blocks = codes * stored["scale"].astype(float), numbers.reshape(codes.shape)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    assert (np.abs(read - blocks) / largest).max() < 1.01 / 2**bits
    assert not pack(np.zeros((2, 32), np.float32), bits)["high"].any()


def test_a_copy_draws_by_itself(exported, tmp_path):
    """With nothing of this repository, and no PyTorch."""
    program = (
        f"import runpy, sys; sys.path[:0] = [{str(exported)!r}]; sys.argv = ['draw.py', 'gold',"
        f" '--count', '3', '--out', 'own.png']; runpy.run_path({str(exported / 'draw.py')!r},"
        " run_name='__main__'); print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stderr == "" and "wrote own.png: 3 glyphs" in done.stdout
    imported = done.stdout.splitlines()[-1]
    for name in ("torch", "conditioning", "diffusion", "autoencoder"):
        assert f"'{name}'" not in imported
    assert [path.name for path in tmp_path.iterdir()] == ["own.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say what to draw"),
        (["sickness AND fire"], "without AND"),
        (["gold", "--part", "blorp"], 'no part "blorp"'),
        (["gold", "--sound", "blorp"], 'no part is read "blorp"'),
        (["gold", "--radical", "blorp"], 'no radical "blorp"'),
        (["gold", "--radical", "metal", "--part", "里", "--layout", "enclosed"], "never stand so"),
        (["gold", "--part", "里", "--sound", "li"], "one part beside"),
        (["gold", "--count", "0"], "take 1 to"),
        (["gold", "--seed", "x"], "invalid int"),
        (["gold", "--guidance", "nan"], "take 1 to 8"),
        (["gold", "--out", "gold.jpg"], "name a .png"),
        (["gold", "--out", "no/gold.png"], "a folder that is there"),
    ],
)
def test_bad_input_ends_in_one_line(
    runner, exported, tmp_path, monkeypatch, capfd, options, message
):
    check_error(exported, tmp_path, monkeypatch, capfd, options, message)


def test_a_damaged_copy_says_so(runner, exported, tmp_path, monkeypatch, capfd):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in exported.glob("*.*"):
        (copy / path.name).symlink_to(path)
    (copy / "draw.py").unlink()
    (copy / "draw.py").write_bytes((exported / "draw.py").read_bytes())
    for name in ("decoder.onnx", "tables.json", "outlines.tsv.gz", MANIFEST):
        half = (copy / name).read_bytes()[:-1000]
        (copy / name).unlink()
        (copy / name).write_bytes(half)
        check_error(copy, tmp_path, monkeypatch, capfd, ["gold", "-n", "1"], "missing or damaged")
        (copy / name).unlink()
        (copy / name).symlink_to(exported / name)


def check_error(folder, place, monkeypatch, capfd, options, message):
    """The program in a folder ends with one line, code 2 and no new file."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["draw.py", *options])
    before = sorted(place.iterdir())
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(folder / "draw.py"), run_name="__main__")
    said = capfd.readouterr().err
    assert end.value.code == 2 and said.count("\n") == 1
    assert said.startswith("error: ") and message in said
    assert sorted(place.iterdir()) == before
