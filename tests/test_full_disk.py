"""Disks that fill and folders that may not be written: refused in a line, what was there is whole.

A limit on the size of files stands in for a full disk: a write beyond it fails half-way.
"""

import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from conftest import FEW, QUIET, TINY, make_autoencoder, make_denoiser, make_text_encoder

from autoencoder.pretrained import WeightsError

ROOM = 1000  # bytes; what is printed has room, what is written has not

# Each writes something else with another seed; {} stands for it.
COMMANDS = {
    "sheet": ["generate.py", "gold", "--count=4", "--seed={}", "--steps=1"],
    "folder": ["generate.py", "gold", "--count=2", "--out=glyphs/", "--overwrite", "--steps=1"],
    "animation": [
        "generate.py",
        "gold",
        "--count=1",
        "--seed={}",
        "--steps=2",
        "--animate=a.gif",
        "--overwrite",
    ],
    "picture": [
        "explore.py",
        "neighbours",
        "gold",
        "--seed={}",
        "--count=1",
        "--steps=1",
        "--data=data",
        "--nearest=2",
        "--out=near.png",
        "--overwrite",
    ],
    "film": ["explore.py", "denoise", "gold", "--seed={}", "--count=1", "--steps=2"],
    "list": ["explore.py", "words", "gold", "--count=1000", "--out=words.txt", "--overwrite"],
    "strip": ["interpolate.py", "seeds", "gold", "--seed={}", "--frames=3", "--steps=1"],
    "glyphs": ["prepare_data.py", "--out=glyphs"],
    "checkpoint": [
        "train_autoencoder.py",
        *QUIET,
        *FEW,
        *TINY["autoencoder"],
        "--trainer.devices=1",
        "--trainer.logger=false",
        "--seed_everything={}",
        "--trainer.max_steps=1",
        "--checkpoint.every_n_train_steps=1",
    ],
}


@contextmanager
def full_disk():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def read_only(monkeypatch):
    """What the system says of a disk that is mounted so, also to one who may write anywhere."""
    access = os.access

    def no_writing(path, mode, **options):
        return not mode & os.W_OK and access(path, mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", no_writing)
        yield


def contents(folder=Path()):
    """Every file under a folder that is not a link, with its bytes."""
    found = {}
    for path in folder.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir():
            found |= contents(path)
        else:
            found[str(path)] = path.read_bytes()
    return found


@pytest.fixture
def call(script, few_characters, training_folder, tiny_model_folder):
    """Runs one of `COMMANDS` with a seed, in a folder that has what it needs."""
    Path("data").symlink_to(training_folder / "data")

    def call(name, seed=0):
        arguments = [part.format(seed) for part in COMMANDS[name]]
        if arguments[0] in ("generate.py", "explore.py", "interpolate.py"):
            arguments += ["--model", str(tiny_model_folder), "--device=cpu"]
        with torch.random.fork_rng(devices=[]):
            return script(*arguments)

    return call


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("before", [False, True], ids=["new", "again"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_what_was_there_is_whole(call, name, before):
    if before:
        assert call(name).code == 0
    kept = contents()
    assert bool(kept) == before
    with full_disk():
        result = call(name, seed=1)
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert result.code == 2
    assert len(errors) == 1
    assert "Traceback" not in result.err
    assert contents() == kept


@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_only_disk_is_refused_before_anything_is_drawn(call, name, monkeypatch):
    with read_only(monkeypatch):
        result = call(name)
    assert result.code == 2
    assert "no permission to write in" in result.err
    assert result.err.count("\n") == 1
    assert contents() == {}


@pytest.mark.parametrize("name", ["sheet", "picture", "strip", "glyphs"])
def test_a_folder_that_is_not_there_is_made(call, name, monkeypatch):
    own = [part for part in COMMANDS[name] if not part.startswith("--out")]
    ending = "" if name == "glyphs" else ".png"
    monkeypatch.setitem(COMMANDS, name, [*own, f"--out=not/there/yet{ending}"])
    assert call(name).code == 0
    assert Path(f"not/there/yet{ending}").exists()


@pytest.mark.parametrize("make", [make_autoencoder, make_text_encoder, make_denoiser])
def test_weights_on_a_full_disk_stay_those_of_before(make, tmp_path):
    make().save_pretrained(tmp_path / "model")
    kept = contents(tmp_path)
    with full_disk(), pytest.raises((OSError, WeightsError)):
        make(seed=1).save_pretrained(tmp_path / "model")
    assert contents(tmp_path) == kept
