"""The command line for tests, as a person calls it: a process of its own, away from a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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


def scheduler_address(file: Path) -> str:
    """The address of a Dask scheduler that has just been started, and writes it into a `file`, which may be half written."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            return str(json.loads(file.read_text(encoding="utf-8"))["address"])
        except (FileNotFoundError, ValueError):
            time.sleep(0.05)
    raise TimeoutError(f"the scheduler did not write {file} within two minutes")


HELD = """
import time
from contextlib import contextmanager
from rollout_sim.cli import console, main

@contextmanager
def progress(label):
    def report(done):
        if {condition}:
            print("held", flush=True)
            time.sleep(600)
    yield report

console.progress = progress
main.main()
"""


def hold(condition: str, *arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """`rollout-sim`, held where a `condition` of Python's is true as it tells its progress (`done`); from then on it waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELD.format(condition=condition), *map(str, arguments)],
        cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    if process.stdout.readline() != "held\n":
        process.kill()
        raise AssertionError(f"it was not held: {process.communicate()}")
    return process


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
