"""Tables and lists of words, whatever has become of them on the way."""

from __future__ import annotations

import lzma
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
