"""Kills: a sweep that is killed at random points and begun again until it is done leaves the bytes of an unbroken one."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .inputs import ROOT, TINY

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
MOST_KILLS = 4
"""Of one sweep, before it is left alone."""
PATIENCE = 120.0
"""Seconds after which a sweep that is left alone, or interrupted, counts as hanging."""
AXES = (
    "--percent",
    "5,10,20,40",
    "--interval",
    "1 min,2 min,3 min",
    "--severity",
    "0%,30%",
    "--replications",
    "4",
    "--engine",
    "simpy",
)


@dataclass(slots=True)
class Kills:
    """What became of the sweeps that were killed."""

    sweeps: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    too_late: int = 0
    """Signals that came when the sweep was done."""
    losses: list[str] = field(default_factory=list)
    leftovers: dict[str, int] = field(default_factory=dict)
    """Unfinished folders that a signal left behind, by signal."""
    tracebacks: list[str] = field(default_factory=list)
    """After SIGINT, from the moment at which the program itself runs."""
    worst_stop_s: float = 0.0
    """From SIGINT until the process was gone."""

    def document(self) -> dict[str, Any]:
        return {
            "sweeps": self.sweeps, "kills": self.kills, "too_late": self.too_late, "losses": self.losses,
            "leftovers": self.leftovers, "tracebacks": self.tracebacks, "worst_stop_s": round(self.worst_stop_s, 2),
        }  # fmt: skip

    @property
    def problems(self) -> list[str]:
        told = [
            f"{name} left {self.leftovers[name]} unfinished folders" for name in self.leftovers if name != "SIGKILL"
        ]
        return [*self.losses, *self.tracebacks, *told]


def start(scenario: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rollout_sim.cli", "sweep", str(scenario), *AXES, *more, "--out", str(out)]
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": path}
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, start_new_session=True
    )


def contents(folder: Path) -> dict[str, str]:
    """Every file in a folder by its name, as a digest of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unfinished(folder: Path) -> int:
    return len(list(folder.glob(".unfinished-*"))) if folder.exists() else 0


def campaign(seed: int, seconds: float, *, most: int = 10**9) -> Kills:
    """As many sweeps as fit into the time."""
    kills = Kills()
    rng = random.Random(f"{seed}/kill")
    with tempfile.TemporaryDirectory(prefix="campaign-") as name:
        folder = Path(name)
        scenario = folder / "tiny.yaml"
        scenario.write_text(TINY, encoding="utf-8")
        began = time.monotonic()
        process = start(scenario, folder / "whole")
        _, errors = process.communicate(timeout=PATIENCE)
        if process.returncode:
            kills.losses.append(f"the unbroken sweep ends with {process.returncode}: {errors[-300:]!r}")
            return kills
        length = time.monotonic() - began
        whole = contents(folder / "whole")
        end = began + seconds if most > 1 else began + PATIENCE
        while time.monotonic() < end and kills.sweeps < most:
            killed_until_done(kills, rng, scenario, folder / f"{kills.sweeps}", whole, length)
            kills.sweeps += 1
    return kills


def wait_for(rng: random.Random, process: subprocess.Popen[bytes], out: Path, cells: int, length: float) -> bool:
    """Waits for a random point: a time early on, so many more cells, or the writing at the end; False where it is over."""
    kind = rng.choice(["time", "cells", "cells", "writing"])
    there = len(list(out.glob("cells/*.json")))
    wanted = rng.randint(there, cells)
    end = time.monotonic() + rng.uniform(0.0, length / 2)
    while process.poll() is None:
        if kind == "time":
            reached = time.monotonic() > end
        elif kind == "cells":
            reached = len(list(out.glob("cells/*.json"))) >= wanted
        else:
            reached = unfinished(out) > 0
        if reached:
            time.sleep(rng.choice([0.0, rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.5)]))
            return process.poll() is None
        time.sleep(0.005)
    return False


def killed_until_done(
    kills: Kills, rng: random.Random, scenario: Path, out: Path, whole: dict[str, str], length: float
) -> None:
    """One sweep: killed, begun again, and so on; what it leaves is compared with `whole`."""
    sent = []
    cells = sum(name.startswith("cells") for name in whole)
    for _ in range(MOST_KILLS):
        for folder in out.glob(".unfinished-*"):  # counted already
            shutil.rmtree(folder)
        process = start(scenario, out)
        number = rng.choice(SIGNALS)
        if wait_for(rng, process, out, cells, length):
            at = time.monotonic()
            process.send_signal(number)
            sent.append(number.name)
            kills.kills[number.name] = kills.kills.get(number.name, 0) + 1
            errors = _ended(kills, process, number, sent)
            if number == signal.SIGINT:
                kills.worst_stop_s = max(kills.worst_stop_s, time.monotonic() - at)
                if b"Traceback" in errors and b"in main\n" in errors:
                    kills.tracebacks.append(f"SIGINT: {errors[-400:]!r}")
            if more := unfinished(out):
                kills.leftovers[number.name] = kills.leftovers.get(number.name, 0) + more
        else:
            kills.too_late += 1
            _ended(kills, process, None, sent)
            break
    process = start(scenario, out)
    errors = _ended(kills, process, None, sent)
    if process.returncode:
        kills.losses.append(f"after {', '.join(sent)} the sweep ends with {process.returncode}: {errors[-400:]!r}")
        return
    after = {name: digest for name, digest in contents(out).items() if not name.startswith(".unfinished-")}
    differing = sorted(name for name in {*whole, *after} if whole.get(name) != after.get(name) and ".part" not in name)
    if differing:
        kills.losses.append(f"after {', '.join(sent)} these files differ: {', '.join(differing)}")


def _ended(kills: Kills, process: subprocess.Popen[bytes], number: signal.Signals | None, sent: list[str]) -> bytes:
    """Waits until a process and all that it started are gone; what it wrote to standard error."""
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        kills.losses.append(f"after {', '.join(sent)} nothing ends within {PATIENCE:g} s ({number})")
        os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
    return errors
