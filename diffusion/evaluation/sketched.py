"""What the evaluation asks of sketches: characters from their own parts, and from drawings by hand.

    python -m diffusion.evaluation.sketched .data LXGWWenKai-Regular.ttf

writes `drawings.png` anew: forty held-out characters in a font that follows the brush, here LXGW
WenKai, which is under the SIL Open Font License 1.1 and stands for drawings by hand.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from autoencoder.data.glyphs import GlyphRecord
from autoencoder.similarity import stroke_iou
from conditioning.parts import compositions
from diffusion.evaluation.measures import share
from diffusion.inventions import sketcher
from diffusion.pipeline import GlyphPipeline

DRAWINGS = Path(__file__).with_name("drawings.png")
COUNT, ACROSS, SIZE = 40, 8, 128
LAST = "鿿"  # of the characters that every font has


def load_drawings() -> tuple[list[str], Tensor]:
    """Forty held-out characters and drawings of them, `(40, 1, 128, 128)`, 1 = ink."""
    with Image.open(DRAWINGS) as image:
        characters, sheet = list(image.text["characters"]), np.asarray(image.convert("L"))
    cells = sheet.reshape(COUNT // ACROSS, SIZE, ACROSS, SIZE).swapaxes(1, 2)
    return characters, 1 - torch.from_numpy(
        cells.reshape(-1, 1, SIZE, SIZE).astype(np.float32)
    ) / 255


def own_sketches(records: Sequence[GlyphRecord]) -> tuple[list[int], Tensor]:
    """Which characters have two parts with outlines, and sketches of them, `(N, 1, 128, 128)`.

    No outline is cut from the character itself, where there are others.
    """
    found, sketches = [], []
    for row, record in enumerate(records):
        whole = compositions().get(record.character)
        if whole and sketcher().can(whole.kind, whole.first, whole.second):
            parts = whole.kind, whole.first, whole.second
            inks = sketcher().inks(*parts, without=record.character)
            found.append(row)
            sketches.append(np.maximum(*inks))
    stacked = np.stack(sketches) if sketches else np.empty((0, SIZE, SIZE), np.float32)
    return found, torch.from_numpy(stacked)[:, None]


def likeness(
    pipe: GlyphPipeline, drawn: Tensor, real: Tensor, characters: Sequence[str]
) -> dict[str, float]:
    """How often the true character is the nearest of all, and how like it the strokes are."""
    matches = pipe.match(drawn)
    right = [match.character == one for match, one in zip(matches, characters, strict=True)]
    return {"nearest": share(torch.tensor(right)), "iou": float(stroke_iou(drawn, real).mean())}


def main() -> None:
    """Writes the drawings."""
    from autoencoder.data.fonts import draw_glyph, load_font
    from autoencoder.data.glyphs import GlyphDataset

    folder, path = sys.argv[1:]
    font = load_font(path)
    characters = [one.character for one in GlyphDataset(folder, "test").records]
    able = [
        c for c in characters if c in compositions() and c <= LAST and ord(c) in font.characters
    ]
    chosen = random.Random(0).sample(able, COUNT)
    glyphs = [255 - np.asarray(draw_glyph(one, font)) for one in chosen]
    sheet = np.stack(glyphs).reshape(ceil(COUNT / ACROSS), ACROSS, SIZE, SIZE).swapaxes(1, 2)
    about = PngInfo()
    about.add_itxt("characters", "".join(chosen))
    about.add_text("Software", "LXGW WenKai, SIL Open Font License 1.1")
    image = Image.fromarray(sheet.reshape(-1, ACROSS * SIZE).astype(np.uint8))
    image.quantize(16).save(DRAWINGS, pnginfo=about, optimize=True)
    print(f"wrote {DRAWINGS}: {''.join(chosen)}")


if __name__ == "__main__":
    main()
