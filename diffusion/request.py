"""What can be asked of a `GlyphPipeline`, checked before anything heavy is imported."""

from __future__ import annotations

import math
from pathlib import Path

BUNDLED = Path(__file__).parent / "weights"
STEPS, GUIDANCE, SAMPLER = 12, 3.0, "dpmpp_2m"  # what a call takes unless told otherwise
SAMPLER_NAMES = ("euler", "dpmpp_2m")  # the keys of `diffusion.samplers.SAMPLERS`
MOST_STEPS = 1000
MOST_GLYPHS = 1_000_000
LONGEST_PROMPT = 10_000  # characters; a text encoder reads far fewer


def check_request(
    prompts: list[str], count: int, steps: int, guidance_scale: float, sampler: str, seed: int
) -> None:
    """Raises ValueError, in one line, for a request that cannot be drawn.

    Args:
        prompts: one or several, none blank, each at most 10,000 characters.
        count: glyphs of each prompt, at least 1; at most 1,000,000 of all prompts together.
        steps: calls of the network, 1 to 1000.
        guidance_scale: a finite number.
        sampler: one of `SAMPLER_NAMES`.
        seed: of the first glyph, at least 0; the last glyph's is below 2^63.
    """
    if not prompts:
        raise ValueError('no prompt: say what to draw, for example "gold"')
    if not all(prompt.strip() for prompt in prompts):
        raise ValueError('empty prompt: say what to draw, for example "gold"')
    if (longest := max(map(len, prompts))) > LONGEST_PROMPT:
        raise ValueError(f"a prompt of {longest:,} characters: take at most {LONGEST_PROMPT:,}")
    if count < 1:
        raise ValueError(f"{count} glyphs of a prompt: ask for at least 1")
    if (total := count * len(prompts)) > MOST_GLYPHS:
        raise ValueError(f"{total:,} glyphs: ask for at most {MOST_GLYPHS:,} at once")
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"{steps} steps: take 1 to {MOST_STEPS}")
    if not math.isfinite(guidance_scale):
        raise ValueError(f"guidance of {guidance_scale}: it must be a finite number")
    if sampler not in SAMPLER_NAMES:
        raise ValueError(f'no sampler "{sampler}": there are {", ".join(SAMPLER_NAMES)}')
    if not 0 <= seed <= 2**63 - total:
        raise ValueError(f"seed {seed}: take 0 to 2^63 - 1, the last glyph's seed included")


def check_model(folder: str | Path) -> None:
    """Raises FileNotFoundError, in one line, for a folder without the files of a model.

    Whether they are sound is for `GlyphPipeline.from_pretrained` to say, which reads them.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no model in {folder}: there is no such folder")
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {folder}: name a folder that train_diffusion.py wrote"
            )
