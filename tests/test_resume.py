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
from conftest import FEW, QUIET, SCRIPTS, TINY
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
def test_a_trial_of_one_step_writes_no_model(train, stage):
    assert train(stage, "--model.out=trial", "--trainer.fast_dev_run=true").code == 0
    assert not Path("trial").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_signal_ends_the_step_saves_it_and_stops(train):
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
    for damaged in (hostile.getvalue(), other, data[: len(data) // 2], b"", b"hello"):
        path.write_bytes(damaged)
        end = train("diffusion", "--ckpt_path", "last")
        assert end.code == 2
        line = end.err.strip().splitlines()[-1]
        assert re.match(r"error: \S+last\.ckpt is damaged, or no checkpoint of tensors", line), line
        assert "Traceback" not in end.err
        assert not Path("harm").exists()


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stage", ["diffusion"] if KILLS == 1 else STAGES)
def test_real_kills_lose_no_more_than_an_interval(train, stage):
    """With SIGKILL, and processes of their own, at random moments after they have started."""
    steps = 200 + 100 * KILLS
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
