"""Fonts: where the ink falls, and which of them are drawn how."""

import numpy as np
import pytest
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder, buildCmapSubTable
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, newTable, woff2
from fontTools.ttLib.tables.DefaultTable import DefaultTable
from fontTools.ttLib.tables.TupleVariation import TupleVariation

from autoencoder.data.fonts import EM, SIZE, GlyphError, draw_glyph, load_font

MIDDLE = (SIZE - 1) / 2


def ink(glyph: np.ndarray) -> tuple[float, float, float, float]:
    """Top, bottom, left and right of the ink in pixels, the last ones included."""
    rows, columns = np.flatnonzero(glyph.max(1) > 127), np.flatnonzero(glyph.max(0) > 127)
    return rows[0], rows[-1], columns[0], columns[-1]


def build_font(path, character="一", top=500, weights=None, descender=-120, axis="wght"):
    """A font of one glyph, a bar from 300 up to `top` in an em of 1000, for each `character`.

    With `weights`, (lowest, highest), the bar grows from `top` to 300 + 2 (top - 300) between them,
    along `axis`.
    """
    pen = TTGlyphPen(None)
    for i, point in enumerate([(100, 300), (100, top), (900, top), (900, 300)]):
        (pen.lineTo if i else pen.moveTo)(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "bar"])
    builder.setupCharacterMap(dict.fromkeys(map(ord, character), "bar"))
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "bar": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "bar": (1000, 100)})
    builder.setupHorizontalHeader(ascent=880, descent=-120)
    builder.setupNameTable({"familyName": "Bar", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=880, sTypoDescender=descender)
    builder.setupPost()
    if weights:
        low, high = weights
        builder.setupFvar([(axis, low, low, high, "Weight")], [])
        grow = [(0, 0), (0, top - 300), (0, top - 300), (0, 0), *[(0, 0)] * 4]
        builder.setupGvar({"bar": [TupleVariation({axis: (0, 1, 1)}, grow)], ".notdef": []})
    builder.save(path)
    return builder.font


# ---- drawing -------------------------------------------------------------------------------------


def test_one_stroke_lies_in_the_middle(font):
    top, bottom, left, right = ink(draw_glyph("一", font))
    assert (top + bottom) / 2 == pytest.approx(MIDDLE, abs=3)
    assert (left + right) / 2 == pytest.approx(MIDDLE, abs=2)
    assert right - left > 0.8 * SIZE
    *_, left, right = ink(draw_glyph("丨", font))
    assert (left + right) / 2 == pytest.approx(MIDDLE, abs=2)


def test_a_part_stays_where_a_scribe_puts_it(font):
    top, bottom, _, _ = ink(draw_glyph("丶", font))
    assert (top + bottom) / 2 < MIDDLE - 3  # the dot is above the middle,
    assert bottom - top < SIZE / 2  # and small: it is not blown up to fill the image
    *_, right = ink(draw_glyph("亻", font))
    assert right < 0.6 * SIZE  # 亻 leaves room on its right
    top, bottom, _, _ = ink(draw_glyph("灬", font))
    assert top > SIZE / 2  # 灬 lies at the bottom
    top, bottom, _, _ = ink(draw_glyph("宀", font))
    assert bottom < 0.6 * SIZE  # 宀 is a roof


def test_ink_is_white_on_black_and_anti_aliased(font):
    glyph = draw_glyph("永", font)
    assert glyph.dtype == np.uint8
    assert glyph.shape == (SIZE, SIZE)
    assert (glyph[0, 0], glyph.max()) == (0, 255)
    assert len(np.unique(glyph)) > 16


def test_a_known_outline_falls_on_known_pixels(tmp_path):
    """The bar is 100..900 by 300..500 of an em box that reaches from -120 to 880."""
    build_font(tmp_path / "bar.ttf")
    glyph = draw_glyph("一", load_font(tmp_path / "bar.ttf")).astype(float) / 255
    em = SIZE * EM
    assert glyph.sum() == pytest.approx(0.8 * 0.2 * em**2, rel=0.02)
    rows, columns = glyph.sum(1), glyph.sum(0)
    pixels = np.arange(SIZE) + 0.5
    assert (columns * pixels).sum() / columns.sum() == pytest.approx(SIZE / 2, abs=0.6)
    height = (SIZE - em) / 2 + (0.88 - 0.4) * em
    assert (rows * pixels).sum() / rows.sum() == pytest.approx(height, abs=0.6)


@pytest.mark.parametrize(
    ("top", "advance", "centre"),
    [
        (400, 1000, (350, 500)),  # 30 units below the middle of the em box, at 380: left there
        (500, 1030, (400, 485)),
        (330, 1000, (380, 500)),  # 65 units below it
        (500, 1100, (380, 500)),  # 50 units left of the middle: both directions are put right
    ],
)
def test_a_font_whose_ink_lies_beside_its_em_box_is_moved_as_a_whole(
    tmp_path, top, advance, centre
):
    """All its characters by one shift, unless there are too few of them to tell."""
    font = build_font(tmp_path / "astray.ttf", "".join(map(chr, range(0x4E00, 0x4E40))), top)
    font["hmtx"]["bar"] = advance, 100
    font.save(tmp_path / "astray.ttf")
    astray = load_font(tmp_path / "astray.ttf")
    for size in (SIZE, 64):
        face = astray if size == SIZE else load_font(tmp_path / "astray.ttf", size=size * EM)
        first, last, left, right = ink(draw_glyph("一", face, size))
        em, middle = size * EM, (size - 1) / 2
        assert (first + last) / 2 == pytest.approx(middle - (centre[0] - 380) * em / 1000, abs=1)
        assert (left + right) / 2 == pytest.approx(middle + (centre[1] - 500) * em / 1000, abs=1)
    build_font(tmp_path / "few.ttf", "一二三", top)
    assert load_font(tmp_path / "few.ttf").shift == (0, 0)


# ---- fonts ---------------------------------------------------------------------------------------


def test_a_variable_font_is_drawn_at_weight_400(tmp_path):
    """Weight 400 of 100..900 is 3/8 of the way, where the bar ends at 500 + 3/8 200 = 575."""
    build_font(tmp_path / "variable.ttf", top=500, weights=(100, 900))
    build_font(tmp_path / "static.ttf", top=575)
    variable, static = load_font(tmp_path / "variable.ttf"), load_font(tmp_path / "static.ttf")
    assert np.array_equal(draw_glyph("一", variable), draw_glyph("一", static))
    assert (variable.name, static.name) == ("Bar at weight 400", "Bar Regular")


def test_a_variable_font_without_400_takes_the_nearest_weight(tmp_path):
    build_font(tmp_path / "heavy.ttf", top=500, weights=(600, 900))
    build_font(tmp_path / "static.ttf", top=500)
    heavy, static = load_font(tmp_path / "heavy.ttf"), load_font(tmp_path / "static.ttf")
    assert np.array_equal(draw_glyph("一", heavy), draw_glyph("一", static))
    assert heavy.name == "Bar at weight 600"


def test_a_font_that_varies_in_something_else_has_no_weight_in_its_name(tmp_path):
    build_font(tmp_path / "wide.ttf", weights=(100, 900), axis="wdth")
    assert load_font(tmp_path / "wide.ttf").name == "Bar Regular"


def test_the_em_box_comes_from_base_where_os2_does_not_tell(tmp_path):
    path = tmp_path / "base.ttf"
    font = build_font(path, descender=-400)
    assert load_font(path).ascent == 0.88
    addOpenTypeFeaturesFromString(
        font,
        "table BASE { HorizAxis.BaseTagList ideo romn;"
        " HorizAxis.BaseScriptList DFLT romn -150 0, hani ideo -150 0; } BASE;",
    )
    font.save(path)
    assert load_font(path).ascent == pytest.approx(0.85)


def test_a_collection_is_indexed(tmp_path):
    collection = TTCollection()
    collection.fonts = [build_font(tmp_path / "a.ttf", top=400), build_font(tmp_path / "b.ttf")]
    collection.save(tmp_path / "both.ttc")
    alone = draw_glyph("一", load_font(tmp_path / "b.ttf"))
    assert np.array_equal(draw_glyph("一", load_font(tmp_path / "both.ttc", 1)), alone)
    assert not np.array_equal(draw_glyph("一", load_font(tmp_path / "both.ttc", 0)), alone)
    for index in (-1, 2):
        with pytest.raises(GlyphError, match=f"no font of index {index}: choose 0 to 1"):
            load_font(tmp_path / "both.ttc", index)
    with pytest.raises(GlyphError, match="no collection"):
        load_font(tmp_path / "a.ttf", 1)


def test_a_font_of_before_unicode_is_drawn_by_its_own_map(tmp_path):
    font = build_font(tmp_path / "unicode.ttf", "永A")
    glyph = draw_glyph("永", load_font(tmp_path / "unicode.ttf"))
    windows = ((3, 2, "shift_jis"), (3, 3, "gbk"), (3, 4, "big5"), (3, 5, "euc_kr"))
    macintosh = ((1, 1, "shift_jis"), (1, 2, "big5"), (1, 3, "euc_kr"), (1, 25, "gb2312"))
    for platform, encoding, codec in (*windows, *macintosh):
        code = int.from_bytes("永".encode(codec))
        font["cmap"].tables = [buildCmapSubTable({code: "bar", 65: "bar"}, 4, platform, encoding)]
        font.save(tmp_path / "old.ttf")
        old = load_font(tmp_path / "old.ttf")
        assert old.characters == {ord("永"), 65}
        assert np.array_equal(draw_glyph("永", old), glyph)


@pytest.mark.parametrize("flavour", ["woff", "woff2"])
def test_fonts_of_the_web_are_drawn(tmp_path, flavour):
    if flavour == "woff2":
        pytest.importorskip("brotli")
    font = build_font(tmp_path / "bar.ttf")
    font.flavor = flavour
    font.save(tmp_path / "bar.woff")
    glyphs = [draw_glyph("一", load_font(tmp_path / f"bar.{end}")) for end in ("ttf", "woff")]
    assert np.array_equal(*glyphs)


def test_woff2_without_brotli_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(woff2, "haveBrotli", False)
    (tmp_path / "bar.woff2").write_bytes(b"wOF2" + bytes(60))
    with pytest.raises(GlyphError, match=r"is a WOFF2 font: pip install brotli"):
        load_font(tmp_path / "bar.woff2")


def test_fonts_without_outlines_are_called_that(tmp_path):
    path = tmp_path / "font.ttf"
    font = build_font(path)
    font["COLR"], font["hmtx"]["bar"] = newTable("COLR"), (1000, 0)
    font["COLR"].version, font["COLR"].ColorLayers = 0, {}
    font.save(path)
    assert draw_glyph("一", load_font(path)).any()  # of one colour, but drawn
    font["glyf"]["bar"] = font["glyf"][".notdef"]
    font.save(path)
    with pytest.raises(GlyphError, match="is a colour font without outlines"):
        load_font(path)
    for table in ("COLR", "glyf", "loca"):
        del font[table]
    font["EBDT"] = DefaultTable("EBDT")
    font["EBDT"].data = bytes(4)
    font.save(path)
    with pytest.raises(GlyphError, match="is a bitmap font without outlines"):
        load_font(path)
    for start in (b"STARTFONT 2.1\n", b"\x01fcp" + bytes(40)):  # BDF and PCF
        path.write_bytes(start)
        with pytest.raises(GlyphError, match="a bitmap font has no outlines"):
            load_font(path)


def test_what_is_no_font_is_one_clear_error(tmp_path):
    with pytest.raises(GlyphError, match="there is no font at"):
        load_font(tmp_path / "none.otf")
    for content in (b"", b"ttcf", b"not a font at all", b"OTTO" + bytes(40)):
        (tmp_path / "bad.otf").write_bytes(content)
        with pytest.raises(GlyphError, match="is not a font that can be read") as error:
            load_font(tmp_path / "bad.otf")
        assert "\n" not in str(error.value)
