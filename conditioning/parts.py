"""What characters are composed of, how they are read, and how radical and part stand together.

Nine characters in ten are a radical, which hints at the meaning, and one other part, which mostly
hints at the sound. A *component* is one of the two; a *kind* is how they stand, as cjk-decomp
writes it: "a" beside each other, "d" one above the other, "s" and the sides that the first
surrounds ("stl" of 疒, "st" of 門, "s" of 囗); a *place* is a kind and whether it is the first.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple, TypeVar

from conditioning.captions import load_entries
from conditioning.prompts import LAYOUTS, normalise, senses, shortened, split
from conditioning.radicals import RADICALS, find_radical, forms
from conditioning.sources.tables import PARTS, PARTS_COLUMNS, read_table

# Radicals that Unicode encodes once more, though nothing but their place sets them apart.
UNIFIED = str.maketrans(
    "⺂⺃⺄⺅⺆⺇⺉⺊⺋⺎⺏⺐⺑⺒⺓⺔⺕⺖⺗⺘⺙⺛⺜⺝⺞⺠⺡⺢⺣⺤⺥⺦⺧⺨⺩⺪⺫⺬⺭⺯⺰⺱⺲⺳⺴⺵⺶⺷⺸⺹⺺⺻⺼⺽⺾⺿⻀⻁⻂⻃⻄⻅⻆⻇⻈⻉⻋⻌⻍⻎⻏⻐⻑⻒⻓⻔⻕⻖⻗⻘⻙⻚⻛⻜⻝⻞⻟⻠⻡⻢⻣⻤⻥⻦⻧⻨⻩⻪⻫⻬⻭⻮⻯⻰⻱⻲㇠",
    "乛乚乙亻冂几刂卜㔾兀尣尢尢巳幺彑彐忄㣺扌攵旡日月歺民氵氺灬爫爫丬牛犭王疋罒示礻糹纟罓罒罒网罒羊羊羊耂肀聿月臼艹艹艹虎衤覀西见角角讠贝车辶辶辶阝钅長镸长门阜阝雨青韦页风飞食飠飠饣首马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀乙",
)
SIMPLIFIED = frozenset("纟见讠贝车钅门韦页风饣马鱼鸟卤麦黾齿龙")  # of forms of radicals
CHINESE = r"[\u2e80-\u2fdf\u31c0-\u31ef\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
ARTICLE = re.compile(r"^(?:to|an?|the) ")

Place = tuple[str, bool]  # a kind, or its first letter, and whether it is the first component
T = TypeVar("T")


class Composition(NamedTuple):
    """One character, of two components; "" is one without a code point."""

    character: str
    radical: int  # of the character, by Unihan; 0 where that has none
    kind: str
    first: str  # the left, the upper or the outer one
    second: str


class Arrangement(NamedTuple):
    """How a radical and a part stand together, each in the form that it takes there."""

    kind: str
    first: str
    second: str
    radical_first: bool

    @property
    def layout(self) -> str:
        """One of `LAYOUTS`."""
        return layout_of(self.kind)


class Use(NamedTuple):
    """A form of a character's own radical, and the other component."""

    composition: Composition
    form: str
    part: str
    radical_first: bool


class _Tables(NamedTuple):
    compositions: dict[str, Composition]
    readings: dict[str, tuple[str, ...]]
    frequencies: dict[str, int]


@cache
def _tables() -> _Tables:
    heads, *rows = [line.split("\t") for line in read_table(PARTS).splitlines()] or [[]]
    if tuple(heads) != PARTS_COLUMNS or any(len(row) != len(PARTS_COLUMNS) for row in rows):
        raise ValueError(f"{PARTS} is not a table of parts: install or build it again")
    return _Tables(
        {
            character: Composition(character, int(number or 0), kind, first, second)
            for character, number, kind, first, second, *_ in rows
            if kind
        },
        {row[0]: tuple(row[5].split()) for row in rows if row[5]},
        {row[0]: int(row[6]) for row in rows if row[6]},
    )


def compositions() -> Mapping[str, Composition]:
    """All characters of two components, in code point order."""
    return _tables().compositions


