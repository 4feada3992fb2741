"""The student of a denoiser: a flow map, which goes far in one call, its teacher's guidance within.

`x_s = x_t - (t - s) u(x_t, t)`, where `u` is the mean velocity of the guided teacher on the way. No
length at all is the velocity itself, which the teacher shows (Meng et al. 2022,
https://arxiv.org/abs/2210.03142); a longer leap is what two of half its length come to (Frans et
al. 2024, https://arxiv.org/abs/2410.12557), which the student shows itself.

It learns where it comes by itself from noise, not at noised glyphs: guidance leads to states that
those are none of (Tong et al. 2025, https://arxiv.org/abs/2511.19428).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from autoencoder.batches import choose, draw_for, is_exporter, randn, step_generator
from autoencoder.model import Autoencoder
from autoencoder.optim import muon_for
from autoencoder.pretrained import read_model
from conditioning.encoder import TextEncoder
from diffusion.condition import Condition
from diffusion.networks.base import Denoiser, leap
from diffusion.pipeline import NULL_CAPTION
from diffusion.process import PROCESSES, Network, column
from diffusion.request import BUNDLED, GUIDANCE, LEAST_SCALE, MOST_SCALE
from diffusion.training.denoiser import DENOISERS

FLOW = PROCESSES["flow"]
DRAWINGS = {8: 0.3, 4: 0.3, 2: 0.25, 1: 0.15}  # of so many calls, how often their leaps are learnt
LEAPS = 2  # by which the student comes to where it learns


def student_of(teacher: Denoiser) -> Denoiser:
    """A flow map with a teacher's weights, which is as yet its teacher without guidance.

    Raises ValueError for a teacher of another process than `flow`, or another prediction than
    `velocity`, and for a student.
    """
    if teacher.config.flow_map:
        raise ValueError("a student teaches no other: name the folder of a denoiser")
    config = replace(teacher.config, flow_map=True, teacher=teacher.fingerprint)
    student = type(teacher)(config)
    student.load_state_dict(teacher.state_dict(), strict=False)
    return student


def guided_velocity(
    teacher: Network, x_t: Tensor, t: Tensor, words: Condition, nothing: Condition, scale: Tensor
) -> Tensor:
    """`v_null + w (v_words - v_null)` of a teacher, `(B, C, H, W)`, at scales `w` `(B,)`."""
    both = teacher(torch.cat([x_t, x_t]), torch.cat([t, t]), words.joined(nothing))
    with_words, without = both.chunk(2)
    return torch.lerp(without, with_words, column(scale, x_t))


def halves(
    student: Network,
    x_t: Tensor,
    t: Tensor,
    length: Tensor,
    words: Condition,
    scale: Tensor,
    shortest: Tensor,
) -> Tensor:
    """The mean velocity of two leaps of half a length each, `(B, C, H, W)`.

    Rows whose leap is among the `shortest` `(B,)` take it from velocities, by the midpoint rule.
    """
    half = length / 2
    own = torch.where(shortest, 0, half)
    first = leap(student, x_t, t, own, words, scale)
    x_half = x_t - column(half, x_t) * first
    second = leap(student, x_half, t - half, own, words, scale)
    return torch.where(column(shortest, x_t), second, (first + second) / 2)


def walk(
    student: Network, x: Tensor, start: Tensor, t: Tensor, words: Condition, scale: Tensor
) -> Tensor:
    """The states that a student comes to at times `t` from those of `start`, in equal leaps."""
    length = (start - t) / LEAPS
    for i in range(LEAPS):
        velocity = leap(student, x, start - i * length, length, words, scale)
        x = x - column(length, x) * velocity
    return x


class Lesson(NamedTuple):
    """What each sample of a batch teaches, `(B,)` each.

    Attributes:
        start: the time of the noised glyph that the student comes from, 1 for noise alone.
        t: the time that the lesson is of.
        length: how far it leaps from there; 0 for the velocity.
        scale: of the guidance.
        shortest: whether the leap is among the shortest that are learnt.
    """

    start: Tensor
    t: Tensor
    length: Tensor
    scale: Tensor
    shortest: Tensor


def lessons(count: int, velocities: int, generator: torch.Generator) -> Lesson:
    """Lessons for `count` samples, the first of which are of velocities, most of them near noise.

    The others are the leaps of drawings of one to eight calls. Most samples start from noise and
    some from a sketch. Half of the scales are the default, the others log-uniform.
    """
    begun, place, kind, scale = torch.rand(4, count, generator=generator)
    start = torch.where(begun < 0.7, 1.0, 1 - (begun - 0.7) / 0.3 * 0.8)
    which = choose(torch.tensor(list(DRAWINGS.values())), count, generator)
    calls = torch.tensor(list(DRAWINGS))[which]
    length = start / calls
    t = start - length * (place * calls).floor()
    t[:velocities] = (start * (1 - place**2))[:velocities]
    length[:velocities] = 0
    others = LEAST_SCALE * (MOST_SCALE / LEAST_SCALE) ** scale
    scale = torch.where(kind < 0.5, GUIDANCE, others)
    return Lesson(start, t, length, scale, calls == max(DRAWINGS))


class StudentModule(LightningModule):
    """Trains the student of a denoiser and writes it to `out`.

    Args:
        teacher: folder of the denoiser; None is the one that ships.
        velocity: share of the samples that learn the guided velocity, the others leaps.
        early: share of the steps, at the start, in which all learn the velocity.
        learning_rate: of Muon.
        adam_learning_rate: of AdamW.
        warmup_steps: steps until both rates have risen to their peak.
        cooldown: share of the steps, at the end, over which both fall to zero.
        compile: train with torch.compile, which takes some minutes at the start.
        seed: of the lessons and the noise.
        out: folder for the finished student, inside that of its teacher where `generate.py --model`
            is to find it.
    """

    def __init__(
        self,
        teacher: Path | None = None,
        velocity: float = 0.35,
        early: float = 0.15,
        learning_rate: float = 2e-3,
        adam_learning_rate: float = 5e-4,
        warmup_steps: int = 30,
        cooldown: float = 0.6,
        compile: bool = True,
        seed: int = 0,
        out: Path = Path(".runs/diffusion/export/student"),
    ) -> None:
        super().__init__()
        for name, share in (("velocity", velocity), ("early", early)):
            if not 0 <= share <= 1:
                raise ValueError(f"a share of {share:g} for {name}: take 0 to 1")
        self.save_hyperparameters()
        teacher = read_model(BUNDLED if teacher is None else teacher, *DENOISERS.values())
        self.denoiser = student_of(teacher).train()
        self.teacher = [teacher.requires_grad_(False)]  # in a list, so that it is in no checkpoint

    def on_fit_start(self) -> None:
        self.teacher[0].to(self.device)
        self.predict, self.show = self.denoiser.forward, self.teacher[0].forward
        if self.hparams.compile:
            self.predict, self.show = (
                torch.compile(each, dynamic=False) for each in (self.predict, self.show)
            )

    def check_encoders(self, autoencoder: Autoencoder, text_encoder: TextEncoder) -> None:
        """Raises ValueError where the teacher was trained with other encoders."""
        for name, encoder in (("autoencoder", autoencoder), ("text_encoder", text_encoder)):
            if getattr(self.denoiser.config, name) not in ("", encoder.fingerprint):
                raise ValueError(
                    f"the teacher was trained with another {name} than this one: name its own, "
                    f"--data.{name}"
                )

    def training_step(self, batch: tuple[Tensor, Condition], batch_idx: int) -> Tensor:
        trainer, own, count = self.trainer, self.hparams, len(batch[0])
        generator = step_generator(trainer, own.seed, batch_idx)
        early = trainer.global_step < own.early * trainer.estimated_stepping_batches
        velocities = count if early else round(own.velocity * count)
        lesson = draw_for(
            trainer,
            count,
            lambda n: torch.stack(lessons(n, velocities * n // count, generator), dim=1),
        )
        noise = draw_for(trainer, count, partial(randn, batch[0].shape[1:], generator))
        loss = self.loss(self.predict, self.show, batch, Lesson(*lesson.T), noise, velocities)
        for name, rows in (("velocities", loss[:velocities]), ("leaps", loss[velocities:])):
            if len(rows):
                self.log(f"train/{name}", rows.mean().detach())
        self.log("train/loss", loss.mean().detach(), prog_bar=True, sync_dist=True)
        return loss.mean()

    def validation_step(self, batch: tuple[Tensor, Condition], batch_idx: int) -> None:
        count = len(batch[0])
        generator = torch.Generator().manual_seed(batch_idx)  # the same noise every time
        velocities = round(self.hparams.velocity * count)
        lesson = lessons(count, velocities, generator)
        noise = torch.randn(batch[0].shape, generator=generator)
        loss = self.loss(self.denoiser, self.teacher[0], batch, lesson, noise, velocities)
        self.log("val/loss", loss.mean(), prog_bar=True, sync_dist=True, batch_size=count)

    def loss(
        self,
        student: Network,
        teacher: Network,
        batch: tuple[Tensor, Condition],
        lesson: Lesson,
        noise: Tensor,
        velocities: int,
    ) -> Tensor:
        """The squared error of each sample over its scale, `(B,)`; the first learn velocities.

        Errors grow with the scale, and would be those of strong guidance alone.
        """
        x_0, words = batch
        start, t, length, scale, shortest = (each.to(x_0) for each in lesson)
        shown, own = slice(velocities), slice(velocities, None)
        with torch.no_grad():
            noised = FLOW.add_noise(x_0, noise.to(x_0), start)
            x_t = walk(student, noised, start, t, words, scale)
            targets = []
            if len(x_t[shown]):
                asked = words.rows(shown)
                nothing = self.nothing.rows([0] * velocities)
                given = x_t[shown], t[shown], asked, nothing, scale[shown]
                targets.append(guided_velocity(teacher, *given))
            if len(x_t[own]):
                given = x_t[own], t[own], length[own], words.rows(own), scale[own]
                targets.append(halves(student, *given, shortest[own] > 0))
            target = torch.cat(targets)
        error = leap(student, x_t, t, length, words, scale) - target
        return error.square().mean(dim=(1, 2, 3)) / scale

    @cached_property
    def nothing(self) -> Condition:
        """The empty caption, one row."""
        words = self.trainer.datamodule.words
        row = torch.tensor([[words.index[NULL_CAPTION]]]).to(words.tokens.device)
        return Condition(*words.batch(row, words.length(NULL_CAPTION)))

    def configure_optimizers(self) -> dict:
        return muon_for(self, self.denoiser.hidden_matrices())

    def on_fit_end(self) -> None:
        if is_exporter(self.trainer):
            print(f"wrote {self.denoiser.save_pretrained(self.hparams.out)}")
