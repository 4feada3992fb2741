"""The tour: every picture has its command above it, every command its picture."""

import re
import shlex
import subprocess
from types import SimpleNamespace

import pytest
from conftest import SCRIPTS
from PIL import Image

ROOT = SCRIPTS.parent
PAGE = (ROOT / "diffusion" / "README.md").read_text("utf-8")
SHOWN = re.findall(r"!\[[^]]+\]\(\.\./(\.github/tour/[\w.]+)\)", PAGE)


def out(command):
    words = shlex.split(command)
    return words[words.index("--out") + 1]


@pytest.fixture
def commands(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import tour

    return tour.commands(PAGE)


def test_every_picture_has_its_command_and_every_command_its_picture(commands):
    made = {out(command).replace("map.html", "map.png") for command in commands}
    assert len(made) == len(commands) > 10
    by_hand = {f".github/tour/{name}.png" for name in ("page", "dit", "unet")}  # of a browser, and
    assert set(SHOWN) - by_hand == made  # of trainings too long for a tour
    for path in SHOWN:
        with Image.open(ROOT / path) as image:
            assert min(image.size) > 100
    assert sum((ROOT / path).stat().st_size for path in SHOWN) < 6e6


@pytest.mark.parametrize("code", [0, 2])
def test_the_chosen_commands_are_run_and_the_first_to_fail_is_named(script, monkeypatch, code):
    run = []

    def pretend(command, **options):
        run.append(command)
        return SimpleNamespace(returncode=code, stdout="wrote it\n", stderr="error: no data\n")

    monkeypatch.setattr(subprocess, "run", pretend)
    result = script("tour.py", "--only", "interpolate.py")
    assert result.code == code
    if code:
        assert result.err.count("\n") == 1
        assert "said: error: no data" in result.err
        assert len(run) == 1
    else:
        assert len(run) == PAGE.count("python scripts/interpolate.py")
        assert f"made {len(run)} pictures" in result.out
    assert all(command[1] == "scripts/interpolate.py" for command in run)


def test_a_tour_of_nothing_is_refused(script):
    result = script("tour.py", "--only", "knitting")
    assert (result.code, result.err) == (2, 'error: no command of the tour has "knitting" in it\n')
