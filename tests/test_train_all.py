"""All trainings in a row: which commands, in which order, and what is left out the second time."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import SCRIPTS, Ended

from conditioning.distillation import corpus


@pytest.fixture
def calls(monkeypatch, tmp_path_factory):
    """The commands that would have been run; each leaves behind what its script would.

    What they need beforehand is there: a compiler and WordNet, or files of their names.
    """
    tools = tmp_path_factory.mktemp("tools")
    for name in ("g++", "data.noun"):
        (tools / name).touch(0o755)
    monkeypatch.setenv("CXX", str(tools / "g++"))
    monkeypatch.setattr(corpus, "WORDNET", tools)
    seen = []

    def pretend(command, **options):
        name = Path(command[1]).name
        seen.append([name, *command[2:]])
        if name == pretend.fails:
            return Ended(1)
        part = name.removeprefix("train_").removesuffix(".py")
        elsewhere = {
            "prepare_data": Path(".data/glyphs.json"),
            "prior": Path(".runs/diffusion/export/prior/config.json"),
        }
        made = elsewhere.get(part, Path(".runs") / part / "export" / "config.json")
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text("{}")
        return Ended(0)

    pretend.fails = None
    monkeypatch.setattr(subprocess, "Popen", pretend)
    return SimpleNamespace(seen=seen, pretend=pretend, tools=tools)


NAMES = [
    "prepare_data.py",
    "train_autoencoder.py",
    "train_text_encoder.py",
    "train_diffusion.py",
    "train_prior.py",
]


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_each_training_gets_its_preset_and_what_was_made_before_it(script, calls, preset):
    result = script("train_all.py", "--preset", preset)
    assert result.code == 0, result.err
    assert [command[0] for command in calls.seen] == NAMES
    for command in calls.seen:
        if "--config" in command:
            path = command[command.index("--config") + 1]
            assert path.endswith(f"-{preset}.yaml")
            assert (SCRIPTS / "presets" / path).exists()
    last = " ".join(calls.seen[-2])
    assert "--data.autoencoder .runs/autoencoder/export" in last
    assert "--data.text_encoder .runs/text_encoder/export" in last
    assert calls.seen[-1] == ["train_prior.py", "--model", ".runs/diffusion/export"]
    assert "all models in .runs" in result.out


def test_what_is_there_is_not_made_again_and_what_was_cut_off_goes_on(script, calls):
    calls.pretend.fails = "train_diffusion.py"
    result = script("train_all.py")
    assert result.code == 2
    assert result.err == (
        "error: train_diffusion.py ended with exit code 1: put it right, call again\n"
    )
    checkpoint = Path(".runs/diffusion/checkpoints/last.ckpt")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"")
    calls.pretend.fails = None
    calls.seen.clear()
    assert script("train_all.py").code == 0
    assert [command[0] for command in calls.seen] == ["train_diffusion.py", "train_prior.py"]
    assert calls.seen[0][-2:] == ["--ckpt_path", "last"]
    calls.seen.clear()
    assert script("train_all.py", "--again").code == 0
    assert [command[0] for command in calls.seen] == NAMES
    assert "--ckpt_path" not in calls.seen[-2]


@pytest.mark.parametrize(
    ("missing", "said", "without"),
    [
        ("data.noun", "install Debian's wordnet-base", "--no-text-encoder"),
        ("g++", "which torch.compile needs: install one", None),
    ],
)
def test_what_a_later_training_needs_is_missed_before_the_first(
    script, calls, missing, said, without
):
    (calls.tools / missing).unlink()
    result = script("train_all.py")
    assert result.code == 2
    assert said in result.err and result.err.count("\n") == 1
    assert calls.seen == []
    made = Path(".runs/autoencoder/export/config.json")
    made.parent.mkdir(parents=True)
    made.write_text("{}")
    assert script("train_all.py", "--again").code == 2
    assert made.exists()  # nothing is forgotten before all is there
    if without:
        assert script("train_all.py", without).code == 0
        assert script("train_all.py", without).code == 0  # nothing is pending, nothing is missed


def test_the_text_encoder_that_ships_will_do(script, calls):
    assert script("train_all.py", "--no-text-encoder").code == 0
    assert "train_text_encoder.py" not in [command[0] for command in calls.seen]
    assert "--data.text_encoder" not in calls.seen[-2]


def test_a_second_beginning_that_was_cut_off_goes_on_too(script, calls):
    assert script("train_all.py").code == 0
    checkpoint = Path(".runs/diffusion/checkpoints/last.ckpt")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"of the first time")
    calls.pretend.fails = "train_diffusion.py"
    assert script("train_all.py", "--again").code == 2
    assert not checkpoint.exists()
    calls.pretend.fails = None
    calls.seen.clear()
    assert script("train_all.py").code == 0
    assert [command[0] for command in calls.seen] == ["train_diffusion.py", "train_prior.py"]
    assert "--ckpt_path" not in calls.seen[0]


def test_ctrl_c_waits_until_the_training_has_saved(tmp_path):
    training = "import signal, time; told = []; signal.signal(2, lambda *_: told.append(1)); "
    training += "print('on', flush=True); [time.sleep(0.05) for _ in iter(lambda: len(told), 1)]; "
    training += "time.sleep(1); open('saved', 'w')"
    program = f"import signal, sys; sys.path.insert(0, {str(SCRIPTS)!r}); "
    program += "signal.signal(2, signal.default_int_handler); "  # a job in the background has none
    program += "from train_all import call; "
    program += f"call([sys.executable, '-c', {training!r}])"
    both = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert both.stdout.readline() == "on\n"
        os.killpg(both.pid, signal.SIGINT)
        said, error = both.communicate(timeout=60)
    finally:
        if both.poll() is None:
            os.killpg(both.pid, signal.SIGKILL)
    assert (tmp_path / "saved").exists()
    assert "call again" in said
    assert "KeyboardInterrupt" in error and both.returncode != 0
