"""How similar two glyphs are: pixels, strokes, what an OCR engine reads, and the nearest of many.

Glyphs are `(B, 1, H, W)` in [0, 1], 1 = ink, and every measure gives one number a glyph.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def peak_signal_to_noise(decoded: Tensor, glyphs: Tensor) -> Tensor:
    """PSNR of each glyph in dB, `(B,)`, at most 100."""
    error = (decoded - glyphs).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error.clamp_min(1e-10))


def structural_similarity(decoded: Tensor, glyphs: Tensor) -> Tensor:
    """SSIM of each glyph, `(B,)`, at most 1 (Wang et al. 2004), as torchmetrics computes it."""
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    return ssim(decoded, glyphs, reduction="none", data_range=1.0)


def stroke_iou(decoded: Tensor, glyphs: Tensor) -> Tensor:
    """Intersection over union of ink, values over 0.5, `(B,)`; 1 for two blank glyphs."""
    a, b = decoded > 0.5, glyphs > 0.5
    both, either = (a & b).sum(dim=(1, 2, 3)), (a | b).sum(dim=(1, 2, 3))
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def nearest_by_strokes(
    glyphs: Tensor,
    references: Tensor,
    shift: int = 4,
    candidates: int = 16,
    count: int = 1,
    advance: Callable[[int], object] = lambda glyphs: None,
) -> tuple[Tensor, Tensor]:
    """The references most like each glyph: stroke IoU, best first, and index, `(B, count)` each.

    Glyphs may be moved by up to `shift` pixels each way. All references are compared at a quarter
    of the size, and the `candidates` best of them in every pixel and at every shift.

    Args:
        glyphs: `(B, 1, H, W)`.
        references: `(N, 1, H, W)`; booleans, True = ink, take the least memory.
        count: of references for each glyph, at most `candidates`.
        advance: called with the number of glyphs done since the last call.

    Raises ValueError where there are no references.
    """
    if not len(references):
        raise ValueError("no glyphs to find the nearest among")
    binary = references > 0.5
    coarse = torch.cat([F.avg_pool2d(b.float(), 4).flatten(1) for b in binary.split(1024)])
    area = coarse.square().sum(dim=1)
    values, indices = [], []
    for glyph in glyphs.split(1):
        moved = shifts((glyph > 0.5).float(), shift, step=4)  # (S, 1, H, W)
        small = F.avg_pool2d(moved, 4).flatten(1)
        product = small @ coarse.T  # (S, N)
        similarity = product / (small.square().sum(1, keepdim=True) + area - product).clamp_min(
            1e-6
        )
        best = similarity.amax(dim=0).topk(min(candidates, len(references))).indices
        every = shifts(glyph > 0.5, shift)  # (S', 1, H, W)
        flat = rearrange(every, "s 1 h w -> s (h w)").float()
        chosen = rearrange(binary[best], "c 1 h w -> c (h w)").float()
        both = flat @ chosen.T  # (S', candidates)
        either = flat.sum(1, keepdim=True) + chosen.sum(1) - both
        iou = torch.where(either > 0, both / either.clamp_min(1), 1.0).amax(dim=0)
        value, place = iou.topk(min(count, len(iou)))  # of the candidates
        values.append(value)
        indices.append(best[place])
        advance(1)
    return torch.stack(values), torch.stack(indices)


def shifts(glyph: Tensor, most: int, step: int = 1) -> Tensor:
    """One glyph `(1, 1, H, W)` at every offset of up to `most` pixels each way, in steps."""
    offsets = range(-(most // step) * step, most + 1, step)
    return torch.cat([F.pad(glyph, (dx, -dx, dy, -dy)) for dy in offsets for dx in offsets])


def character_reader() -> Callable[[Tensor], list[str]]:
    """PP-OCRv4 as a function from glyphs to the text that it reads in each.

    Raises ImportError, which says what to install, without rapidocr-onnxruntime.
    """
    if importlib.util.find_spec("rapidocr_onnxruntime") is None:
        raise ImportError("rapidocr-onnxruntime is not installed: pip install -e '.[evaluate]'")
    from rapidocr_onnxruntime import RapidOCR

    engine = RapidOCR()

    def read(glyphs: Tensor) -> list[str]:
        pixels = rearrange((1 - glyphs).mul(255).round().byte(), "b 1 h w -> b h w 1")
        texts = []
        for image in pixels.expand(-1, -1, -1, 3).contiguous().numpy():
            found, _ = engine(image, use_det=False, use_cls=False, use_rec=True)
            texts.append(found[0][0] if found else "")
        return texts

    return read
