"""The defaults are what ships: every config.json, and what the trainings train without options."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

import autoencoder
import conditioning
import diffusion
from autoencoder.model import AutoencoderConfig
from autoencoder.readers.reader import PartReaderConfig, ReaderConfig
from autoencoder.readers.recognizer import RecognizerConfig
from diffusion.networks.unet import UNetConfig
from diffusion.prior import PriorConfig
from diffusion.training.captions import CaptionMix

# What a training measures, reads from the encoders that it is given, or decides by itself.
FOUND = {"latent_mean", "latent_std", "threshold", "parts", "autoencoder", "text_encoder"}
FOUND |= {"flow_map", "teacher"}
WEIGHTS = {
    kind: Path(package.__file__).parent / "weights" / folder / "config.json"
    for kind, package, folder in (
        (AutoencoderConfig, autoencoder, ""),
        (ReaderConfig, autoencoder, "reader"),
        (PartReaderConfig, autoencoder, "part_reader"),
        (RecognizerConfig, autoencoder, "recognizer"),
        (UNetConfig, diffusion, ""),
        (PriorConfig, diffusion, "prior"),
    )
}


def settings(config: dict) -> dict:
    """What was decided before the training, as JSON holds it."""
    return {k: v for k, v in json.loads(json.dumps(config)).items() if k not in FOUND}


@pytest.mark.parametrize("kind", WEIGHTS, ids=lambda kind: kind.__name__)
def test_settings(kind):
    assert settings(asdict(kind())) == settings(json.loads(WEIGHTS[kind].read_text()))


def defaults(script, name: str) -> dict:
    """The options of a training where none is given."""
    result = script(name, "--print_config")
    assert result.code == 0, result.err
    return yaml.safe_load(result.out)


def test_train_autoencoder(script):
    model = defaults(script, "train_autoencoder.py")["model"]
    shipped = json.loads(WEIGHTS[AutoencoderConfig].read_text())
    assert settings(model["config"]) == settings(shipped)
    assert model["compile"]


def test_train_diffusion(script):
    options = defaults(script, "train_diffusion.py")
    model, data = options["model"], options["data"]
    assert model["denoiser"] == "unet" and model["compile"]
    assert settings(model["unet"]) == settings(json.loads(WEIGHTS[UNetConfig].read_text()))
    assert data["mix"] == asdict(CaptionMix())
    assert data["autoencoder"] is data["text_encoder"] is None  # those that ship


def test_train_text_encoder(script):
    options = defaults(script, "train_text_encoder.py")
    path = Path(conditioning.__file__).parent / "weights" / "config.json"
    shipped = json.loads(path.read_text())
    assert options["model"]["layers"] == shipped["num_layers"]
    assert options["model"]["hidden"] == shipped["d_ff"]
    assert options["data"]["vocabulary"] == shipped["vocab_size"]
