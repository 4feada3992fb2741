"""Argument lists that nobody would write: each is carried out or refused, and leaves nothing half.

`FUZZ_LISTS=300 pytest tests/test_fuzz.py` tries so many for each script, in place of a few.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.utils.benchmark
from conftest import FEW, QUIET, TINY, Ended
from PIL import Image
from safetensors import safe_open

from diffusion.evaluation.evaluator import Evaluator

LISTS = int(os.environ.get("FUZZ_LISTS", 10))
SECONDS = 60  # for one list, on a machine with other work

TEXTS = [
    "", " ", "\t\n", "gold", "a dragon of the sea", "water AND fire", "AND", "gold AND", "金",
    "\u202eright to left", "🐉", "\udcff", "\x07\x1b[31m", "é" * 300, "x" * 10_001, "%s%n{}$(id)",
    "--", "-", "../x", ".", "..", "no/such/place", "file", "file/x.png", "x.png", "x.gif", "x.txt",
    "folder/", "--help", "true", "null", "nan", "[]", "[1,2", "{}", '{"class_path": "os.system"}',
    "!!python/object/apply:os.system [ls]", "None", "cpu", "cuda:7", "ddim", "euler",
]  # fmt: skip
NUMBERS = [
    "-1", "0", "1", "2", "3", "1.5", "-0.0", "1e-9", "nan", "inf", "-inf", "1e309", "1_0", "0x10",
    str(2**31), str(2**63 - 1), str(2**63), "1000000001", "9" * 400, "１", "",
]  # fmt: skip

TRAINER = [
    *QUIET,
    "--trainer.devices=1",
    "--trainer.logger=false",
    "--trainer.max_steps=1",
    "--trainer.max_epochs=1",
    "--trainer.limit_val_batches=1",
]
MODEL = ["--device=cpu", "--model=model"]
# What is always there, so that a list that is right after all is carried out soon.
SMALL = {
    "generate.py": [*MODEL, "--count=2", "--steps=2"],
    "explore.py": MODEL,
    "interpolate.py": MODEL,
    "evaluate.py": [*MODEL, "--data=data"],
    "benchmark.py": MODEL,
    "prepare_data.py": [],
    "tour.py": [],
    "train_all.py": [],
    "train_prior.py": ["--model=model", "--data=data", "--epochs=1"],
    "train_autoencoder.py": [*TRAINER, *FEW, *TINY["autoencoder"]],
    "train_reader.py": [*TRAINER, *FEW],
    "train_diffusion.py": [*TRAINER, *FEW, *TINY["diffusion"]],
    "train_text_encoder.py": [*TRAINER, "--data.wordnet=nowhere"],
}
VERBS = {
    "explore.py": [
        "map", "noising", "steps", "guidance", "radicals", "denoise", "neighbours",
        "composites", "words", "bogus",
    ],
    "interpolate.py": ["glyphs", "prompts", "seeds", "edit", "bogus"],
}  # fmt: skip
# These would start other processes, or go on for as long as they are told to.
LEFT_OUT = re.compile(
    r"trainer\.(devices|num_nodes|strategy|max_steps|max_epochs|max_time|min_|fast_dev|profiler)"
    r"|model\.compile|--rebuild|--print_|--help|--version"
)


@pytest.fixture
def place(script, few_characters, training_folder, tiny_model_folder, monkeypatch):
    """An empty folder with a little of everything, and no work of minutes or of other processes."""
    for name in ("data", "tiny", "text"):
        Path(name).symlink_to(training_folder / name)
    Path("model").symlink_to(tiny_model_folder)
    Path("file").write_text("gold\nfish\n")
    Path("folder").mkdir()
    done = SimpleNamespace(returncode=0, stdout="", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)  # tour.py
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: Ended(0))  # train_all.py
    monkeypatch.setattr(Evaluator, "run", not_now)
    monkeypatch.setattr(torch.utils.benchmark, "Timer", not_now)  # benchmark.py
    monkeypatch.setitem(sys.modules, "diffusers", None)
    return script


def not_now(*_, **__):
    raise ValueError("the arguments were right, and this takes minutes")


def options_of(help_text: str) -> list[str]:
    """The options that a help names, but for what cannot be tried here."""
    found = re.findall(r"(?<![\w-])--[a-zA-Z][\w.-]*", help_text)
    return [name.rstrip(".") for name in dict.fromkeys(found) if not LEFT_OUT.search(name)]


def argument_list(chance: random.Random, name: str, options: list[str]) -> list[str]:
    """A few arguments, most of them wrong, after those that keep it small."""
    made = [chance.choice(VERBS[name])] if name in VERBS else []
    made += SMALL[name]
    for _ in range(chance.choice([0, 1, 1, 1, 2, 2, 3])):
        value = chance.choice(chance.choice([TEXTS, NUMBERS]))
        option = chance.choice(options)
        made += chance.choice([[f"{option}={value}"], [option, value], [value], [option]])
    return made


def half_written(folder: Path) -> list[str]:
    """What a program that stopped in the middle would leave behind."""
    broken = []
    for path in folder.rglob("*"):
        try:
            if ".part" in path.name:
                raise ValueError("a temporary file")
            if path.suffix in (".png", ".gif", ".webp"):
                Image.open(path).load()
            elif path.suffix == ".json":
                json.loads(path.read_text("utf-8"))
            elif path.suffix == ".safetensors":
                safe_open(path, "pt")
            elif path.suffix == ".ckpt":
                torch.load(path, weights_only=True)
        except Exception as error:
            broken.append(f"{path}: {error}")
    return broken


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SMALL)
def test_argument_lists_are_carried_out_or_refused(place, name):
    own = [["--help"]] + [[verb, "--help"] for verb in VERBS.get(name, [])[:-1]]
    options = options_of("\n".join(place(name, *arguments).out for arguments in own))
    assert options
    codes, failures = set(), []
    for i in range(LISTS):
        arguments = argument_list(random.Random(f"{name} {i}"), name, options)
        try:
            with at_most(SECONDS), torch.random.fork_rng(devices=[]):
                result = place(name, *arguments)
        except Exception as error:  # what a shell would show as a traceback
            failures.append((arguments, repr(error)))
            continue
        codes.add(result.code)
        if result.code not in (0, 2) or "Traceback" in result.err:
            failures.append((arguments, result.code, result.err))
        if broken := half_written(Path()):
            failures.append((arguments, broken))
    assert not failures, "\n".join(map(str, failures))
    assert 2 in codes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--trainer.devices=1000000000", "at most 1,024"),
        ("--trainer.precision=bf16-true", "take bf16-mixed"),
        ("--trainer.num_nodes=1000000000", "at most 65,536"),
        ("--data.num_workers=1000000000", "take 0 to 256"),
        ("--trainer.accumulate_grad_batches=0", "at least 1"),
        ("--trainer.val_check_interval=often", "Invalid time format"),
        ("--model.config.stem=1000000000", "beyond 8192"),
        (f"--model.learning_rate={'9' * 400}", "too large"),
    ],
)
def test_a_training_is_refused_before_it_takes_what_is_not_there(place, option, said):
    result = place("train_autoencoder.py", *SMALL["train_autoencoder.py"], option)
    assert result.code == 2
    assert said in result.err.replace("\n", " ")
    assert "Traceback" not in result.err


@contextmanager
def at_most(seconds: int):
    """Raises RuntimeError, which no script takes for a user's mistake, in what takes longer."""

    def late(*_):
        raise RuntimeError(f"more than {seconds} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
