"""No training loses its work: whole checkpoints, and an orderly stop."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from autoencoder.files import atomic

LEFT = 3600  # seconds after which nobody writes to a part of a checkpoint any more


class SafeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are whole or absent, and that run no code when read.

    Lightning's own go through the system's temporary folder, and a kill while they are copied from
    there leaves half a file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        try:
            with atomic(path) as part, part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            for part in Path(path).parent.glob(".*.part.ckpt"):  # of runs that were killed
                if part.stat().st_mtime < time.time() - LEFT:
                    part.unlink(missing_ok=True)
        except RuntimeError as error:  # torch's, instead of the OSError of a full disk
            raise OSError(f"cannot write {path}: {error}") from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Tensors and plain values, whatever `weights_only` says.

        Raises ValueError for a file that is damaged or holds anything else.
        """
        try:
            return torch.load(path, map_location or "cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # a damaged file can make the unpickler fail in any way
            raise ValueError(
                f"{path} is damaged, or no checkpoint of tensors and plain values: name another "
                "with --ckpt_path, or leave it out to start over"
            ) from error


class Safety(Callback):
    """Saves and stops at a SIGTERM or Ctrl-C, and stops at a loss or a weight that is not finite.

    A signal waits for the end of its step, from which the run then resumes; a second Ctrl-C does
    not wait. Nothing that is not finite is saved.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.step = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.accumulate_grad_batches < 1:
            raise ValueError("accumulate_grad_batches must be at least 1")
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = SafeCheckpoints()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.step = trainer.global_step
        if trainer.ckpt_path:
            keep_rates(trainer, pl_module)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: dict,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not torch.isfinite(outputs["loss"]):
            raise ValueError(self._not_finite("the loss", trainer))
        if trainer.global_step == self.step:  # gradients are still being gathered
            return
        self.step = trainer.global_step
        stop = self.received is not None
        if trainer.world_size > 1:  # all of them at the same step
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            number = self.received or signal.SIGTERM
            target = Path(trainer.checkpoint_callback.dirpath) / "last.ckpt"
            trainer.save_checkpoint(target, weights_only=False)
            if trainer.is_global_zero:
                name = signal.Signals(number).name
                print(f"{name}: saved step {self.step} in {target}, go on with --ckpt_path last")
            raise SystemExit(128 + number)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if not all(weight.isfinite().all() for weight in pl_module.parameters()):
            raise ValueError(self._not_finite("a weight", trainer))
        for name, value in checkpoint.get("hyper_parameters", {}).items():
            if isinstance(value, Path):
                checkpoint["hyper_parameters"][name] = str(value)

    def _not_finite(self, what: str, trainer: Trainer) -> str:
        kept = Path(trainer.checkpoint_callback.dirpath) / "last.ckpt"
        advice = "start over with lower rates (--model.learning_rate, --model.adam_learning_rate)"
        if kept.exists():
            advice += f", or go on from {kept} with --ckpt_path last"
        return f"{what} is not a finite number at step {trainer.global_step}: {advice}"


def keep_rates(trainer: Trainer, module: LightningModule) -> None:
    """Keeps the rates and decays of this run instead of the checkpoint's."""
    fresh = module.configure_optimizers()
    optimizer, schedule = trainer.optimizers[0], trainer.lr_scheduler_configs[0].scheduler
    schedule.base_lrs = fresh["lr_scheduler"]["scheduler"].base_lrs
    groups = zip(optimizer.param_groups, fresh["optimizer"].param_groups, strict=True)
    for (group, own), base, factor in zip(
        groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
    ):
        group |= own | {"params": group["params"], "lr": base * factor(schedule.last_epoch)}
