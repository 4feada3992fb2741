"""Trains the recogniser, which tells whether a glyph is a character that there is.

    python scripts/train_recognizer.py

Needs the glyphs that prepare_data.py drew. The more hands have written them the better, so what
ships had the characters without a definition, and another font, as well:

    SERIF=$(python -c "import pylopdf_fonts_zh_cn; print(pylopdf_fonts_zh_cn.serif_path())")
    python scripts/prepare_data.py --undefined --out .data/undefined
    python scripts/prepare_data.py --font $SERIF --out .data/serif
    python scripts/prepare_data.py --font $SERIF --undefined --out .data/rest
    python scripts/train_recognizer.py --data.more "[.data/undefined,.data/serif,.data/rest]"

The loss, and how many held-out glyphs are found again, go to TensorBoard (`tensorboard --logdir
.runs/recognizer`), checkpoints to .runs/recognizer/checkpoints: go on from the last with
`--ckpt_path last`. The result is written to `--model.out`. In a folder called recognizer in that of
a denoiser, .runs/diffusion/export/recognizer, it goes with that one.
"""

from _training import train

from autoencoder.readers.recognizer_training import RecognizerData, RecognizerModule

if __name__ == "__main__":
    train(
        RecognizerModule,
        RecognizerData,
        "recognizer",
        devices=1,
        max_steps=1400,
        val_check_interval=200,
    )