def readings(character: str) -> tuple[str, ...]:
    """How a character is read in Mandarin, usual reading first: "lǐ"."""
    return _tables().readings.get(character, ())


def layout_of(kind: str) -> str:
    """The layout of a kind, one of `LAYOUTS`."""
    return LAYOUTS["ads".index(kind[0])]


@cache
def uses() -> tuple[Use, ...]:
    """All characters whose radical is one of their components."""
    found = []
    for one in compositions().values():
        shapes = forms(one.radical) if one.radical else ()
        if one.first in shapes:
            found.append(Use(one, one.first, one.second, True))
        elif one.second in shapes:
            found.append(Use(one, one.second, one.first, False))
    return tuple(found)


# ---- words to a part -----------------------------------------------------------------------------


def find_part(text: str) -> str:
    """A part by itself, 里 or 氵, or by its meaning: "ghost" is 鬼.

    Of a radical's name it is the radical; else, and where the radical hardly ever is a part, the
    character of that meaning that most often is one. Raises ValueError, in one line, where there is
    none, or more than one part.
    """
    asked = normalise(text).translate(UNIFIED)
    if re.fullmatch(f"{CHINESE}(?:[ ,+]*{CHINESE})+", asked):
        raise ValueError(
            f'"{shortened(text, 20)}" is more than one part: a character has a radical and one '
            "part, such as 里"
        )
    if re.fullmatch(CHINESE, asked):
        return asked
    word = ARTICLE.sub("", asked)
    known = meant().get(word, {})
    scores = {one: _usual(one) / (1 + order) ** 2 for one, order in known.items()}
    if shapes := _named(asked) or _named(word):
        boosted = [shapes[0], *(shape for shape in shapes[1:] if shape in known)]
        scores |= {shape: 4 * _usual(shape) for shape in boosted}
    if not scores:
        raise ValueError(
            f'no part means "{shortened(text, 40)}": give a Chinese character, such as 里, or '
            "another English word"
        )
    return max(scores, key=lambda one: (scores[one], _tables().frequencies.get(one, 0), -ord(one)))


def _named(text: str) -> tuple[str, ...]:
    """The forms of the radical of a name, or none."""
    try:
        return find_radical(text).forms
    except ValueError:
        return ()


@cache
def _part_uses() -> Counter[str]:
    """How many characters have each component beside their radical."""
    return Counter(use.part for use in uses() if use.part)


def _usual(part: str) -> int:
    return 1 + _part_uses()[part]


