"""Sketches: outlines, how they are fitted into frames, and characters put together from them."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_dilation

from autoencoder.data.outlines import save_pieces
from autoencoder.readers.recognizer import Recognizer
from autoencoder.sketches import (
    DENSEST,
    EM,
    LIGHTER,
    WHOLE,
    Frame,
    Piece,
    Sketcher,
    apart,
    area,
    fit,
    load_pieces,
    outline_of,
    path_of,
    rasterise,
    read_drawing,
    thicken,
)


def box(left, top, right, bottom):
    """A rectangle of ink."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)


def ring(hole):
    """A square of ink with a hole of a side, in the middle of the em."""
    low, high = (1 - hole) / 2, (1 + hole) / 2
    return [box(0.2, 0.2, 0.8, 0.8), box(low, low, high, high)[::-1]]


@pytest.fixture(scope="module")
def sketcher():
    return Sketcher.load()


def test_the_ink_of_an_outline_is_its_area():
    ink = rasterise(ring(0.2), 128)
    assert ink.sum() == pytest.approx((0.6**2 - 0.2**2) * (128 * EM) ** 2, rel=0.01)
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    slanting = rasterise([(contour - 0.5) @ turn + 0.5 for contour in ring(0.2)], 128)
    assert slanting.sum() == pytest.approx((0.6**2 - 0.2**2) * (128 * EM) ** 2, rel=0.001)
    assert ink[64, 64] == 0 and ink[64, 30] == 1 and ink[2, 2] == 0
    overlapping = [box(0.2, 0.2, 0.6, 0.8), box(0.4, 0.2, 0.8, 0.8)]
    assert np.array_equal(rasterise(overlapping, 64), rasterise([box(0.2, 0.2, 0.8, 0.8)], 64))


def test_ink_goes_with_its_outline_also_over_the_border():
    """Moved by whole pixels, an outline has the same ink, less what is cut off."""
    still = rasterise(ring(0.2))
    for right, down in ((3, -7), (50, 0), (-60, 90), (200, 0), (0, -200)):
        moved = [contour + np.array([right, down]) / (128 * EM) for contour in ring(0.2)]
        truth = np.zeros((128 + 400, 128 + 400))
        truth[200 + down : 328 + down, 200 + right : 328 + right] = still
        assert np.abs(rasterise(moved) - truth[200:328, 200:328]).mean() < 1e-3, (right, down)


def test_thicker_outlines_grow_and_their_holes_shrink():
    outer, hole = (thicken(contour, np.array([0.02, 0.05])) for contour in ring(0.2))
    assert area(outer) == pytest.approx(0.64 * 0.7)
    assert -area(hole) == pytest.approx(0.16 * 0.1)


def test_strokes_keep_their_width_where_frames_narrow():
    bars = [box(0.1, 0.1, 0.2, 0.9), box(0.6, 0.1, 0.7, 0.9)]
    piece = Piece("八", "a", True, "八", Frame(0, 0, 0.8, 1), path_of(bars))
    for same, bar in zip(fit(piece, piece.frame), bars, strict=True):
        assert same == pytest.approx(bar)
    width, height = np.ptp(fit(piece, Frame(0, 0, 0.4, 1))[0], axis=0)
    stroke = 2 * 0.1 * 0.8 / (2 * 0.9)  # twice the area over the length of the edges
    assert width == pytest.approx(0.05 + stroke * (0.5**LIGHTER - 0.5))
    assert height == pytest.approx(0.8 + stroke * (0.5**LIGHTER - 1))


def test_dense_parts_do_not_clot():
    bars = [box(0, 0.2 * i, 1, 0.2 * i + 0.1) for i in range(5)]
    piece = Piece("三", "d", True, "三", Frame(0, 0, 1, 0.9), path_of(bars))
    low = fit(piece, Frame(0, 0, 1, 0.3))
    assert sum(map(area, low)) < 1.1 * DENSEST * 0.3
    assert all(a[:, 1].max() < b[:, 1].min() for a, b in pairwise(low))


def test_parts_are_apart_with_two_white_pixels_between():
    first, second = np.zeros((2, 16, 16))
    first[:, :5], second[:, 7:] = 1, 1
    assert apart(first, second)
    second[8, 6] = 1
    assert not apart(first, second)
    generator = np.random.default_rng(0)
    found = set()
    for first, second in generator.random((60, 2, 20, 20)) > 0.995:
        near = binary_dilation(first, np.ones((5, 5)))
        found.add(apart(1.0 * first, 1.0 * second))
        assert apart(1.0 * first, 1.0 * second) != (near & second).any()
    assert found == {True, False}


