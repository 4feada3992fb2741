"""The pages: links that lead somewhere, and a README whose drawings and glyphs are made.

Trainings are run by their own tests, and in a row by `test_train_all.py`.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import SCRIPTS

from autoencoder.data.fonts import default_font
from autoencoder.data.glyphs import GlyphDataset

ROOT = SCRIPTS.parent
FOLDERS = ("autoencoder", "conditioning", "diffusion", "scripts", ".github")
PAGES = [ROOT / "README.md", *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md"))]
PAGES = [page for page in PAGES if "node_modules" not in page.parts]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("python scripts/")
    for _, block in BLOCKS
    for line in block.splitlines()
    if line.startswith("python scripts/")
]
SHIPPED = [line for line in COMMANDS if "--model .runs" not in line]
DRAW = ["--steps", "1", "--redraws", "0", "--count", "1"]  # what is given last counts


def anchors(path: Path) -> set[str]:
    """What a link can name after #, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), target


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 130


@pytest.mark.parametrize("command", [line for line in SHIPPED if line.startswith("generate.py")])
def test_its_drawings_are_drawn(script, command):
    Path("words.txt").write_text("gold\nfish\n", "utf-8")
    result = script(*shlex.split(command), *DRAW)
    assert result.code == 0, result.err
    assert "wrote " in result.out


def test_its_glyphs_are_prepared(script, few_characters):
    shutil.copy(default_font(), "mine.ttf")
    Path("mine.tsv").write_text("龍\tdragon\n山\tmountain\n山\thill\n", "utf-8")
    for command in COMMANDS:
        if command.startswith("prepare_data.py"):
            result = script(*shlex.split(command))
            assert result.code == 0, result.err
    captions = [record.caption for record in GlyphDataset(".data/mine").records]
    assert captions == ["mountain; hill", "dragon"]


def test_its_python_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (code,) = [block for language, block in BLOCKS if language == "python"]
    exec(code.replace("seed=7", "seed=7, num_inference_steps=1"), {})
    assert Path("gold.png").exists()
