"""Fails where a withdrawn version is installed; pip-audit, which runs beside it, knows advisories.

These versions of lightning carried code that stole credentials.
"""

import sys
from collections.abc import Iterable
from importlib.metadata import distributions

WITHDRAWN = {
    (name, version) for name in ("lightning", "pytorch-lightning") for version in ("2.6.2", "2.6.3")
}


def withdrawn(installed: Iterable[tuple[str, str]]) -> list[str]:
    """Those of the names and versions that must not be there."""
    names = ((name.lower().replace("_", "-"), version) for name, version in installed)
    return [f"{name} {version}" for name, version in names if (name, version) in WITHDRAWN]


if __name__ == "__main__":
    for one in (bad := withdrawn((one.name, one.version) for one in distributions())):
        print(f"{one} was withdrawn and must not be installed")
    sys.exit(bool(bad))
