"""Checks what is installed: withdrawn versions fail, known advisories are printed.

    python .ci/audit.py

The versions of lightning that were withdrawn carried code that stole credentials. Advisories come
from PyPI, which a machine without a network cannot ask: then it says so, and that is no failure.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

WITHDRAWN = {
    "lightning": {"2.6.2", "2.6.3"},
    "pytorch-lightning": {"2.6.2", "2.6.3"},
}
PAGE = "https://pypi.org/pypi/{}/{}/json"


def withdrawn(installed: dict[str, str]) -> list[str]:
    """What of it must not be there, as "name version"."""
    return [f"{name} {v}" for name, v in installed.items() if v in WITHDRAWN.get(name, ())]


def advisories(name: str, version: str, timeout: float = 10) -> list[str] | None:
    """What PyPI knows against a version, a line each; None where it does not know the version.

    Raises URLError without a network.
    """
    try:
        with urlopen(PAGE.format(name, version), timeout=timeout) as answer:
            known = json.load(answer).get("vulnerabilities", [])
    except HTTPError as error:
        if error.code != 404:  # that is a version from elsewhere
            raise
        return None
    return [
        f"{name} {version}: {one['id']}, mended in {', '.join(one['fixed_in']) or 'no version yet'}"
        for one in known
        if not one.get("withdrawn")
    ]


def main() -> int:
    installed = {one.metadata["Name"].lower(): one.version for one in distributions()}
    bad = withdrawn(installed)
    for one in bad:
        print(f"{one} was withdrawn and must not be installed")
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda one: advisories(*one), installed.items()))
    except (URLError, TimeoutError) as error:
        print(f"no advisories to be had here: {error}")
    else:
        known = [answer for answer in answers if answer is not None]
        lines = [line for answer in known for line in answer]
        print("\n".join(lines) or "no advisory", f"for {len(known)} packages that PyPI knows")
    print(f"{len(installed)} packages, {len(bad)} of them withdrawn")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
