"""Trains stage one, the autoencoder, on the glyphs that prepare_data.py drew.

    python scripts/train_autoencoder.py --config scripts/presets/autoencoder-cpu.yaml

Without a preset it trains as the CPU one does, uncompiled. Loss and pictures go to TensorBoard
(`tensorboard --logdir .runs/autoencoder`), checkpoints to .runs/autoencoder/checkpoints: go on from
the last with `--ckpt_path last`. The result is written to `--model.out`.
"""

from _training import train

from autoencoder.training import AutoencoderModule, GlyphData

if __name__ == "__main__":
    train(
        AutoencoderModule,
        GlyphData,
        "autoencoder",
        max_steps=4600,
        val_check_interval=460,
        check_val_every_n_epoch=None,
        gradient_clip_val=None,
    )
