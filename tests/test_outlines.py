"""Outlines: shapes that are known come back from their pixels, and real glyphs do."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from fontTools.pens.recordingPen import RecordingPen
from fontTools.ttLib import TTFont
from PIL import Image

from autoencoder.data.fonts import default_font, draw_glyph, load_font
from autoencoder.sketches import EM, rasterise
from diffusion.outlines import (
    UNITS,
    flat,
    glyph_to_svg,
    path_data,
    picture,
    read_svg,
    to_svg,
    trace,
)
from diffusion.pipeline import GlyphOutput


def area(contour):
    """Positive for a contour that goes counter-clockwise as y points up."""
    x, y = flat(contour).T
    return -(x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2


def box(left, top, right, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def drawn(*polygons):
    """Polygons in parts of the em, y down, as a glyph with exact grey."""
    return reduced(rasterise(list(polygons), 1024), 128)


def reduced(image, size):
    """An image at fewer pixels, by their means."""
    step = len(image) // size
    return image.reshape(size, step, size, step).mean(axis=(1, 3))


def sharp(character):
    """A character at 1024 pixels, and its average over each of 128 x 128."""
    font = load_font(default_font(), size=1024 * EM)
    large = draw_glyph(character, font, 1024) / 255
    return large, reduced(large, 128)


def ink(image):
    return 1 - np.asarray(image) / 255


def overlap(a, b):
    return np.minimum(a, b).sum() / np.maximum(a, b).sum()


def test_a_frame_is_eight_lines_and_its_hole_goes_the_other_way_round():
    frame = drawn(box(0.203, 0.1, 0.8, 0.911), box(0.31, 0.2, 0.7, 0.807)[::-1])
    outer, hole = sorted(trace(frame), key=area, reverse=True)
    assert [len(s) for s in outer + hole] == [1] * 8
    assert area(outer) == pytest.approx(0.597 * 0.811, rel=5e-3)
    assert area(hole) == pytest.approx(-0.39 * 0.607, rel=5e-3)
    corners = np.array(outer)[:, 0] / UNITS
    for corner in box(0.203, 0.9, 0.8, 0.089):
        assert np.abs(corners - corner).max(axis=1).min() < 1e-3
    for contour in (outer, hole):  # level lines are exactly so
        steps = np.diff(np.array(contour)[:, 0], axis=0)
        assert (np.abs(steps).min(axis=1) == 0).all()


@pytest.mark.parametrize("degrees", [10, 27, 45])
def test_corners_of_a_slanted_bar_are_sharp(degrees):
    turn = np.exp(1j * np.radians(degrees))
    bar = np.array([-0.35 - 0.04j, 0.35 - 0.04j, 0.35 + 0.04j, -0.35 + 0.04j]) * turn
    bar = np.stack([bar.real, bar.imag], axis=1) + 0.5
    (contour,) = trace(drawn(bar))
    assert [len(s) for s in contour] == [1] * 4
    corners = np.array(contour)[:, 0] * [1, -1] / UNITS + [0, 1]
    for corner in bar:
        assert np.linalg.norm(corners - corner, axis=1).min() < 5e-3


def test_a_disc_is_a_few_curves_with_nodes_at_its_extremes():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    disc = 0.5 + 0.33 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    (contour,) = trace(drawn(disc))
    assert len(contour) <= 6 and all(len(segment) == 3 for segment in contour)
    radii = np.linalg.norm(flat(contour) - 0.5, axis=1)
    assert np.abs(radii - 0.33).max() < 2e-3
    nodes = np.array([segment[-1] for segment in contour]) / UNITS
    for extreme in ([0.5, 0.83], [0.5, 0.17], [0.83, 0.5], [0.17, 0.5]):
        assert np.linalg.norm(nodes - extreme, axis=1).min() < 1.5e-2


def test_outlines_move_with_their_pixels():
    _, glyph = sharp("洗")
    moved = trace(np.roll(glyph, (2, -3), axis=(0, 1)))
    step = np.array([-3, -2]) * UNITS / (EM * 128)
    placed = [[segment + step for segment in contour] for contour in trace(glyph)]
    assert sorted(map(len, moved)) == sorted(map(len, placed))
    points = [
        np.sort(np.concatenate([segment for contour in outline for segment in contour]), axis=0)
        for outline in (moved, placed)
    ]
    assert np.allclose(*points, atol=1e-6)


@pytest.mark.parametrize("character", "洗鏘龍爨乙")
def test_real_glyphs_come_back_with_as_few_segments_as_in_their_font(character):
    large, glyph = sharp(character)
    outline = trace(glyph)
    assert overlap(ink(picture(outline, 512)), reduced(large, 512)) > 0.98
    font, pen = TTFont(default_font()), RecordingPen()
    font.getGlyphSet()[font.getBestCmap()[ord(character)]].draw(pen)
    own = sum(name in ("lineTo", "curveTo", "closePath") for name, _ in pen.value)
    assert sum(map(len, outline)) <= 1.2 * own


def test_specks_and_blanks_are_no_outlines():
    glyph = drawn(box(0.2, 0.2, 0.8, 0.8))
    glyph[5, 5] = glyph[60, 60:62] = 1
    glyph[64, 64] = 0
    assert len(trace(glyph)) == 1
    assert trace(np.zeros((128, 128))) == []
    assert not ink(picture([])).any()


def test_any_picture_has_an_outline_near_it():
    noise = np.random.default_rng(0).random((128, 128))
    for glyph in (noise, np.ones((128, 128)), noise > 0.9, np.indices((128, 128)).sum(axis=0) % 2):
        points = [segment for contour in trace(glyph) for segment in contour]
        assert np.isfinite(np.concatenate(points)).all()
        assert np.concatenate(points).min() > -100 and np.concatenate(points).max() < UNITS + 100


def test_pixels_of_a_glyph_a_picture_and_a_tensor_have_the_same_outline(draw):
    glyphs = (draw("洗鏘") * 255).round() / 255
    pictures = [Image.fromarray(np.uint8(255 - glyph[0] * 255)) for glyph in glyphs.numpy()]
    known = [0, 1], [], [], []
    outlines = GlyphOutput(pictures, *known).outlines
    assert [path_data(outline) for outline in outlines] == [
        path_data(outline) for outline in GlyphOutput(glyphs, *known).outlines
    ]
    for outline, glyph in zip(outlines, glyphs[:, 0].numpy(), strict=True):
        assert overlap(ink(picture(outline)), glyph) > 0.95


def test_a_glyph_alone_comes_back_from_its_svg_in_the_same_frame():
    outline = trace(drawn(box(0.2, 0.3, 0.8, 0.8), box(0.4, 0.5, 0.6, 0.6)[::-1]))
    about = {"prompt": 'rock & "roll" &amp; </metadata>', "seed": 3}
    text = glyph_to_svg(outline, about)
    known, again = read_svg(text)
    assert known == about
    assert path_data(again) == path_data(outline)
    left, _, width, _ = map(float, ElementTree.fromstring(text).get("viewBox").split())
    assert (0 - left) / width == pytest.approx((1 - EM) / 2, abs=1e-4)
    for other in (to_svg([outline] * 2), "<svg/>", text.replace('"seed"', "seed")):
        with pytest.raises(ValueError):
            read_svg(other)


def test_a_sheet_as_svg_keeps_its_glyphs_and_what_is_known_of_them():
    outline = trace(drawn(box(0.25, 0.25, 0.75, 0.5)))
    assert path_data(outline).count("L") == 4  # in whole units
    assert "." not in path_data(outline)
    root = ElementTree.fromstring(to_svg([outline] * 6, blocks=2, about={"prompt": "<a & b>"}))
    paths = root.findall("{*}path")
    assert len(paths) == len({path.get("transform") for path in paths}) == 6
    assert json.loads(root.find("{*}metadata").text) == {"prompt": "<a & b>"}
