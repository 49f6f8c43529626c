"""A Dask cluster that cannot do the work is one clear message in bounded time, whatever has happened to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from builders import scenario
from command import scheduler_address

from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import choose_engine
from rollout_sim.study import cluster
from rollout_sim.study.comparison import batches_of
from rollout_sim.study.executor import run_all

pytestmark = pytest.mark.long
distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process of Dask on loopback; all of them end with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str, code: str = "") -> subprocess.Popen[bytes]:
        kind, *rest = arguments
        program = f"{code}\nfrom distributed.cli.dask_{kind} import main; main()"
        files = ["--scheduler-file", str(tmp_path / "scheduler.json")]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", program, *rest, *files, "--no-dashboard", "--host", "127.0.0.1"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
            )
        )  # fmt: skip
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def scheduler(start: Start, tmp_path: Path) -> tuple[str, subprocess.Popen[bytes]]:
    process = start("scheduler", "--port", "0")
    return scheduler_address(tmp_path / "scheduler.json"), process


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes its time to start a worker."""
    monkeypatch.setattr(cluster, "PATIENCE", 120.0)


def refusal(address: str, *, count: int = 2000, progress: Callable[[float], object] | None = None) -> str:
    """The message, which comes in bounded time."""
    given = scenario(horizon="8 min", engine="simpy")
    work = {"all": batches_of(given, choose_engine(given), ("canary",), 1, count)}
    began = time.monotonic()
    with pytest.raises(ScenarioError) as caught:
        list(run_all(work, cluster=address, progress=progress))
    assert time.monotonic() - began < 300
    (problem,) = caught.value.problems
    return problem


WORKER = ("worker", "--nthreads", "1", "--no-nanny")


def test_a_cluster_without_workers(
    scheduler: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 8.0)
    assert f"the scheduler at {scheduler[0]} has no worker, and none came within 8 s" in refusal(scheduler[0])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import numpy, importlib.metadata as m; old = m.version; m.version = lambda n: '0.0.9' if n == 'numpy' else old(n)",
         "has rollout-sim 0.1.0, numpy 0.0.9"),
        ("import sys; sys.modules['rollout_sim'] = None", "has no rollout_sim ("),
    ],
)  # fmt: skip
def test_a_worker_with_other_versions(
    code: str, expected: str, scheduler: tuple[str, subprocess.Popen[bytes]], start: Start
) -> None:
    start(*WORKER, code=code)
    problem = refusal(scheduler[0])
    assert "1 of 1 workers would give other results" in problem
    assert expected in problem
    assert "; allowed rollout-sim 0.1.0, numpy " in problem


@pytest.mark.parametrize(
    ("victim", "expected"), [("worker", "the last worker is gone"), ("scheduler", "the scheduler is gone")]
)
def test_what_dies_in_the_middle(
    victim: str, expected: str, scheduler: tuple[str, subprocess.Popen[bytes]], start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    worker = start(*WORKER)
    process = worker if victim == "worker" else scheduler[1]

    def kill(done: float) -> None:
        monkeypatch.setattr(cluster, "PATIENCE", 4.0)  # nothing has to start any more
        process.kill()

    problem = refusal(scheduler[0], count=20_000, progress=kill)
    assert expected in problem
    assert "what is finished is kept" in problem


def test_a_scheduler_that_dies_before_the_work_begins(
    scheduler: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = distributed.Client.wait_for_workers

    def kill_and_wait(client: Any, count: int, timeout: float) -> None:
        scheduler[1].kill()
        wait(client, count, timeout)

    monkeypatch.setattr(distributed.Client, "wait_for_workers", kill_and_wait)
    assert "the scheduler is gone, or the connection to it is" in refusal(scheduler[0])


@pytest.mark.parametrize("error", [CancelledError(), ConnectionResetError()])
def test_a_scheduler_that_has_just_died_may_still_take_connections(error: Exception) -> None:
    """The operating system may close its listening socket after the connection on which results come."""
    future = SimpleNamespace(status="lost", result=Mock(side_effect=error))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ScenarioError, match="the scheduler is gone, or the connection to it is"):
            cluster._result(SimpleNamespace(status="running"), future, address)  # type: ignore[arg-type]


def test_a_worker_that_dies_over_its_work_again_and_again(
    scheduler: tuple[str, subprocess.Popen[bytes]], start: Start
) -> None:
    for _ in range(5):
        start(*WORKER)
    with pytest.raises(ScenarioError, match="workers died over the same work"):
        list(cluster.on_cluster([1], os._exit, scheduler[0]))  # a worker cannot import a test's own function


def test_an_error_of_the_work_is_not_taken_for_one_of_the_cluster(
    scheduler: tuple[str, subprocess.Popen[bytes]], start: Start, tmp_path: Path
) -> None:
    start(*WORKER)
    with pytest.raises(FileNotFoundError, match="missing"):
        list(cluster.on_cluster([str(tmp_path / "missing")], os.listdir, scheduler[0]))
