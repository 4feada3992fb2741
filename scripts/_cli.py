"""What the command lines share."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from _errors import one_line_errors

from autoencoder.files import atomic

if TYPE_CHECKING:
    from diffusion.pipeline import GlyphPipeline

LARGEST_GRID = 4096  # glyphs: 64 x 64, about as large as picture viewers open without complaint

# Options that mean the same to every command line.
Model = Annotated[
    Path,
    typer.Option(help="A folder that train_diffusion.py wrote.", show_default="the one that ships"),
]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:1 or mps; auto is CUDA where there is one.")
]
Data = Annotated[Path, typer.Option(help="The glyphs that prepare_data.py drew.")]
Seed = Annotated[int, typer.Option(help="Seed of the first glyph; each next one adds 1.")]
Steps = Annotated[
    int, typer.Option(help="Calls of the network, 1 to 1000: more are finer and slower.")
]
Guidance = Annotated[
    float,
    typer.Option(help="How hard to follow the words: 1 plainly, more harder, 0 not at all."),
]


def run(*mains: Callable[..., None], about: str | None = None) -> None:
    """Makes a function's signature a command line, runs it and exits.

    Several functions are a verb each, and `about` is said of them all. What was typed wrongly and
    what `main` raises for bad input both end as `one_line_errors` says, and a warning is one line
    too.
    """
    app = typer.Typer(add_completion=False)
    for main in mains:
        app.command()(main)
    if len(mains) > 1:
        app.callback(help=about)(lambda: None)
    command = typer.main.get_command(app)
    usage_error = typer.BadParameter.__base__  # click's, or that of the copy inside typer
    sys.stdout.reconfigure(errors="backslashreplace")  # any file name can be printed
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    with one_line_errors():
        try:
            status = command.main(standalone_mode=False)
        except usage_error as error:
            raise ValueError(f"{error.format_message()} See --help.") from None
    sys.exit(status)


def process() -> tuple[int, int]:
    """Which process this is, from 0, and of how many, as torchrun says; one without it."""
    rank, processes = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    if rank.isdecimal() and processes.isdecimal() and int(rank) < int(processes):
        return int(rank), int(processes)
    return 0, 1


def check_device(device: str) -> None:
    """Raises ValueError for what is no name of a device."""
    if not re.fullmatch(r"auto|cpu|mps(:0)?|cuda(:\d+)?", device):
        raise ValueError(f'no device "{device}": name auto, cpu, cuda, cuda:1 or mps')


def check_writable(target: Path, folder: bool = False) -> None:
    """Raises OSError where a file of this name, or a folder, can be neither made nor written."""
    target.exists()  # a name that is too long fails here, and not once all is drawn
    place = target if folder else target.parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(f"cannot write to {target}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to {target}: no permission to write in {place}")


def load_pipeline(model: Path, device: str) -> GlyphPipeline:
    """The pipeline of a folder, on a device. Raises ValueError for a device that is not there."""
    import torch  # takes seconds, which an error above need not wait for

    from diffusion.pipeline import GlyphPipeline

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda" and process()[1] > 1:  # each its own
            device = f"cuda:{process()[0] % torch.cuda.device_count()}"
    kind, _, number = device.partition(":")
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if int(number or 0) >= there[kind]:
        raise ValueError(f"there is no {device} here: try --device cpu")
    return GlyphPipeline.from_pretrained(model).to(device)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file, whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, "utf-8")


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the time left on stderr, and nothing at all where that is no terminal.

    Yields the function that moves it on by a number of its `total` units.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = TextColumn(what), BarColumn(), TaskProgressColumn(), TimeLeft()
    console = Console(stderr=True)
    hidden = not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done=1: progress.advance(task, done)
