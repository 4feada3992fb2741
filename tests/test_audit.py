"""Withdrawn versions of lightning are found, and are not installed here."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[1] / ".ci" / "audit.py"


@pytest.mark.parametrize("name", ["lightning", "Lightning", "pytorch_lightning"])
def test_withdrawn_versions_are_found(name):
    withdrawn = runpy.run_path(str(AUDIT))["withdrawn"]
    for version, bad in (("2.6.2", True), ("2.6.3", True), ("2.6.4", False)):
        assert bool(withdrawn([(name, version), ("torch", "2.6.2")])) == bad


def test_this_installation_has_none():
    assert subprocess.run([sys.executable, AUDIT], check=False).returncode == 0
