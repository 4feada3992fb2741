"""Runs that are cut off and go on: nothing is lost, and nothing is seen twice.

`KILLS=20 pytest tests/test_resume.py -k real` kills as often, in both stages.
"""

import io
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import FEW, QUIET, SCRIPTS, TINY, files
from safetensors.torch import load_file

from autoencoder.training import AutoencoderModule
from diffusion.training.denoiser import DiffusionModule

KILLS = int(os.environ.get("KILLS", 1))
STEPS = 14  # of five a epoch
COMMON = [
    *QUIET,
    *FEW,
    "--trainer.devices=1",
    "--trainer.logger=false",
    f"--trainer.max_steps={STEPS}",
    "--checkpoint.every_n_train_steps=3",
]
STAGES = {
    "autoencoder": [
        *TINY["autoencoder"],
        "--trainer.val_check_interval=4",
    ],
    "diffusion": [
        *TINY["diffusion"],
        "--trainer.val_check_interval=4",
    ],
}


class Killed(BaseException):
    """In the place of a SIGKILL, which would end the tests too."""


@pytest.fixture
def train(script, training_folder, monkeypatch):
    """Runs a stage, through its script, in this process; cut off in its n-th step where told."""
    for name in ("data", "tiny", "text"):
        Path(name).symlink_to(training_folder / name)
    modules = {"autoencoder": AutoencoderModule, "diffusion": DiffusionModule}

    def run(stage, *options, at=None, then=None):
        step = modules[stage].training_step
        count = 0

        def cut(self, *arguments):
            nonlocal count
            count += 1
            if count == at:
                then()
            return step(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(modules[stage], "training_step", cut)
            return script(f"train_{stage}.py", *COMMON, *STAGES[stage], *options)

    return run


def kill():
    raise Killed


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def checkpoint(stage):
    return torch.load(f".runs/{stage}/checkpoints/last.ckpt", weights_only=True)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.filterwarnings("ignore")
def test_a_run_killed_again_and_again_ends_as_one_that_was_not(train, stage):
    assert train(stage, "--model.out=whole").code == 0
    whole = checkpoint(stage)
    for path in Path(f".runs/{stage}/checkpoints").iterdir():
        path.unlink()
    # Before the first checkpoint, in the middle of an epoch, at its end, and twice without one.
    go_on = []
    for at in (5, 4, 1, 6, 2):
        with pytest.raises(Killed):
            train(stage, "--model.out=parts", *go_on, at=at, then=kill)
        go_on = ["--ckpt_path", "last"]
    assert train(stage, "--model.out=parts", *go_on).code == 0
    parts = checkpoint(stage)
    assert parts["global_step"] == whole["global_step"] == 12
    a, b = weights("whole"), weights("parts")
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=1e-6, rtol=0, msg=name)
    for mine, other in zip(whole["optimizer_states"], parts["optimizer_states"], strict=True):
        for key, state in mine["state"].items():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    torch.testing.assert_close(other["state"][key][name], value)
    assert whole["lr_schedulers"] == parts["lr_schedulers"]


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_goes_on_from_its_last_step_exports_the_same(train):
    """As one does that was killed at its export: the average, and not the last weights."""
    options = "--trainer.max_steps=12", "--model.out"
    assert train("diffusion", *options, "whole").code == 0
    assert checkpoint("diffusion")["global_step"] == 12
    assert train("diffusion", *options, "again", "--ckpt_path", "last").code == 0
    a, b = weights("whole"), weights("again")
    assert all(a[name].equal(b[name]) for name in a)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_obeys_the_command_line_and_else_the_checkpoint(train, stage):
    first = "--model.out=A", "--model.learning_rate=2e-3", "--model.seed=3", "--trainer.max_steps=7"
    assert train(stage, *first).code == 0
    path = Path(f".runs/{stage}/checkpoints/last.ckpt").rename("copy.ckpt")
    kept = weights("A")
    for out, source, rate, then, steps in (
        ("B", path, 1e-4, 2e-3, 12),
        ("C", "last", 3e-4, 1e-4, 16),
    ):
        options = f"--model.out={out}", f"--model.learning_rate={rate}", "--ckpt_path", source
        end = train(stage, *options, f"--trainer.max_steps={steps}")
        assert end.code == 0
        line = next(line for line in end.out.splitlines() if line.startswith("resuming from "))
        assert f"model.learning_rate {rate} (the checkpoint had {then})" in line
        assert f"model.out {out} (the checkpoint had " in line
        assert "seed" not in line
        assert f"wrote {out}" in end.out
        resumed = checkpoint(stage)
        assert resumed["settings"]["model.seed"] == 3
        groups = resumed["optimizer_states"][0]["param_groups"]
        assert [group["initial_lr"] for group in groups] == [rate, 1e-3]
        factor = groups[1]["lr"] / 1e-3
        assert groups[0]["lr"] == pytest.approx(rate * factor)
    assert all(kept[name].equal(weight) for name, weight in weights("A").items())


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.filterwarnings("ignore")
def test_a_trial_of_one_step_writes_no_model(train, stage):
    assert train(stage, "--model.out=trial", "--trainer.fast_dev_run=true").code == 0
    assert not Path("trial").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_signal_ends_the_step_saves_it_and_stops(train, caplog):
    assert train("diffusion", "--model.out=whole").code == 0
    for number in (signal.SIGTERM, signal.SIGINT):
        before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            end = train("diffusion", at=5, then=lambda number=number: os.kill(os.getpid(), number))
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
        assert end.code == 128 + number
        assert re.search(r"SIG\w+: saved step 5 in \S+last.ckpt, go on with --ckpt_path", end.out)
        assert "Traceback" not in end.out + end.err
        assert checkpoint("diffusion")["global_step"] == 5
    assert "weights_only" not in caplog.text
    assert train("diffusion", "--model.out=parts", "--ckpt_path", "last").code == 0
    for name, weight in weights("whole").items():
        torch.testing.assert_close(weights("parts")[name], weight, atol=1e-6, rtol=0, msg=name)


