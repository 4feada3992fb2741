"""Trains the bundled T5 text encoder on WordNet and Unihan captions, taught by all-MiniLM-L6-v2.

    python scripts/train_text_encoder.py

Takes about fifteen minutes of two cores, and less a second time: the teacher's embeddings are kept
in .runs/text_encoder. Loss and cosine go to TensorBoard (`tensorboard --logdir
.runs/text_encoder`), checkpoints to .runs/text_encoder/checkpoints: go on from the last with
`--ckpt_path last`. The result is written to `--model.out`; a linear probe then measures how
well radicals can be read from it.

Needs Debian's wordnet-base (or WordNet's files by `--data.wordnet`), and no network.
"""

import os
import warnings
from collections.abc import Callable

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # all that is needed lies on this disk

import torch
from _training import train
from lightning.pytorch import Callback, LightningModule, Trainer

from autoencoder.data.glyphs import held_out
from conditioning import TextEncoder
from conditioning.captions import Entry, load_entries
from conditioning.distillation.probe import ProbeScore, probe
from conditioning.distillation.teacher import Teacher
from conditioning.distillation.training import DistillationData, DistillationModule, lessons


def split_entries() -> list[list[Entry]]:
    """The characters to learn from, and the ones held out."""
    entries = load_entries()
    return [[one for one in entries if held_out(one.caption) == unseen] for unseen in (False, True)]


class UnihanDistillationData(DistillationData):
    """WordNet, and the captions on which the other models are trained."""

    def captions(self) -> list[list[str]]:
        """Captions of the training split and of the test split."""
        return [[entry.caption for entry in entries] for entries in split_entries()]


class RadicalProbe(Callback):
    """Prints, at the end, how well radicals can be read from the student and from its teacher."""

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Probes the encoder as it was written to disk."""
        if stage != "fit" or trainer.interrupted or trainer.fast_dev_run:
            return
        encoder = TextEncoder.from_pretrained(module.hparams.out)
        data = trainer.datamodule
        taught = Teacher(data.cache)
        teacher = score(lambda captions: lessons(taught, captions, data.wordnet))
        student = score(lambda captions: pooled(encoder, captions))
        print("radical of held-out captions, by a linear probe:")
        for name, one in (("teacher", teacher), ("student", student)):
            print(f"  {name}  top-1 {one.top1:.3f}  top-10 {one.top10:.3f}")
        top1, top10 = student.top1 / teacher.top1, student.top10 / teacher.top10
        print(f"  ratio    top-1 {top1:.3f}  top-10 {top10:.3f}")


def pooled(encoder: TextEncoder, captions: list[str]) -> torch.Tensor:
    """One embedding per caption, in batches that fit into memory."""
    pieces = [captions[i : i + 512] for i in range(0, len(captions), 512)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some captions are too long, and it is no news here
        return torch.cat([encoder.pool(*encoder(piece)) for piece in pieces])


def score(embed: Callable[[list[str]], torch.Tensor]) -> ProbeScore:
    """The probe's score on the held-out split, for any way to embed captions."""
    inputs = []
    for entries in split_entries():
        inputs.append(embed([entry.caption for entry in entries]))
        inputs.append(torch.tensor([entry.radical for entry in entries]))
    return probe(*inputs)


if __name__ == "__main__":
    train(
        DistillationModule,
        UnihanDistillationData,
        "text_encoder",
        callbacks=(RadicalProbe(),),
        devices=1,
        max_epochs=4,
        gradient_clip_val=1.0,
        reload_dataloaders_every_n_epochs=1,
    )
