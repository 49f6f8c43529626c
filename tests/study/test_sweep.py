"""Sweeps: the tidy table, going on after an interruption, and the same bytes whoever does the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from builders import data, scenario
from command import COMMAND, hold, scheduler_address

from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.errors import ScenarioError
from rollout_sim.study.analytic import stop_probability
from rollout_sim.study.comparison import compare
from rollout_sim.study.grid import Axis, chosen_axes
from rollout_sim.study.sweep import Sweep, sweep

pytestmark = pytest.mark.long


def grid(**named: Any) -> tuple[YamlDocument, tuple[Axis, ...]]:
    words = {"percent": "5,25", "severity": "0%,5%,20%"} | named
    return chosen_axes(YamlDocument(data=data(), lines={}, path=Path("test.yaml")), **words)


def csv(swept: Sweep) -> str:
    return str(swept.frame.to_csv(index=False))


def test_the_table_has_a_row_per_cell_and_estimate() -> None:
    swept = sweep(*grid(), 200)
    frame = swept.frame
    assert list(frame.columns[:6]) == ["percent", "severity", "strategy", "engine", "estimate", "n"]
    stopped = frame[frame["estimate"] == "stopped"].set_index(["percent", "severity"])["mean"]
    assert len(stopped) == 6
    assert stopped["25", "0%"] < stopped["25", "5%"] < stopped["25", "20%"]
    assert stopped["5", "20%"] < stopped["25", "20%"]


def test_power_curves_meet_their_closed_form() -> None:
    """2,000 replications of 6 cells within 4.5 standard errors: a false alarm has a chance below 5e-5."""
    document, axes = grid(severity="1%,5%,10%", axes=["alarms.errors.datapoints=1 of 1"])
    n = 2000
    swept = sweep(document, axes, n)
    simulated = swept.frame[swept.frame["estimate"] == "stopped"]["mean"].to_numpy()
    exact = np.array([stop_probability(cell.scenario, "canary") for cell in swept.cells], float)
    # The last minute's invocations that still run at its end: 0.1 s of 60 are missed.
    assert (np.abs(simulated - exact) < 4.5 * np.sqrt(exact * (1 - exact) / n) + 0.004).all()
    assert 0.01 < exact.min() < 0.3 < exact.max()


def test_a_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = sweep(*grid(), 60, out=tmp_path)
    cells = sorted((tmp_path / "cells").iterdir())
    assert len(cells) == 6
    stamps = {path: path.stat().st_mtime_ns for path in cells}
    for path in cells[::2]:
        path.unlink()
    again = sweep(*grid(), 60, out=tmp_path)
    assert csv(again) == csv(whole) == csv(sweep(*grid(), 60))
    assert all(path.stat().st_mtime_ns == stamps[path] for path in cells[1::2])


def test_other_work_is_not_taken_for_finished(tmp_path: Path) -> None:
    sweep(*grid(), 60, out=tmp_path)
    for changed in ({"seed": 9}, {"replications": 61}, {"engine": "simpy", "replications": 2}):
        fresh = sweep(*grid(), **{"replications": 60, **changed})
        assert csv(sweep(*grid(), **{"replications": 60, **changed}, out=tmp_path)) == csv(fresh)


@pytest.mark.parametrize("engine", ["aggregate", "simpy"])
def test_two_processes_give_the_same_bytes(engine: str) -> None:
    document, axes = grid(percent="10", axes=["horizon=6 min,7 min"])
    count = 1100 if engine == "aggregate" else 3
    assert csv(sweep(document, axes, count, engine=engine, jobs=2)) == csv(sweep(document, axes, count, engine=engine))


@pytest.mark.parametrize("damage", ["", "{}", "[]", "null", "cut", "altered"])
def test_a_damaged_cell_is_named_and_drawn_anew(damage: str, tmp_path: Path, small: Path) -> None:
    first = sweep(small, ["percent=5,10"], 20, out=tmp_path)
    path = min((tmp_path / "cells").iterdir())
    whole = path.read_text()
    altered = whole.replace('"n": 20', '"n": 21', 1)
    assert altered != whole
    path.write_text({"cut": whole[: len(whole) // 2], "altered": altered}.get(damage, damage))
    again = sweep(small, ["percent=5,10"], 20, out=tmp_path)
    assert again.rows == first.rows
    assert again.notes == (f"{path}: is not as it was written; the cell was drawn anew",)
    assert path.read_text() == whole
    assert sweep(small, ["percent=5,10"], 20, out=tmp_path).notes == ()


def test_cells_that_make_no_sense_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"with percent 0, severity 0%: .*must be more than 0%"):
        sweep(*grid(percent="5,0"), 10, out=tmp_path)
    with pytest.raises(ScenarioError, match=r"the same field: percent, strategies\.canary\.percent"):
        sweep(*grid(axes=["strategies.canary.percent=1,2"]), 10, out=tmp_path)
    with pytest.raises(ScenarioError, match="at least one axis"):
        sweep(*grid(percent="", severity=""), 10, out=tmp_path)
    assert not list(tmp_path.iterdir())


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a sweep as a process of its own; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*more: str) -> subprocess.Popen[str]:
        started.append(_sweep(tmp_path, *more))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def words(tmp_path: Path) -> list[str]:
    """Those of a sweep of twelve cells, which it finishes one after the other."""
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(data(), sort_keys=False))
    axes = ["--percent", "5,10,25,50", "--severity", "0%,5%,20%"]
    return ["sweep", str(file), *axes, "--engine", "simpy", "--replications", "12"]


def _sweep(tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *words(tmp_path), *more],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for_a_cell(out: Path) -> None:
    until = time.monotonic() + 120
    while not list(out.glob("cells/*.json")):
        assert time.monotonic() < until, "no cell was finished within two minutes"
        time.sleep(0.02)


def wait_for_the_end_of_group(group: int) -> None:
    """Waits until a process and all that it started are gone."""
    until = time.monotonic() + 60
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < until, "processes outlive the command by a minute"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("kill", "jobs"),
    [(signal.SIGINT, "2"), (signal.SIGTERM, "2"), (signal.SIGKILL, "1")],
    ids=["ctrl-c", "term", "kill"],
)
def test_an_interrupted_sweep_keeps_its_cells_and_ends_in_the_same_bytes(
    kill: signal.Signals, jobs: str, tmp_path: Path, start: Start
) -> None:
    few = ("--replications", "3")
    whole = start(*few, "--out", "whole")
    with_a_cell = "__import__('glob').glob('cut/cells/*.json')"
    cut = hold(with_a_cell, *words(tmp_path), *few, "--out", "cut", "--jobs", jobs, cwd=tmp_path)
    (os.kill if kill == signal.SIGTERM else os.killpg)(cut.pid, kill)
    _, errors = cut.communicate(timeout=120)
    assert cut.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[kill], errors
    if kill == signal.SIGTERM:
        wait_for_the_end_of_group(cut.pid)
        assert not list((tmp_path / "cut").rglob(".unfinished-*"))
    assert "Traceback" not in errors
    assert 1 <= len(list((tmp_path / "cut" / "cells").glob("*.json"))) < 12
    again = start(*few, "--out", "cut", "--jobs", jobs)
    for process in (whole, again):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert (tmp_path / "cut" / "sweep.csv").read_bytes() == (tmp_path / "whole" / "sweep.csv").read_bytes()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, each a process of its own, on loopback."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    processes = [subprocess.Popen([*scheduler, "--no-dashboard", "--scheduler-file", str(file)], **quiet)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--no-dashboard"]
    worker += ["--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"]
    try:
        address = scheduler_address(file)
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path, start: Start
) -> None:
    address, workers = cluster
    whole = start("--out", "whole")
    spread = start("--out", "spread", "--cluster", address)
    wait_for_a_cell(tmp_path / "spread")
    workers[0].kill()
    for process in (whole, spread):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert (tmp_path / "spread" / "sweep.csv").read_bytes() == (tmp_path / "whole" / "sweep.csv").read_bytes()


def test_a_cluster_that_does_not_answer_is_an_error_with_its_address(start: Start) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    cut = start("--cluster", "tcp://127.0.0.1:1")
    _, errors = cut.communicate(timeout=120)
    assert cut.returncode == 2
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:1'" in errors
    assert "Traceback" not in errors


def test_each_cell_says_how_often_it_stops_a_good_version() -> None:
    """As a comparison does of its twin; cells that differ in the fault alone have the same one."""
    document, axes = grid(percent="")
    swept = sweep(document, axes, 200, ["canary"])
    frame = swept.frame[swept.frame["estimate"] == "good_version_stopped"]
    assert list(frame["severity"]) == ["0%", "5%", "20%"]
    compared = compare(scenario(), 200, ["canary"])
    assert compared.twin is not None
    expected = compared.twin.estimates("canary")["stopped"]
    assert expected is not None
    assert set(frame["mean"]) == {expected.mean}
    assert len({cell.twin.key for cell in swept.cells if cell.twin is not None}) == 1
    alone = sweep(document, axes, 200, ["canary"], twin=False)
    assert not alone.frame["estimate"].str.startswith("good_version").any()
    assert all(cell.twin is None for cell in alone.cells)
    without = [row for row in swept.rows if not row["estimate"].startswith("good_version")]
    assert list(alone.rows) == without


def test_a_version_that_is_good_is_its_own_twin() -> None:
    good = YamlDocument(data=data(function__versions__2={"like": "1"}), lines={}, path=Path("test.yaml"))
    swept = sweep(good, ["alarms.errors.threshold=> 2"], 100, ["canary"])
    by = {row["estimate"]: row["mean"] for row in swept.rows}
    assert by["good_version_stopped"] == by["stopped"]