@pytest.mark.filterwarnings("ignore")
def test_a_weight_that_is_no_number_is_not_saved(train, monkeypatch):
    step = DiffusionModule.training_step

    def spoil(self, *arguments):
        loss = step(self, *arguments)
        if self.global_step == 5:
            next(self.denoiser.parameters()).data.fill_(torch.nan)
        return loss

    monkeypatch.setattr(DiffusionModule, "training_step", spoil)
    end = train("diffusion", "--model.out=spoilt")
    assert end.code == 2
    assert "a weight is not a finite number at step 6" in end.err
    assert checkpoint("diffusion")["global_step"] == 3
    assert not Path("spoilt").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_no_number_stops_and_leaves_the_last_checkpoint(train, monkeypatch):
    # All is well for four steps.
    loss = DiffusionModule.loss
    calls = 0

    def spoilt(self, network, batch, t, noise, weighting):
        nonlocal calls
        if self.training:
            calls += 1
        return loss(self, network, batch, t, noise, weighting) * (1 if calls < 5 else torch.nan)

    monkeypatch.setattr(DiffusionModule, "loss", spoilt)
    end = train("diffusion")
    assert end.code == 2
    line = end.err.strip().splitlines()[-1]
    assert line.startswith("error: the loss is not a finite number at step 5: ")
    assert "last.ckpt with --ckpt_path last" in line
    assert "Traceback" not in end.err
    kept = checkpoint("diffusion")
    assert kept["global_step"] == 3
    assert all(weight.isfinite().all() for weight in kept["state_dict"].values())


