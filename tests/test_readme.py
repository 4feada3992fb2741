"""Every command in pages and helps is understood by the script that it names, and not carried out.

`test_documents.py` carries some of the README's out.
"""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
from conftest import SCRIPTS

ROOT = SCRIPTS.parent
COMMAND = re.compile(r"\b(?:python|torchrun\b[^`\n]*) scripts/(\w+\.py[^`\n#&]*)")


def texts():
    """All pages, and what the scripts say of themselves."""
    for page in (ROOT / "README.md", *ROOT.glob("[!.]*/**/*.md")):
        yield page.read_text("utf-8")
    for path in SCRIPTS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.FunctionDef):
                yield (ast.get_docstring(node) or "").replace("\\\n", " ")


COMMANDS = sorted(
    {found.strip() for text in texts() for found in COMMAND.findall(text) if " " in found}
)


@pytest.fixture
def parse(script, monkeypatch):
    """Runs a command as far as its options are read."""
    monkeypatch.setattr(typer.core.TyperCommand, "invoke", lambda self, context: None)
    Path("scripts").symlink_to(SCRIPTS)

    def call(command):
        name, *arguments = shlex.split(command)
        training = "from _training import" in (SCRIPTS / name).read_text("utf-8")
        return script(name, *arguments, *["--print_config"] * training)

    return call


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(parse, command):
    result = parse(command)
    assert result.code == 0, result.err


@pytest.mark.parametrize("command", ["generate.py gold --cuont 3", "explore.py stesp gold"])
def test_a_mistyped_one_is_not(parse, command):
    assert parse(command).code == 2
