"""The rows of VALIDATION.md about queues and streams: the pollers' law, exposure, retries, waits, draining, a blocked shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
from builders import scenario
from numpy.typing import NDArray
from scipy import stats
from validation.bulk import bulk_queue
from validation.rows import Ours, Row, exact, mean

from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate
from rollout_sim.theory import erlang_b
from rollout_sim.traffic.pollers import Scaling
from rollout_sim.traffic.source import Source

GROUP = "Queues and streams"
QUEUE: dict[str, Any] = {"source": "queue", "alias": "prod", "visibility_timeout": "5 s"}
RUNS = 4


@cache
def runs(kind: str, count: int = RUNS) -> tuple[RunResult, ...]:
    """So many runs of one of the scenarios below, with its only strategy."""
    return tuple(simulate(SCENARIOS[kind](), "all", replication=k, events=kind == "batches") for k in range(count))


def rolled_out(
    source: dict[str, Any], duration: Any, faults: list[dict[str, Any]], minutes: int, **changes: Any
) -> Any:
    """A rollout after a minute, all at once unless `changes` say otherwise."""
    versions = {"1": {"duration": duration}, "2": {"like": "1", "faults": faults}}
    whole: dict[str, Any] = {
        "engine": "simpy", "horizon": f"{minutes} min", "function__versions": versions, "function__timeout": "5 s", "slos": [],
        "alarms": None, "rollout": {"alias": "prod", "to": "2", "start": "1 min"}, "strategies": {"all": {"type": "all_at_once"}},
    }  # fmt: skip
    return scenario(**(whole | {"traffic": [source]} | changes))


SCENARIOS: dict[str, Callable[[], Any]] = {
    "batches": lambda: rolled_out(
        QUEUE | {"arrivals": {"poisson": "100/s"}, "batch": {"size": 5, "window": "2 s"}, "visibility_timeout": "30 min"},
        "10 ms", [{"errors": "5%"}], 3,
    ),
    "retries": lambda: rolled_out(
        QUEUE | {"arrivals": {"poisson": "50/s"}, "batch": {"size": 1}, "max_receives": 3}, "10 ms", [{"errors": "100%"}], 5,
        strategies={"all": {"type": "steps", "steps": [{"weight": "40%", "hold": "60 min"}]}},
    ),
    "waits": lambda: rolled_out(
        QUEUE | {"arrivals": {"poisson": "30/s"}, "batch": {"size": 1}, "concurrency": {"maximum": 2}},
        {"exponential": {"mean": "50 ms"}}, [], 20,
    ),
    "drain": lambda: rolled_out(
        QUEUE | {"arrivals": {"fixed": "40 ms"}, "batch": {"size": 1}, "concurrency": {"maximum": 2}}, "50 ms",
        [{"latency": "40x"}], 20, alarms={"old": {"metric": "oldest_message_age", "threshold": "> 60 s"}},
        rollout={"alias": "prod", "to": "2", "start": "1 min", "alarms": ["old"]},
        strategies={"all": {"type": "all_at_once", "bake": "10 min"}},
    ),
    "blocked": lambda: rolled_out(
        {"source": "stream", "alias": "prod", "arrivals": {"fixed": "100 ms"}, "retries": {"max_age": "1 min"}}, "10 ms",
        [{"errors": "100%"}], 5,
    ),
    "expired": lambda: rolled_out(
        {"source": "stream", "alias": "prod", "arrivals": {"fixed": "1 min"}}, "1 min", [{"errors": "100%"}], 1500,
        function__timeout="2 min",
    ),
}  # fmt: skip


BULK = {"a window of 100 ms": {"size": 10, "window": "100 ms"}, "no window": {"size": 10}}
"""Batches of the queue that is held against its slow twin."""
MEDIAN, P99, PER_RECORD, RATE, MINUTES, BULK_RUNS = 0.06, 0.3, 0.004, 90.0, 4, 12


def bulk(batch: dict[str, Any]) -> Any:
    """Two batches at once of a queue without failures: M/G/2 with bulk service."""
    return rolled_out(
        QUEUE | {"arrivals": {"poisson": f"{RATE:g}/s"}, "batch": batch, "concurrency": {"maximum": 2}},
        {"base": {"lognormal": {"median": f"{MEDIAN} s", "p99": f"{P99} s"}}, "per_record": f"{PER_RECORD} s"}, [], MINUTES,
    )  # fmt: skip


SCENARIOS |= {kind: partial(bulk, batch) for kind, batch in BULK.items()}


@cache
def twins(kind: str) -> NDArray[np.float64]:
    """Mean age and mean size of a batch in runs of the slow twin, of shape (runs, 2)."""
    batch = bulk(BULK[kind]).traffic[0].batch
    sigma = np.log(P99 / MEDIAN) / 2.3263478740408408
    found = []
    for run in range(BULK_RUNS):
        random = np.random.default_rng([20261126, run])
        times = np.sort(random.uniform(0, 60 * MINUTES, random.poisson(RATE * 60 * MINUTES)))

        def service(n: int, random: np.random.Generator = random) -> float:
            return float(MEDIAN * np.exp(sigma * random.standard_normal()) + n * PER_RECORD)

        found.append(bulk_queue(times.tolist(), service, 2, batch.size, batch.window))
    return np.array(found)


def against_twin(kind: str, column: int) -> Callable[[], Ours]:
    """Our mean age (0), or size of a batch (1), over the twin's."""

    def ours() -> Ours:
        found = []
        for result in runs(kind, BULK_RUNS):
            batches = sum(version.invocations for version in result.versions.values())
            found.append((result.polled[0].mean_age, result.polled[0].fates["good"] / batches))
        both = np.array([np.array(found)[:, column], twins(kind)[:, column]])
        ratio = both[0].mean() / both[1].mean()
        error = float(ratio * np.hypot(*(both.std(axis=1, ddof=1) / both.mean(axis=1) / BULK_RUNS**0.5)))
        half = float(stats.t.ppf(0.975, BULK_RUNS - 1)) * error
        return Ours(value=float(ratio), low=float(ratio) - half, high=float(ratio) + half, error=error)

    return ours


