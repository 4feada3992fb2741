"""Sheets of glyphs, the names of files, and PNGs that say what drew them."""

import pytest
from PIL import Image

from diffusion.pictures import MARGIN, columns, file_stem, sheet, write_png


def test_a_sheet_is_as_square_as_its_prompts_allow():
    assert [columns(n) for n in (1, 2, 3, 4, 5, 9, 10, 16, 17)] == [1, 2, 2, 2, 3, 3, 4, 4, 5]
    assert columns(8, blocks=2) == 4  # two rows each
    assert columns(8, blocks=20) == 8
    with pytest.raises(ValueError, match="do not make 2 blocks"):
        sheet([Image.new("L", (4, 4))] * 3, blocks=2)


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("gold", "gold"),
        ("Sea monster", "sea-monster"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\x?*", "c-x"),
        ("龍 и café", "龍-и-café"),
        ("!?", "glyphs"),
        ("-rf", "rf"),
        ("word " * 40, "-".join(["word"] * 12)),
        ("x" * 300, "x" * 60),
    ],
)
def test_file_names_are_safe(prompt, stem):
    assert file_stem(prompt) == stem


def test_a_sheet_with_a_row_to_spare_is_white_there():
    paper = sheet([Image.new("L", (10, 10), 0)] * 3)  # two by two
    assert paper.size == (2 * (10 + MARGIN) + MARGIN,) * 2
    assert paper.histogram()[0] == 3 * 100
    assert paper.getpixel((MARGIN + 10 + MARGIN, MARGIN + 10 + MARGIN)) == 255


def test_text_of_every_script_survives_in_a_png(tmp_path):
    about = {"prompt": "café 龍\nсеребро 🐉", "seed": 7}
    write_png(Image.new("L", (2, 2), 9), tmp_path / "x.png", about)
    with Image.open(tmp_path / "x.png") as image:
        assert image.text == {"prompt": about["prompt"], "seed": "7"}
        assert image.getpixel((1, 1)) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
