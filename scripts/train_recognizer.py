"""Trains the recogniser, which tells whether a glyph is a character that exists.

    python scripts/train_recognizer.py

Needs the glyphs that prepare_data.py drew. What ships was also trained on the characters without a
definition, and on another font:

    SERIF=$(python -c "import pylopdf_fonts_zh_cn; print(pylopdf_fonts_zh_cn.serif_path())")
    python scripts/prepare_data.py --undefined --out .data/undefined
    python scripts/prepare_data.py --font $SERIF --out .data/serif
    python scripts/prepare_data.py --font $SERIF --undefined --out .data/rest
    python scripts/train_recognizer.py --data.more "[.data/undefined,.data/serif,.data/rest]"

The loss, and the part of held-out glyphs that is found again, go to TensorBoard (`tensorboard
--logdir .runs/recognizer`), checkpoints to .runs/recognizer/checkpoints: resume from the last with
`--ckpt_path last`. The result is written to `--model.out`; a denoiser takes the one in its own
folder, such as .runs/diffusion/export/recognizer.
"""

from _training import train

from autoencoder.readers.training import RecognizerData, RecognizerModule

if __name__ == "__main__":
    train(
        RecognizerModule,
        RecognizerData,
        "recognizer",
        devices=1,
        max_steps=1400,
        val_check_interval=200,
    )
