"""Who does the work: every piece gets its own results, in the order of its batches, and hears how far it is."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import time
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import scenario
from joblib._parallel_backends import LokyBackend
from joblib.externals.loky import process_executor

from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import PLANES, choose_engine
from rollout_sim.run.batch import run_batch
from rollout_sim.run.simulate import simulate_each
from rollout_sim.study import executor
from rollout_sim.study.comparison import batches_of
from rollout_sim.study.executor import affordable, run_all


@pytest.mark.parametrize("backwards", [False, True])
def test_each_piece_of_work_gets_its_own_results_in_order(backwards: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given = scenario(horizon="8 min")
    plane = choose_engine(given)
    work = {name: batches_of(given, plane, (name,), seed, 2500) for seed, name in enumerate(("canary", "linear"))}
    if backwards:
        monkeypatch.setattr(
            executor,
            "run_batches",
            lambda batches, **_: [(k, run_batch(batches[k])) for k in reversed(range(len(batches)))],
        )
    shares: list[float] = []
    results = list(run_all(work, progress=shares.append))
    assert shares == [k / 6 for k in range(1, 7)]
    assert [key for key, _ in results] == (["linear", "canary"] if backwards else ["canary", "linear"])
    for key, columns in results:
        for name, values in columns[key].items():
            parts = [run_batch(batch)[key][name] for batch in work[key]]
            np.testing.assert_array_equal(values, np.concatenate(parts))


def test_a_piece_of_work_is_handed_over_as_soon_as_it_is_done() -> None:
    given = scenario(horizon="8 min")
    plane = choose_engine(given)
    done: list[float] = []
    work = {seed: batches_of(given, plane, ("canary",), seed, 2000) for seed in range(3)}
    assert [(key, len(done)) for key, _ in run_all(work, progress=done.append)] == [(0, 2), (1, 4), (2, 6)]


@pytest.mark.parametrize(
    ("each", "count"), [(1.0, 20), (0.1, 100), (0.0303, 300), (0.011, 900), (0.0021, 4000), (1e-9, 5000), (0.0105, 900)]
)
def test_what_is_affordable_is_rounded_down_to_a_digit_between_limits(each: float, count: int) -> None:
    assert affordable(10.0, each, fewest=20, most=5000) == count


@pytest.mark.slow
def test_runs_are_the_same_on_two_processes_and_both_make_some() -> None:
    given = scenario(horizon="8 min", rollout__start="2 min")
    here: list[str | None] = []

    def counted(tasks: Any) -> Any:
        for name, call in tasks:
            here.append(name)
            yield name, call

    shares: list[float] = []
    with executor.sharing(2) as share:
        each = list(
            simulate_each(given, progress=shares.append, share=lambda tasks, *rest: share(counted(tasks), *rest))
        )
    assert here[0] is None
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    for result, alone in zip(each, simulate_each(given), strict=True):
        assert result.summary == alone.summary
        assert pickle.dumps((result.metrics, result.counts)) == pickle.dumps((alone.metrics, alone.counts))


@pytest.mark.slow
def test_what_ends_another_process_is_told_here() -> None:
    def tasks() -> Iterator[tuple[str, Any]]:
        yield "no number", partial(int, "x")
        while True:
            time.sleep(0.01)
            yield "a number", lambda progress: 1

    with pytest.raises(ValueError, match="'x'"), executor.sharing(2) as share:
        for _ in share(tasks(), {}, None, 100):
            pass


@pytest.mark.slow
def test_a_process_that_is_killed_is_one_message() -> None:
    """As where memory runs out."""

    def killed(progress: object = None) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ScenarioError, match="a process that shares the work was killed"):
        executor.each_of([partial(abs, -1), killed], 2)

    def tasks() -> Iterator[tuple[str, Any]]:
        yield "there", killed
        while True:
            time.sleep(0.01)
            yield "here", lambda progress: 1

    with (
        pytest.raises(ScenarioError, match="a process that shares the work was killed"),
        executor.sharing(2) as share,
    ):
        for _ in share(tasks(), {}, None, 100):
            pass


def test_a_study_whose_processes_another_one_ends_says_so() -> None:
    """In joblib's words a generator was collected that nobody knows of."""
    future: Future[None] = Future()
    future.set_exception(process_executor.ShutdownExecutorError())
    with pytest.raises(ScenarioError, match="by another study"), executor._deaths_told():
        LokyBackend().retrieve_result_callback(future)
    with pytest.raises(RuntimeError, match="its own"), executor._deaths_told():
        raise RuntimeError("its own")


@pytest.mark.slow
def test_another_process_does_not_hear_ctrl_c() -> None:
    """It would leave its traceback, where it has just begun."""

    def deaf(progress: object = None) -> Any:
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    done: dict[str | None, Any] = {}
    with executor.sharing(2) as share:
        assert list(share(iter([("there", deaf), ("here", deaf)]), done, None, 2))
    assert done == {"there": True, "here": False}
    with executor.elsewhere([deaf, deaf], 2) as there:
        assert list(there) == [True, True]
    assert not deaf()


