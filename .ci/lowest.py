"""Prints the lowest version that pyproject.toml allows of what the package itself needs, as constraints for pip."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

EXTRAS = ("aws", "cluster")
"""Those that the fast tests use."""
NAME = r"[A-Za-z0-9._-]+"


def lowest(pyproject: str) -> list[str]:
    """Lines such as `numpy==2.0`. Raises ValueError for a requirement without a lower bound."""
    project = tomllib.loads(pyproject)["project"]
    every = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    constraints = []
    for requirement in every:
        bound = re.fullmatch(rf"({NAME})(?:\[{NAME}\])?>=([0-9.]+)(?:,.*)?", requirement)
        if bound is None:
            raise ValueError(f"pyproject.toml: {requirement!r} has no lower bound")
        constraints.append(f"{bound[1]}=={bound[2]}")
    return constraints


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    sys.stdout.write("\n".join(lowest((root / "pyproject.toml").read_text(encoding="utf-8"))) + "\n")
