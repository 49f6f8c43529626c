"""Cluster: pieces of work on the workers of a Dask scheduler, or one message in bounded time that says why not.

A worker that dies does not change a result: its pieces are done again by another one. A worker whose code or numpy is
another one would, and is refused.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from rollout_sim.errors import ScenarioError

if TYPE_CHECKING:
    from distributed import Client


PATIENCE: Final = 30.0
"""Seconds for which a cluster may be without a scheduler, or without any worker."""
_DEATHS: Final = 3
"""Workers that may die over one piece of work before it is taken for the cause."""
_FAREWELL: Final = 5.0
_TICK: Final = 0.02
_CHECK: Final = 1.0
Piece = TypeVar("Piece")
Result = TypeVar("Result")


def on_cluster(pieces: Sequence[Piece], work: Callable[[Piece], Result], address: str) -> Iterator[Result]:
    """What `work` makes of each piece, as soon as it is done by a worker of the scheduler at `address`.

    Raises ScenarioError where there is no Dask, no scheduler or no worker, where they go away and do not come back within
    `PATIENCE` seconds, where a worker has other versions, and where a piece takes workers down with it.
    """
    with _quiet(), _client(address) as client:
        import distributed

        try:
            _check_versions(client, address)
            # Not pure: a piece whose worker died is simply done again.
            futures = client.map(work, pieces, pure=False, retries=_DEATHS)
        except (OSError, CancelledError):
            raise _disconnected(address) from None
        as_completed: Any = distributed.as_completed
        waiting = as_completed(futures, loop=client.loop)
        seen = checked = time.monotonic()
        while waiting.count():
            done = waiting.next_batch(block=False)
            for future in done:
                yield cast("Result", _result(client, future, address))
                future.release()
            now = time.monotonic()
            if done:
                seen = now
            elif now - checked > _CHECK:
                checked = now
                if _alive(client):
                    seen = now
                elif now - seen > PATIENCE:
                    raise _gone(client, address)
            else:
                time.sleep(_TICK)


def _alive(client: Client) -> bool:
    """Whether there are a scheduler and a worker."""
    return client.status == "running" and bool(client.scheduler_info()["workers"])


def _gone(client: Client, address: str) -> ScenarioError:
    who = "the last worker" if client.status == "running" and _answers(address) else "the scheduler"
    return _lost(address, f"{who} is gone, and did not come back within {PATIENCE:.0f} s")


def _answers(address: str) -> bool:
    """Whether anything takes a connection at the scheduler's address; the client itself notices late that nothing does."""
    place = urlsplit(address)
    try:
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=_CHECK):
            return True
    except OSError:
        return False


def _result(client: Client, future: Any, address: str) -> Any:
    """The result of a future that is done; it may still have to come from its worker, which may be gone."""
    from distributed import KilledWorker

    try:
        return future.result(timeout=PATIENCE)
    except KilledWorker:
        raise _lost(address, f"{_DEATHS} workers died over the same work; they may have run out of memory") from None
    except (OSError, CancelledError) as error:
        if future.status == "error":  # the work's own
            raise
        if isinstance(error, TimeoutError):
            raise _gone(client, address) from None
        # Only the scheduler cancels or hands over results. It need not be asked whether it is there: a process that has
        # just been killed may still take a connection.
        raise _disconnected(address) from None


def _disconnected(address: str) -> ScenarioError:
    return _lost(address, "the scheduler is gone, or the connection to it is")


def _lost(address: str, what: str) -> ScenarioError:
    return ScenarioError(
        [f"--cluster: {address}: {what}; what is finished is kept, the same command goes on from there"]
    )


@contextmanager
def _client(address: str) -> Iterator[Client]:
    """`_connected`, closed at the end; a cluster that is gone is not waited for."""
    client = _connected(address)
    try:
        yield client
    finally:
        with suppress(TimeoutError, OSError):
            cast("Any", client).close(timeout=_FAREWELL)


def _connected(address: str) -> Client:
    """A client of the Dask scheduler at `address`. Raises ScenarioError where there is none, or no Dask."""
    try:
        import distributed
    except ImportError:
        raise ScenarioError(
            ["--cluster: Dask is not installed; pip install 'rollout-sim[cluster]' brings it"]
        ) from None
    make: Any = distributed.Client
    try:
        client = make(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        problem = f"--cluster: no Dask scheduler answers at {address!r} ({error}); allowed tcp://host:port"
        raise ScenarioError([problem]) from None
    return cast("Client", client)


def _check_versions(client: Client, address: str) -> None:
    """Raises ScenarioError unless there is a worker, and every one runs this code with this numpy and scipy."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        what = f"the scheduler at {address} has no worker, and none came within {PATIENCE:.0f} s"
        raise ScenarioError([f"--cluster: {what}; start one with `dask worker {address}`"]) from None
    versions = _versions_reader()
    own = versions()
    theirs: dict[str, object] = client.run(versions, on_error="return")
    # A worker that could not be asked because it has just died gives no results at all.
    others = {worker: answer for worker, answer in theirs.items() if answer != own and not isinstance(answer, OSError)}
    if others:
        worker, answer = next(iter(others.items()))
        got = ", ".join(answer) if isinstance(answer, tuple) else f"no rollout_sim ({answer})"
        what = f"{len(others)} of {len(theirs)} workers would give other results, {worker} has {got}"
        raise ScenarioError([f"--cluster: {what}; allowed {', '.join(own)}"])


def _versions_reader() -> Callable[[], tuple[str, ...]]:
    """A function that names what results depend on; made here, so that it reaches a worker with other code as it is."""

    def versions() -> tuple[str, ...]:
        import hashlib
        from importlib.metadata import version
        from pathlib import Path

        import rollout_sim

        code, root = hashlib.sha256(), Path(str(rollout_sim.__file__)).parent
        for file in sorted(root.rglob("*.py")):
            code.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
        names = [f"{name} {version(name)}" for name in ("rollout-sim", "numpy", "scipy")]
        return (*names, f"code {code.hexdigest()[:8]}")

    return versions


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Dask logs about workers and schedulers that go away: it becomes one message."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
