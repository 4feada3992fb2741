"""What continuous integration says of the packages that are installed."""

import io
import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest

AUDIT = Path(__file__).parents[1] / ".ci" / "audit.py"


@pytest.fixture
def audit(monkeypatch):
    """Runs it over packages, with what PyPI answers; returns its exit code."""
    module = runpy.run_path(str(AUDIT))
    names = module["main"].__globals__

    def call(packages, answer):
        listed = [SimpleNamespace(metadata={"Name": n}, version=v) for n, v in packages.items()]
        monkeypatch.setitem(names, "distributions", lambda: listed)
        monkeypatch.setitem(names, "urlopen", answer)
        return module["main"]()

    return call


def offline(*_, **__):
    raise URLError("no network")


def test_withdrawn_versions_fail(audit, capsys):
    for version, code in (("2.6.2", 1), ("2.6.3", 1), ("2.6.4", 0)):
        assert audit({"Lightning": version, "torch": "2.6.2"}, offline) == code
        assert ("must not be installed" in capsys.readouterr().out) == bool(code)


def test_without_a_network_it_says_so(audit, capsys):
    assert audit({"torch": "2.9.0"}, offline) == 0
    assert "no advisories to be had here" in capsys.readouterr().out


def test_advisories_are_printed(audit, capsys):
    def pypi(address, timeout):
        known = [{"id": "PYSEC-1", "fixed_in": ["2.0"]}, {"id": "GONE", "withdrawn": "2024"}]
        return io.BytesIO(
            json.dumps({"vulnerabilities": known if "/old/" in address else []}).encode()
        )

    assert audit({"old": "1.0", "new": "2.0"}, pypi) == 0
    said = capsys.readouterr().out
    assert "old 1.0: PYSEC-1, mended in 2.0" in said
    assert "new 2.0" not in said
    assert "GONE" not in said
    assert audit({"new": "2.0"}, pypi) == 0
    assert "no advisory for 1 packages that PyPI knows" in capsys.readouterr().out


def test_this_installation_has_nothing_that_was_withdrawn():
    module = runpy.run_path(str(AUDIT))
    installed = {d.metadata["Name"].lower(): d.version for d in module["distributions"]()}
    assert "torch" in installed
    assert not module["withdrawn"](installed)
