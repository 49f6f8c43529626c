"""The shape of the package: who may import whom, and that the command line starts without heavy libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_sub_package_imports_only_from_those_below_it() -> None:
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", lint, "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 kept, 0 broken" in done.stdout


def test_the_command_line_starts_without_heavy_libraries() -> None:
    heavy = ("numpy", "pandas", "matplotlib", "pydantic", "simpy", "scipy", "numba", "rich", "jinja2", "yaml", "joblib")
    script = f"import sys, rollout_sim.cli.main; print(*(name for name in {heavy} if name in sys.modules))"
    # In a folder of its own, and as in an installation: `-P` keeps the current folder off the path.
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == []
