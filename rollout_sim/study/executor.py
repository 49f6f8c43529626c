"""Executor: batches of replications on one process, on several, or on a cluster; the results are the same.

Local processes are joblib's, a cluster is Dask's. Neither the order of the work nor a worker that dies changes a result,
because a batch draws from nothing but its own numbers.
"""

from __future__ import annotations

import itertools
import signal
import warnings
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, current_thread, main_thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rollout_sim.core.garbage import look_seldom
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import PLANES, EngineChoice
from rollout_sim.run.batch import Batch, Samples, alike, concatenate, run_alike
from rollout_sim.run.simulate import Call, Name, Progress, Share, Tasks, one_by_one, part_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rollout_sim.run.result import RunResult

MAX_JOBS: Final = 1_024
"""Processes on one machine."""
MUCH: Final = 15.0
"""Nominal seconds from which on the start of further processes is little."""
SOME: Final = 3.0
"""The same where this process does its share meanwhile, and waits for nobody's start."""
RENEWED: Final = "A worker stopped while some jobs were given"
"""What joblib warns of where it renews a process whose memory has grown, as that of the compiled plane's draws; nothing is lost."""
UNUSED: Final = r"\d+ tasks (which|have)"
"""How joblib's warning begins that results are not used, as of what is interrupted."""
KILLED: Final = (
    "--jobs: a process that shares the work was killed, most likely because memory ran out; "
    "fewer processes need less of it, --jobs 1 the least"
)
ENDED: Final = (
    "jobs: the processes that share the work were ended by another study in this process that failed or was interrupted; "
    "nothing is wrong with this one, run it again"
)
Result = dict[str, Samples]
"""The samples of each strategy, by its name."""
Numbered = tuple[int, Batch]
"""A batch and its place among all."""
Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")


def run_all(
    work: Mapping[Key, Sequence[Batch]],
    *,
    jobs: int = 1,
    cluster: str | None = None,
    together: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[Key, Result]]:
    """Runs all batches; yields the key of each piece of work and its result as soon as its last batch is done.

    The batches of a piece of work are of the same strategies; its result has their replications one after the other, in
    the order of the batches. `progress` is called with the share of all batches that is done; `jobs`, `cluster` and
    `together` are those of `run_batches`, and so are the errors.
    """
    places = [(key, position) for key, batches in work.items() for position in range(len(batches))]
    unfinished: dict[Key, dict[int, Result]] = {key: {} for key in work}
    every = [batch for batches in work.values() for batch in batches]
    for done, (number, result) in enumerate(run_batches(every, jobs=jobs, cluster=cluster, together=together), 1):
        key, position = places[number]
        unfinished[key][position] = result
        if progress is not None:
            progress(done / len(every))
        if len(unfinished[key]) == len(work[key]):
            parts = unfinished.pop(key)
            ordered = [parts[position] for position in range(len(parts))]
            yield key, {strategy: concatenate([part[strategy] for part in ordered]) for strategy in ordered[0]}


def run_batches(
    batches: Sequence[Batch], *, jobs: int = 1, cluster: str | None = None, together: bool = False
) -> Iterator[tuple[int, Result]]:
    """Each batch's number and result, as soon as it is done.

    `jobs` processes on this machine (-1: one per processor), or the Dask scheduler at `cluster` (`tcp://host:port`),
    which needs the extra `cluster`. Batches that are alike go `together`, where that is asked for: what they have in common
    is made once, and they are done at the same time. Raises ScenarioError for a cluster that does not answer, see
    `study.cluster`, and where a process is killed.
    """
    check_jobs(jobs)
    pieces = _alike(batches) if together else [[pair] for pair in enumerate(batches)]
    if cluster is not None:
        from rollout_sim.study.cluster import on_cluster

        done: Iterator[list[tuple[int, Result]]] = on_cluster(pieces, _run, cluster)
    elif jobs == 1 or len(pieces) <= 1:
        done = map(_run, pieces)
    else:
        done = _on_processes(pieces, jobs)
    return itertools.chain.from_iterable(done)


def _alike(batches: Sequence[Batch]) -> list[list[Numbered]]:
    """The numbered batches, those that are alike as one piece of work, in the order of their first ones."""
    pieces: dict[tuple[int, int], list[list[Numbered]]] = {}
    ordered = []
    for number, batch in enumerate(batches):
        candidates = pieces.setdefault((batch.first, batch.count), [])
        piece = next((piece for piece in candidates if alike(piece[0][1], batch)), None)
        if piece is None:
            piece = []
            candidates.append(piece)
            ordered.append(piece)
        piece.append((number, batch))
    return ordered


