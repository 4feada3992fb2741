"""Files that a disk, a copy or a stranger has changed: one clear line, or what they were.

`DAMAGES=1000 pytest tests/test_damage.py` damages each file as often.
"""

import json
import lzma
import os
import random
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from conftest import SCRIPTS, make_prior, make_text_encoder
from test_fonts import build_font

from autoencoder.data.fonts import GlyphError, default_font, write_glyphs
from autoencoder.data.glyphs import GlyphDataset, record
from autoencoder.readers.recognizer import Recognizer
from conditioning.sources.tables import LARGEST, read_table, read_unihan
from diffusion import GlyphPipeline
from diffusion.training.data import cached

COUNT = int(os.environ.get("DAMAGES", 40))  # ways in which each file is damaged
ODD = [None, True, -1, 0, 1, 7, 1e300, 10**30, float("nan"), "", "../../etc", "os.system", [], {}]


def mutated(data, count=COUNT, seed=0):
    """The bytes of a file, damaged in as many ways."""
    dice = random.Random(seed)
    for _ in range(count):
        at, length = dice.randrange(len(data)), dice.randrange(1, 64)
        head, piece, rest = data[:at], data[at : at + length], data[at + length :]
        flipped = bytes([piece[0] ^ 1 << dice.randrange(8)]) + piece[1:]
        noise = dice.randbytes(length)
        yield dice.choice(
            [
                head + flipped + rest,
                head + noise + rest,
                head + bytes(length) + rest,
                head + piece + piece + rest,
                head + rest,
                head,
                noise,
            ]
        )


def mutated_json(data, count=COUNT, seed=0):
    """A JSON file in which one value, at any depth, is another, gone, or joined by another."""
    dice = random.Random(seed)

    def places(value, path=()):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield (*path, key)
            if isinstance(inner, dict | list):
                yield from places(inner, (*path, key))

    every = list(places(json.loads(data)))
    for _ in range(count):
        value = json.loads(data)
        *path, key = dice.choice(every)
        holder = value
        for step in path:
            holder = holder[step]
        change = dice.randrange(4)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder["_" + str(key)] = dice.choice(ODD)
        elif isinstance(holder[key], int | float) and change == 2:
            holder[key] = dice.choice([holder[key] + 1, -holder[key], holder[key] * 1000])
        else:
            holder[key] = dice.choice(ODD)
        yield json.dumps(value).encode()


def all_of(pipeline):
    """What tells one pipeline from another, and the weights of the decoder, which do not."""
    parts = pipeline.denoiser, pipeline.autoencoder, pipeline.text_encoder, pipeline.prior
    weights = torch.cat([weight.flatten() for weight in pipeline.autoencoder.parameters()])
    return [part.fingerprint for part in parts], weights.tolist()


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "autoencoder/config.json",
        "autoencoder/model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "text_encoder/tokenizer.json",
        "prior/config.json",
        "prior/model.safetensors",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_model_is_one_line_and_never_another_model(
    tiny_model_folder, tmp_path, name, monkeypatch
):
    monkeypatch.setattr(Recognizer, "bundled", tmp_path / "none")  # it takes longest to load
    folder = Path(copytree(tiny_model_folder, tmp_path / "model"))
    make_prior(make_text_encoder()).save_pretrained(folder / "prior")
    whole = all_of(GlyphPipeline.from_pretrained(folder))
    path = folder / name
    data = path.read_bytes()
    damaged = list(mutated(data))
    if name.endswith(".json"):
        damaged += mutated_json(data)
    refused = 0
    for change in damaged:
        path.write_bytes(change)
        try:
            found = GlyphPipeline.from_pretrained(folder)
        except (ValueError, OSError) as error:
            assert "\n" not in str(error), change
            refused += 1
        else:
            assert all_of(found) == whole, change
    assert refused > 0.3 * len(damaged)


@pytest.fixture(scope="module")
def glyph_folder(tmp_path_factory):
    pytest.importorskip("pylopdf_fonts_zh_cn")
    folder = tmp_path_factory.mktemp("glyphs")
    records = [record(chr(0x4E00 + i), 1 + i, 1 + i, f"gold {i}") for i in range(12)]
    write_glyphs(folder, records, default_font(), size=16)
    return folder


@pytest.mark.parametrize("name", ["glyphs.json", "glyphs.tsv", "glyphs.npy"])
def test_damaged_glyphs_are_one_line_or_still_glyphs(glyph_folder, tmp_path, name):
    folder = Path(copytree(glyph_folder, tmp_path / "data"))
    data = (folder / name).read_bytes()
    damaged = [*mutated(data), *(mutated_json(data) if name.endswith(".json") else ())]
    for change in damaged:
        (folder / name).write_bytes(change)
        try:
            glyphs = GlyphDataset(folder)
        except GlyphError as error:
            assert "\n" not in str(error), change
        else:
            assert glyphs.images(range(12)).shape == (12, 1, 16, 16), change
            assert all(1 <= one.radical <= 214 for one in glyphs.records), change


def test_a_damaged_cache_is_made_anew(tmp_path):
    truth = {"tokens": np.arange(500.0), "offsets": np.arange(5)}
    cached(tmp_path, "words", "gold", lambda: truth)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    kept = 0
    for change in mutated(data):
        path.write_bytes(change)
        made = cached(tmp_path, "words", "gold", lambda: truth)
        kept += path.read_bytes() == change
        assert made.keys() == truth.keys(), change
        assert all((made[name] == truth[name]).all() for name in truth), change
    assert kept < 0.2 * COUNT


def test_a_damaged_table_is_one_line(tmp_path):
    path = tmp_path / "unihan.tsv.xz"
    rows = [("character", "kDefinition", "kRSUnicode", "kTotalStrokes")]
    rows += [(chr(0x4E00 + i), f"gold {i}", "1.0", "1") for i in range(50)]
    path.write_bytes(lzma.compress("".join("\t".join(row) + "\n" for row in rows).encode()))
    data = path.read_bytes()
    assert read_unihan(path) == rows[1:]
    for change in mutated(data):
        path.write_bytes(change)
        try:
            assert read_unihan(path) == rows[1:], change
        except ValueError as error:
            assert "\n" not in str(error), change


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.xz"
    path.write_bytes(lzma.compress(bytes(LARGEST + 1)))
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match="is larger than 32 MiB"):
        read_table(path)
    greedy = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**30}]
    path.write_bytes(lzma.compress(b"small", filters=greedy))
    with pytest.raises(ValueError, match="is damaged"):
        read_table(path)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_font_is_one_line_or_draws(tmp_path):
    source = tmp_path / "whole.ttf"
    build_font(source)
    path = tmp_path / "font.ttf"
    for change in mutated(source.read_bytes()):
        path.write_bytes(change)
        try:
            write_glyphs(tmp_path / "data", [record("一", 1, 1, "one")], path, size=32)
        except (GlyphError, OSError) as error:
            assert "\n" not in str(error), change


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_checkpoint_is_one_line_or_what_it_was(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from _safety import SafeCheckpoints

    path, plugin = tmp_path / "last.ckpt", SafeCheckpoints()
    plugin.save_checkpoint({"step": 3, "weights": {"a": torch.arange(100.0)}}, path)
    for change in mutated(path.read_bytes()):
        path.write_bytes(change)
        try:
            found = plugin.load_checkpoint(path)
        except ValueError as error:
            assert "\n" not in str(error), change
        else:
            assert found["step"] == 3, change
