"""The benchmark measures ours and reference networks in one run; its table says what was found."""

import json
import sys
from collections import Counter
from functools import partial
from itertools import cycle, repeat
from pathlib import Path

import pytest
import torch
from conftest import SCRIPTS, UNET, files, make_pipeline, slow

from diffusion.networks.unet import UNet, UNetConfig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """The script as a module, in an empty folder."""
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.chdir(tmp_path)
    import benchmark

    return benchmark


@pytest.fixture
def tiny(benchmark, monkeypatch):
    """The same with small networks, each timed in next to no time."""
    unet = {"layers_per_block": 1, "block_out_channels": (32,) * 4}
    kl = {"layers_per_block": 1, "block_out_channels": (32,) * 4}
    monkeypatch.setattr(benchmark, "ARTICLE", benchmark.ARTICLE | unet)
    monkeypatch.setattr(benchmark, "AUTOENCODER_KL", benchmark.AUTOENCODER_KL | kl)
    monkeypatch.setattr(benchmark, "SECONDS", 1e-4)
    return benchmark


def parameters(*networks):
    return sum(weight.numel() for network in networks for weight in network.parameters())


@slow
def test_everything_is_measured_beside_others(tiny, capsys):
    model = make_pipeline(config=UNET).save_pretrained("unet")
    tiny.main("new/folder", model=model, quick=True)
    assert sorted(path.name for path in Path("new/folder").iterdir()) == [
        "benchmark.json",
        "benchmark.md",
    ]
    found = {row["what"]: row for row in json.loads(Path("new/folder/benchmark.json").read_text())}
    assert all(row["ours"] > 0 for row in found.values())
    compared = [what for what, row in found.items() if row["reference"]]
    assert len(compared) == 7
    alone = found["a glyph alone, from words to pixels: the article's pipeline"]
    drawn = found["glyphs drawn: the article's pipeline"]
    assert drawn["ours"] >= 1 / alone["ours"]
    assert found["sixteen glyphs by `generate.py`: peak"]["ours"] > 100  # MB
    table = Path("new/folder/benchmark.md").read_text()
    assert table.count(" faster |") + table.count(" slower |") == 7
    assert table in capsys.readouterr().out


def test_without_diffusers_the_rest_is_measured(tiny, tiny_model_folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.setattr(tiny, "whole_process", lambda *_: [])
    tiny.main("out", model=tiny_model_folder, quick=True)
    said = capsys.readouterr().out
    assert "diffusers is not installed: pip install -e '.[benchmark]'" in said
    assert "faster" not in said and "slower" not in said
    assert all(
        row["reference"] is None for row in json.loads(Path("out/benchmark.json").read_text())
    )


def test_a_time_is_the_median_of_turns(benchmark, monkeypatch):
    """By a clock of its own, in which every fifth short call takes a second."""
    now, naps = [0.0], {"short": cycle([0.005] * 4 + [1.0]), "long": repeat(0.02)}

    def nap(name):
        now[0] += next(naps[name])

    monkeypatch.setattr(benchmark, "SECONDS", 0.01)
    monkeypatch.setattr(benchmark, "Timer", partial(benchmark.Timer, timer=lambda: now[0]))
    found = benchmark.compare({name: partial(nap, name) for name in naps}, turns=3)
    assert found == pytest.approx({"short": 0.005, "long": 0.02})


def test_times_and_ratios_read_well(benchmark):
    rows = [("a", 0.5, 206.0, "s"), ("b", 3.0, 2.0, "/s"), ("c", 0.0123, 0.0041, "s")]
    *_, a, b, c = benchmark.markdown(rows).splitlines()
    assert a == "| a | 500 ms | 3.43 min | 412 × slower |"
    assert b == "| b | 3.00 a second | 2.00 a second | 1.50 × slower |"
    assert c == "| c | 12.3 ms | 4.10 ms | 3.00 × faster |"


def test_the_networks_of_others_are_the_published_ones(benchmark):
    from diffusers import AutoencoderKL, AutoencoderTiny

    with torch.device("meta"):
        unet = benchmark.DiffusersUNet(**benchmark.ARTICLE).network
        kl, small = AutoencoderKL(**benchmark.AUTOENCODER_KL), AutoencoderTiny()
    kinds = Counter(type(block).__name__ for block in (*unet.down_blocks, *unet.up_blocks))
    assert kinds == {
        "DownBlock2D": 3, "CrossAttnDownBlock2D": 1, "UpBlock2D": 3, "CrossAttnUpBlock2D": 1,
    }  # fmt: skip
    assert parameters(unet) == 130_790_657  # of the article's listing, as diffusers builds it
    # As the table of https://github.com/madebyollin/taesd has them.
    assert parameters(kl.encoder, kl.decoder) == 34_163_592 + 49_490_179
    assert parameters(small.encoder, small.decoder) == 1_222_532 + 1_222_531


def test_the_other_unet_is_of_our_size_and_sees_time_and_words_but_no_padding(benchmark):
    with torch.device("meta"):
        ours, reference = UNet(UNetConfig()), benchmark.like_ours(UNetConfig())
    assert parameters(reference) == pytest.approx(parameters(ours), rel=0.25)
    network = benchmark.like_ours(UNET).eval()
    x_t, t, words = benchmark.inputs(2, (4, 8, 8), 16, 6, torch.device("cpu"))
    words.mask[:, 4:] = False
    with torch.inference_mode():
        predicted = network(x_t, t, words)
        later = network(x_t, t / 2, words)
        words.embedding[:, 4:] = 9
        padded = network(x_t, t, words)
        words.embedding[:, :4] = 9
        others = network(x_t, t, words)
    assert predicted.shape == x_t.shape
    torch.testing.assert_close(predicted, padded)
    assert min((predicted - one).abs().max() for one in (later, others)) > 1e-4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "nowhere"), "no model in nowhere"),
        (("--device", "tpu"), 'no device "tpu"'),
        (("--out", "file"), "file is not a folder"),
        (("--out", "old/"), "old is there already: --overwrite replaces it"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_leaves_nothing(script, arguments, said):
    Path("file").write_text("")
    Path("old").mkdir()
    Path("old/benchmark.json").write_text("")
    result = script("benchmark.py", *arguments)
    assert result.code == 2, result.out
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert said in result.err
    assert files() == ["file", "old/benchmark.json"]
