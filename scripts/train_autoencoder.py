"""Trains stage one, the autoencoder, on the glyphs that prepare_data.py drew.

    python scripts/train_autoencoder.py

The default is the autoencoder that ships, on two cores. On a GPU, or the decoder alone:

    python scripts/train_autoencoder.py --config scripts/presets/autoencoder-gpu.yaml
    python scripts/train_autoencoder.py --config scripts/presets/decoder.yaml --model.start FOLDER

Loss and pictures go to TensorBoard (`tensorboard --logdir .runs/autoencoder`), checkpoints to
.runs/autoencoder/checkpoints: resume from the last with `--ckpt_path last`. The result is written
to `--model.out`.
"""

from _training import precision, train

from autoencoder.training import AutoencoderModule, GlyphData

if __name__ == "__main__":
    train(
        AutoencoderModule,
        GlyphData,
        "autoencoder",
        precision=precision(),
        max_steps=4600,
        val_check_interval=230,
        check_val_every_n_epoch=None,
    )
