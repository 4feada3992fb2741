"""What the command lines share."""

from __future__ import annotations

import os
import re
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, wraps
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
Font = Annotated[
    Path | None,
    typer.Option(
        help="A Chinese font (.ttf, .otf, .ttc, .otc, .woff, .woff2).",
        show_default="Noto Sans SC Regular, from the package pylopdf-fonts-zh-cn",
    ),
]
Index = Annotated[
    int, typer.Option(help="Which font of a collection, from 0. Noto's Simplified Chinese is 2.")
]
SEED = ("--seed", "-s")
Seed = Annotated[
    int, typer.Option(*SEED, help="Seed of the first glyph, or random; each next one adds 1.")
]
Steps = Annotated[int, typer.Option(help="1 to 1000: more are finer and slower.")]
TeachersSteps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        help="1 to 1000: more are finer and slower.",
        show_default="12 from noise, 2 from parts",
    ),
]
Calls = Annotated[
    int | None,
    typer.Option(
        help="In place of steps, those of a student (train_student.py): 4, 2, 1 or 8.",
        show_default="4 where the model has a student",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]
HARDNESS = "How hard to follow the words: 1 plainly, more harder, 0 not at all."
Guidance = Annotated[float, typer.Option(help=HARDNESS)]
AnyGuidance = Annotated[
    float | None,
    typer.Option("--guidance", help=HARDNESS, show_default="4 from noise, 1 from parts"),
]


def run(*mains: Callable[..., None], about: str | None = None) -> None:
    """Turns a function's signature into a command line, runs it and exits.

    Several functions become one subcommand each, under the help text `about`. Mistyped options and
    bad input end as in `one_line_errors`; a warning is one line as well.
    """
    app = typer.Typer(add_completion=False)
    for main in mains:
        app.command()(_with_typed_paths(main))
    if len(mains) > 1:
        app.callback(help=about)(lambda: None)
    command = typer.main.get_command(app)
    usage_error = typer.BadParameter.__base__  # click's, or that of the copy inside typer
    sys.stdout.reconfigure(errors="backslashreplace")  # any file name can be printed
    say = cache(lambda text: print(f"warning: {text}", file=sys.stderr))  # once, whoever warns
    warnings.showwarning = lambda message, *_: say(str(message))
    with one_line_errors():
        _draw_seeds(sys.argv)
        try:
            status = command.main(standalone_mode=False)
        except usage_error as error:
            message = error.format_message().rstrip(".")
            raise ValueError(f"{message}. See --help.") from None
    sys.exit(status)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Reports a ValueError or an OSError, which the user can fix, in one line; exit code 2.

    Any other exception is a bug and keeps its traceback. Ctrl-C exits with 130, and a closed pipe,
    as behind `head`, ends the program quietly, as shells expect.
    """
    try:
        yield
    except BrokenPipeError:
        # Python flushes stdout once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            # "[Errno 13] Permission denied: 'x'" reads better the other way round.
            message = ": ".join(str(p) for p in (error.filename, error.strerror) if p)
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from None


def _with_typed_paths(main: Callable[..., None]) -> Callable[..., None]:
    """The same function, each of whose paths goes through `as_typed`."""

    def typed(value: object) -> object:
        if isinstance(value, list):
            return [typed(one) for one in value]
        return as_typed(value) if isinstance(value, Path) else value

    @wraps(main)
    def call(**options: object) -> None:
        main(**{name: typed(value) for name, value in options.items()})

    return call


def _draw_seeds(arguments: list[str]) -> None:
    """Puts a number in the place of each `--seed random`, and says it."""
    for i, argument in enumerate(arguments):
        option, _, value = argument.rpartition("=")
        option = option or arguments[i - 1]
        if value.lower() == "random" and option in (*SEED, "--last"):
            if process()[1] > 1:
                raise ValueError(f"{option} random in several processes: give a number")
            drawn = secrets.randbelow(2**32)
            arguments[i] = argument[: -len(value)] + str(drawn)
            print(f"random seed: {drawn}")


def process() -> tuple[int, int]:
    """Which process this is, from 0, and of how many, as torchrun says; one without it."""
    rank, processes = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    if rank.isdecimal() and processes.isdecimal() and int(rank) < int(processes):
        return int(rank), int(processes)
    return 0, 1


def check_device(device: str) -> None:
    """Raises ValueError for what is no name of a device."""
    if not re.fullmatch(r"auto|cpu|mps(:0)?|cuda(:\d+)?", device.lower()):
        raise ValueError(f'no device "{device}": name auto, cpu, cuda, cuda:1 or mps')


def as_typed(path: str | Path) -> Path:
    """A path as people type it: perhaps in quotes, with ~, or up from a folder that is missing."""
    text = str(path)
    if os.path.lexists(text):
        return Path(text)
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    typed = Path(text)
    with suppress(RuntimeError):  # of a user who is not known here
        typed = typed.expanduser()
    return typed if typed.parent.exists() else Path(os.path.normpath(typed))


def is_folder(out: str) -> bool:
    """Whether a path, as it was typed, is that of a folder: there is one, or it ends in a slash."""
    return out.strip().strip("'\"").endswith(("/", os.sep)) or as_typed(out).is_dir()


def output_file(
    out: str | None, name: str, endings: Sequence[str], overwrite: bool, beside: str = ""
) -> Path:
    """Where to write a file: `out`; or `name`, in the folder `out` where it is one.

    What is there is replaced only with `overwrite`; else a file of the given `name` gets another.

    Args:
        beside: the ending of a second file that is written next to it.

    Raises ValueError for none of the `endings`, and OSError where nothing can be written.
    """
    from diffusion.pictures import check_ending

    named = bool(out) and not is_folder(out)
    target = as_typed(out) if named else as_typed(out or ".") / name
    check_ending(target, endings)

    def taken(path: Path) -> bool:
        return path.exists() or (bool(beside) and path.with_suffix(beside).exists())

    check_writable(target)
    return target if overwrite else _free(target, taken, named)


def output_folder(out: str | None, name: str, overwrite: bool) -> Path:
    """Where to write a folder, `out` or else `name`, with no pictures or figures in it already.

    With `overwrite` there may be; else another is taken in place of `name`. Raises OSError where
    nothing can be written.
    """
    target = as_typed(out or name)
    check_writable(target, folder=True)

    def taken(path: Path) -> bool:
        if not path.is_dir():
            return path.exists()
        return any(one.suffix.lower() in (".png", ".svg", ".json") for one in path.iterdir())

    if overwrite and (target / "glyphs.npy").exists():  # whose glyphs.json would be replaced
        raise FileExistsError(f"{target} holds training data: name another folder with --out")
    return target if overwrite else _free(target, taken, bool(out))


def _free(target: Path, taken: Callable[[Path], bool], named: bool) -> Path:
    """The path, or else, unless it was `named`, the first free one such as gold_2.png.

    No prompt or seed makes such a name. Raises FileExistsError for a named one that is taken.
    """
    if not taken(target):
        return target
    if named:
        raise FileExistsError(f"{target} is there already: --overwrite replaces it")
    names = (f"{target.stem}_{number}{target.suffix}" for number in count(2))
    free = next(path for path in map(target.with_name, names) if not taken(path))
    print(f"{target} is there already, so this is {free}; --overwrite replaces it")
    return free


def check_writable(target: Path, folder: bool = False) -> None:
    """Raises OSError where a file of this name, or a folder, can be neither made nor written."""
    if target.exists() and not folder:  # a name that is too long fails here, before all is drawn
        if target.is_dir():
            raise IsADirectoryError(f"cannot write to {target}: it is a folder")
        if not os.access(target, os.W_OK):
            raise PermissionError(f"cannot write to {target}: it is read-only")
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

    device = device.lower()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda" and process()[1] > 1:  # each its own
            device = f"cuda:{process()[0] % torch.cuda.device_count()}"
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
