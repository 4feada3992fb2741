"""All trainings in a row: which commands, in which order, and what is left out the second time."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import SCRIPTS, Ended

from conditioning.sources import wordnet as database

NAMES = [
    "prepare_data.py",
    "train_autoencoder.py",
    "train_text_encoder.py",
    "train_diffusion.py",
    "train_prior.py",
    "train_student.py",
]
MADE = {
    "prepare_data.py": Path(".data/glyphs.json"),
    "train_prior.py": Path(".runs/diffusion/export/prior/config.json"),
    "train_student.py": Path(".runs/diffusion/export/student/config.json"),
}
CHECKPOINT = Path(".runs/diffusion/checkpoints/last.ckpt")


@pytest.fixture
def calls(monkeypatch, tmp_path_factory):
    """The commands that would have been run; each leaves behind what its script would."""
    wordnet = tmp_path_factory.mktemp("wordnet")
    (wordnet / "data.noun").touch()
    monkeypatch.setattr(database, "WORDNET", wordnet)
    calls = SimpleNamespace(seen=[], fails=None, wordnet=wordnet)

    def pretend(command, **options):
        name = Path(command[1]).name
        calls.seen.append([name, *command[2:]])
        if name == calls.fails:
            return Ended(1)
        stage = name.removeprefix("train_").removesuffix(".py")
        made = MADE.get(name, Path(".runs") / stage / "export" / "config.json")
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text("{}")
        return Ended(0)

    monkeypatch.setattr(subprocess, "Popen", pretend)
    return calls


def names(calls):
    return [command[0] for command in calls.seen]


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_each_training_gets_what_was_made_before_it(script, calls, preset):
    result = script("train_all.py", "--preset", preset)
    assert result.code == 0, result.err
    assert "all models in .runs" in result.out
    assert names(calls) == NAMES
    _, autoencoder, _, diffusion, prior, student = calls.seen
    for command in (diffusion, student):
        assert command[-4:] == [
            "--data.autoencoder", ".runs/autoencoder/export",
            "--data.text_encoder", ".runs/text_encoder/export",
        ]  # fmt: skip
    assert prior[1:] == ["--model", ".runs/diffusion/export"]
    assert student[-6:-4] == ["--model.teacher", ".runs/diffusion/export"]
    for command in (autoencoder, diffusion, student):
        assert ("--config" in command) == (preset == "gpu")
        if preset == "gpu":
            assert Path(command[command.index("--config") + 1]).exists()


def test_what_is_there_is_not_made_again_and_what_was_cut_off_goes_on(script, calls):
    calls.fails = "train_diffusion.py"
    result = script("train_all.py")
    assert result.code == 2
    assert result.err == (
        "error: train_diffusion.py ended with exit code 1: put it right, call again\n"
    )
    CHECKPOINT.parent.mkdir(parents=True)
    CHECKPOINT.touch()
    calls.fails = None
    calls.seen.clear()
    assert script("train_all.py").code == 0
    assert names(calls) == ["train_diffusion.py", "train_prior.py", "train_student.py"]
    assert calls.seen[0][-2:] == ["--ckpt_path", "last"]
    # A second beginning forgets all of the first at once, so that it can be cut off too.
    calls.fails = "train_diffusion.py"
    calls.seen.clear()
    assert script("train_all.py", "--again").code == 2
    assert names(calls) == NAMES[:4] and not CHECKPOINT.exists()
    calls.fails = None
    calls.seen.clear()
    assert script("train_all.py").code == 0
    assert names(calls) == ["train_diffusion.py", "train_prior.py", "train_student.py"]
    assert "--ckpt_path" not in calls.seen[0]


def test_wordnet_is_missed_before_the_first_training(script, calls):
    made = Path(".runs/autoencoder/export/config.json")
    made.parent.mkdir(parents=True)
    made.touch()
    (calls.wordnet / "data.noun").unlink()
    result = script("train_all.py", "--again")
    assert result.code == 2 and calls.seen == []
    assert "install Debian's wordnet-base" in result.err and result.err.count("\n") == 1
    assert made.exists()  # nothing is forgotten before all is there
    assert script("train_all.py", "--again", "--no-text-encoder").code == 0
    assert "train_text_encoder.py" not in names(calls)
    assert "--data.text_encoder" not in calls.seen[-2]


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
