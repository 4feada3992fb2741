"""Trains the reader of radicals, which evaluate.py judges glyphs with.

    python scripts/train_reader.py

Needs the glyphs that prepare_data.py drew. Loss and held-out accuracy go to TensorBoard
(`tensorboard --logdir .runs/reader`), checkpoints to .runs/reader/checkpoints: resume from the last
with `--ckpt_path last`. The result is written to `--model.out`.
"""

from _training import train

from autoencoder.readers.training import ReaderData, ReaderModule

if __name__ == "__main__":
    train(ReaderModule, ReaderData, "reader", devices=1, max_epochs=14, check_val_every_n_epoch=2)
