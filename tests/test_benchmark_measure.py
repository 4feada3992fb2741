"""The benchmark measures everything once, and its command line says so."""

import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SCRIPTS, UNET, files, make_pipeline

from diffusion import benchmark
from diffusion.benchmark import FULL, QUICK, markdown, timing
from diffusion.benchmark.measure import summary
from diffusion.samplers import SAMPLERS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own


def test_the_expected_time_follows_the_machine():
    slow, fast = (FULL.expected_s(rate, others=True) for rate in (1e11, 2e11))
    assert slow == 2 * fast
    assert FULL.expected_s(1e15, others=True) == 60
    assert QUICK.expected_s(1e11, others=False) < QUICK.expected_s(1e11, others=True) < slow


def test_one_glyph_is_the_smallest_batch_and_the_best_is_the_fastest():
    rates = {16: 40.0, 1: 8.0, 64: 30.0}
    rows = [{"batch": batch, "glyphs_per_s": rate} for batch, rate in rates.items()]
    result = summary(rows)
    assert (result["glyph_ms"], result["best_batch"], result["glyphs_per_s"]) == (125, 16, 40)


@pytest.fixture
def measured(script, monkeypatch, tiny_model_folder, tiny_networks):
    """Runs benchmark.py on tiny models; the processes that it would start run in this one."""
    tiny = replace(
        QUICK, repeats=1, slow_repeats=1, batches=(1, 2), codec_batch=1, autoencoder_batch=2,
        denoiser_batch=2, matrix=64,
    )  # fmt: skip

    def process(command, folder):
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
            patch.setattr(sys, "argv", command[1:])
            runpy.run_path(command[1], run_name="__main__")
        assert not end.value.code
        if "--out" in command:
            assert Path(command[-1]).read_bytes().startswith(b"\x89PNG")
        return {"seconds": 2.0, "peak_mb": 500.0}

    monkeypatch.setattr(benchmark, "QUICK", tiny)
    monkeypatch.setattr(timing, "run_process", process)

    def call(*arguments):
        model = () if "--model" in arguments else ("--model", tiny_model_folder)
        return script("benchmark.py", "--quick", *model, *arguments)

    return call


def test_everything_is_measured_and_written(measured):
    result = measured("--out", "new/folder")
    assert result.code == 0, result.err
    assert files() == ["new/folder/benchmark.json", "new/folder/benchmark.md"]
    assert "takes about" in result.out
    assert result.err == ""
    found = json.loads(Path("new/folder/benchmark.json").read_text())
    assert found["skipped"] is None
    assert found["start"]["generate_s"] == 2
    assert set(found["autoencoders"]) == {"tianshu", "kl", "tiny"}
    assert set(found["denoisers"]) == {"tianshu", "diffusers"}
    assert set(found["samplers"]) == set(SAMPLERS)
    for own in found["samplers"].values():
        assert 0 < own["glyphs_1_us"] < own["glyphs_1_us"] / own["glyphs_1_share"]
    names = {"autoencoder", "denoiser", "denoiser_adamw", "diffusers", "article"}
    assert set(found["training"]) == names
    article = found["article"]
    assert article["glyph_ms"] == pytest.approx(1000 * 50 * article["batches"][0]["call_s"])
    assert Path("new/folder/benchmark.md").read_text() == markdown(found)


def test_a_unet_is_measured_beside_a_unet(measured):
    make_pipeline(config=UNET).save_pretrained("unet")
    result = measured("--model", "unet")
    assert result.code == 0, result.err
    found = json.loads(Path("benchmark/benchmark.json").read_text())
    assert found["denoiser"] == "U-Net"
    assert set(found["denoisers"]) == {"tianshu", "diffusers"}
    assert "| diffusers' U-Net |" in Path("benchmark/benchmark.md").read_text()


def test_without_diffusers_the_rest_is_measured(measured, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    result = measured()
    assert result.code == 0, result.err
    assert "diffusers is not installed: pip install -e '.[benchmark]'" in result.out
    found = json.loads(Path("benchmark/benchmark.json").read_text())
    assert found["article"] is None
    assert set(found["autoencoders"]) == {"tianshu"}
    assert found["generation"]["glyphs_per_s"] > 0
    text = Path("benchmark/benchmark.md").read_text()
    assert "skipped: diffusers is not installed: pip install -e '.[benchmark]'" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "nowhere"), "no model in nowhere"),
        (("--model", "damaged"), "config.json"),
        (("--device", "tpu"), 'no device "tpu"'),
        (("--device", "cuda:99"), "no cuda:99 here"),
        (("--out", "file"), "file is not a folder"),
        (("--bogus",), "No such option"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_leaves_nothing(measured, arguments, said):
    Path("file").write_text("")
    Path("damaged").mkdir()
    for name in ("config.json", "model.safetensors"):
        (Path("damaged") / name).write_text("{")
    before = files()
    result = measured(*arguments)
    assert result.code == 2, result.out
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert said in result.err
    assert files() == before


def test_help_teaches_and_does_not_wait_for_torch():
    command = [sys.executable, str(SCRIPTS / "benchmark.py"), "--help"]
    env = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert result.returncode == 0
    for taught in ("python scripts/benchmark.py", "--quick", "--model", "[default: benchmark]"):
        assert taught in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"torch", "transformers", "diffusers"}
