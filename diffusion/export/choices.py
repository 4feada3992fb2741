"""What a glyph is made of, chosen by the tables of an exported model.

It chooses as `diffusion.inventions` does, whose counts over real characters the tables hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import islice
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from philox import Philox, Stream  # of the same folder, as all here
from prompts import LAYOUTS, Prompt, asked, normalise, shortened
from sketches import Sketcher

AUTO, NONE = "auto", "none"
T = TypeVar("T")


class Way(NamedTuple):
    """How a radical and a part stand together."""

    kind: str
    first: str  # the left, upper or outer one
    second: str
    radical_first: bool


class Invention(NamedTuple):
    """What a glyph is made of.

    Attributes:
        caption: what the denoiser is conditioned on, "metal; lithium".
        radical: its number, or None.
        part: what stands beside it; "" where that is left to chance.
        way: how both stand, or None.
        fixed: whether it is all that was asked for, so that another attempt would be no other.
    """

    caption: str
    radical: int | None = None
    part: str = ""
    way: Way | None = None
    fixed: bool = False

    def __str__(self) -> str:
        return f"{self.caption} ({self.way.first}, {self.way.second})" if self.way else self.caption


class Ask(NamedTuple):
    """A prompt and its settings, as in `diffusion.request.Request`."""

    prompt: str
    radical: str = AUTO
    part: str = AUTO
    sound: str = ""
    layout: str = NONE

    @property
    def own(self) -> str:
        """The part or the sound that is given; "" where none is."""
        return self.sound if self.part in (AUTO, NONE) else self.part


def choose(weights: Mapping[T, float], seed: int, stream: Stream, turn: int = 0) -> T:
    """One of several, by its weight, with a number of a `Philox`."""
    chances = np.cumsum(list(weights.values()))
    draw = Philox(seed, stream, turn).random() * chances[-1]
    return list(weights)[min(int((chances <= draw).sum()), len(weights) - 1)]


class Chooser:
    """Chooses by tables.

    Args:
        tables, settings: those of an exported folder.
        sketcher: has its outlines.
        prior: gives the logits of the radicals for words, `(214,)`; None where there is none.
    """

    def __init__(
        self,
        tables: dict[str, Any],
        settings: SimpleNamespace,
        sketcher: Sketcher,
        prior: Callable[[str], np.ndarray] | None,
    ) -> None:
        self.tables, self.settings, self.sketcher = tables, settings, sketcher
        self.prior = prior
        self.chances, self.fitting_parts = cache(self.chances), cache(self.fitting_parts)

    def ask(self, prompt: str, radical: str, part: str, sound: str, layout: str) -> Ask:
        """Settings as they are typed. Raises ValueError, in one line, for what cannot be."""
        radical, layout = radical.strip().casefold(), re.sub("[_ ]", "-", layout.casefold())
        part = name if (name := part.strip().casefold()) in (AUTO, NONE) else part
        ask, most = Ask(prompt, radical, part, sound, layout), self.settings.longest_prompt
        if radical not in (AUTO, NONE) and not prompt and ask.own:
            ask = ask._replace(prompt=self.of(self.find_radical(radical))["names"][0])
        text, line_part, line_sound = asked(ask.prompt)
        if not normalise(text) or len(ask.prompt) > most:
            raise ValueError(f'say what to draw, in 1 to {most:,} characters, for example "gold"')
        if re.search(r"(?<!\S)AND(?!\S)", prompt) or re.search("[\0\ud800-\udfff]", prompt):
            raise ValueError("a prompt is one text, without AND: that takes the whole of Tianshu")
        if layout not in (*LAYOUTS, NONE):
            raise ValueError(f'no layout "{shortened(layout, 20)}": there are {", ".join(LAYOUTS)}')
        if part not in (AUTO, NONE) and sound:
            raise ValueError("a part and a sound: a character has one part beside its radical")
        if radical == NONE and (ask.own or line_part or line_sound):
            raise ValueError("a part stands beside a radical: leave out radical none")
        return ask

    def invent(self, ask: Ask, seed: int, attempt: int) -> Invention:
        """The seed draws a radical, and the attempt a part, where they are not given.

        Raises ValueError, in one line, for what there is not, or cannot stand together.
        """
        text, part, sound = asked(ask.prompt)
        if not (part or sound):
            part, sound = "" if ask.part in (AUTO, NONE) else ask.part, ask.sound
        prompt = self.parse(text)
        layout, part = prompt.layout or ask.layout, part and self.find_part(part)
        given, radicals = part or sound, self.radicals(ask, prompt.words, seed)
        if not (given or layout != NONE or ask.part == AUTO):
            return Invention(self.caption(prompt.words, next(radicals, None), layout))
        number = first = None
        # The prior's first choice gives way to what is asked for, and to nothing else.
        for number in islice(radicals, None if given or layout != NONE else 1):
            first = first or number
            parts = {part: 1} if part else self.fitting_parts(number, sound, layout)
            if found := self.place(number, parts, layout, attempt):
                return Invention(self.caption(prompt.words, number), number, *found, bool(part))
        if given:
            raise ValueError(
                f"{self.of(number)['forms'][0]} and {given} never stand so: try another radical, "
                "part or layout"
                if number
                else "name a radical for the part to stand beside"
            )
        return Invention(self.caption(prompt.words, first, layout))

    def caption(self, words: str, radical: int | None, layout: str = NONE) -> str:
        """Words as the denoiser is conditioned on them: "speech; gossip; left-right"."""
        words = f"{self.of(radical)['names'][0]}; {words}" if radical else words
        return str(Prompt(words, "" if layout == NONE else layout))

    def radicals(self, ask: Ask, words: str, seed: int) -> Iterator[int]:
        """The radical asked for, or some that the prior chooses, or none."""
        if ask.radical not in (AUTO, NONE):
            yield self.find_radical(ask.radical)
        elif ask.radical == AUTO and self.prior:
            for turn in range(self.settings.choices):
                yield choose(self.chances(words), seed, Stream.RADICAL, turn)

    def chances(self, words: str) -> dict[int, float]:
        """Of each radical, `p(radical | words) ** sharpness / p(radical) ** balance`, times any."""
        logits = self.prior(words).astype(float)
        common = self.settings.balance * np.array(self.tables["log_frequency"])
        weights = np.exp(self.settings.sharpness * (logits - logits.max()) - common)
        return dict(enumerate(weights.tolist(), 1))

    def place(
        self, radical: int, parts: Mapping[str, int], layout: str, seed: int
    ) -> tuple[str, Way] | None:
        """A part for a radical, and how both stand: the first with room, or else the last."""
        found = None
        for turn in range(self.settings.choices if parts else 0):
            part = choose(parts, seed, Stream.PART, turn)
            if fitting := self.ways(radical, part, layout):
                found = part, choose(fitting, seed, Stream.ARRANGEMENT, turn)
                roomy = self.settings.roomy
                if len(parts) == 1 or self.sketcher.room(*found[1][:3]) >= roomy:
                    break
        return found

    def fitting_parts(self, radical: int, sound: str, layout: str) -> dict[str, int]:
        """Parts that can stand beside a radical, of a sound or usual ones, by how common they are.

        None whose pair with the radical is a character already, unless all are.
        """
        parts = self.parts_of_sound(sound) if sound else self.usual_parts(radical, layout)
        fitting = {part: n for part, n in parts.items() if self.ways(radical, part, layout)}
        new = {part: n for part, n in fitting.items() if part not in self.of(radical)["exists"]}
        return new or fitting

    def usual_parts(self, radical: int, layout: str) -> dict[str, int]:
        """The parts that usually stand where a radical leaves room, most first."""
        rooms, counts = self.of(radical)["rooms"][layout], {}
        for part, known in self.tables["parts"].items():
            count = sum(known.get("rooms", {}).get(room, 0) for room in rooms)
            if count >= self.settings.usual:
                counts[part] = count
        return most_first(counts)

    def parts_of_sound(self, sound: str) -> dict[str, int]:
        """The parts that write a sound in Pinyin, most first."""
        syllable, tone = self.tables["spellings"].get(normalise(sound), ("", 0))
        counts: Counter[str] = Counter()
        for one, parts in self.tables["sounds"].get(syllable, {}).items():
            if tone in (0, int(one)):
                counts.update(parts)
        if not counts:
            raise ValueError(
                f'no part is read "{shortened(sound, 20)}": give Pinyin, such as luo or luó'
            )
        return most_first(counts)

    def ways(self, radical: int, part: str, layout: str) -> dict[Way, float]:
        """How a radical and a part can stand, with weights that sum to at most 1, highest first."""
        weights: Counter[Way] = Counter()
        alike, known = set(), self.tables["parts"].get(part)
        for form, kind, first, count, style in self.of(radical)["places"] if known else ():
            place = 2 * "ads".index(kind[0]) + (not first)  # of the part
            both = (form, known["shapes"][place] if "shapes" in known else part)
            # A radical within a part is surrounded as the part surrounds others.
            kinds = known.get("around", {}) if kind[0] == "s" and not first else {kind: 1}
            for other, share in kinds.items():
                if layout in (NONE, LAYOUTS["ads".index(other[0])]):
                    way = Way(other, *both[:: 1 if first else -1], bool(first))
                    weight = count * share / sum(kinds.values())
                    weights[way] += weight * self.fit(known["places"], place)
                    if style is None or style in known["styles"]:
                        alike.add(way)
        kept = {way: weights[way] for way in weights if way in alike} or weights
        least = self.settings.floor * max(kept.values(), default=0)
        kept = {way: weight for way, weight in kept.items() if weight >= least and weight > 0}
        total, likest = sum(kept.values()), sorted(kept, key=lambda way: (-kept[way], way))
        return {way: kept[way] / total for way in likest if self.sketcher.can(*way[:3])}

    def fit(self, counts: list[int], place: int) -> float:
        """How much likelier a part with such counts is at a place than parts in general."""
        trust, general = self.settings.trust, self.tables["places"]
        share = general[place] / sum(general)
        return (counts[place] + trust * share) / (sum(counts) + trust) / share

    def parse(self, text: str) -> Prompt:
        """Words, and the layout behind them; a Chinese character is read as what it means."""
        return Prompt.parse(text, lambda character: self.tables["glosses"].get(character, ""))

    def find_part(self, text: str) -> str:
        """The part that a character or an English word means."""
        word = "".join(self.tables["unified"].get(one, one) for one in normalise(text))
        if len(word) > 1 or word < "\u2e80":
            word = self.tables["meanings"].get(re.sub("^(to|an?|the) ", "", word))
        if word not in self.tables["parts"]:
            raise ValueError(
                f'there is no part "{shortened(text, 40)}": give one Chinese character, such as '
                "里, or another English word"
            )
        return word

    def find_radical(self, text: str) -> int:
        """The number of the radical of a name, a form or a number."""
        if found := self.tables["named"].get(normalise(text)):
            return found
        raise ValueError(
            f'there is no radical "{shortened(text, 40)}": name one in English, such as speech, by '
            "a form, such as 言, or by its number, 1 to 214"
        )

    def of(self, radical: int) -> dict[str, Any]:
        """What the tables say of a radical."""
        return self.tables["radicals"][radical - 1]


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