def each_of(calls: Sequence[Callable[[], Made]], jobs: int) -> list[Made]:
    """What each of the `calls` comes to, on so many processes, of which this one is the first; the longest ones first is the quickest.

    They are dealt out: another process loads what they need only if it gets some, and this one has loaded it.
    """
    from joblib import effective_n_jobs

    hands = min(effective_n_jobs(jobs), len(calls))
    if hands <= 1:
        return [call() for call in calls]
    with elsewhere([partial(_all_of, calls[k::hands]) for k in range(1, hands)], jobs) as theirs:
        made = {k: calls[k]() for k in range(0, len(calls), hands)}
        for k, results in enumerate(theirs, 1):
            made |= zip(range(k, len(calls), hands), results, strict=True)
    return [made[k] for k in range(len(calls))]


def _all_of(calls: Sequence[Callable[[], Made]]) -> list[Made]:
    look_seldom()
    return [call() for call in calls]


@contextmanager
def elsewhere(calls: Sequence[Callable[[], Made]], jobs: int, *, ordered: bool = True) -> Iterator[Iterator[Made]]:
    """What so many other processes make of the `calls`, in their order or as it is done.

    They begin at once. Where the context ends before they are through, they end with it, and so do those of other threads:
    joblib has one set of processes for all. Raises ScenarioError where that happens, or where one of them is killed.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    parallel = Parallel(n_jobs=jobs, return_as="generator" if ordered else "generator_unordered")
    results: Generator[Made] | None = None
    through = False

    def each(results: Iterator[Made]) -> Iterator[Made]:
        nonlocal through
        yield from results
        through = True

    try:
        with _joblib_untold(), _deaths_told():
            try:
                with _undisturbed():
                    results = parallel(delayed(call)() for call in calls)
                yield each(results)
            finally:
                if results is not None:
                    results.close()
    finally:
        if not through:
            # joblib's processes would finish what they do, and so does who resizes them
            get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)


@contextmanager
def starting(jobs: int) -> Iterator[None]:
    """Starts the processes that `jobs` stands for, beside what is done here, so that nobody waits for them afterwards."""
    if jobs == 1:
        yield
        return
    from joblib import effective_n_jobs

    with elsewhere([_import] * effective_n_jobs(jobs), jobs) as started:
        yield
        for _ in started:
            pass


@contextmanager
def sharing(jobs: int, *, compiles: bool = False) -> Iterator[Share]:
    """Runs that so many processes make (-1: one for each processor), of which this one is the first.

    The others begin at once, whatever is done here meanwhile; where the first run `compiles`, only after it, so that they need
    not. Where the context ends before they are through, they end with it.
    """
    if jobs == 1:
        yield one_by_one
        return
    from joblib import effective_n_jobs
    from joblib.externals.loky import ProcessPoolExecutor

    pools: list[ProcessPoolExecutor] = []  # none of joblib's own, which a study may be using
    check_jobs(jobs)

    def share(tasks: Tasks, done: dict[Name, RunResult], progress: Progress | None, count: int) -> Iterator[Name]:
        others = min(effective_n_jobs(jobs), count) - 1
        if others < 1:
            return one_by_one(tasks, done, progress, count)
        with _undisturbed():
            pools.append(ProcessPoolExecutor(max_workers=others))
        handed = _HandedOut(tasks, done, pools[-1])
        if not compiles:
            handed.hand_over(others)
        return handed.finish(progress, count, others if compiles else 0)

    try:
        with _deaths_told():
            yield share
    finally:
        for pool in pools:
            pool.shutdown(wait=True, kill_workers=True)  # milliseconds; a tracker may warn of leaks otherwise


class _HandedOut:
    """Tasks that go one after the other to whoever has nothing to do, this process or one of the `others` of an `executor`."""

    def __init__(self, tasks: Tasks, done: dict[Name, RunResult], executor: Any) -> None:
        self.tasks = tasks
        self.done = done
        self.executor = executor
        self.unfinished = 0
        self._lock = Lock()
        self._ended: SimpleQueue[tuple[Name, BaseException | None]] = SimpleQueue()

    def finish(self, progress: Progress | None, count: int, later: int) -> Iterator[Name]:
        """Does what nobody else has begun, and yields the name of each of the `count` tasks once it is done.

        After the first one so many others begin that were not to begin before.
        """
        while True:
            task = self._next()
            if task is not None:
                name, call = task
                self.done[name] = call(progress=part_of(progress, len(self.done) / count, (len(self.done) + 1) / count))
                self.hand_over(later)
                later = 0
                yield name
            elif not self.unfinished:
                return
            for name in self._ended_elsewhere(wait=task is None):
                if progress is not None:
                    progress(len(self.done) / count)
                yield name

    def _ended_elsewhere(self, *, wait: bool) -> Iterator[Name]:
        """What other processes are through with, of which one is waited for, where that is asked. Raises what one ended with."""
        while self.unfinished:
            try:
                name, failure = self._ended.get(block=wait)
            except Empty:
                return
            wait = False
            with self._lock:
                self.unfinished -= 1
            if failure is not None:
                raise failure
            yield name

    def _next(self) -> tuple[Name, Call] | None:
        with self._lock:
            return next(self.tasks, None)

    def hand_over(self, count: int) -> None:
        """Gives the next tasks, so many, to other processes."""
        for _ in range(count):
            task = self._next()
            if task is None:
                return
            name, call = task
            with self._lock:
                self.unfinished += 1
            with _undisturbed():
                future = self.executor.submit(call)
            future.add_done_callback(partial(self._receive, name))

    def _receive(self, name: Name, future: Future[RunResult]) -> None:
        """Takes the result of another process, or what it ended with, and gives it something else to do; not on the main thread."""
        failure = CancelledError() if future.cancelled() else future.exception()
        if failure is None:
            self.done[name] = future.result()
            try:
                self.hand_over(1)
            except Exception as error:  # noqa: BLE001 - it is raised where somebody sees it
                failure = error
        self._ended.put((name, failure))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """This process hears a terminal's Ctrl-C afterwards; processes that begin meanwhile never do, and leave no tracebacks there.

    Nor do those that joblib starts later, in place of others: the threads that do it begin here.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as of_loky

    # A tracker clears up after all others: it must not end with them where a terminal is closed.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        for tracker in (resource_tracker, of_loky):  # where one begins later, signals are heard again from then on
            tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with _postponed(signal.SIGINT, signal.SIGTERM):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _postponed(*numbers: signal.Signals) -> Iterator[None]:
    """What Python does about these signals, it does afterwards, so that no process begins that nobody ends."""
    if current_thread() is not main_thread():  # Python handles signals nowhere else
        yield
        return
    heard: list[int] = []
    handlers = {number: handler for number in numbers if (handler := signal.getsignal(number)) is not None}
    for number in handlers:
        signal.signal(number, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for once in heard:
            signal.raise_signal(once)


def _import() -> None:
    """What a process has to load before it can draw counts: this module, and what a batch is run with."""


def one_plane(choices: Sequence[EngineChoice]) -> EngineChoice:
    """The plane that runs what each of the `choices` is for: the fastest that is exact for all, with the smallest batch."""
    slowest = max(choices, key=lambda choice: list(PLANES).index(choice.engine))
    return replace(slowest, batch=min(choice.batch for choice in choices))


def check_jobs(jobs: int | None) -> None:
    """Raises ScenarioError for a number of processes that makes no sense; None is none."""
    if jobs is not None and not (jobs == -1 or 1 <= jobs <= MAX_JOBS):
        raise ScenarioError([f"--jobs: got {jobs}; allowed 1 to {MAX_JOBS:,}, or -1 for all processors"])


def worth_sharing(seconds: float, much: float = MUCH) -> int:
    """The `jobs` for what nominally takes so many seconds, where nobody says: all processors, but not for the start of one."""
    return -1 if seconds >= much else 1


def affordable(seconds: float, each: float, *, fewest: int, most: int) -> int:
    """How many replications of `each` seconds fit into `seconds`, from `fewest` to `most`, rounded down to one digit."""
    count = int(min(max(seconds / each, fewest), most))
    digit: int = 10 ** (len(str(count)) - 1)
    return count // digit * digit


def _on_processes(pieces: Sequence[list[Numbered]], jobs: int) -> Iterator[list[tuple[int, Result]]]:
    _, first = pieces[0][0]
    if not PLANES[first.plane.engine].ready(first.scenario):  # compiled here once, and not in each of the processes
        yield _run(pieces[0])
        pieces = pieces[1:]
    with elsewhere([partial(_run, piece) for piece in pieces], jobs, ordered=False) as results:
        yield from results


@contextmanager
def _joblib_untold() -> Iterator[None]:
    """As long as it lasts, nobody is warned that joblib renews a process or drops what it does; others are heard as ever."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", UNUSED, UserWarning, r"joblib\.parallel")
        warnings.filterwarnings("ignore", RENEWED, UserWarning, r"joblib\.externals\.loky")
        yield


@contextmanager
def _deaths_told() -> Iterator[None]:
    """Raises ScenarioError where a process is killed that shares the work, or where another thread ends all of them."""
    from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

    try:
        yield
    except TerminatedWorkerError:
        raise ScenarioError([KILLED]) from None
    except RuntimeError as error:
        if isinstance(error, ShutdownExecutorError) or isinstance(error.__context__, ShutdownExecutorError):
            raise ScenarioError([ENDED]) from None
        raise


def _run(piece: Sequence[Numbered]) -> list[tuple[int, Result]]:
    """The numbers of batches that are alike, and their results."""
    numbers, batches = zip(*piece, strict=True)
    return list(zip(numbers, run_alike(batches), strict=True))
