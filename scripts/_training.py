"""The command line that the trainings share: Lightning's own, with `fit` understood."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from _cli import as_typed, check_writable, one_line_errors
from _safety import SafeCheckpoints, Safety
from jsonargparse import Namespace, dict_to_namespace
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from autoencoder.files import atomic

MOST_PROCESSES = {"devices": 1024, "num_nodes": 65536}
SUBCOMMANDS = ("fit", "validate", "test", "predict")
LENGTH = "max_steps", "max_epochs", "accumulate_grad_batches", "gradient_clip_val"
RESUMING = """
Where --ckpt_path resumes a training, what is named here or in --config comes first; the rest of
--model and --data, --trainer.max_steps, max_epochs, accumulate_grad_batches and gradient_clip_val
are as the checkpoint had them.
"""
# What Lightning says that is of no use or, like the first, untrue here: our batches go on where
# they were.
NOISE = (
    "You're resuming from a checkpoint that ended before the epoch|Be aware that when using `ckpt"
    "|Found current_model_state|.*treespec, LeafSpec|.*Tip: For seamless|TPU available: False"
    "|Checkpoint directory .* exists and is not empty"
)


class TrainingCLI(LightningCLI):
    """Lightning's command line, with the checkpoints as options of their own.

    A training that resumes takes what the command line leaves out from the checkpoint.
    """

    shapes: dict[str, torch.Size] | None = None  # of the checkpoint's weights

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        own = self._parse(parser, args)
        path = own.ckpt_path
        if path == "last":
            last = Path(own.checkpoint.dirpath or "", "last.ckpt")
            path = last if last.exists() else path
        if path not in (None, "last", "best", "hpc"):
            path = as_typed(path)
            stored = read_checkpoint(path)
            self.shapes = {key: weight.shape for key, weight in stored["state_dict"].items()}
            settings = stored.get("settings", {})
            known = {key: value for key, value in settings.items() if key in own}
            name = self.config.subcommand
            parser.set_defaults({f"{name}.{key}": value for key, value in known.items()})
            own = self._parse(parser, args)
            own.ckpt_path = str(path)
            now = settings_of(self._parser(name), own) if known else {}
            changed = [
                f"{key} {now.get(key)} (the checkpoint had {known.get(key)})"
                for key in known | now
                if now.get(key) != known.get(key)
            ]
            rank_zero_only(print)("; ".join([f"resuming from {path}", *changed]), flush=True)
        if self.config.subcommand == "fit":  # before the hours that it takes
            folders = list(map(Path, filter(None, (own.model.out, own.checkpoint.dirpath))))
            for folder in folders:
                check_writable(folder, folder=True)
            if path is None and (old := [str(one) for one in folders if any(one.glob("*"))]):
                rank_zero_only(print)(
                    f"starting over: replaces what an earlier training wrote to {' and '.join(old)}"
                    " (--ckpt_path last goes on instead; --model.out and --checkpoint.dirpath name "
                    "other folders)",
                    flush=True,
                )

    def _parse(self, parser: LightningArgumentParser, args: Any) -> Namespace:
        """The options of the subcommand, their paths understood."""
        super().parse_arguments(parser, args)
        own = self.config[self.config.subcommand]
        more = own.get("data.more")
        if isinstance(more, Path) and re.fullmatch(r"\[.*\]", str(more)) and not more.exists():
            own.data.more = tuple(map(Path, re.findall(r"[^][,]+", str(more))))  # 2024 was a number
        for key, value in own.items():
            own[key] = understood(value)
        return own

    def _parse_ckpt_path(self) -> None:
        """Lightning would prefer the checkpoint's settings to those of the command line."""

    def after_instantiate_classes(self) -> None:
        """Raises ValueError where the checkpoint's weights are not those of the network."""
        shapes = {key: weight.shape for key, weight in self.model.state_dict().items()}
        if self.shapes and shapes and shapes != self.shapes:
            raise ValueError(
                f"{self.config[self.subcommand].ckpt_path} holds the weights of another network "
                "than --model says: leave out what differs, or name another with --ckpt_path"
            )

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
        if config.trainer.enable_progress_bar is not False:
            self.trainer_defaults["callbacks"].insert(0, Bar())
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


class Bar(RichProgressBar):
    """Lightning's, which counts to epoch -2 where steps and not epochs end a training."""

    def _get_train_description(self, current_epoch: int) -> str:
        return super()._get_train_description(current_epoch).replace("/-2", "")


class WholeConfig(SaveConfigCallback):
    """Writes the settings of a training beside its log, whole or not at all, and in checkpoints."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = Path(getattr(trainer.logger, "log_dir", None) or trainer.default_root_dir)
        with atomic(folder / self.config_filename) as part:
            part.write_text(self.parser.dump(self.config, skip_none=False), "utf-8")

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["settings"] = settings_of(self.parser, self.config)
        checkpoint["script"] = Path(sys.argv[0]).name


def settings_of(parser: LightningArgumentParser, config: Namespace) -> dict[str, Any]:
    """What a checkpoint keeps of a command line: plain values by the names of their options."""
    plain = dict_to_namespace(json.loads(parser.dump(config, format="json"))).items()
    return {
        key: value
        for key, value in plain
        if key.startswith(("model.", "data.")) or key.removeprefix("trainer.") in LENGTH
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint to resume from. Raises ValueError where it is damaged or another training's."""
    stored, script = SafeCheckpoints().load_checkpoint(path), Path(sys.argv[0]).name
    what = ""
    if not isinstance(stored, dict) or "state_dict" not in stored:
        what = "no checkpoint of a training"
    elif stored.get("script", script) != script:
        what = f"a checkpoint of {stored['script']}, not of {script}"
    if what:
        raise ValueError(f"{path} is {what}: name another with --ckpt_path, or leave it out")
    return stored


def understood(value: Any) -> Any:
    """An option's value, where it is a path as `as_typed` reads it."""
    if isinstance(value, list | tuple):
        return type(value)(map(understood, value))
    is_path = isinstance(value, Path) or (isinstance(value, str) and value.startswith("~"))
    return type(value)(as_typed(value)) if is_path else value


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
    about = {"description": sys.modules["__main__"].__doc__ + RESUMING, "exit_on_error": False}
    warnings.filterwarnings("ignore", NOISE)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not re.match(NOISE, record.getMessage())
    )
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
        if "loading state_dict" in str(error):  # of a network that the data shape
            raise ValueError(
                "the checkpoint holds the weights of another network than the options say: leave "
                "out what differs, or name another with --ckpt_path"
            ) from error
        if not re.search("Connection (closed|reset) by peer|NCCL .*(abort|timeout)", str(error)):
            raise
        raise ChildProcessError(
            "another process of this training has ended, and so does this one: what it said comes "
            "before this; go on from the last checkpoint with --ckpt_path last"
        ) from error