class Hostile:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self):
        return Path("harm").touch, ()


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_or_hostile_checkpoint_is_one_line(train):
    assert train("diffusion", "--trainer.max_steps=3").code == 0
    path = Path(".runs/diffusion/checkpoints/last.ckpt")
    data, hostile = path.read_bytes(), io.BytesIO()
    torch.save({"state_dict": Hostile()}, hostile)
    other = pickle.dumps({"state_dict": Hostile()})
    there = files()
    for damaged in (hostile.getvalue(), other, data[: len(data) // 2], b"", b"hello"):
        path.write_bytes(damaged)
        for name in ("last", path):
            end = train("diffusion", "--ckpt_path", name)
            assert end.code == 2
            line = r"error: \S+last\.ckpt is damaged, or no checkpoint of tensors.*\n"
            assert re.fullmatch(line, end.err), end.err
            assert files() == there


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_something_else_is_one_line(train):
    assert train("autoencoder", "--trainer.max_steps=3").code == 0
    of_another = Path(".runs/autoencoder/checkpoints/last.ckpt")
    stored = torch.load(of_another, weights_only=True)
    older = {key: value for key, value in stored.items() if key not in ("settings", "script")}
    torch.save(older, "older.ckpt")
    torch.save(stored["state_dict"], "weights.ckpt")
    there = files()
    for path, said in (
        (of_another, "a checkpoint of train_autoencoder.py, not of train_diffusion.py"),
        ("older.ckpt", "holds the weights of another network than --model says"),
        ("weights.ckpt", "no checkpoint of a training"),
        ("nowhere.ckpt", "No such file"),
    ):
        end = train("diffusion", "--ckpt_path", path)
        assert end.code == 2
        line = end.err.strip().splitlines()[-1]
        assert line.startswith(f"error: {path}") and said in line
        assert "Traceback" not in end.err
        assert files() == there
    end = train("autoencoder", "--ckpt_path", of_another, "--model.config.widths=[8,24]")
    assert end.code == 2
    assert "holds the weights of another network than --model says" in end.err


def test_nothing_untrue_is_said_of_a_resumed_run(train, recwarn):
    steps = "--trainer.max_steps"
    assert train("diffusion", steps, 3).code == 0  # in the middle of an epoch
    end = train("diffusion", steps, 6, "--ckpt_path=last", "--trainer.enable_progress_bar=true")
    assert end.code == 0
    assert "Epoch 1" in end.out
    assert "-2" not in end.out
    said = end.err + " ".join(str(warning.message) for warning in recwarn)
    for noise in ("not resumable", "Be aware", "Tip", "TPU", "exists and is not empty"):
        assert noise not in said


@pytest.mark.filterwarnings("ignore")
def test_starting_over_says_what_it_replaces(train):
    said = "starting over: replaces what an earlier training wrote to .runs/autoencoder/export and "
    assert said not in train("autoencoder", "--trainer.max_steps=3").out
    assert said in train("autoencoder", "--trainer.max_steps=3").out
    assert said not in train("autoencoder", "--trainer.max_steps=6", "--ckpt_path=last").out


@pytest.mark.filterwarnings("ignore")
def test_paths_are_taken_as_they_are_typed(train, monkeypatch, tmp_path):
    home = tmp_path / "my home 家"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("data", "more"):
        (home / name).symlink_to(Path("data").resolve())
    (home / "own.yaml").write_text("model: {out: ~/deep/../one/}\ntrainer: {max_steps: 3}\n")
    Path("2024").symlink_to(Path("data").resolve())  # which YAML takes for a number
    where = "--data.folder=~/data/", "--data.more=[2024, ~/more]"
    where += ("--checkpoint.dirpath=~/kept here/",)
    steps = [option for option in COMMON if "max_steps" not in option]
    monkeypatch.setattr(sys.modules[__name__], "COMMON", steps)
    assert train("autoencoder", *where, "--config=~/own.yaml").code == 0
    again = "--ckpt_path=~/kept here/last.ckpt", "--model.out", "my home 家/../two"
    end = train("autoencoder", *where, *again)
    assert end.code == 0
    assert end.out.count("(the checkpoint had ") == 1  # of model.out
    assert sorted(path.parent.name for path in tmp_path.rglob("config.json")) == ["one", "two"]
    assert not Path("~").exists()
    names = [path.name for path in (home / "kept here").rglob("*")]
    assert names and not [name for name in names if re.search(r'[<>:"|?*\\]|[. ]$', name)]


def test_a_checkpoint_is_whole_or_the_one_before(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPTS)
    from _safety import SafeCheckpoints

    plugin, path = SafeCheckpoints(), tmp_path / "deep" / "last.ckpt"
    plugin.save_checkpoint({"step": 1}, path)
    assert plugin.load_checkpoint(path) == {"step": 1}
    save = torch.save

    def full(checkpoint, file):
        save(checkpoint, file)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        plugin.save_checkpoint({"step": 2}, path)
    assert plugin.load_checkpoint(path) == {"step": 1}
    assert [one.name for one in path.parent.iterdir()] == ["last.ckpt"]


def test_what_a_kill_left_of_a_checkpoint_is_removed_once_nobody_writes_it(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPTS)
    from _safety import SafeCheckpoints

    left, written = tmp_path / ".1.part.ckpt", tmp_path / ".2.part.ckpt"
    for part in (left, written):
        part.touch()
    os.utime(left, (0, time.time() - 7200))
    SafeCheckpoints().save_checkpoint({"step": 1}, tmp_path / "last.ckpt")
    assert sorted(one.name for one in tmp_path.iterdir()) == [".2.part.ckpt", "last.ckpt"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stage", ["diffusion"] if KILLS == 1 else STAGES)
def test_real_kills_lose_no_more_than_an_interval(train, stage):
    """With SIGKILL, and processes of their own, at random moments after they have started."""
    steps = 120 + 30 * KILLS
    options = [f"--trainer.max_steps={steps}", "--trainer.val_check_interval=50"]
    command = [sys.executable, str(SCRIPTS / f"train_{stage}.py"), *COMMON, *STAGES[stage]]
    last = Path(f".runs/{stage}/checkpoints/last.ckpt")
    chance = random.Random(stage)
    done, go_on = 0, []
    for _ in range(KILLS):
        before = last.stat().st_mtime_ns if last.exists() else 0
        with subprocess.Popen([*command, *options, *go_on], stderr=subprocess.PIPE) as run:
            while run.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 0.3))
            run.kill()
            assert run.wait() == -signal.SIGKILL, run.stderr.read().decode()[-500:]
        step = torch.load(last, weights_only=True)["global_step"]
        assert done < step < steps
        assert step % 3 == 0
        done, go_on = step, ["--ckpt_path=last"]
    assert train(stage, *options, "--model.out=parts", *go_on).code == 0
    last.unlink()
    assert train(stage, *options, "--model.out=whole").code == 0
    for name, weight in weights("whole").items():
        torch.testing.assert_close(weights("parts")[name], weight, atol=1e-6, rtol=0, msg=name)
