"""What can be asked of a `GlyphPipeline`, checked before anything heavy is imported."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from operator import index
from pathlib import Path
from typing import Any

from conditioning.prompts import LAYOUTS, asked, hints, normalise, read_lines, shortened
from conditioning.radicals import find_radical

BUNDLED = Path(__file__).parent / "weights"
AUTO, NONE = "auto", "none"  # the prior's choice, and none
CONJUNCTIONS = ("compose", "sum")
SAMPLER_NAMES = ("ddpm", "ddim", "euler", "heun", "dpmpp_2m", "dpmpp_sde")  # keys of SAMPLERS
MOST_STEPS = MOST_REDRAWS = 1000
CALLS = (4, 2, 1, 8)  # of a student; the first is the default
STEPS, SAMPLER, GUIDANCE = 12, "dpmpp_2m", 4.0  # of its teacher, from noise
LEAST_SCALE, MOST_SCALE = 1.0, 8.0  # of guidance in a student
MOST_GUIDANCE = 100  # beyond, a prediction is nothing but its error
MOST_GLYPHS = 1_000_000
LONGEST_PROMPT = 10_000  # characters; a text encoder reads far fewer


@dataclass(frozen=True)
class Request:
    """What to draw, and how. Raises ValueError, in one line, for what cannot be drawn.

    Attributes:
        prompts: English, one or several, each at most 10,000 characters; "sickness AND fire" asks
            for both at once, and "fish; top-bottom" for a layout. Without any, a radical with a
            part or a sound is drawn under its own name.
        num_images_per_prompt: at least 1; at most 1,000,000 images of all prompts together.
        num_inference_steps: of the teacher, 1 to 1000, each a guided call of its network; the
            sampler `heun` makes two, and one in its last step. None is 12, and two where a glyph
            begins from parts.
        guidance_scale: 1 follows the words plainly, more follows them harder, 0 not at all; from
            -100 to 100, in a student from 1 to 8. None is 4, and 1 where a glyph begins from parts.
        sampler: of the teacher, a name in `SAMPLER_NAMES`; None is `dpmpp_2m`.
        seed: image i comes from the generator of `seed + i`, and is the same to the last bit
            whatever else is drawn, on one machine and number of threads; 0 to 2^63 - 1.
        negative_prompt: what guidance leads away from; None is the empty caption.
        guidance_interval: times, 0 data and 1 noise, between which there is guidance; outside, the
            scale is 1.
        eta: fresh noise of the sampler `ddim`, from 0, none, to 1, as much as `ddpm`.
        radical: stands before the words: "auto" is the prior's choice, which can differ from seed
            to seed, "none" is nothing; else a radical by its English name, one of its forms or its
            number: "speech", "言", "149".
        layout: where the two parts stand: "left-right", "top-bottom" or "enclosed", or "none". A
            prompt that names its own keeps it.
        redraws: how often, at most, a glyph is drawn again, from fresh noise of the same seed,
            where the recogniser says that the character exists. With a part of your own, what
            exists is drawn all the same.
        part: what stands beside the radical: a character, "里", or its meaning, "ghost". With
            "auto" the seed draws one as often as characters have it, none that makes a character
            with this radical; "none" leaves it to chance.
        sound: how the part is read, in Pinyin: "luo", or in one tone "luó" or "luo2". The seed
            draws one of the parts that write this sound. A prompt that names its own part or
            sound, "robot; sound luo", keeps it.
        sketch: a drawing of the whole character to begin with: a file, a PIL image, or an array or
            tensor `(height, width)` in [0, 1], 1 = ink.
        time: how far what is put together or sketched goes into noise, from 0, not at all, to 1,
            where nothing is left of it; None is 0.3 for parts, and 0.5 for a sketch.
        conjunction: what `AND` does: "compose" makes a radical of one side and a part of the other
            where it can; "sum" adds up what the network predicts for each.
        calls: of the student's network, 4, 2, 1 or 8, from noise to a glyph; fewer where it begins
            from parts. None is 4, or the teacher where a setting asks for it, such as steps.
    """

    prompts: Sequence[str] = ()  # a single string is taken as one prompt
    num_images_per_prompt: int = 1
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    seed: int = 0
    negative_prompt: str | None = None
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    eta: float = 0.0
    radical: str = AUTO
    layout: str = NONE
    redraws: int = 3
    part: str = AUTO
    sound: str | None = None
    sketch: Any = None
    time: float | None = None
    conjunction: str = "compose"
    calls: int | None = None

    def __post_init__(self) -> None:
        self._convert()
        self._check_prompts()
        self._check_counts()
        if not abs(self.scale) <= MOST_GUIDANCE:  # nan neither
            raise ValueError(f"guidance of {self.scale}: take -{MOST_GUIDANCE} to {MOST_GUIDANCE}")
        if self.sampler not in (None, *SAMPLER_NAMES):
            raise ValueError(f'no sampler "{self.sampler}": there are {", ".join(SAMPLER_NAMES)}')
        low, high = self.guidance_interval
        if not 0 <= low <= high <= 1:
            raise ValueError(f"guidance between times {low} and {high}: take 0 <= LOW <= HIGH <= 1")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta of {self.eta}: take 0 to 1")
        if self.eta and self.sampler != "ddim":
            name = self.sampler or SAMPLER
            raise ValueError(f"eta belongs to the sampler ddim, and {name} has none")
        if self.radical not in (AUTO, NONE):
            find_radical(self.radical)
        if self.layout not in (NONE, *LAYOUTS):
            name = shortened(self.layout, 20)
            raise ValueError(f'no layout "{name}": there are {", ".join(LAYOUTS)}')
        if self.conjunction not in CONJUNCTIONS:
            name = shortened(self.conjunction, 20)
            raise ValueError(f'no AND of the kind "{name}": there are {", ".join(CONJUNCTIONS)}')
        if self.time is not None and not 0 <= self.time <= 1:
            raise ValueError(f"time of {self.time}: take 0 to 1")
        self._check_parts()

    def _convert(self) -> None:
        """Each setting as its type, and names as they are written here."""
        prompts = (self.prompts,) if isinstance(self.prompts, str) else self.prompts
        if not isinstance(prompts, Iterable):
            raise ValueError(f"a prompt is a string, or a list of them, not {_said(prompts)}")
        converted: dict[str, Any] = {"prompts": tuple(prompts)}
        for name in ("num_images_per_prompt", "seed", "redraws"):
            converted[name] = whole(name, getattr(self, name))
        for name in ("num_inference_steps", "calls"):
            if getattr(self, name) is not None:
                converted[name] = whole(name, getattr(self, name))
        for name in ("guidance_scale", "eta", "time"):
            if name == "eta" or getattr(self, name) is not None:
                converted[name] = _number(name, getattr(self, name))
        try:
            low, high = (_number("time", one) for one in self.guidance_interval)
        except (TypeError, ValueError):
            said = _said(self.guidance_interval)
            raise ValueError(f"guidance_interval of {said}: take two numbers, LOW, HIGH") from None
        converted["guidance_interval"] = low, high
        radical, layout, conjunction = (  # None is "none"
            str(name).strip().casefold() for name in (self.radical, self.layout, self.conjunction)
        )
        converted["conjunction"] = conjunction
        if self.sampler is not None:
            sampler = str(self.sampler).strip().casefold().replace("++", "pp")
            converted["sampler"] = re.sub("[- ]", "_", sampler)
        converted["radical"], converted["layout"] = radical, re.sub("[_ ]", "-", layout)
        if isinstance(self.part, str | None):  # None is "none"
            name = str(self.part).strip().casefold()
            converted["part"] = name if name in (AUTO, NONE) else self.part
        own = converted.get("part") not in (AUTO, NONE) or self.sound
        if not converted["prompts"] and radical not in (AUTO, NONE) and own:
            converted["prompts"] = find_radical(radical).names[:1]
        for name, value in converted.items():
            object.__setattr__(self, name, value)

    def _check_prompts(self) -> None:
        for text in self.prompts:
            if not isinstance(text, str):
                raise ValueError(f"a prompt is a string, not {_said(text)}")
        if not isinstance(self.negative_prompt, str | None):
            said = _said(self.negative_prompt)
            raise ValueError(f"negative_prompt is one string for all images, not {said}")
        if not self.prompts:
            raise ValueError('no prompt: say what to draw, for example "gold"')
        if not all(map(normalise, self.prompts)):
            raise ValueError('empty prompt: say what to draw, for example "gold"')
        for text in (*self.prompts, self.negative_prompt or ""):
            if len(text) > LONGEST_PROMPT:
                raise ValueError(f"a prompt of {len(text):,} characters: take {LONGEST_PROMPT:,}")
            if re.search("[\0\ud800-\udfff]", text):
                raise ValueError("a prompt that is no text: some of its bytes are no characters")
        for prompt in self.prompts:
            conjuncts(prompt)
            _warn_of_syntax(prompt)

    def _check_parts(self) -> None:
        for name in ("part", "sound"):
            if not isinstance(value := getattr(self, name), str | None):
                raise ValueError(f"a {name} is a string, not {_said(value)}")
        given = {self.part} - {AUTO, NONE}
        if given and self.sound is not None:
            raise ValueError("a part and a sound: a character has one part beside its radical")
        lines = [asked(prompt) for prompt in self.prompts]
        parts = sorted({line.part for line in lines} - {""} | given)
        sounds = sorted({line.sound for line in lines} - {""} | {self.sound} - {None})
        if not (parts or sounds):
            return
        own = given or self.sound
        if any(len(conjuncts(text)) > 1 and (own or a or b) for text, a, b in lines):
            raise ValueError("a part or a sound, and AND: a character has a radical and one part")
        if self.sketch is not None:
            raise ValueError("a sketch is of the whole character: leave out part and sound")
        if self.radical == NONE:
            raise ValueError("a part stands beside a radical: leave out radical none")
        from diffusion.inventions import check_part, check_sound  # they read tables

        for part in parts:
            check_part(part, self.radical, self.layout)
        for sound in sounds:
            check_sound(sound, self.radical, self.layout)

    def _check_counts(self) -> None:
        if self.num_images_per_prompt < 1:
            raise ValueError(f"{self.num_images_per_prompt} glyphs of a prompt: ask for at least 1")
        if self.total > MOST_GLYPHS:
            raise ValueError(f"{self.total:,} glyphs: ask for at most {MOST_GLYPHS:,} at once")
        if not 1 <= self.steps <= MOST_STEPS:
            raise ValueError(f"{self.steps} steps: take 1 to {MOST_STEPS}")
        if self.calls not in (None, *CALLS):
            raise ValueError(f"{self.calls} calls: take 1, 2, 4 or 8")
        if self.calls and self.for_teacher:
            raise ValueError(
                f"{self.for_teacher} and calls: only the teacher, which has no calls, takes "
                "that: leave out one of them"
            )
        if not 0 <= self.redraws <= MOST_REDRAWS:
            raise ValueError(f"{self.redraws} redraws: take 0 to {MOST_REDRAWS:,}")
        if not 0 <= self.seed <= 2**63 - self.total:
            raise ValueError(
                f"seed {self.seed}: take 0 to 2^63 - 1, the last glyph's seed included"
            )

    @classmethod
    def of(cls, prompt: str | Sequence[str] | Request, **settings: Any) -> Request:
        """A request for prompts, or a given one with some settings changed.

        Raises ValueError, in one line, for a setting that there is not, too.
        """
        given = isinstance(prompt, cls)
        known = [field.name for field in fields(cls) if given or field.name != "prompts"]
        for name in settings:
            if name not in known:
                raise ValueError(f'no setting "{name}": there are {", ".join(known)}')
        return replace(prompt, **settings) if given else cls(prompt, **settings)

    @property
    def own_part(self) -> str:
        """The part that is asked for; "" where it is left to the seed, or to chance."""
        return "" if self.part in (AUTO, NONE) else self.part

    @property
    def steps(self) -> int:
        """The steps of the teacher from noise, asked for or not."""
        return STEPS if self.num_inference_steps is None else self.num_inference_steps

    @property
    def scale(self) -> float:
        """The scale of the guidance from noise, asked for or not."""
        return GUIDANCE if self.guidance_scale is None else self.guidance_scale

    @property
    def for_teacher(self) -> str:
        """What is asked for that a student cannot do, as one says it; "" where nothing is.

        Sums of prompts, which it cannot do either, are some captions' alone.
        """
        asked = {
            "steps": self.num_inference_steps is not None,
            "a sampler": self.sampler is not None or self.eta,
            "a negative prompt": self.negative_prompt,
            "a guidance interval": self.guidance_interval != (0, 1),
            f"guidance of {self.scale:g}": not LEAST_SCALE <= self.scale <= MOST_SCALE,
        }
        return next((what for what, is_asked in asked.items() if is_asked), "")

    @property
    def total(self) -> int:
        """The number of images."""
        return len(self.prompts) * self.num_images_per_prompt

    @property
    def texts(self) -> list[str]:
        """The prompt of each image."""
        return [prompt for prompt in self.prompts for _ in range(self.num_images_per_prompt)]

    @property
    def seeds(self) -> list[int]:
        """The seed of each image."""
        return [self.seed + i for i in range(self.total)]


@cache  # one call of the pipeline is made of several requests
def _warn_of_syntax(prompt: str) -> None:
    for hint in hints(prompt):
        warnings.warn(hint, stacklevel=2)


def whole(name: str, value: object) -> int:
    """An integer of any library. Raises ValueError, in one line, for anything else."""
    try:
        if not isinstance(value, bool):
            return index(value)
    except TypeError:
        pass
    raise ValueError(f"{name} of {_said(value)}: take a whole number")


def _number(name: str, value: object) -> float:
    try:
        if not isinstance(value, bool | str | bytes):
            return float(value)
    except (TypeError, ValueError, RuntimeError):  # the last is a tensor's of several numbers
        pass
    raise ValueError(f"{name} of {_said(value)}: take a number")


def _said(value: object) -> str:
    """A value in a message, on one line."""
    return shortened(" ".join(repr(value).split()), 40)


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
    """The lines of a UTF-8 file that are neither blank nor begin with #, by their number from 1.

    "-" is stdin. Raises OSError for a file that cannot be read, ValueError for one without prompts
    or in another encoding.
    """
    prompts = {i: line for i, line in read_lines(path).items() if not line.startswith("#")}
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
