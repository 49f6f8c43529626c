"""`rollout-sim`, or `python -m rollout_sim.cli`: the entry point, which can be interrupted before the commands are loaded."""

from __future__ import annotations

import sys

from rollout_sim.cli import interruption


def main() -> None:
    """Loads the commands and runs the one that is asked for."""
    interruption.listen()
    try:
        from rollout_sim.cli.main import main as run_command
    except KeyboardInterrupt:
        interruption.ignore()
        print("interrupted", file=sys.stderr)  # noqa: T201 - what prints otherwise is not loaded
        raise SystemExit(interruption.status()) from None
    run_command()


if __name__ == "__main__":
    main()
