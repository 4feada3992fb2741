"""The benchmark's tables say what was found."""

import pytest
import torch

from diffusion.benchmark.measure import summary
from diffusion.benchmark.others import ARTICLE, EXTRA
from diffusion.benchmark.report import markdown, number, ratio
from diffusion.benchmark.timing import machine


def test_ratios_and_numbers_read_well():
    assert ratio(0.5, 206) == "412 × slower"
    assert ratio(3, 2) == "1.5 × faster"
    assert ratio(2, 2.001) == "the same"
    assert ratio(1, 5000) == "5,000 × slower"
    assert [number(x) for x in (12345.6, 99.96, 12.34, 1.5, 0.00234)] == [
        "12,346", "100.0", "12.3", "1.5", "0.00234",
    ]  # fmt: skip


@pytest.fixture
def results():
    """What a run could have found."""

    def trained(rate, share, optimizer="AdamW"):
        return {
            "parameters": 9_000_000,
            "optimizer": optimizer,
            "batch": 256,
            "step_s": 256 / rate,
            "samples_per_s": rate,
            "gflop_per_sample": 1.25,
            "matmul_gflop_per_s": 190.0,
            "matmul_share": share,
        }

    batches = [{"batch": 1, "glyphs_per_s": 5.0}, {"batch": 16, "glyphs_per_s": 20.0}]
    return {
        "machine": machine(torch.device("cpu")) | {"processor": "Abacus", "threads": 2},
        "denoiser": "transformer",
        "precision": "float32",
        "plan": {"starts": 3, "repeats": 5, "slow_repeats": 2},
        "skipped": None,
        "start": {"generate_s": 6.1, "generate_runs_s": [6.1], "peak_mb": 612.0, "help_s": 0.31},
        "generation": {"parameters": 26_400_000, "steps": 12, "guidance": 3.0, **summary(batches)},
        "article": {
            "source": ARTICLE,
            "parameters": 130_790_657,
            "steps": 50,
            "timed_steps": 2,
            **summary([{"batch": 1, "step_s": 1.648, "glyphs_per_s": 1 / 82.4}]),
        },
        "denoisers": {
            "tianshu": {"parameters": 9_300_000, "batch_2_ms": 10.0, "batch_32_ms": 80.0},
            "diffusers": {"parameters": 9_100_000, "batch_2_ms": 20.0, "batch_32_ms": 40.0},
        },
        "samplers": {
            name: {
                "glyphs_1_us": 17.0,
                "glyphs_1_share": 0.0012,
                "glyphs_16_us": 100.0,
                "glyphs_16_share": 0.0009,
            }
            for name in ("euler", "ddpm")
        },
        "autoencoders": {
            "tianshu": {"parameters": 7e6, "batch": 4, "encode_ms": 10.0, "decode_ms": 10.0},
            "kl": {"parameters": 84e6, "batch": 4, "encode_ms": 300.0, "decode_ms": 700.0},
            "tiny": {"parameters": 2.4e6, "batch": 4, "encode_ms": 5.0, "decode_ms": 10.0},
        },
        "training": {
            "autoencoder": trained(25.0, 0.8, "Muon"),
            "denoiser": trained(150.0, 0.5, "Muon"),
            "denoiser_adamw": trained(200.0, 0.6),
            "diffusers": trained(100.0, 0.7),
            "article": trained(0.1, 0.9),
        },
    }


def rows(text):
    """The cells of each line of all tables."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("| ---")
    ]


def test_tables_say_what_was_found(results):
    text = markdown(results)
    lines = {cells[0]: cells[1:] for cells in rows(text)}
    assert lines["one glyph at a time"] == ["200 ms", "82.4 s", "412 × slower"]
    assert lines["glyphs a second at the best batch"] == ["20.0", "0.0121", "1,648 × slower"]
    assert lines["glyphs in that batch"] == ["16", "1", ""]
    assert lines["sixteen glyphs, guided"] == ["80.0 ms", "40.0 ms", "2 × faster"]
    assert lines["decode a glyph"] == ["10.0 ms", "700 ms", "70.0 × slower", "10.0 ms", "the same"]
    assert lines["peak memory of that process"] == ["612 MB"]
    assert lines["`euler`"] == ["17.0 µs, 0.12%", "100 µs, 0.09%"]
    assert lines["Tianshu's transformer"] == [
        "Muon",
        "256",
        "150",
        "1.25",
        "50% of 190 GFLOP/s",
        "",
    ]
    assert lines["the article's U-Net"][-2:] == ["90% of 190 GFLOP/s", "2,000 × slower"]
    for said in ("Abacus", "2 threads", "2 of its steps were timed", "times 50"):
        assert said in text
    assert "skipped" not in text


def test_what_was_skipped_says_so_in_every_table(results):
    results["article"], results["skipped"] = None, f"no luck: {EXTRA}"
    for part in ("denoisers", "autoencoders", "training"):
        for name in ("diffusers", "kl", "tiny", "article"):
            results[part].pop(name, None)
    text = markdown(results)
    widths = {}
    for section in text.split("## ")[1:]:
        widths[section.split("\n")[0]] = {len(cells) for cells in rows(section)}
    assert all(len(each) == 1 for each in widths.values()), widths
    assert text.count("skipped: no luck: pip install -e '.[benchmark]'") == 5
