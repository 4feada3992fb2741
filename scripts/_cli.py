"""What the command lines share."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def run(main: Callable[..., None]) -> None:
    """Makes a function's signature a command line, runs it and exits.

    What was typed wrongly and what `main` raises for bad input both end as `one_line_errors` says,
    and a warning is one line too.
    """
    import typer  # the trainings, which share this module, have Lightning's command line

    app = typer.Typer(add_completion=False)
    app.command()(main)
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


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns what a user can put right into one line on stderr and exit code 2.

    That is ValueError, which the packages raise for bad input, and OSError. Anything else is our
    own mistake and keeps its traceback. Ctrl-C exits with 130, and a reader that closed the pipe,
    such as `head`, ends the program quietly, both as shells expect.
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