def test_a_table_gives_back_its_pieces(tmp_path):
    path = path_of(ring(0.3))
    assert [np.round(1000 * c).tolist() for c in outline_of(path)] == [
        np.round(1000 * c).tolist() for c in ring(0.3)
    ]
    pieces = [
        Piece("囗", "s", True, "回", Frame(0.2, 0.2, 0.8, 0.75), path),
        Piece("口", "", True, "口", WHOLE, path),
    ]
    save_pieces(pieces, tmp_path / "table.xz")
    assert list(load_pieces(tmp_path / "table.xz")) == pieces


def test_every_outline_that_ships_lies_in_the_square():
    for piece in load_pieces():
        outline = outline_of(piece.path)
        points = np.concatenate(outline)
        assert points.min() > -0.15 and points.max() < 1.15, piece[:4]
        assert sum(map(area, outline)) > 0, piece[:4]


@pytest.mark.parametrize(
    ("kind", "first", "second", "character"),
    [
        ("a", "金", "里", "鋰"),
        ("a", "氵", "青", "清"),
        ("a", "女", "馬", "媽"),
        ("d", "艹", "早", "草"),
        ("d", "⺮", "由", "笛"),
        ("stl", "疒", "丙", "病"),
        ("st", "門", "耳", "聞"),
        ("s", "囗", "或", "國"),
        ("sbl", "辶", "首", "道"),
    ],
)
def test_a_sketch_of_a_characters_parts_is_read_as_it(sketcher, kind, first, second, character):
    recognizer = Recognizer.from_pretrained()
    glyph = torch.from_numpy(sketcher.sketch(kind, first, second))[None, None]
    assert recognizer.match(recognizer.embed(glyph))[0].character == character


def test_sketches_differ_by_their_generator_alone(sketcher):
    def glyph(seed):
        return sketcher.sketch("a", "氵", "鳥", np.random.default_rng(seed))

    assert np.array_equal(glyph(3), glyph(3))
    assert len({glyph(seed).tobytes() for seed in range(16)}) == 16
    # Of one weight and proportion, as in a family: the ink of all is about as much.
    inks = [glyph(seed).mean() for seed in range(16)]
    assert 0.02 < np.std(inks) / np.mean(inks) < 0.2


def test_one_may_be_without_the_pieces_of_a_character(sketcher):
    for seed in (None, 1, 2, 3):
        generator = None if seed is None else np.random.default_rng(seed)
        pair = sketcher.pair("a", "金", "里", generator, without="鋰")
        assert "鋰" not in {piece.source for piece in pair}
    own = [piece for piece in sketcher.find("鳥", "a", False) if piece.source != "鴻"]
    alone = Sketcher([*own[:1], *sketcher.find("氵", "a", True)[:1]])
    pair = alone.pair("a", "氵", "鳥", without=own[0].source)
    assert pair[1].source == own[0].source  # there is no other


def test_a_part_that_cannot_surround_is_named(sketcher):
    assert not sketcher.can("stl", "里", "金") and not sketcher.knows("A")
    with pytest.raises(ValueError, match="no outline of 里"):
        sketcher.sketch("stl", "里", "金")


def test_drawings_of_any_size_and_polarity_are_one_glyph(tmp_path):
    drawn = np.zeros((90, 140), np.float32)
    drawn[20:70, 40:50] = drawn[40:50, 30:110] = 1
    glyph = read_drawing(drawn)
    assert glyph.shape == (128, 128) and glyph.max() == 1
    rows, columns = np.nonzero(glyph > 0.5)
    assert np.ptp(columns) + 1 == pytest.approx(0.9 * 128, abs=1)
    assert [(a.min() + a.max()) / 2 for a in (rows, columns)] == pytest.approx([63.5] * 2, abs=1)
    page = Image.fromarray((255 * (1 - 0.5 * drawn)).astype(np.uint8))  # grey ink
    page.save(tmp_path / "mine.png")
    for other in (1 - drawn, page, tmp_path / "mine.png", torch.from_numpy(drawn)[None]):
        assert np.abs(read_drawing(other) - glyph).max() < 0.02
    clear = Image.new("RGBA", page.size)
    clear.paste("black", mask=Image.fromarray((255 * drawn).astype(np.uint8)))
    assert np.abs(read_drawing(clear) - glyph).max() < 0.02


def test_what_is_no_drawing_is_named(tmp_path):
    (tmp_path / "mine.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"mine\.png cannot be read"):
        read_drawing(tmp_path / "mine.png")
    with pytest.raises(ValueError, match="blank"):
        read_drawing(Image.new("L", (50, 50), 255))
    with pytest.raises(ValueError, match="shape"):
        read_drawing(np.zeros((3, 3, 3)))
    with pytest.raises(OSError):
        read_drawing(tmp_path / "none.png")
