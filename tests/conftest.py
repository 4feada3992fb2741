"""What tests share: small models with weights fixed by seeds, and scripts run in their place."""

import os

# Tests run beside each other, a worker a core: threads of their own would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # those of UMAP spin, and slow all later tests

import logging
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from lightning.pytorch import Trainer
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn

from autoencoder import Autoencoder, AutoencoderConfig
from autoencoder.data.fonts import Font, default_font, draw_glyph, load_font, write_glyphs
from autoencoder.data.glyphs import held_out, record
from conditioning import TextEncoder, captions
from conditioning.t5 import T5Config, T5Encoder
from diffusion import GlyphPipeline
from diffusion.condition import Condition
from diffusion.networks.base import Denoiser, DenoiserConfig
from diffusion.networks.dit import DiT, DiTConfig
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.prior import PriorConfig, RadicalPrior

WORDS = [
    "<pad>", "</s>", "<unk>", "a", "of", "the", "to", "and", "gold", "metal", "fish", "bird",
    "dragon", "water", "fire", "tree", "mountain", "river", "sea", "disease", "bamboo", "silk",
]  # fmt: skip

SCRIPTS = Path(__file__).parents[1] / "scripts"

slow = pytest.mark.skipif("SLOW" not in os.environ, reason="takes a minute or two: SLOW=1 runs it")

# Options of the trainings: quiet, on the few glyphs of the fixture `training_folder`, and networks
# that take no time.
QUIET = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.precision=32-true",
]
FEW = ["--data.folder=data", "--data.batch_size=4"]
TINY = {
    "autoencoder": [
        "--model.config.widths=[8,16]",
        "--model.config.encoder_blocks=[1,1]",
        "--model.config.decoder_blocks=[1,1]",
        "--model.loss.perceptual=edges",
        "--model.compile=false",
    ],
    "diffusion": [
        "--data.autoencoder=tiny",
        "--data.text_encoder=text",
        "--data.mix.gloss=0",
        "--data.mix.layout=0",
        "--model.compile=false",
        "--model.denoiser=dit",
        "--model.dit.width=32",
        "--model.dit.depth=1",
        "--model.dit.hidden=32",
        "--model.dit.head_width=16",
        "--model.dit.text_width=16",
        "--model.dit.latent_channels=4",
    ],
}

AUTOENCODER = AutoencoderConfig(
    latent_channels=4,
    widths=(8, 16),
    encoder_blocks=(1, 1),
    decoder_blocks=(1, 1),
    latent_mean=(0.1, -0.2, 0.3, 0.0),
    latent_std=(0.5, 1.0, 2.0, 1.0),
)
DENOISER = DiTConfig(
    latent_channels=4, patch_size=1, width=32, depth=2, head_width=16, hidden=48, text_width=16
)
UNET = UNetConfig(
    latent_channels=4, widths=(16, 32), blocks=1, head_width=8, features=32, text_width=16
)


def quiet_trainer(folder: Path, **options) -> Trainer:
    """A trainer on the CPU that says nothing and keeps nothing, but for what `options` say."""
    quiet = {
        "accelerator": "cpu",
        "default_root_dir": folder,
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "num_sanity_val_steps": 0,
    }
    return Trainer(**(quiet | options))


def shake(module: nn.Module, seed: int = 0, scale: float = 0.1) -> nn.Module:
    """Moves every weight, so that nothing is zero any more, and to what float16 can hold."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight += scale * torch.randn(weight.shape, generator=generator)
            weight.copy_(weight.half())  # buffers stay as they are
    return module


def make_autoencoder(seed: int = 0, config: AutoencoderConfig = AUTOENCODER) -> Autoencoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return shake(Autoencoder(config), seed, 0.05).eval()


def make_text_encoder(seed: int = 0) -> TextEncoder:
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = T5Config(
            vocab_size=len(WORDS), d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4
        )
        model = T5Encoder(config)
    return TextEncoder(model.half().float(), tokenizer)


def make_prior(text_encoder: TextEncoder, seed: int = 0) -> RadicalPrior:
    config = PriorConfig(16, hidden=24, text_encoder=text_encoder.fingerprint)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return shake(RadicalPrior(config), seed, 0.5).eval()


def make_denoiser(seed: int = 0, config: DenoiserConfig = DENOISER) -> Denoiser:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind = UNet if isinstance(config, UNetConfig) else DiT
        return shake(kind(config), seed).eval()


def make_pipeline(seed: int = 0, config: DenoiserConfig = DENOISER) -> GlyphPipeline:
    autoencoder, text_encoder = make_autoencoder(seed), make_text_encoder(seed)
    config = replace(
        config, autoencoder=autoencoder.fingerprint, text_encoder=text_encoder.fingerprint
    )
    return GlyphPipeline(autoencoder, text_encoder, make_denoiser(seed, config))


@pytest.fixture
def seeded():
    """Chance in a test is the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def squares():
    """Glyphs `(64, 1, 64, 64)`, each a square in the middle."""
    glyphs = torch.zeros(64, 1, 64, 64)
    glyphs[..., 24:40, 24:40] = 1
    return glyphs


