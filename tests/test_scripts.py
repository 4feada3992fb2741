"""The command lines together: what they import, what their help says, and all of them in a chain.

A script runs inside this process, as `__main__`, so that torch is imported once for all of them;
a few run as a process of their own, as users run them.
"""

import json
import os
import re
import warnings
from itertools import islice, product
from pathlib import Path

import lightning.pytorch  # noqa: F401  here, for it logs to what is stderr when first imported
import pytest
import torch
from conftest import SCRIPTS, files, pixels, process
from PIL import Image
from test_fonts import build_font

from autoencoder.data.glyphs import GlyphDataset
from conditioning import captions
from diffusion.request import Request


def test_mistakes_and_help_do_not_wait_for_torch(tmp_path):
    """As processes of their own; the names of all imported modules go to stderr."""
    env = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    for name, argument, code in (
        ("generate.py", "--help", 0),
        ("prepare_data.py", "--help", 0),
        ("generate.py", "--count=0", 2),
    ):
        result = process(name, argument, cwd=tmp_path, env=env)
        assert result.returncode == code
        imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
        assert "typer" in imported
        assert not imported & {"torch", "transformers", "lightning", "conditioning.parts"}, name


@pytest.mark.parametrize(
    ("name", "taught"),
    [
        (
            "generate.py",
            ["python scripts/generate.py", "--guidance", "--calls", f"[default: {Request.seed}]"],
        ),
        ("prepare_data.py", ["python scripts/prepare_data.py", "--font"]),
        ("train_autoencoder.py", ["--model.loss.kl_weight", "--model.out", "--ckpt_path"]),
        ("train_text_encoder.py", ["--data.wordnet", "--model.out"]),
        ("train_prior.py", ["python scripts/train_prior.py --model", "--epochs"]),
        (
            "train_diffusion.py",
            ["--data.autoencoder", "--model.dit.depth", "--model.denoiser", "--model.unet.process"],
        ),
    ],
)
def test_help_teaches(script, name, taught):
    result = script(name, "--help")
    assert result.code == 0
    assert [words for words in taught if words not in result.out] == []
    assert files() == []


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("presets/*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_understood(script, path):
    training = {"decoder": "autoencoder"}.get(path.stem.split("-")[0], path.stem.split("-")[0])
    result = script(f"train_{training}.py", "--config", path, "--print_config")
    assert result.code == 0, result.err
    steps = re.search(r"^  max_steps: (\d+)$", path.read_text("utf-8"), re.MULTILINE)[1]
    assert f"max_steps: {steps}" in result.out


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--model.learnin_rate", "3"], "recognized arguments: --model.learnin_rate 3"),
        (["--model.learning_rate", "fast"], "model.learning_rate"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--data.mix.named=[1]"], "data.mix.named"),
    ],
    ids=str,
)
def test_a_mistyped_option_of_a_training_is_one_line(script, option, said):
    result = script("train_diffusion.py", *option)
    assert result.code == 2
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert said in result.err
    assert files() == []


def test_a_font_is_named_and_where_it_was_moved(script):
    build_font(Path("low.ttf"), "".join(map(chr, range(0x4E00, 0x4E40))), top=320)
    Path("mine.tsv").write_text("一\tone\n", "utf-8")
    options = "--captions", "mine.tsv", "--font", "low.ttf", "--out", "data"
    result = script("prepare_data.py", *options)
    assert "font      Bar Regular, moved by +0.00 em across and -0.07 em down" in result.out
    assert json.loads(Path("data/glyphs.json").read_text("utf-8"))["font"]["shift"][1] < 0


def test_captions_of_ones_own_are_drawn(script):
    Path("mine.tsv").write_text("明\tbright\n河\triver of mine\n", "utf-8")
    result = script("prepare_data.py", "--captions", "mine.tsv", "--out", "data")
    assert result.code == 0, result.err
    records = GlyphDataset("data").records
    assert [(one.character, one.caption) for one in records] == [
        ("明", "bright"),
        ("河", "river of mine"),
    ]
    assert "replaces" not in result.out
    Path("mine.tsv").write_text("明\tbright\n河\t河流\nriver\n", "utf-8")
    result = script("prepare_data.py", "--captions", "mine.tsv", "--out", "data")
    assert result.code == 0
    assert "replaces  the glyphs in data\n" in result.out
    assert result.err.startswith("warning: skipped 1 of 3 lines of mine.tsv: line 3, ")
    assert "warning: 1 of 2 captions have parts that the text encoder cannot read" in result.err
    before = Path("data/glyphs.json").stat().st_mtime_ns
    strict = script("prepare_data.py", "--captions", "mine.tsv", "--strict", "--out", "data")
    assert strict.code == 2 and strict.err.startswith("error: mine.tsv, line 3, ")
    assert Path("data/glyphs.json").stat().st_mtime_ns == before
    both = script("prepare_data.py", "--captions", "mine.tsv", "--undefined")
    assert both.code == 2
    assert both.err == "error: --captions and --undefined: give one of them\n"


# ---- the whole way -------------------------------------------------------------------------------

NOUNS = """\
  1 This software and database is being provided to you, the LICENSEE
00001740 03 n 02 gold 0 atomic_number_79 0 001 @ 00001930 n 0000 | a soft yellow metal; "of gold"
00001930 03 n 01 dragon 0 001 @ 00001740 n 0000 | a creature of legend, with wings
"""


