"""The page of an evaluation: what its tables say, and what they say of what is missing."""

import sys
from itertools import pairwise

import pytest
from PIL import Image

from diffusion.evaluation.report import cell, markdown, plot, table

FIGURES = {
    "plan": {"captions": 200, "per_radical": 16, "steps": 12, "guidance_scale": 3.0, "seed": 0},
    "models": {"denoiser": "d" * 64, "autoencoder": "a" * 64, "reader": "r" * 64},
    "reconstruction": {
        "glyphs": {
            "all": {"glyphs": 200, "psnr": 31.5, "worst_psnr": 20.1, "ssim": 0.98, "iou": 0.95}
        },
        "characters": {"shown": 100, "read": 25, "share": 0.96},
        "radicals": {"before": 0.93, "before, 40 commonest": 0.97, "after": 0.92},
    },
    "distribution": {
        against: {
            name: {
                "frechet": 12.345,
                "kernel": 0.00123,
                "precision": 0.9,
                "recall": 0.8,
                "density": 1.05,
                "coverage": 0.91,
            }
            for name in ("samples", "floor", "copycat")
        }
        for against in ("held-out glyphs", "training glyphs")
    },
    "adherence": {
        "radicals": {"samples": 0.88, "floor": 0.028, "ceiling": 0.97},
        "words": {"samples": 0.6, "floor": 0.07, "each": {"trout": 1.0, "pizza": 0.125}},
        "captions": {"samples": 0.4, "floor": 0.05, "ceiling": 0.47},
        "each": {"water": 1.0, "mountain": 0.25, "gold": 0.75},
        "guidance": {"1": 0.5, "3": 0.9},
        "steps": {"1": 0.1, "12": 0.9},
    },
    "layouts": {
        "samples": 0.789,
        "floor": 0.333,
        "ceiling": 0.922,
        "each": {"left-right": 0.9, "top-bottom": 0.7, "enclosed": 0.6},
        "radicals": 0.812,
    },
    "novelty": {
        "redrawn": 0.117,
        "glyphs": {
            name: {"exist": 0.031, "mean": 0.6, "highest": 0.93, "near_copies": 0.02}
            for name in ("samples", "floor", "copycat")
        },
    },
    "overfitting": {"times": [0.1, 0.9], "training": [0.4, 0.7], "held-out": [0.5, 0.8]},
}


def test_numbers_are_rounded_to_what_they_can_say():
    assert [cell(v) for v in (31.456, 1.0456, 0.12345, -0.00012, 7, "x", None)] == [
        "31.5", "1.05", "0.123", "-0.000", "7", "x", "–",
    ]  # fmt: skip
    assert table(["a", "b"], [[1, 0.5]]) == "| a | b |\n| --- | --- |\n| 1 | 0.500 |"


def test_the_page_has_a_floor_beside_every_figure():
    page = markdown(FIGURES, {}, ["radicals.png"])
    assert "| all | 200 | 31.5 | 20.1 | 0.980 | 0.950 | skipped |" in page
    assert page.count("| real glyphs (floor) |") == 2
    assert "| sixty everyday words that no training caption has | 0.600 | 0.070 | – |" in page
    assert "of the words: pizza 0.125, trout 1.00." in page
    assert page.count("(copycat)") == 3
    assert "| names of the 36 commonest radicals | 0.880 | 0.028 | 0.970 |" in page
    assert "| samples | held-out glyphs | 12.3 | 1.23 | 0.900 | 0.800 | 1.05 | 0.910 |" in page
    assert "The weakest of the 36: mountain 0.250, gold 0.750, water 1.00;" in page
    assert "| held-out | 0.500 | 0.800 |" in page
    assert "each with three layouts | 0.789 | 0.333 | 0.922 |" in page
    assert "Of the samples left-right 0.900, top-bottom 0.700, enclosed 0.600;" in page
    assert "The layout" not in markdown(FIGURES | {"layouts": {}}, {})
    assert "read 25 of 100 held-out characters rightly, and 0.960 of those again" in page
    assert "![radicals](radicals.png)" in page
    assert "## Skipped" not in page


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    lines = markdown(FIGURES, {}).splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") == line.count("|")


def test_what_was_skipped_is_said_with_the_reason():
    reading = {k: v for k, v in FIGURES["reconstruction"].items() if k != "characters"}
    page = markdown(FIGURES | {"reconstruction": reading}, {"LPIPS": "no network"})
    assert "## Skipped" in page and "- LPIPS: no network" in page
    assert "Characters read by PP-OCRv4: skipped." in page


def test_plots_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    plot(FIGURES, tmp_path / "adherence.png")
    with Image.open(tmp_path / "adherence.png") as image:
        dark = sum(image.convert("L").histogram()[:64])
        assert image.width > 2 * image.height and dark > 1000


def test_a_plot_without_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[evaluate\]'"):
        plot(FIGURES, tmp_path / "adherence.png")
    assert not list(tmp_path.iterdir())