def process(name: str, *arguments: object, **options) -> subprocess.CompletedProcess:
    """Runs a script as a process of its own."""
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)


def files() -> list[str]:
    """All files in and below the working folder."""
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def pixels(path: str | Path) -> np.ndarray:
    """The pixels of a picture, as whole numbers that do not wrap around."""
    return np.asarray(Image.open(path)).astype(int)


@pytest.fixture
def script(monkeypatch, tmp_path, capfd):
    """Runs a script here in an empty folder; returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SCRIPTS)
    # Lightning's log still goes to the standard error of the test before.
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPTS / name), *map(str, arguments)])
        capfd.readouterr()
        try:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return SimpleNamespace(code=code, **capfd.readouterr()._asdict())

    return call


@pytest.fixture(scope="session")
def font() -> Font:
    """Noto Sans SC."""
    pytest.importorskip("pylopdf_fonts_zh_cn")
    return load_font(default_font())


@pytest.fixture(scope="session")
def draw(font):
    """Draws characters as glyphs `(B, 1, 128, 128)`."""

    def draw(text: str) -> torch.Tensor:
        pixels = np.stack([draw_glyph(character, font) for character in text])
        return torch.from_numpy(pixels)[:, None].float() / 255

    return draw


@pytest.fixture
def tiny_autoencoder() -> Autoencoder:
    """Latents `(B, 4, 8, 8)` of glyphs `(B, 1, 128, 128)`; untrained."""
    return make_autoencoder()


@pytest.fixture
def tiny_text_encoder() -> TextEncoder:
    """Embeddings 16 wide; it knows `WORDS`, the rest are one unknown word."""
    return make_text_encoder()


@pytest.fixture
def tiny_denoiser() -> DiT:
    """A DiT for both, no weight of it zero: its prediction depends on all that it is given."""
    return make_denoiser()


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor, Condition]:
    """Noisy latents, times and words of three samples, as a denoiser is called."""
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(3, 4, 8, 8, generator=generator)
    t = torch.tensor([0.1, 0.5, 0.9])
    embedding = torch.randn(3, 5, 16, generator=generator)
    mask = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    return x_t, t, Condition(embedding, mask)


@pytest.fixture
def tiny_pipeline() -> GlyphPipeline:
    """The three together; glyphs 128 pixels wide."""
    return make_pipeline()


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_pipeline` as a training exports it, both encoders included; read-only by agreement."""
    return make_pipeline().save_pretrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def training_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty glyphs to train on, in data/, and encoders in tiny/ and text/."""
    pytest.importorskip("pylopdf_fonts_zh_cn")
    folder = tmp_path_factory.mktemp("training")
    # The split follows the caption, so more are drawn than are needed.
    records = [record(chr(0x4E00 + i), 1 + i % 9, 5 + i % 9, f"gold {i}") for i in range(24)]
    learnt = [one for one in records if one.split == "train"][:20]
    held_out = [record("姜", 38, 9, "ginger"), record("鐵", 167, 21, "iron")]
    assert len(learnt) == 20
    assert {one.split for one in held_out} == {"test"}
    write_glyphs(folder / "data", [*learnt, *held_out], default_font())
    make_autoencoder().save_pretrained(folder / "tiny")
    make_text_encoder().save_pretrained(folder / "text")
    return folder


@pytest.fixture(scope="session")
def unihan() -> tuple[list, captions.CaptionCounts, list]:
    """80 characters of Unihan, 16 of them held out, the counts of all, and 30 without a caption."""
    entries, counts = captions.load_entries_and_counts()
    learnt = [entry for entry in entries if not held_out(entry.caption)][:64]
    unseen = [entry for entry in entries if held_out(entry.caption)][:16]
    return learnt + unseen, counts, captions.load_undefined()[:30]


@pytest.fixture
def few_characters(monkeypatch, unihan):
    """Unihan with these characters only."""
    few, counts, undefined = unihan
    monkeypatch.setattr(captions, "load_entries_and_counts", lambda: (few, counts))
    monkeypatch.setattr(captions, "load_entries", lambda: few)
    monkeypatch.setattr(captions, "load_undefined", lambda: undefined)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A folder of all processes of a run."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@pytest.fixture(scope="session")
def node(shared_folder):
    """What npm installs for the page; without node, tests are skipped."""
    from diffusion.export.page import install

    with FileLock(shared_folder / "npm.lock"):
        try:
            install()
        except ValueError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def exported(shared_folder):
    """The model that ships as ONNX, in a folder; one export for all processes of a run."""
    from diffusion.export import MANIFEST, export_onnx  # it takes minutes

    root = shared_folder
    with FileLock(root / "onnx.lock"):
        if not (root / "onnx" / MANIFEST).exists():
            export_onnx(GlyphPipeline.from_pretrained(), root / "onnx")
    return root / "onnx"


class Ended:
    """As much as is asked of a process that has ended."""

    def __init__(self, code):
        self.code = code

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def wait(self):
        return self.code
