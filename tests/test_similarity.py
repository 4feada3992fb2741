"""Two glyphs compared, against closed forms; the nearest of many, against all of them in turn."""

import importlib.util
import sys

import pytest
import torch
import torch.nn.functional as F

from autoencoder.similarity import (
    character_reader,
    nearest_by_strokes,
    peak_signal_to_noise,
    shifts,
    stroke_iou,
    structural_similarity,
)

CHARACTERS = (
    "金木水火土日月山川田人口手足目耳心言馬魚鳥虫雨雪電車門食衣米竹糸石明林森銀銅鉄河海湖語話談請"
)


@pytest.fixture(scope="module")
def glyphs(draw):
    return draw(CHARACTERS)


def test_psnr_is_its_closed_form():
    glyphs = torch.zeros(3, 1, 4, 4)
    decoded = torch.stack([torch.full((1, 4, 4), value) for value in (0.1, 0.01, 0.0)])
    assert peak_signal_to_noise(decoded, glyphs).tolist() == pytest.approx([20, 40, 100], rel=1e-4)


def test_ssim_of_flat_images_is_its_closed_form(glyphs):
    """Of two flat images only the luminance term is left: (2 a b + c) / (a² + b² + c)."""
    flat = torch.stack([torch.full((1, 64, 64), value) for value in (0.2, 0.6)])
    both = structural_similarity(flat, flat.flip(0))
    truth = (2 * 0.2 * 0.6 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert both.tolist() == pytest.approx([truth, truth], rel=1e-3)
    assert structural_similarity(glyphs, glyphs).tolist() == pytest.approx([1.0] * len(glyphs))


def test_stroke_iou_counts_ink_that_both_have():
    bar = torch.zeros(1, 1, 8, 8)
    bar[..., 2:4, :] = 1
    wider, apart, faint = bar.clone(), bar.roll(4, 2), 0.4 * bar
    wider[..., 4:6, :] = 0.9
    pairs = torch.cat([bar, wider, apart, faint])
    assert stroke_iou(pairs, bar.expand(4, -1, -1, -1)).tolist() == [1, 0.5, 0, 0]
    assert stroke_iou(faint, faint).tolist() == [1]  # two blank pages


def test_shifts_are_all_the_offsets():
    glyph = torch.zeros(1, 1, 9, 9)
    glyph[..., 4, 4] = 1
    moved = shifts(glyph, 2)
    assert len(moved) == 25
    assert moved.sum(dim=0)[0].equal(F.pad(torch.ones(5, 5), (2, 2, 2, 2)))
    assert shifts(glyph, 4, step=4).sum(dim=0)[0].nonzero().unique().tolist() == [0, 4, 8]


def test_the_nearest_of_many_is_the_nearest_of_all_in_every_pixel_and_shift(glyphs):
    chosen, references = glyphs[::5], glyphs[torch.arange(len(glyphs)) % 5 != 0]
    found, indices = nearest_by_strokes(chosen, references > 0.5, shift=3)
    for glyph, value, index in zip(chosen.split(1), found, indices, strict=True):
        every = torch.stack([stroke_iou(s, references) for s in shifts(glyph, 3)[:, None]])
        assert value.tolist() == pytest.approx([every.max().item()], abs=1e-6)
        assert every.max(dim=0).values[index] == every.max()
    ranked, more = nearest_by_strokes(chosen, references > 0.5, shift=3, count=3)
    assert ranked[:, :1].equal(found)
    assert more[:, :1].equal(indices)
    assert (ranked.diff(dim=1) <= 0).all()


def test_only_the_best_few_are_compared_in_every_pixel(glyphs):
    """With one candidate it is the best at a quarter of the size, calculated here."""
    chosen, references = glyphs[:12], glyphs[12:]
    small = F.avg_pool2d((references > 0.5).float(), 4).flatten(1)
    for glyph, index in zip(
        chosen.split(1), nearest_by_strokes(chosen, references, candidates=1)[1], strict=True
    ):
        coarse = F.avg_pool2d(shifts((glyph > 0.5).float(), 4, step=4), 4).flatten(1)
        both = coarse @ small.T
        ratio = both / (coarse.square().sum(1)[:, None] + small.square().sum(1) - both)
        assert index.tolist() == [int(ratio.amax(0).argmax())]
    several, indices = nearest_by_strokes(chosen, references, candidates=2, count=5)
    assert several.shape == indices.shape == (12, 2)


def test_a_copy_is_found_wherever_it_has_moved(glyphs):
    moved = F.pad(glyphs[7:8], (4, -4, -3, 3))
    done = []
    iou, index = nearest_by_strokes(moved, glyphs, advance=done.append)
    assert index.tolist() == [[7]]
    assert iou.item() > 0.97  # less what left the page
    assert done == [1]
    assert nearest_by_strokes(glyphs, glyphs)[0].tolist() == [[1.0]] * len(glyphs)


def test_blank_pages_are_near_nothing(glyphs):
    assert nearest_by_strokes(torch.zeros(2, 1, 128, 128), glyphs)[0].tolist() == [[0], [0]]


def test_the_nearest_of_none_is_refused(glyphs):
    with pytest.raises(ValueError, match="no glyphs to find the nearest among"):
        nearest_by_strokes(glyphs[:1], glyphs[:0])


def test_the_ocr_engine_reads_common_characters(glyphs):
    pytest.importorskip("rapidocr_onnxruntime")
    read = character_reader()
    assert "".join(read(glyphs[:4])) == CHARACTERS[:4]
    assert read(torch.zeros(1, 1, 128, 128)) == [""]


def test_an_ocr_engine_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[evaluate\]'"):
        character_reader()
