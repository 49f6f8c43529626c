"""Experiments: chunks of work on one process, on several, or on a cluster; the results are the same.

Local processes are joblib's, a cluster is Dask's; neither the order of the work nor a worker that dies changes
a result, because a chunk draws from nothing but its own numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from rollout_sim.errors import ScenarioError
from rollout_sim.run.batch import Batch, Samples, run_batch

if TYPE_CHECKING:
    from distributed import Client


Result = dict[str, Samples]


def run_batches(batches: Sequence[Batch], *, jobs: int = 1, cluster: str | None = None) -> Iterator[tuple[int, Result]]:
    """Each chunk's number and result, as soon as it is done.

    `jobs` processes on this machine (-1: one per processor), or the Dask scheduler at `cluster`
    (`tcp://host:port`), which needs the extra `cluster`. Raises ScenarioError for a cluster that does not answer.
    """
    if cluster is not None:
        yield from _on_cluster(batches, cluster)
    elif jobs == 1 or len(batches) <= 1:
        for number, batch in enumerate(batches):
            yield number, run_batch(batch)
    else:
        yield from _on_processes(batches, jobs)


def _on_processes(batches: Sequence[Batch], jobs: int) -> Iterator[tuple[int, Result]]:
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    with closing(parallel(delayed(_numbered)(pair) for pair in enumerate(batches))) as results:
        yield from results


def _numbered(pair: tuple[int, Batch]) -> tuple[int, Result]:
    return pair[0], run_batch(pair[1])


def _on_cluster(batches: Sequence[Batch], address: str) -> Iterator[tuple[int, Result]]:
    with connect(address) as client:
        import distributed

        as_completed: Any = distributed.as_completed

        # Pure: a chunk whose worker died is simply computed again by another one.
        futures = client.map(_numbered, list(enumerate(batches)), pure=False, retries=3)
        for future in as_completed(futures, loop=client.loop):
            yield cast("tuple[int, Result]", future.result())
            future.release()


def connect(address: str) -> Client:
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
