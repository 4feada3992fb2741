"""The tables that ship, read with checks for damage."""

from __future__ import annotations

import lzma
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

KINDS = Path(__file__).with_name("kinds.tsv.xz")
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
    """Write lines as an xz file, whole or not at all."""
    from conditioning.storage import write_files  # imports torch, which reading does not need

    data = "".join(f"{line}\n" for line in lines).encode()
    packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    write_files(path.parent, {path.name: packed})


def load_kinds(path: Path = KINDS) -> dict[int, tuple[tuple[str, ...], ...]]:
    """By a radical's number, the meanings that it fits, each as its words: "wolf", "to wolf".

    Raises ValueError, in one line, for a file that is damaged.
    """
    kinds = defaultdict(list)
    for line in read_table(path).splitlines():
        number, *words = line.split("\t")
        kinds[int(number)].append(tuple(words))
    return {number: tuple(meanings) for number, meanings in kinds.items()}
