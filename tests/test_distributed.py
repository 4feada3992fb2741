"""Two processes on this machine do what one does, and neither waits for one that is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import FEW, QUIET, SCRIPTS
from test_resume import STAGES, weights

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")

COMMON = [
    *QUIET,
    *FEW,
    "--trainer.logger=CSVLogger",
    "--trainer.logger.save_dir=logs",
    "--trainer.log_every_n_steps=1",
    "--checkpoint.every_n_train_steps=3",
]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def start(training_folder, tmp_path_factory):
    """Starts a stage in a folder of its own, in two processes."""

    def call(stage, *options):
        folder = tmp_path_factory.mktemp("two")
        for name in ("data", "tiny", "text"):
            (folder / name).symlink_to(training_folder / name)
        command = [sys.executable, str(SCRIPTS / f"train_{stage}.py"), *COMMON, *STAGES[stage]]
        command += ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.batch_size=2"]
        run = subprocess.Popen(
            [*command, *options], cwd=folder, env=ENVIRONMENT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return folder, run

    return call


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_learn_what_one_learns(script, start, training_folder, stage):
    options = "--trainer.max_steps=14", "--model.out=model"
    folder, run = start(stage, *options)
    for name in ("data", "tiny", "text"):
        Path(name).symlink_to(training_folder / name)
    alone = script(f"train_{stage}.py", *COMMON, *STAGES[stage], "--trainer.devices=1", *options)
    said, _ = run.communicate(timeout=300)
    assert alone.code == run.returncode == 0, said
    assert said.count("wrote model") == 1
    one, two = losses(Path(), stage), losses(folder, stage)
    assert len(one) == 14
    assert two == pytest.approx(one, rel=2e-4)
    assert max(one) > 1.002 * min(one)  # ten times what they may differ
    for name, weight in weights("model").items():
        found = weights(folder / "model")[name]
        torch.testing.assert_close(found, weight, atol=2e-3, rtol=0, msg=name)


def losses(folder, stage):
    """The loss of each step, by the log in a folder."""
    (log,) = folder.glob("logs/**/metrics.csv")
    head, *lines = (line.split(",") for line in log.read_text().splitlines())
    column = head.index("train/reconstruction" if stage == "autoencoder" else "train/loss")
    return [float(line[column]) for line in lines if line[column]]


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
@pytest.mark.parametrize("who", ["first", "second"])
def test_where_one_process_dies_the_other_ends(start, who):
    folder, run = start("diffusion", "--trainer.max_steps=100000")
    last = folder / ".runs/diffusion/checkpoints/last.ckpt"
    while not last.exists() and run.poll() is None:
        time.sleep(0.1)
    (second,) = children(run.pid)
    os.kill(run.pid if who == "first" else second, signal.SIGKILL)
    before = time.monotonic()
    said, _ = run.communicate(timeout=60)  # both write here: it ends with the last of them
    assert time.monotonic() - before < 30
    assert run.returncode == (-signal.SIGKILL if who == "first" else 2), said
    assert "error: another process of this training has ended" in said
    assert "Traceback" not in said
    assert torch.load(last, weights_only=True)["global_step"] % 3 == 0


def test_processes_share_the_glyphs_that_one_would_draw(script, monkeypatch, tiny_model_folder):
    options = ["--count", 19, "--steps", 2, "--model", tiny_model_folder, "--device", "cpu"]
    prompts = "gold", "dragon"
    assert script("generate.py", *prompts, *options, "--out", "one/").code == 0
    monkeypatch.setenv("WORLD_SIZE", "2")
    names = []
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        result = script("generate.py", *prompts, *options, "--out", f"part{rank}/")
        assert result.code == 0, result.err
        own = sorted(path.name for path in Path(f"part{rank}").iterdir())
        assert f"{len(own)} of 38 glyphs" in result.out
        names += own
    assert len(names) == 38
    assert sorted(names) == sorted(path.name for path in Path("one").glob("[0-9]*"))
    for rank in (0, 1):
        for path in Path(f"part{rank}").iterdir():
            assert path.read_bytes() == (Path("one") / path.name).read_bytes()
    refused = script("generate.py", *prompts, *options, "--out", "sheet.png")
    assert refused.code == 2
    assert "one picture from several processes" in refused.err
