"""The command line that the trainings share: Lightning's own, with `fit` understood."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _cli import one_line_errors, write_text
from _safety import Safety
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import MisconfigurationException

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
        """Raises ValueError, before anything is started, for what no training here can do.

        More processes than any machine has, and weights in 16 bits.
        """
        trainer = self.config[self.subcommand].trainer
        for name, most in MOST_PROCESSES.items():
            value = str(getattr(trainer, name))
            if value.isdecimal() and int(value) > most:
                raise ValueError(f"--trainer.{name} {value}: at most {most:,}")
        if trainer.precision in ("16-true", "bf16-true"):
            mixed = trainer.precision.replace("true", "mixed")
            raise ValueError(
                f"--trainer.precision {trainer.precision}: an average of weights needs float32 "
                f"ones; take {mixed}, which computes in 16 bits all the same"
            )


class WholeConfig(SaveConfigCallback):
    """Writes the settings of a training beside its log: whole, or not at all."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = Path(getattr(trainer.logger, "log_dir", None) or trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        settings = self.parser.dump(self.config, skip_none=False)
        write_text(folder / self.config_filename, settings)


def train(
    module: type[LightningModule],
    data: type[LightningDataModule],
    name: str,
    callbacks: tuple = (),
    **trainer,
) -> None:
    """Runs LightningCLI over a module and its data; `trainer` holds the defaults of the Trainer.

    Logs go to `.runs/<name>`, and checkpoints, every 250 steps or as `--checkpoint` options say,
    and at a SIGTERM or Ctrl-C. `--config`, `--print_config`, `--ckpt_path` and every `--trainer`,
    `--model` and `--data` option work as Lightning's users know them.
    """
    root = Path(".runs") / name
    defaults = {
        "default_root_dir": str(root),
        "logger": {
            "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
            "init_args": {"save_dir": str(root), "name": "logs"},
        },
        "callbacks": [*callbacks, Safety()],  # what it saves has the average of its step
        "use_distributed_sampler": False,  # ours for training know of the other processes
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 10,
        **trainer,
    }
    if len(sys.argv) < 2 or sys.argv[1] not in SUBCOMMANDS:
        sys.argv.insert(1, "fit")
    # A mistake in the options is raised: by itself jsonargparse prints all hundred of them first.
    about = {"description": sys.modules["__main__"].__doc__, "exit_on_error": False}
    with one_line_errors(), lost_processes(), bad_settings():
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


@contextmanager
def bad_settings() -> Iterator[None]:
    """Raises ValueError for a mistake in the options and for what Lightning cannot do with them."""
    try:
        yield
    except (ArgumentError, MisconfigurationException, OverflowError) as error:
        raise ValueError(str(error)) from error


@contextmanager
def lost_processes() -> Iterator[None]:
    """Raises ChildProcessError, an OSError, where another process of this training has ended."""
    try:
        yield
    except RuntimeError as error:
        if not re.search("Connection (closed|reset) by peer|NCCL .*(abort|timeout)", str(error)):
            raise
        raise ChildProcessError(
            "another process of this training has ended, and so does this one: what it said comes "
            "before this; go on from the last checkpoint with --ckpt_path last"
        ) from error
