"""Makes the pictures of README and docs anew: `python docs/pictures.py [FOLDER]`, by default into `docs/`.

Each picture is what a command of README or docs writes; needs the package installed.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

COMMANDS = {
    "run scenarios/checkout.yaml": {"error_budget.png": "checkout-error-budget.png"},
    "compare scenarios/checkout.yaml": {"comparison.png": "checkout-comparison.png"},
    "sweep scenarios/checkout.yaml --percent 1,2,5,10,25,50 --interval 5m,10m,30m --severity 0%,0.5%,1%,5%": {
        "power.png": "checkout-power.png"
    },
    "recommend scenarios/checkout.yaml": {"pareto.png": "checkout-pareto.png"},
    "init shop.yaml --name shop --rate 10/s --error-rate 0.1% --objective 99.9% --window 30d --duration 80ms": {},
    "sweep shop.yaml --percent 1,5,10,25 --interval 10m,30m --severity 0.5%,1%,2%,5%": {"power.png": "shop-power.png"},
}
"""Command to the files that it writes, and what they are called in `docs/`."""


def take(command: str, folder: Path, target: Path) -> dict[str, Path]:
    """Copies the pictures that `command` has just written under `folder` to `target`."""
    taken = {}
    for written, called in COMMANDS.get(" ".join(command.split()), {}).items():
        taken[called] = target / called
        shutil.copy(folder / "results" / Path(shlex.split(command)[1]).stem / written, taken[called])
    return taken


def make(target: Path) -> list[Path]:
    """Runs every command in a folder of its own and copies the pictures to `target`."""
    target.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "scenarios", folder / "scenarios")
        for command in COMMANDS:
            program = [sys.executable, "-m", "rollout_sim.cli", *shlex.split(command)]
            subprocess.run(program, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            made += take(command, folder, target).values()
    return made


if __name__ == "__main__":
    for path in make(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"):
        print(path)
