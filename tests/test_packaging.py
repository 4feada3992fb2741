"""What `pip install .` takes along is all that the programs read."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
PACKAGES = ("autoencoder", "conditioning", "diffusion")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_weights_and_every_table_is_installed(package):
    folder = ROOT / package
    weights = {path for path in folder.glob("weights/**/*") if path.is_file()}
    tables = {path for ending in ("*.tsv", "*.tsv.xz") for path in folder.rglob(ending)}
    globs = SETUPTOOLS["package-data"][package]
    installed = {path for pattern in globs for path in folder.glob(pattern)}
    assert weights
    assert weights | tables <= installed


def test_every_folder_with_code_is_a_package_that_is_found():
    found = SETUPTOOLS["packages"]["find"]["include"]
    for name in PACKAGES:
        assert f"{name}*" in found
        folders = {path.parent for path in (ROOT / name).rglob("*.py")}
        assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_names_are_taken_by_every_system():
    """No name that Windows reserves or cannot have, and none that is another's in capitals."""
    installed = "node_modules"  # by npm
    refused = re.compile(r'(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*[<>:"|?*\\].*|.*[. ]', re.I)
    names = [str(path.relative_to(ROOT)) for name in (*PACKAGES, "scripts", "tests", ".github")
             for path in (ROOT / name).rglob("*") if installed not in path.parts]  # fmt: skip
    assert [name for name in names if refused.fullmatch(Path(name).name)] == []
    assert len({name.casefold() for name in names}) == len(names)
