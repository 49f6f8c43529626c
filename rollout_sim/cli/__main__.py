"""`rollout-sim`, or `python -m rollout_sim.cli`: the entry point, which can be interrupted before the commands are loaded."""

from __future__ import annotations

import os
import sys

from rollout_sim.cli import interruption


def main() -> None:
    """Loads the commands and runs the one that is asked for."""
    _open_closed_streams()
    interruption.listen()
    try:
        from rollout_sim.cli.main import main as run_command
    except KeyboardInterrupt:
        interruption.ignore()
        print("interrupted", file=sys.stderr)  # noqa: T201 - what prints otherwise is not loaded
        raise SystemExit(interruption.status()) from None
    run_command()


def _open_closed_streams() -> None:
    """Opens the null device for each standard stream that was closed before the command began, in their order.

    Otherwise the next file that is opened takes its place; and some libraries expect that there is a standard error.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - it stays open


if __name__ == "__main__":
    main()
