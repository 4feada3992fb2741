"""Builds the web page out of its sources and an exported model, with node."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from autoencoder.files import atomic

SOURCES = Path(__file__).parents[1] / "page"
OLDEST = 20  # node's version


def build_page(onnx: Path, out: Path, single_file: bool = False) -> None:
    """Writes the page, whole or not at all.

    Args:
        onnx: a folder that `export_onnx` wrote.
        out: a folder, made where there is none; an HTML file with `single_file`.

    Raises ValueError, in one line, without node, or where it fails.
    """
    install()
    command = ["node", str(SOURCES / "build.mjs"), "--onnx", str(onnx)]
    if single_file:
        with atomic(out) as part:
            _run(*command, "--out", str(part), "--single-file")
        return
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".part-") as folder:
        _run(*command, "--out", folder)
        for path in sorted(Path(folder).rglob("*"), reverse=True):  # index.html after its scripts
            target = out / path.relative_to(folder)
            if path.is_file():
                target.parent.mkdir(exist_ok=True)
                path.replace(target)


def check_node() -> None:
    """Raises ValueError, in one line, without a node that can build the page."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise ValueError(f"building the page needs node {OLDEST} or later, with npm: nodejs.org")
    found = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(found.strip().lstrip("v").split(".")[0] or 0) < OLDEST:
        raise ValueError(f"building the page needs node {OLDEST} or later, not {found.strip()}")


def install() -> None:
    """Installs what the page is built with, unless it is there.

    Raises ValueError, in one line, without node, or where npm fails.
    """
    check_node()
    locks = SOURCES / "package-lock.json", SOURCES / "node_modules/.package-lock.json"
    wanted, there = (path.stat().st_mtime if path.exists() else 0 for path in locks)
    if there < wanted:
        _run("npm", "ci", "--no-audit", "--no-fund", "--prefix", str(SOURCES))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise ValueError(f"{command[0]} failed: {lines[0]}")
