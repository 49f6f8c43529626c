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


def make(target: Path) -> list[Path]:
    """Runs every command in a folder of its own and copies the pictures to `target`."""
    target.mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "scenarios", folder / "scenarios")
        for command, pictures in COMMANDS.items():
            words = shlex.split(command)
            subprocess.run(
                [sys.executable, "-m", "rollout_sim.cli", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL
            )
            for written, called in pictures.items():
                made.append(target / called)
                shutil.copy(folder / "results" / Path(words[1]).stem / written, made[-1])
    return made


if __name__ == "__main__":
    for path in make(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"):
        print(path)