@cache
def meant() -> dict[str, dict[str, int]]:
    """By an English gloss, the characters that have it, each with how many it has before that."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for entry in load_entries():
        glosses = [gloss for sense in senses(entry.caption) for gloss in split(sense, ",")]
        for order, gloss in enumerate(glosses):
            word = ARTICLE.sub("", normalise(re.sub(r"\([^()]*\)", "", gloss)))
            for one in filter(None, {word, word.removesuffix("s")}):
                found[one].setdefault(entry.character, order)
    return found


# ---- a sound to parts ----------------------------------------------------------------------------

_TONES = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}  # combining macron, acute, ...


def parts_of_sound(sound: str) -> dict[str, int]:
    """The parts that write a sound in real characters, each with how many, most first.

    A sound is a syllable of Pinyin: "luo" in any tone, "luo2" or "luó" in one; "lü", "lv" and "lu:"
    are alike. A part writes it where it is itself read so, or where at least two characters with
    it are, and a third of all. Raises ValueError, in one line, for a sound that no part writes.
    """
    syllable, tone = _parse(normalise(sound))
    tones = sounds().get(syllable, {})
    if not tones:
        near = difflib.get_close_matches(syllable, sounds(), n=4, cutoff=0.5)
        near = f"near ones are {', '.join(near)}" if near else "give Pinyin, such as luo or luó"
        raise ValueError(f'no part is read "{shortened(sound, 20)}": {near}')
    if tone and tone not in tones:
        others = ", ".join(spelt(syllable, other) for other in sorted(tones))
        raise ValueError(f"no part is read {spelt(syllable, tone)}: there are {others}")
    counts = tones[tone] if tone else sum(tones.values(), Counter())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _parse(text: str) -> tuple[str, int]:
    """The syllable and the tone, 1 to 5, of Pinyin; 0 where it says none."""
    plain = unicodedata.normalize("NFD", text).replace("u:", "ü").replace("v", "ü")
    tone = max((_TONES.get(mark, 0) for mark in plain), default=0)
    plain = unicodedata.normalize("NFC", "".join(c for c in plain if c not in _TONES))
    if not tone and re.fullmatch(r".*\D[1-5]", plain):
        plain, tone = plain[:-1], int(plain[-1])
    return re.sub("(?<=[jqxy])ü", "u", plain), tone


def spelt(syllable: str, tone: int) -> str:
    """A syllable with the mark of its tone: "luó"."""
    if tone == 5:
        return f"{syllable}5"  # the light tone has no mark
    mark = {number: mark for mark, number in _TONES.items()}[tone]
    vowel = re.search("[aeê]|o(?=u)|[iouü](?![iouü])|$", syllable).end()
    return unicodedata.normalize("NFC", syllable[:vowel] + mark + syllable[vowel:])


@cache
def sounds() -> dict[str, dict[int, Counter[str]]]:
    """By syllable and tone, the parts that write it, with how many characters have it so."""
    read: dict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    for use in uses():
        if use.part and (reading := readings(use.composition.character)):
            syllable, tone = _parse(reading[0])
            read[use.part][syllable, tone or 5] += 1
    sounds: dict[str, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for part, counts in read.items():
        own = {_parse(reading)[0] for reading in readings(part)}
        alike: Counter[str] = Counter()
        for (syllable, _), count in counts.items():
            alike[syllable] += count
        for (syllable, tone), count in counts.items():
            few = alike[syllable] < 2 or 3 * alike[syllable] < counts.total()
            if syllable in own or not few:
                sounds[syllable][tone][part] = count
    return {syllable: dict(tones) for syllable, tones in sorted(sounds.items())}


# ---- what exists ---------------------------------------------------------------------------------


def existing(radical: int | str, part: str) -> tuple[str, ...]:
    """The characters of a radical and a part, in any layout and order, commonest first.

    All forms of a radical count alike, also where it is the part: 鋰 and 锂 are both 167 and "里".
    Those with just the form given as the part come first.

    Args:
        radical: its number, or another component.
        part: a component.
    """
    shapes = forms(radical) if isinstance(radical, int) else _alike(radical)
    found: dict[str, bool] = {}  # whether the part has another form
    for other in (part, *_alike(part)):
        for shape in shapes:
            for character in _wholes().get(frozenset((shape, other)), ()):
                found.setdefault(character, other != part)
    frequencies = _tables().frequencies
    return tuple(sorted(found, key=lambda one: (found[one], -frequencies.get(one, 0), one)))


@cache
def _alike(part: str) -> tuple[str, ...]:
    """A part in all forms of the radicals that it is a form of."""
    shapes = [shape for one in RADICALS if part in one.forms for shape in one.forms]
    return tuple(dict.fromkeys([part, *shapes]))


@cache
def _wholes() -> dict[frozenset[str], list[str]]:
    wholes: dict[frozenset[str], list[str]] = defaultdict(list)
    for one in compositions().values():
        if one.first and one.second:
            wholes[frozenset((one.first, one.second))].append(one.character)
    return dict(wholes)


# ---- how they stand ------------------------------------------------------------------------------

FLOOR = 0.1  # of the weight of the most usual arrangement: rarer ones are left out
TRUST = 30  # characters' worth of trust in where parts stand in general
_FEW = 5  # characters with a part that say where it stands
USUAL = 3  # characters with a part that is drawn without being asked for


def arrangements(radical: int, part: str, layout: str = "none") -> dict[Arrangement, float]:
    """The ways to put a radical beside a part, as real characters do, with weights that sum to 1.

    p(arrangement) ~ p(arrangement | radical) p(place | part) / p(place), counted over characters.
    A part with a form for one place only takes it there, as 水 does at the left. Simplified forms
    stand with simplified parts, and with those that were not simplified.

    Args:
        radical: its number.
        part: a component.
        layout: one of `LAYOUTS`, or "none" for any. Where the two never stand so, there is no way.
    """
    places = places_of(part)
    ways: Counter[tuple[str, str, bool]] = Counter()
    around = Counter({kind: n for (kind, first), n in places.items() if kind[0] == "s" and first})
    for (form, kind, first), count in radical_places().get(radical, Counter()).items():
        # A radical within a part is surrounded as the part surrounds others.
        kinds = around if kind[0] == "s" and not first else {kind: 1}
        for other, share in kinds.items():
            weight = count * share / sum(kinds.values())
            ways[form, other, first] += weight * _fit(places, (kind[0], not first))
    found = {}
    for (form, kind, first), weight in ways.items():
        if layout in ("none", layout_of(kind)):
            both = (form, shape_at(part, (kind[0], not first)))
            found[Arrangement(kind, *both[:: 1 if first else -1], first)] = weight
    alike = {way: found[way] for way in found if _of_one_style(radical, way, part)}
    return _shares(alike or found, FLOOR)


def places_of(part: str) -> Counter[Place]:
    """How many characters have a part at which place: beside their radical, or else anywhere."""
    places = _part_places().get(part, Counter())
    if places.total() < _FEW:
        places = places + _component_places().get(part, Counter())
    return places


def _of_one_style(radical: int, way: Arrangement, part: str) -> bool:
    """Whether a radical and a part are both simplified, or neither, as far as that can be told."""
    form = way.first if way.radical_first else way.second
    if SIMPLIFIED.isdisjoint(forms(radical)):
        return True
    beside = simplified_beside().get(part, set())
    return (form in SIMPLIFIED) in (beside or {False})


@cache
def simplified_beside() -> dict[str, set[bool]]:
    """Whether radicals stand simplified beside each part, of radicals that have such a form."""
    found = defaultdict(set)
    for use in uses():
        if not SIMPLIFIED.isdisjoint(forms(use.composition.radical)):
            found[use.part].add(use.form in SIMPLIFIED)
    return found


def usual_parts(radical: int, layout: str = "none") -> dict[str, int]:
    """The parts that usually stand where a radical leaves room, with how many characters have them.

    `layout` is as for `arrangements`.
    """
    kept = rooms(radical, layout)
    counts = {part: sum(map(places.get, kept & places.keys())) for part, places in taken().items()}
    usual = [item for item in counts.items() if item[1] >= USUAL]
    return dict(sorted(usual, key=lambda item: (-item[1], item[0])))


def rooms(radical: int, layout: str = "none") -> set[Place]:
    """The places that a radical leaves to parts, of one letter where these do not surround it."""
    room: Counter[Place] = Counter()  # what surrounds the radical must fit its kind
    for (_, kind, first), count in radical_places().get(radical, Counter()).items():
        if layout in ("none", layout_of(kind)):
            room[_room(kind, not first)] += count
    return set(_shares(room, FLOOR))


@cache
def taken() -> dict[str, Counter[Place]]:
    """By a part that can be read, how many characters have it in which of the `rooms`."""
    found: dict[str, Counter[Place]] = defaultdict(Counter)
    for part, places in _part_places().items():
        for (kind, first), count in places.items() if readings(part) else ():
            found[part][_room(kind, first)] += count
    return dict(found)


@cache
def radical_places() -> dict[int, Counter[tuple[str, str, bool]]]:
    """By a radical, how many characters have which form of it at which place.

    A radical without characters, such as 行, stands where others have it as a component.
    """
    places: dict[int, Counter[tuple[str, str, bool]]] = defaultdict(Counter)
    for use in uses():
        if "/" not in use.composition.kind:  # parts that cross or touch
            where = use.form, use.composition.kind, use.radical_first
            places[use.composition.radical][where] += 1
    for one in RADICALS:
        if one.number not in places:
            for place, count in _component_places().get(one.forms[0], {}).items():
                places[one.number][one.forms[0], *place] = count
    return {number: _no_flukes(found) for number, found in places.items()}


def _no_flukes(places: Counter[tuple[str, str, bool]]) -> Counter[tuple[str, str, bool]]:
    """Places but those that few characters have, which may be mistakes of the table.

    What surrounds a radical is up to the part, so all of these count.
    """
    enough = min(3, 0.1 * places.total())
    return Counter(
        {way: n for way, n in places.items() if n >= enough or (way[1][0] == "s" and not way[2])}
    )


@cache
def _part_places() -> dict[str, Counter[Place]]:
    """By a part, how many characters have it at which place beside their radical."""
    places: dict[str, Counter[Place]] = defaultdict(Counter)
    for use in uses():
        if "/" not in use.composition.kind and use.part:
            places[use.part][use.composition.kind, not use.radical_first] += 1
    return dict(places)


@cache
def _component_places() -> dict[str, Counter[Place]]:
    """By a component, how many characters have it at which place, radical or not."""
    places: dict[str, Counter[Place]] = defaultdict(Counter)
    for one in compositions().values():
        if "/" not in one.kind:
            places[one.first][one.kind, True] += 1
            places[one.second][one.kind, False] += 1
    return dict(places)


@cache
def all_places() -> Counter[Place]:
    """How many parts stand at each place, "a", "d" and "s" apart."""
    places: Counter[Place] = Counter()
    for counts in _part_places().values():
        for (kind, first), count in counts.items():
            places[kind[0], first] += count
    return places


def _room(kind: str, first: bool) -> Place:
    """A place for a part: of sides, only those that it surrounds itself matter."""
    return kind if first else kind[0], first


def pairing(a: int, b: int) -> dict[tuple[int, str], float]:
    """Which of two radicals is the radical and which the part, with weights that sum to 1.

    Each is a radical as often as characters have it so, and a part as often as others have it as
    their other part. A way that is at least a quarter as likely as both together stays.
    """
    numbers = Counter(use.composition.radical for use in uses())
    ways = {
        (one, _as_part(other)): (1 + numbers[one]) * sum(map(_usual, forms(other)))
        for one, other in ((a, b), (b, a))
    }
    return _shares(ways, 1 / 3)  # of the likelier one: a quarter of both


def _as_part(radical: int) -> str:
    """The form of a radical as a part: the first, or where that is hardly ever one, the usual."""
    shapes = forms(radical)
    return shapes[0] if _part_uses()[shapes[0]] >= _FEW else max(shapes, key=_usual)


def _shares(weights: Mapping[T, float], floor: float) -> dict[T, float]:
    """Weights of at least a part of the highest, divided by their sum, highest first."""
    most = max(weights.values(), default=0)
    kept = {one: weight for one, weight in weights.items() if weight > 0 and weight >= floor * most}
    total = sum(kept.values())
    return {one: kept[one] / total for one in sorted(kept, key=lambda one: (-kept[one], one))}


def _fit(places: Counter[Place], place: Place) -> float:
    """How much likelier a part is at a place than parts in general, "a", "d" and "s" apart."""
    general = all_places()[place] / all_places().total()
    own = sum(n for (kind, first), n in places.items() if (kind[0], first) == place)
    return (own + TRUST * general) / (places.total() + TRUST) / general


def shape_at(part: str, place: Place) -> str:
    """The form of a part at a place: itself, or that of the radical that only stands there."""

    def count(places: Mapping[str, Counter[Place]], shape: str) -> int:
        found = places.get(shape, Counter()).items()
        return sum(n for (kind, first), n in found if (kind[0], first) == place)

    def only_here(shape: str) -> bool:
        every = _component_places().get(shape, Counter()).total()
        return every > 0 and count(_component_places(), shape) >= 0.9 * every

    shapes = [shape for one in RADICALS if part == one.forms[0] for shape in one.forms[1:]]
    return max(
        [part, *filter(only_here, shapes)],
        # As a part rather than as a radical, where some character has it as a part.
        key=lambda shape: 10 * count(_part_places(), shape) + count(_component_places(), shape),
    )