def test_an_interruption_waits_until_a_process_has_begun() -> None:
    begun = []

    def begin() -> None:
        with executor._undisturbed():
            signal.raise_signal(signal.SIGINT)
            begun.append("process")

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what runs in the background may have to ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            begin()
    finally:
        signal.signal(signal.SIGINT, before)
    assert begun


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_each_call_comes_to_its_own_result_and_this_process_makes_some(jobs: int) -> None:
    def where(k: int) -> tuple[int, int]:  # nested: another process need not find this file
        return k, os.getpid()

    made = executor.each_of([partial(where, k) for k in range(5)], jobs)
    assert [k for k, _ in made] == [0, 1, 2, 3, 4]
    assert [process == os.getpid() for _, process in made] == [True, jobs == 1, True, jobs == 1, True]


@pytest.mark.slow
def test_who_is_interrupted_waits_for_no_other_process(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    began = time.monotonic()

    def work(progress: object = None) -> None:
        begun.touch()
        time.sleep(600)

    def interrupt(progress: object = None) -> None:
        while not begun.exists():  # a thread of joblib's fails that has just got what is taken away again
            assert time.monotonic() - began < 100
            time.sleep(0.01)
        begun.unlink()
        raise KeyboardInterrupt

    calls: list[tuple[str, Any]] = [("there", work), ("here", interrupt)]
    with pytest.raises(KeyboardInterrupt), executor.sharing(2) as share:
        list(share(iter(calls), {}, None, 2))
    with pytest.raises(KeyboardInterrupt), executor.elsewhere([work], 2):
        interrupt()

    def study() -> Generator[Any]:
        with executor.elsewhere([partial(int, "1"), work], 2, ordered=False) as results:
            yield from results

    for result in (interrupted := study()):
        assert result == 1
        interrupted.close()  # joblib warns of nothing
    assert time.monotonic() - began < 300


def test_others_do_not_begin_before_the_kernel_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Process:
        def submit(self, call: Any) -> Future[Any]:
            order.append("there")
            future: Future[Any] = Future()
            future.set_result(call())
            return future

        def shutdown(self, **_: object) -> None:
            order.append("end")

    def run(progress: object = None) -> Any:
        order.append("here" if progress else "in it")

    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", lambda **_: Process())
    with executor.sharing(2, compiles=True) as share:
        named = list(share(iter([(str(k), run) for k in range(3)]), {}, lambda _: None, 3))
    assert order == ["here", "there", "in it", "there", "in it", "end"]
    assert sorted(named) == ["0", "1", "2"]


@pytest.mark.parametrize("jobs", [0, -2, 1025, 10**20])
def test_absurd_numbers_of_processes_are_refused(jobs: int) -> None:
    with pytest.raises(ScenarioError, match="allowed 1 to 1,024, or -1 for all processors"):
        list(executor.run_batches([], jobs=jobs))


def test_what_has_to_be_compiled_is_compiled_once_before_processes_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process would compile, too")

    monkeypatch.setattr("joblib.Parallel", no_process)
    given = scenario(horizon="8 min")
    plane = choose_engine(given)
    batches = batches_of(given, plane, ("canary",), 0, 2500)
    monkeypatch.setitem(PLANES, plane.engine, replace(PLANES[plane.engine], ready=lambda _: False))
    number, result = next(executor.run_batches(batches, jobs=2))
    assert number == 0
    np.testing.assert_array_equal(result["canary"]["outcome"], run_batch(batches[0])["canary"]["outcome"])


def test_a_process_that_joblib_renews_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    class Renewing:
        def __init__(self, **_: object) -> None:
            pass

        def __call__(self, calls: Iterator[Any]) -> Iterator[Any]:
            for function, given, named in calls:
                text = f"{executor.RENEWED} to the executor. This can be caused by a memory leak."
                for module in modules:
                    warnings.warn_explicit(text, UserWarning, "file.py", 1, module)
                yield function(*given, **named)

    modules = [process_executor.__name__]
    assert executor.RENEWED in inspect.getsource(process_executor)
    monkeypatch.setattr("joblib.Parallel", Renewing)
    given = scenario(horizon="8 min")
    plane = choose_engine(given)
    batches, before = batches_of(given, plane, ("canary",), 0, 2500), list(warnings.filters)
    assert len(list(executor.run_batches(batches, jobs=2))) == 3
    assert warnings.filters == before
    modules.append("of.the.user")
    with pytest.warns(UserWarning, match=executor.RENEWED) as told:
        list(executor.run_batches(batches, jobs=2))
    assert len(told) == 3
