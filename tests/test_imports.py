"""Which part of the code may import which, read from the import statements themselves."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {path.stem for path in (ROOT / "scripts").glob("*.py")}
MATHEMATICS = "diffusion.condition", "diffusion.process", "diffusion.samplers", "diffusion.guidance"


def statements(node, also_later=True):
    """All import statements, or those that run when the module itself is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif also_later:
            yield from statements(child)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        elif not isinstance(child, ast.FunctionDef):
            yield from statements(child, also_later)


def imported(path, also_later=True):
    """What a file imports, by dotted names: modules, and names out of modules."""
    names = set()
    for statement in statements(ast.parse(path.read_text("utf-8")), also_later):
        module = f"{statement.module}." if isinstance(statement, ast.ImportFrom) else ""
        names |= {module + alias.name for alias in statement.names}
    return names


def under(name, places):
    return any(f"{name}.".startswith(f"{place}.") for place in places)


def check(part, forbidden, allowed=()):
    """No file of a part imports what is forbidden, but for what is allowed."""
    path = ROOT / part.replace(".", "/")
    files = list(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    assert files
    for file in files:
        wrong = {name for name in imported(file) if under(name, forbidden)}
        assert {name for name in wrong if not under(name, allowed)} == set(), file


def test_autoencoder_and_conditioning_stand_alone():
    check("autoencoder", {"conditioning", "diffusion"})
    check("conditioning", {"autoencoder", "diffusion"})


@pytest.mark.parametrize("part", MATHEMATICS)
def test_process_samplers_and_guidance_know_no_network_and_no_data(part):
    check(part, {"autoencoder", "conditioning", "diffusion"}, MATHEMATICS)


def test_networks_know_nothing_of_data_training_pipeline_or_evaluation():
    layers = "autoencoder.blocks", "autoencoder.pretrained"  # how a network is built and saved
    allowed = "diffusion.condition", "diffusion.process", "diffusion.networks", *layers
    check("diffusion.networks", {"autoencoder", "conditioning", "diffusion"}, allowed)


@pytest.mark.parametrize("package", ["autoencoder", "conditioning", "diffusion"])
def test_no_package_imports_a_script(package):
    check(package, SCRIPTS | {"scripts"})


def reached(path, seen):
    """Every file of ours that can be imported from one on, also late."""
    seen.add(path)
    for name in imported(path):
        parts = name.split(".")
        places = [folder.joinpath(*parts) for folder in (ROOT, ROOT / "scripts")]
        for place in places + [place.parent for place in places]:
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if file.is_file() and file not in seen:
                    reached(file, seen)
    return seen


def test_generating_needs_nothing_of_training_and_transformers_at_most_late():
    training = {"lightning", "torchvision", "lpips", "tensorboard", "diffusers", "sklearn", "nltk"}
    files = reached(ROOT / "scripts" / "generate.py", set())
    files |= reached(ROOT / "diffusion" / "__init__.py", set())
    assert ROOT / "diffusion" / "pipeline.py" in files
    for file in files:
        assert not [name for name in imported(file) if under(name, training)], file
        assert not [name for name in imported(file, False) if under(name, {"transformers"})], file