@pytest.fixture
def wordnet(tmp_path_factory):
    """A WordNet of three nouns; one is defined at such length that it fills a vocabulary alone."""
    syllables = [a + b for a, b in product("bdfgklmnprst", "aeiou")]
    invented = " ".join(a + b for a, b in islice(product(syllables, syllables), 1500))
    folder = tmp_path_factory.mktemp("wordnet")
    for part in ("verb", "adj", "adv"):
        (folder / f"data.{part}").write_text("")
    (folder / "data.noun").write_text(NOUNS + f"00002098 03 n 01 jargon 0 000 | {invented}\n")
    (folder / "index.noun").write_text("gold n 1 0 1 1 00001740  \n")
    (folder / "index.verb").write_text("")
    (folder / "cntlist.rev").write_text("gold%1:21:00:: 1 7\n")
    return folder


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on loaders and hardware
def test_from_font_to_glyphs_by_the_command_lines(script, few_characters, wordnet):
    def succeed(name, *arguments):
        with torch.random.fork_rng(devices=[]):  # Lightning seeds the global state
            result = script(name, *arguments)
        assert result.code == 0, result.err
        return result.out

    quick = [
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--trainer.enable_progress_bar=false",
    ]
    assert "64 train, 16 test" in succeed("prepare_data.py", "--out", "data")
    assert len(GlyphDataset("data", "train")) == 64
    drawn = succeed("prepare_data.py", "--undefined", "--out", "more")
    assert "captions" not in drawn
    assert len(GlyphDataset("more")) == len(captions.load_undefined()) == 30
    made = succeed(
        "train_autoencoder.py",
        *quick,
        "--trainer.max_steps=4",
        "--data.folder=data",
        "--model.config.widths=[16,32]",
        "--model.config.encoder_blocks=[1,1]",
        "--model.config.decoder_blocks=[1,1]",
        "--model.loss.perceptual=edges",
        "--model.compile=false",
        "--model.out=autoencoder",
    )
    assert "wrote autoencoder" in made
    made = succeed(
        "train_text_encoder.py",
        *quick,
        "--trainer.max_epochs=1",
        f"--data.wordnet={wordnet}",
        "--data.vocabulary=800",
        "--model.layers=1",
        "--model.hidden=32",
        "--model.out=text_encoder",
    )
    assert "wrote text_encoder" in made
    assert "ratio" in made  # of the probe
    made = succeed(
        "train_diffusion.py",
        *quick,
        "--trainer.max_steps=4",
        "--data.folder=data",
        "--data.batch_size=16",
        "--data.autoencoder=autoencoder",
        "--data.text_encoder=text_encoder",
        "--model.compile=false",
        "--model.denoiser=dit",
        "--model.dit.width=64",
        "--model.dit.depth=1",
        "--model.dit.hidden=64",
        "--model.out=model",
    )
    assert "wrote model" in made
    made = succeed(
        "train_diffusion.py",
        *quick,
        "--trainer.max_steps=2",
        "--data.folder=data",
        "--data.batch_size=16",
        "--data.autoencoder=autoencoder",
        "--data.text_encoder=text_encoder",
        "--model.compile=false",
        "--model.unet.widths=[32,32]",
        "--model.unet.process=cosine",
        "--model.unet.prediction=v",
        "--model.times=uniform",
        "--model.weighting=min_snr",
        "--model.out=unet",
    )
    assert "wrote unet" in made
    settings = json.loads(Path("unet/config.json").read_text())
    assert (settings["process"], settings["prediction"]) == ("cosine", "v")
    table = Path("data/glyphs.tsv")
    unread = table.read_text("utf-8").replace("\ttrain\t", "\ttrain\tсолнце ", 1)
    table.write_text(unread, "utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        made = script("train_prior.py", "--model", "model", "--data", "data", "--epochs", 1)
    assert "of 16 held-out captions" in made.out
    assert "wrote   model/prior" in made.out
    assert re.search(r"warning: 1 of \d+ captions have parts that the .* cannot read", made.err)
    other = script("train_prior.py", "--model", "autoencoder", "--data", "data")
    assert other.code == 2, other.out
    assert not Path("autoencoder/prior").exists()
    few = script("evaluate.py", "--data", "data", "--model", "model", "--out", "ev")
    assert few.code == 2, few.out
    assert "sets to compare take at least 129 and 258" in few.err
    options = "--count", 2, "--steps", 2, "--model", "model", "--device", "cpu"
    succeed("generate.py", "gold", "dragon", *options, "--out", "glyphs/")
    succeed("generate.py", "gold AND dragon", *options, "--model", "unet", "--sampler", "ddpm")
    assert pixels("gold-and-dragon.png").std() > 0
    assert Image.open("glyphs/001-gold-0.png").text["caption"].endswith("; gold")
    glyphs = [
        pixels(f"glyphs/{name}.png")
        for name in ("001-gold-0", "001-gold-1", "002-dragon-2", "002-dragon-3")
    ]
    assert {glyph.shape for glyph in glyphs} == {(128, 128)}
    assert all(glyph.std() > 0 for glyph in glyphs)
    assert (glyphs[0] != glyphs[1]).any()
