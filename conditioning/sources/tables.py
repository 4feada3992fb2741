"""Tables and lists of words, whatever has become of them on the way."""

from __future__ import annotations

import lzma
import re
import sys
from pathlib import Path

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


def read_lines(path: str | Path) -> dict[int, str]:
    """The lines of a UTF-8 file that are not blank, stripped, by their number from 1.

    "-" is stdin. Raises OSError for a file that cannot be read, ValueError for another encoding.
    """
    stdin = str(path) == "-"
    name = "stdin" if stdin else path
    data = sys.stdin.buffer.read() if stdin else Path(path).read_bytes()
    try:
        text = data.decode("utf-8-sig")  # with or without the mark that Windows puts first
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} of {name} is not UTF-8: save the file as UTF-8") from None
    # Not splitlines, which counts a line more than an editor does at a form feed, say.
    lines = {i: line.strip() for i, line in enumerate(re.split(r"\r\n|\r|\n", text), 1)}
    return {i: line for i, line in lines.items() if line}
