r"""Trains the student of a denoiser, which draws in four calls of its network, or two, or one.

    python scripts/train_student.py

Its teacher is the denoiser that ships, or `--model.teacher .runs/diffusion/export`, as is whatever
else is in that folder. It learns from nothing but its teacher, and from itself; glyphs and captions
are the same as those of `train_diffusion.py`, and so are their caches in .data/cache.

Losses go to TensorBoard (`tensorboard --logdir .runs/student`), checkpoints to
.runs/student/checkpoints: go on from the last with `--ckpt_path last`. The result is written to
`--model.out`, a folder `student` inside that of the teacher.
"""

from _training import precision, train

from diffusion.training.data import LatentData
from diffusion.training.denoiser import EMA
from diffusion.training.student import StudentModule

if __name__ == "__main__":
    train(
        StudentModule,
        LatentData,
        "student",
        callbacks=(EMA(),),
        precision=precision(),
        max_steps=2000,
        val_check_interval=500,
        check_val_every_n_epoch=None,
    )