def failing_batches() -> NDArray[np.float64]:
    """The share of the batches on the bad version that fail, of those of messages that come for the first time."""
    shares = []
    for result in runs("batches"):
        assert result.events is not None
        first = result.events[(result.events["attempt"] == 1) & (result.events["version"] == "2")]
        shares.append(float((first["outcome"] == "error").mean()))
    return np.array(shares)


def lost_after_three() -> NDArray[np.float64]:
    """The share of the messages that end in the dead-letter queue, of those that come while nothing changes any more."""
    parts = [
        (result.counts.bad[0, :, 1:4].sum(), result.counts.requests[0, :, 1:4].sum()) for result in runs("retries")
    ]
    return np.array([bad / came for bad, came in parts])


def ages() -> NDArray[np.float64]:
    return np.array([result.polled[0].mean_age for result in runs("waits")])


def drains() -> NDArray[np.float64]:
    """The time to drain the backlog, over that of the fluid limit."""
    times = [
        (result.drain_time_s or np.nan) / ((result.backlog_at_rollback or 0) / (40.0 - 25.0))
        for result in runs("drain")
    ]
    return np.array(times)


def lost_in_the_shard(kind: str) -> NDArray[np.float64]:
    return np.array([float(result.polled[0].lost) for result in runs(kind)])


def queues() -> Iterator[Row]:
    mapping = Source(source="queue", alias="prod", arrivals=SCENARIOS["waits"]().traffic[0].arrivals).mapping
    for seconds, batches in ((0.0, 5), (60.0, 305), (249.0, 1250), (3600.0, 1250)):
        law = Scaling.of(mapping)
        law.rising = True
        yield Row(
            group=GROUP, expected=batches, decimals=None, plane="pollers' law", ours=exact(law.advance(seconds)),
            what=f"batches of a queue at once after {seconds:g} s with messages waiting: 5, 300 a minute more, 1,250 at most",
        )  # fmt: skip
    yield Row(
        group=GROUP, expected=1 - 0.95**5, decimals=None, plane="simpy", ours=mean(failing_batches),
        what="share of batches of 5 that fail where 5% of the messages do: 1 - (1 - p)^size",
    )  # fmt: skip
    yield Row(
        group=GROUP, expected=0.4**3, decimals=None, plane="simpy", ours=mean(lost_after_three),
        what="share of messages that meet the bad version at all of three tries, with a weight of 40%: w^k",
    )  # fmt: skip
    blocked = erlang_b(2, 1.5)
    waits = blocked / (1 - 0.75 * (1 - blocked))
    yield Row(
        group=GROUP, expected=0.05 + waits / (40 - 30), decimals=None, plane="simpy", ours=mean(ages),
        what="M/M/2: seconds from arrival to success, 30/s, two batches of one at once, 50 ms on average (Erlang C)",
    )  # fmt: skip
    for kind in BULK:
        for column, what in enumerate(("seconds from arrival to success", "messages in a batch")):
            yield Row(
                group=GROUP, expected=1.0, decimals=None, plane="simpy", ours=against_twin(kind, column),
                what=f"M/G/2 with batches of up to 10, {kind}: {what}, over those of a slow twin",
            )  # fmt: skip
    yield Row(
        group=GROUP, expected=1.0, decimals=None, tolerance=0.02, plane="simpy", ours=mean(drains),
        what="time to drain a backlog over the fluid limit B / (μ - λ), μ = 40/s, λ = 25/s, within 2%",
    )  # fmt: skip
    yield Row(
        group=GROUP, expected=10.0 * 180, decimals=None, tolerance=12, plane="simpy", ours=mean(partial(lost_in_the_shard, "blocked")),
        what="entries that a blocked shard loses in 4 min, 10/s, with an age limit of 1 min: rate × (time - limit)",
    )  # fmt: skip
    yield Row(
        group=GROUP, expected=1500.0 - 1 - 24 * 60, decimals=None, tolerance=2, plane="simpy",
        ours=mean(partial(lost_in_the_shard, "expired")),
        what="entries that a blocked shard loses in 25 h at its retention of 24 h, 1/min: rate × (time - retention)",
    )  # fmt: skip
