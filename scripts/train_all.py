"""Make all models from nothing, one training after another."""

from __future__ import annotations

import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from _cli import run

SCRIPTS = Path(__file__).parent
RUNS = Path(".runs")
EXPORT = RUNS / "diffusion" / "export"
MADE = {
    "data": Path(".data/glyphs.json"),
    "prior": EXPORT / "prior" / "config.json",
    "student": EXPORT / "student" / "config.json",
}


class Preset(StrEnum):
    """What to train on."""

    cpu = "cpu"
    gpu = "gpu"


def main(
    preset: Annotated[Preset, typer.Option(help="What to train on.")] = Preset.cpu,
    text_encoder: Annotated[
        bool,
        typer.Option(
            help="Train the text encoder too, which needs WordNet; or take the one that ships."
        ),
    ] = True,
    again: Annotated[
        bool, typer.Option("--again", help="Make again what an earlier call has made.")
    ] = False,
) -> None:
    """Make all models from nothing, one training after another.

    Glyphs, autoencoder, text encoder, denoiser, prior and student: hours on two cores,
    minutes on a GPU. It needs Debian's wordnet-base, and is faster with a C++ compiler. What is
    finished is not made again, and a training that was cut off resumes:

        python scripts/train_all.py

        python scripts/generate.py "gold" --model .runs/diffusion/export
    """
    encoders = ["--data.autoencoder", f"{RUNS}/autoencoder/export"]
    steps: dict[str, list[str]] = {
        "data": ["prepare_data.py"],
        "autoencoder": ["train_autoencoder.py", *configured("autoencoder", preset)],
    }
    if text_encoder:
        steps["text_encoder"] = ["train_text_encoder.py"]
        encoders += ["--data.text_encoder", f"{RUNS}/text_encoder/export"]
    steps["diffusion"] = ["train_diffusion.py", *configured("diffusion", preset), *encoders]
    steps["prior"] = ["train_prior.py", "--model", str(EXPORT)]
    student = ["train_student.py", *configured("student", preset)]
    steps["student"] = [*student, "--model.teacher", str(EXPORT), *encoders]

    begun = time.perf_counter()
    made = {name: MADE.get(name, RUNS / name / "export" / "config.json") for name in steps}
    checkpoints = {name: RUNS / name / "checkpoints" / "last.ckpt" for name in steps}
    check_ready({name for name, path in made.items() if again or not path.exists()})
    if again:  # at once, so that a later call without it resumes this one
        for path in (*made.values(), *checkpoints.values()):
            path.unlink(missing_ok=True)
    for name, command in steps.items():
        if made[name].exists():
            print(f"{name}: {made[name]} already exists", flush=True)
            continue
        if checkpoints[name].exists():
            command = [*command, "--ckpt_path", "last"]
        start = time.perf_counter()
        print(f"{name}: python scripts/{' '.join(command)}", flush=True)
        status = call([sys.executable, str(SCRIPTS / command[0]), *command[1:]])
        if status:
            raise ValueError(
                f"{command[0]} ended with exit code {status}: put it right, call again"
            )
        print(f"{name}: {(time.perf_counter() - start) / 60:.1f} minutes", flush=True)
    print(f"all models in {RUNS}, in {(time.perf_counter() - begun) / 60:.1f} minutes")


def check_ready(pending: set[str]) -> None:
    """Raises ValueError, before the first hour of work, where a later training misses WordNet."""
    from conditioning.sources.wordnet import WORDNET

    if "text_encoder" in pending and not (WORDNET / "data.noun").is_file():
        raise ValueError(
            f"there is no WordNet in {WORDNET}: install Debian's wordnet-base, or take the text "
            "encoder that ships, --no-text-encoder"
        )


def call(command: list[str]) -> int:
    """Runs a command to its end and returns its exit code.

    At Ctrl-C, which the command gets too, it waits until the command has saved its work, and
    raises KeyboardInterrupt.
    """
    interrupted = False
    with subprocess.Popen(command) as running:
        while True:
            try:
                status = running.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
    if interrupted:
        print("call again without --again to go on from there", flush=True)
        raise KeyboardInterrupt
    return status


def configured(name: str, preset: Preset) -> list[str]:
    """The option that names a training's preset; without one it trains on a CPU."""
    if preset == Preset.cpu:
        return []
    return ["--config", str(SCRIPTS / "presets" / f"{name}-{preset}.yaml")]


if __name__ == "__main__":
    run(main)
