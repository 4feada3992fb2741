"""Makes every picture of the tour again, by the commands that stand under them."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from _cli import progress_bar, run

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "diffusion" / "README.md"


def main(
    only: Annotated[
        str, typer.Option(help="Only the commands with these words in them.", show_default="all")
    ] = "",
) -> None:
    """Make every picture of the tour again, by the commands that stand under them.

    The tour is diffusion/README.md. Run prepare_data.py once before it. Minutes
    on two cores:

        python scripts/tour.py

        python scripts/tour.py --only "interpolate.py"
    """
    chosen = [command for command in commands(PAGE.read_text("utf-8")) if only in command]
    if not chosen:
        raise ValueError(f'no command of the tour has "{only}" in it')
    start = time.perf_counter()
    with progress_bar("the tour", len(chosen)) as advance:
        for command in chosen:
            made = subprocess.run(
                [sys.executable, *shlex.split(command)[1:], "--overwrite"],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            if made.returncode:
                raise ValueError(f"{command} said: {made.stderr.strip()}")
            print(made.stdout, end="", flush=True)
            advance(1)
    print(f"made {len(chosen)} pictures in {time.perf_counter() - start:.0f} s")


def commands(page: str) -> list[str]:
    """The lines of a page's code blocks that write into the tour's folder, in their order."""
    lines = (line.strip() for line in page.splitlines())
    return [
        line for line in lines if line.startswith("python scripts/") and "--out .github" in line
    ]


if __name__ == "__main__":
    run(main)
