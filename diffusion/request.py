"""What can be asked of a `GlyphPipeline`, checked before anything heavy is imported."""

from __future__ import annotations

import re
from pathlib import Path

from conditioning.captions import shortened
from conditioning.prompts import LAYOUTS
from conditioning.radicals import find_radical
from conditioning.sources.tables import read_lines

BUNDLED = Path(__file__).parent / "weights"
STEPS, GUIDANCE, SAMPLER = 12, 4.0, "dpmpp_2m"  # what a call takes unless told otherwise
REDRAWS = 3
AUTO, NONE = "auto", "none"  # what the prior chooses, of radicals, and no choice
SAMPLER_NAMES = ("ddpm", "ddim", "euler", "heun", "dpmpp_2m", "dpmpp_sde")  # keys of SAMPLERS
MOST_STEPS = 1000
MOST_GUIDANCE = 100
MOST_REDRAWS = 1000
MOST_GLYPHS = 1_000_000
LONGEST_PROMPT = 10_000  # characters; a text encoder reads far fewer


def check_request(
    prompts: list[str],
    count: int,
    steps: int,
    guidance_scale: float,
    sampler: str,
    seed: int,
    negative_prompt: str | None = None,
    guidance_interval: tuple[float, float] = (0.0, 1.0),
    eta: float = 0.0,
    radical: str = AUTO,
    layout: str = NONE,
    redraws: int = REDRAWS,
) -> None:
    """Raises ValueError, in one line, for a request that cannot be drawn.

    Args:
        prompts: one or several, none blank, each at most 10,000 characters; `AND` between two parts
            asks for both.
        count: glyphs of each prompt, at least 1; at most 1,000,000 of all prompts together.
        steps: calls of the network, 1 to 1000.
        guidance_scale: from -100 to 100; beyond, a prediction is nothing but its error.
        sampler: one of `SAMPLER_NAMES`.
        seed: of the first glyph, at least 0; the last glyph's is below 2^63.
        negative_prompt: of the same length as a prompt, or blank, or None.
        guidance_interval: two times in [0, 1], the lower one first.
        eta: in [0, 1], and 0 but for the sampler `ddim`.
        radical: "auto", "none", or what `conditioning.radicals.find_radical` finds.
        layout: "none" or one of `conditioning.prompts.LAYOUTS`.
        redraws: 0 to 1000.
    """
    if not prompts:
        raise ValueError('no prompt: say what to draw, for example "gold"')
    if not all(prompt.strip() for prompt in prompts):
        raise ValueError('empty prompt: say what to draw, for example "gold"')
    for text in (*prompts, negative_prompt or ""):
        if len(text) > LONGEST_PROMPT:
            raise ValueError(f"a prompt of {len(text):,} characters: take {LONGEST_PROMPT:,}")
        if re.search("[\0\ud800-\udfff]", text):
            raise ValueError("a prompt that is no text: some of its bytes are no characters")
    for prompt in prompts:
        conjuncts(prompt)
    if count < 1:
        raise ValueError(f"{count} glyphs of a prompt: ask for at least 1")
    if (total := count * len(prompts)) > MOST_GLYPHS:
        raise ValueError(f"{total:,} glyphs: ask for at most {MOST_GLYPHS:,} at once")
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"{steps} steps: take 1 to {MOST_STEPS}")
    if not abs(guidance_scale) <= MOST_GUIDANCE:
        raise ValueError(f"guidance of {guidance_scale}: take -{MOST_GUIDANCE} to {MOST_GUIDANCE}")
    if sampler not in SAMPLER_NAMES:
        raise ValueError(f'no sampler "{sampler}": there are {", ".join(SAMPLER_NAMES)}')
    low, high = guidance_interval
    if not 0 <= low <= high <= 1:
        raise ValueError(f"guidance between times {low} and {high}: take 0 <= LOW <= HIGH <= 1")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta of {eta}: take 0 to 1")
    if eta and sampler != "ddim":
        raise ValueError(f"eta belongs to the sampler ddim, and {sampler} has none")
    if radical not in (AUTO, NONE):
        find_radical(radical)
    if layout not in (NONE, *LAYOUTS):
        raise ValueError(f'no layout "{shortened(layout, 20)}": there are {", ".join(LAYOUTS)}')
    if not 0 <= redraws <= MOST_REDRAWS:
        raise ValueError(f"{redraws} redraws: take 0 to {MOST_REDRAWS:,}")
    if not 0 <= seed <= 2**63 - total:
        raise ValueError(f"seed {seed}: take 0 to 2^63 - 1, the last glyph's seed included")


def conjuncts(prompt: str) -> list[str]:
    """The parts of a prompt around each `AND`: "sickness AND fire" asks for both.

    Only in capitals and between spaces; a prompt without it is one part. Raises ValueError, in one
    line, for a side that is empty.
    """
    parts = [part.strip() for part in re.split(r"(?<!\S)AND(?!\S)", prompt)]
    if len(parts) > 1 and not all(parts):
        raise ValueError(
            f'one side of AND is empty in "{shortened(prompt)}": write "sickness AND fire"'
        )
    return parts if len(parts) > 1 else [prompt]


def read_prompts(path: str | Path) -> dict[int, str]:
    """The lines of a UTF-8 file that are not blank, by their number from 1; "-" is stdin.

    Raises OSError for a file that cannot be read, ValueError for one without prompts or in another
    encoding.
    """
    prompts = read_lines(path)
    if not prompts:
        name = "stdin" if str(path) == "-" else path
        raise ValueError(f"no prompts in {name}: write one a line")
    return prompts


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
