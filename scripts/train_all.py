"""Make all models from nothing, one training after another."""

from __future__ import annotations

import os
import shutil
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
MADE = {"data": Path(".data/glyphs.json"), "prior": EXPORT / "prior" / "config.json"}


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
        bool, typer.Option("--again", help="Make anew what an earlier call has made.")
    ] = False,
) -> None:
    """Make all models from nothing, one training after another.

    Glyphs, autoencoder, text encoder, denoiser, prior: hours on two cores, minutes on a
    GPU. It takes a C++ compiler and Debian's wordnet-base. What is finished is not made
    again, and a training that was cut off goes on from its last checkpoint:

        python scripts/train_all.py

        python scripts/generate.py "gold" --model .runs/diffusion/export
    """
    fast = ["--trainer.precision", "bf16-mixed"] if preset == "cpu" and has_bfloat16() else []
    encoders = ["--data.autoencoder", f"{RUNS}/autoencoder/export"]
    steps: dict[str, list[str]] = {
        "data": ["prepare_data.py"],
        "autoencoder": ["train_autoencoder.py", *configured("autoencoder", preset), *fast],
    }
    if text_encoder:
        steps["text_encoder"] = ["train_text_encoder.py"]
        encoders += ["--data.text_encoder", f"{RUNS}/text_encoder/export"]
    steps["diffusion"] = ["train_diffusion.py", *configured("diffusion", preset), *encoders, *fast]
    steps["prior"] = ["train_prior.py", "--model", str(EXPORT)]

    begun = time.perf_counter()
    made = {name: MADE.get(name, RUNS / name / "export" / "config.json") for name in steps}
    checkpoints = {name: RUNS / name / "checkpoints" / "last.ckpt" for name in steps}
    check_ready({name for name, path in made.items() if again or not path.exists()})
    if again:  # forgotten at once, so that a call without it goes on where this one is cut off
        for path in (*made.values(), *checkpoints.values()):
            path.unlink(missing_ok=True)
    for name, command in steps.items():
        if made[name].exists():
            print(f"{name}: {made[name]} is there already", flush=True)
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
    """Raises ValueError, before the first hour of work, for what a later training would miss."""
    from conditioning.distillation.corpus import WORDNET

    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    compiled = pending & {"autoencoder", "diffusion"} and sys.platform != "win32"
    if compiled and not shutil.which(compiler.split()[0]):
        raise ValueError(
            f"there is no C++ compiler {compiler}, which torch.compile needs: install one"
        )
    if "text_encoder" in pending and not (WORDNET / "data.noun").is_file():
        raise ValueError(
            f"there is no WordNet in {WORDNET}: install Debian's wordnet-base, or take the text "
            "encoder that ships, --no-text-encoder"
        )


def call(command: list[str]) -> int:
    """Runs a command to its end and returns its exit code.

    Ctrl-C reaches the command too, which is given the time to save what it has. Raises
    KeyboardInterrupt after that.
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
    """The option that names a training's preset."""
    return ["--config", str(SCRIPTS / "presets" / f"{name}-{preset}.yaml")]


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32, as far as Linux tells."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


if __name__ == "__main__":
    run(main)
