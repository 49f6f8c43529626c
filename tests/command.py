"""The command line for tests, as a person calls it: a process of its own, away from a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = [sys.executable, "-m", "rollout_sim.cli"]


def call(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`rollout-sim` with these arguments in the folder `cwd`; `env` is set on top. Nobody answers its questions."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd, env=os.environ | (env or {}), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def shell(script: str, cwd: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    """A script of bash that finds `rollout-sim`: a program of that name is written into the folder `programs`."""
    program = programs / "rollout-sim"
    if not program.exists():
        programs.mkdir(exist_ok=True)
        unfinished = programs / f"rollout-sim.{os.getpid()}"
        unfinished.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rollout_sim.cli "$@"\n')
        unfinished.chmod(0o755)
        unfinished.replace(program)
    return subprocess.run(
        ["bash", "-c", script], cwd=cwd, env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
