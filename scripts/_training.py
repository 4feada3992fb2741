"""The command line that the trainings share: Lightning's own, with `fit` understood."""

from __future__ import annotations

import os
import re
import shutil
import sys
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from _errors import one_line_errors
from _safety import Safety
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from autoencoder.files import atomic

MOST_PROCESSES = {"devices": 1024, "num_nodes": 65536}
SUBCOMMANDS = ("fit", "validate", "test", "predict")


class TrainingCLI(LightningCLI):
    """Lightning's command line, with the checkpoints as options of their own."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.dirpath": f"{self.trainer_defaults['default_root_dir']}/checkpoints",
                "checkpoint.every_n_train_steps": 250,
                "checkpoint.save_last": True,
                "checkpoint.save_top_k": 1,
                "checkpoint.monitor": "step",
                "checkpoint.mode": "max",
                "checkpoint.enable_version_counter": False,
            }
        )

    def before_instantiate_classes(self) -> None:
        """Raises ValueError for more processes than any machine has, and for weights in 16 bits.

        Without a C++ compiler it trains uncompiled, with a warning.
        """
        config = self.config[self.subcommand]
        for name, most in MOST_PROCESSES.items():
            value = str(getattr(config.trainer, name))
            if value.isdecimal() and int(value) > most:
                raise ValueError(f"--trainer.{name} {value}: at most {most:,}")
        precision = config.trainer.precision
        if precision in ("16-true", "bf16-true"):
            mixed = precision.replace("true", "mixed")
            raise ValueError(
                f"--trainer.precision {precision}: an average of weights needs float32 "
                f"ones; take {mixed}, which computes in 16 bits all the same"
            )
        if config.model.get("compile") and not has_compiler():
            print("warning: no C++ compiler for torch.compile: training is slower", file=sys.stderr)
            config.model.compile = False


class WholeConfig(SaveConfigCallback):
    """Writes the settings of a training beside its log: whole, or not at all."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = Path(getattr(trainer.logger, "log_dir", None) or trainer.default_root_dir)
        with atomic(folder / self.config_filename) as part:
            part.write_text(self.parser.dump(self.config, skip_none=False), "utf-8")


def train(
    module: type[LightningModule],
    data: type[LightningDataModule],
    name: str,
    callbacks: tuple = (),
    **trainer,
) -> None:
    """Runs LightningCLI over a module and its data; `trainer` holds defaults of the Trainer.

    Logs go to `.runs/<name>`, and so do checkpoints, every 250 steps and at a SIGTERM or Ctrl-C.
    """
    root = Path(".runs") / name
    defaults = {
        "default_root_dir": str(root),
        "logger": {
            "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
            "init_args": {"save_dir": str(root), "name": "logs"},
        },
        "callbacks": [*callbacks, Safety()],  # last, so that it saves the average of its step
        "devices": 1,
        "use_distributed_sampler": False,  # our batches know of the other processes
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 10,
        **trainer,
    }
    if len(sys.argv) < 2 or sys.argv[1] not in SUBCOMMANDS:
        sys.argv.insert(1, "fit")
    # By default jsonargparse prints all hundred options before a mistake in one.
    about = {"description": sys.modules["__main__"].__doc__, "exit_on_error": False}
    with one_line_errors(), training_errors():
        TrainingCLI(
            module,
            data,
            trainer_class=Trainer,
            trainer_defaults=defaults,
            save_config_callback=WholeConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_kwargs=dict.fromkeys(SUBCOMMANDS, about) | {"exit_on_error": False},
            seed_everything_default=0,
        )


def precision() -> str:
    """The default precision: bfloat16 on a CPU that multiplies it faster than float32.

    As far as Linux tells. On other machines float32 is faster, or the presets choose.
    """
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    fast = "avx512_bf16" in flags or "amx_bf16" in flags
    return "bf16-mixed" if fast and not torch.cuda.is_available() else "32-true"


def has_compiler() -> bool:
    """Whether there is the C++ compiler that torch.compile needs; assumed on Windows."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    return sys.platform == "win32" or shutil.which(compiler.split()[0]) is not None


@contextmanager
def training_errors() -> Iterator[None]:
    """Raises ValueError for options that Lightning rejects, and OSError for a lost process."""
    try:
        yield
    except (ArgumentError, MisconfigurationException, OverflowError) as error:
        raise ValueError(str(error)) from error
    except RuntimeError as error:
        if not re.search("Connection (closed|reset) by peer|NCCL .*(abort|timeout)", str(error)):
            raise
        raise ChildProcessError(
            "another process of this training has ended, and so does this one: what it said comes "
            "before this; go on from the last checkpoint with --ckpt_path last"
        ) from error
