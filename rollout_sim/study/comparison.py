"""Comparison: what the strategies of a scenario come to over many replications, for a bad version and for a good one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.display import Plotted
from rollout_sim.core.formatting import share
from rollout_sim.core.statistics import Estimate, difference, mean_of, share_difference, share_of
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice, check_size, choose_engine
from rollout_sim.run.batch import Batch, Samples, concatenate, stopped
from rollout_sim.run.simulate import BANDS, Progress, notes_on_sources
from rollout_sim.run.wiring import notes_on_the_past
from rollout_sim.scenario.remarks import remarks_about
from rollout_sim.scenario.scenario import Scenario, check_is_scenario
from rollout_sim.scenario.sections import NO_ROLLOUT, STEADY, Engine
from rollout_sim.study.executor import run_all, worth_sharing
from rollout_sim.study.replications import FEWEST, compared_by_default, nominal_seconds

if TYPE_CHECKING:
    import pandas as pd


MAX_RUNS: Final = 4_000_000
"""Runs of a scenario whose figures fit into memory."""
WIDE: Final = 0.1
"""An interval of a share that is wider than this decides little."""
COUNTED: Final = (
    "requests", "bad_requests", "bad_requests_new_version", "bad_requests_added", "cold_starts", "throttles",
    "records", "records_bad", "records_lost", "backlog", "backlog_at_rollback",
)  # fmt: skip
"""Whole numbers."""
PAIRED: Final = ("rolled_back", "promoted", "bad_requests", "bad_requests_new_version", "bad_requests_added")
"""Of what the strategies' differences are taken, besides the budgets."""
Estimates = Mapping[str, Estimate | None]
"""By name; None where no replication has the value (nothing was rolled back, or the plane cannot know)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Plotted):
    """Many replications of each strategy of a scenario. Replication k of all strategies has the same random numbers."""

    scenario: Scenario
    """What was simulated."""
    seed: int
    """The seed of all replications."""
    replications: int
    """How many of each strategy."""
    plane: EngineChoice
    """The data plane that ran them, and why it."""
    columns: dict[str, Samples]
    """By strategy, in the scenario's order, and by name: arrays of shape (replications,), NaN where it did not happen.

    `outcome` is a position in `OUTCOMES` (see `outcome_names`); `time_to_rollback_s`, `time_to_full_s` and
    `on_call_rollback_s` are seconds from the rollout's start; `requests`, `pending`, `bad_requests`, `bad_requests_new_version`,
    `cold_starts` and `throttles` are counts over the horizon (the aggregate plane does not know `cold_starts`, nor, where
    there are inits, `pending`); `budget_spent.<slo>` and `users_affected` are fractions. `bad_requests_added` and
    `budget_spent_by_rollout.<slo>` are what the rollout adds: more than without it, request by request on the same draws.
    Where there are queues or streams, `records`, `records_bad`, `records_lost`, `backlog` (the longest) and `backlog_at_rollback`
    are counts of records, `drain_time_s` is seconds from the rollback until the backlog was as short as before the rollout, and
    `age_s.p50` and `age_s.p95` are the ages (s) that half of the handled records and 95% of them do not exceed.
    `stopped_by.<alarm>` is 1 where the alarm was in ALARM when the deployment was rolled back, or kept from beginning.
    """
    twin: Comparison | None = None
    """The same with the new version's faults removed: the good version. None where it has no faults, or was not asked for."""
    asked: Engine | None = None
    """The engine that was asked for instead of the scenario's."""
    interrupted: int | None = None
    """How many replications were asked for, where it was interrupted before they were done; else None."""
    _estimates: dict[str, Estimates] = field(default_factory=dict, init=False, repr=False, compare=False)

    def estimates(self, strategy: str) -> Estimates:
        """The estimates of one `strategy`, computed when they are first asked for.

        Shares (fractions, with Wilson's interval) of the outcomes `rolled_back`, `promoted`, `failed`, `blocked`, `running`,
        of `stopped`: rolled back or failed, and of `stopped_by.<alarm>`: rolled back by it. Means and quantiles of everything
        else in `columns`, in its units.
        """
        if strategy not in self._estimates:
            self._estimates[strategy] = _estimated(self.columns[strategy], units_of(self.scenario))
        return self._estimates[strategy]

    def beside(self, columns: Mapping[str, Samples], twin: Comparison | None) -> Comparison:
        """The same with the `columns` of more strategies, and with that `twin`; what is estimated is not estimated again."""
        wider = replace(self, columns=self.columns | dict(columns), twin=twin)
        wider._estimates.update({strategy: self.estimates(strategy) for strategy in self.columns})  # noqa: SLF001 - of its own class
        return wider

    def time_to_full(self, strategy: str) -> Estimate | None:
        """The time (s) from the rollout's start to full traffic under `strategy`, of the replications that were not stopped.

        None where all were.
        """
        columns = self.columns[strategy]
        return mean_of(np.where(stopped(columns), np.nan, columns["time_to_full_s"]), tail=False)

    def differences(self, strategy: str) -> Estimates:
        """The mean differences of a `strategy` to the first one, replication by replication: strategy minus first."""
        first, other = (self.columns[name] for name in (next(iter(self.columns)), strategy))
        outcomes = (
            (name, *(columns["outcome"] == OUTCOMES.index(name) for columns in (other, first)))
            for name in ("rolled_back", "promoted")
        )
        units = units_of(self.scenario)
        return {name: share_difference(now, was) for name, now, was in outcomes} | {
            name: difference(other[name], first[name], units.get(name, 1.0))
            for name in other
            if name in PAIRED or name.startswith("budget_spent")
        }

    @property
    def undecided(self) -> str:
        """That there are too few replications to say how often a strategy stops a version, and how many may do; else empty."""
        if self.scenario.rollout is None:
            return ""
        sides = [self] if self.twin is None else [self, self.twin]
        width, name = max(
            (_width(side.estimates(strategy)["stopped"]), strategy) for side in sides for strategy in side.columns
        )
        if width <= WIDE:
            return ""
        enough = self.replications * (width / WIDE) ** 2
        digit = 10 ** math.floor(math.log10(enough))
        return (
            f"too few to decide: {self.replications:,} replications leave open by up to {width * 100:.0f} percentage points "
            f"how often a version is stopped ({name}); about {math.ceil(enough / digit) * digit:,} would leave "
            f"{WIDE * 100:.0f}"
        )

    @property
    def reasons(self) -> dict[str, str]:
        """By strategy what stopped the version, in words; no entry where nothing did in any replication."""
        reasons = {strategy: _reason(self.estimates(strategy)) for strategy in self.columns}
        return {strategy: reason for strategy, reason in reasons.items() if reason}

    @property
    def approximations(self) -> tuple[str, ...]:
        """What the estimates assume beyond the scenario, a sentence each."""
        return approximations(self.scenario, self.plane)

    @property
    def frame(self) -> pd.DataFrame:
        """A row per version (`as described`, then `good`, the twin's), strategy and estimate: n, mean, low, high, quantiles."""
        import pandas as pd

        sides = [("as described", self)] + ([] if self.twin is None else [("good", self.twin)])
        return pd.DataFrame(
            [
                {"strategy": strategy, "version": label, "estimate": name, "n": estimate.n} | estimate.to_json()
                for label, side in sides
                for strategy in side.columns
                for name, estimate in side.estimates(strategy).items()
                if estimate is not None
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """What `compare --json` prints: plain data, the twin's below `twin`."""
        first = next(iter(self.columns))
        entries = []
        for strategy in self.columns:
            entry = {"strategy": strategy, "reason": self.reasons.get(strategy)} | _nested(self.estimates(strategy))
            if strategy != first:
                entry["minus_first"] = _nested(self.differences(strategy))
            entries.append(entry)
        twin = None
        if self.twin is not None:
            twin = self.twin.to_json()
            del twin["twin"], twin["undecided"], twin["interrupted"]
        return {
            "scenario": self.scenario.name,
            "seed": self.seed,
            "replications": self.replications,
            "engine": self.plane.engine,
            "engine_reason": self.plane.reason,
            "approximations": list(self.approximations),
            "undecided": self.undecided or None,
            "interrupted": self.interrupted,
            "strategies": entries,
            "twin": twin,
        }

    @staticmethod
    def outcome_names(codes: IntArray) -> NDArray[np.object_]:
        """The names of the outcomes whose `codes` a column of `columns` holds, in its shape."""
        return np.array(OUTCOMES, object)[codes]

    def __repr__(self) -> str:
        count = f"{self.replications:,} replications of each strategy (seed {self.seed}, {self.plane.engine} plane)"
        return f"{self.scenario.name}: {count}"


def compare(
    scenario: Scenario,
    replications: int | None = None,
    strategies: Sequence[str] = (),
    *,
    seed: int | None = None,
    engine: Engine | None = None,
    twin: bool = True,
    jobs: int | None = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
    plane: EngineChoice | None = None,
    keep: bool = True,
    added: bool = True,
) -> Comparison:
    """Many replications of each of the `strategies` (all by default), and of the good-version twin.

    Without `replications` as many as the plane nominally manages in ten seconds, and where every invocation is simulated up
    to 400, as far as a hundred go (`study.replications`). `seed` and `engine` replace the scenario's; `jobs` processes (None:
    as many as there are processors, where it is worth it), or the Dask scheduler at the address `cluster`, share the work.
    `progress` is called with the share that is done. What is interrupted from the keyboard returns the replications that
    are done by then, if there are any, and says so; without `keep`, as a part of something larger, it ends with
    KeyboardInterrupt. `plane` is what `choose_engine(scenario, engine)` said, where it was asked before. Without `added`
    nothing is said of what a rollout adds, which takes runs without one on some planes. Raises ScenarioError for what cannot
    be run.

    Examples:
        >>> compared = compare(Scenario.load("scenarios/checkout.yaml"), 256, ["instant", "canary 10%"])
        >>> compared.table["stopped"].to_dict()
        {'instant': 0.0, 'canary 10%': 1.0}
    """
    names = studied(scenario, strategies, 1 if replications is None else replications)
    seed = scenario.seed if seed is None else seed
    plane = choose_engine(scenario, engine) if plane is None else plane
    good = good_twin(scenario) if twin else None
    sides = [(scenario, plane)] if good is None else [(scenario, plane), (good, choose_engine(good, engine))]
    runs = len(names) * len(sides)
    if plane.engine != "aggregate":
        check_size(scenario, plane.engine, runs=runs * (replications or FEWEST))
    check_memory(len(names), replications or FEWEST)
    if replications is None:
        replications = compared_by_default(scenario, plane, runs)
    if jobs is None:
        jobs = worth_sharing(nominal_seconds(scenario, plane, runs * replications))
    columns, done = _run(
        sides, names, seed, replications, jobs=jobs, cluster=cluster, progress=progress, added=added, keep=keep
    )
    compared = [
        Comparison(
            scenario=varied, seed=seed, replications=done, plane=its_plane, columns=its_columns, asked=engine,
            interrupted=None if done == replications else replications,
        )
        for (varied, its_plane), its_columns in zip(sides, columns, strict=True)
    ]  # fmt: skip
    return compared[0] if good is None else replace(compared[0], twin=compared[1])


def _run(
    sides: Sequence[tuple[Scenario, EngineChoice]], names: tuple[str, ...], seed: int, replications: int, *, jobs: int,
    cluster: str | None, progress: Progress | None, added: bool, keep: bool,
) -> tuple[list[dict[str, Samples]], int]:  # fmt: skip
    """The columns of each side, and how many replications of all sides are done: with `keep` fewer where it is interrupted.

    The work is in the order of the replications, so that what is done of one side is done of the others. Where a plane does
    not say itself what a rollout adds, the same replications are run without one (with `added`), once for all sides.
    """
    first = sides[0][0]
    runs: list[tuple[Scenario, EngineChoice, tuple[str, ...]]] = [(*side, names) for side in sides]
    if added and first.rollout is not None and any(plane.engine != "aggregate" for _, plane in sides):
        single = next(plane for _, plane in sides if plane.engine != "aggregate")
        runs.append((first, single, (NO_ROLLOUT,)))
    batches = [batches_of(scenario, plane, chosen, seed, replications) for scenario, plane, chosen in runs]
    ends = [(_end(batch), side, batch) for side, of_side in enumerate(batches) for batch in of_side]
    work = {(side, end): [batch] for end, side, batch in sorted(ends, key=lambda entry: entry[:2])}
    results: dict[tuple[int, int], dict[str, Samples]] = {}
    try:
        for key, result in run_all(work, jobs=jobs, cluster=cluster, together=True, progress=progress):
            results.update({key: result})  # what is there counts where it is interrupted
    except KeyboardInterrupt:
        if not (keep and _done(batches, results)):
            raise
    done = _done(batches, results)
    columns = []
    for side, of_side in enumerate(batches):
        finished = [results[side, _end(batch)] for batch in of_side if (side, _end(batch)) in results]
        columns.append({name: _first(done, [part[name] for part in finished]) for name in of_side[0].strategies})
    if len(columns) > len(sides):
        baseline = columns.pop()[NO_ROLLOUT]
        for (_, plane), side_columns in zip(sides, columns, strict=True):
            if plane.engine != "aggregate":
                for name in names:
                    side_columns[name] |= added_to(baseline, side_columns[name])
    return columns, done


def _end(batch: Batch) -> int:
    """The number after a batch's last replication."""
    return batch.first + batch.count


def _first(count: int, parts: Sequence[Samples]) -> Samples:
    """The first `count` replications of samples that follow one another."""
    return {label: column[:count] for label, column in concatenate(parts).items()}


def _done(batches: Sequence[Sequence[Batch]], results: Mapping[tuple[int, int], object]) -> int:
    """The replications, from the first, that are in the `results`, by side and by the end of a batch, of every side."""
    return min(
        next((batch.first for batch in of_side if (side, _end(batch)) not in results), _end(of_side[-1]))
        for side, of_side in enumerate(batches)
    )


def added_to(baseline: Samples, columns: Samples) -> Samples:
    """The columns of what a rollout adds, by its `columns` and those of the same replications without one, the `baseline`."""
    prefix = "budget_spent."
    budgets = {name.removeprefix(prefix): values for name, values in columns.items() if name.startswith(prefix)}
    return {
        "bad_requests_added": columns["bad_requests"] - baseline["bad_requests"],
        **{f"budget_spent_by_rollout.{name}": spent - baseline[prefix + name] for name, spent in budgets.items()},
    }


def studied(scenario: Scenario, strategies: Sequence[str], replications: int) -> tuple[str, ...]:
    """The names of the strategies that are asked for, by default all, each once.

    Raises ScenarioError for one that there is not, and for fewer `replications` than one.
    """
    check_is_scenario(scenario)
    names = scenario.all_chosen(strategies or tuple(scenario.strategies) or (STEADY,))
    if scenario.rollout is not None and NO_ROLLOUT in names:
        what = f"{NO_ROLLOUT!r} is what every strategy is set beside"
        raise ScenarioError([f"{scenario.name}: strategy: {what}; allowed {', '.join(scenario.strategies)}"])
    if not isinstance(replications, int | np.integer) or replications < 1:
        raise ScenarioError([f"replications: needs a whole number from 1, got {replications!r}"])
    return names


def check_memory(strategies: int, replications: int) -> None:
    """Raises ScenarioError where the figures of so many runs do not fit into memory."""
    most = MAX_RUNS // strategies
    if replications > most:
        raise ScenarioError([f"replications: got {replications:,}; allowed {most:,} of {strategies} strategies"])


def good_twin(scenario: Scenario) -> Scenario | None:
    """The same scenario with the new version's faults removed; None where it has none, or nothing is rolled out."""
    if scenario.new is None or not scenario.function.versions[scenario.new].faults:
        return None
    return scenario.with_faults(scenario.new, ())


def batches_of(
    scenario: Scenario, plane: EngineChoice, strategies: tuple[str, ...], seed: int, replications: int
) -> tuple[Batch, ...]:
    """The work of so many replications of the `strategies`, in batches that do not depend on who runs them."""
    return tuple(
        Batch(
            scenario=scenario,
            strategies=strategies,
            plane=plane,
            seed=seed,
            first=first,
            count=min(plane.batch, replications - first),
        )
        for first in range(0, replications, plane.batch)
    )


def approximations(scenario: Scenario, plane: EngineChoice) -> tuple[str, ...]:
    """What estimates from runs of a scenario on a plane assume beyond the scenario, a sentence each."""
    notes = (
        ["the budget of the whole SLO window is a forecast from the traffic's expected rate"]
        if any(slo.slices is None for slo in scenario.slos)
        else []
    )
    notes += notes_on_sources(scenario)
    notes += [*notes_on_the_past(scenario), *remarks_about(scenario)]
    if any(scenario.alarms[name].band is not None for name in scenario.evaluated):
        notes.append(BANDS)
    if plane.engine == "aggregate":
        if len(scenario.strategies) > 1:
            notes.append("strategies are paired by their arrivals only")
        if any(source.arrivals.custom is not None for source in scenario.traffic):
            notes.append("what becomes of custom arrivals within a period is integrated numerically over their rate")
        cold = any(spec.cold_start or spec.cold_duration for spec in scenario.function.versions.values())
        if cold and scenario.acting:
            notes.append("a cold start's init does not delay when its datapoint becomes visible")
        if cold and any(strategy.plan.after for strategy in scenario.strategies.values()):
            notes.append("tests of the post-traffic hook find a warm environment")
    return tuple(notes)


def best_strategy(compared: Comparison) -> str:
    """The strategy that stops the described version the most more often than its good twin.

    Without a twin the version is a good one, and the strategy that stops it the least often is the best. Where the
    paired replications cannot tell strategies apart, the one with fewer bad requests; where they cannot tell those
    apart either, the one that is sooner at full traffic.
    """
    scores: dict[str, FloatArray] = {}
    for name, columns in compared.columns.items():
        stops = stopped(columns).astype(float)
        scores[name] = -stops if compared.twin is None else stops - stopped(compared.twin.columns[name])
    names = _leading(scores, list(compared.columns))
    names = _leading({name: -compared.columns[name]["bad_requests"] for name in names}, names)
    plans = compared.scenario.strategies
    return min(names, key=lambda name: plans[name].plan.time_to_full if name in plans else 0.0)


def _leading(scores: Mapping[str, FloatArray], names: Sequence[str]) -> list[str]:
    """Of the strategies with `scores` of shape (replications,) the one with the highest mean, and those that may be as good.

    These are the ones whose paired difference to it has an interval that reaches zero.
    """
    best = max(names, key=lambda name: float(scores[name].mean()))
    leading = []
    for name in names:
        behind = difference(scores[name], scores[best])
        if name == best or behind is None or behind.high is None or behind.high >= 0:
            leading.append(name)
    return leading


def _width(estimate: Estimate | None) -> float:
    """How wide an interval of a share is, which every replication has."""
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def units_of(scenario: Scenario) -> dict[str, float]:
    """By name the least by which two values of what is counted can differ: a request or a slice, also in shares of a budget."""
    units = dict.fromkeys(COUNTED, 1.0)
    rates = scenario.rates
    for slo in scenario.slos:
        whole = slo.budget(rates.get(slo.alias or scenario.alias, 0.0))
        counted = slo.slices is None or slo.slices.target is not None  # else any part of a slice may be bad
        units[f"budget_spent.{slo.name}"] = units[f"budget_spent_by_rollout.{slo.name}"] = (
            1 / whole if whole and counted else 0.0
        )
    return units


def _estimated(columns: Samples, units: Mapping[str, float]) -> Estimates:
    """The estimates in a strategy's columns, whose values differ by the `units` at least."""
    outcome = columns["outcome"]
    estimates: dict[str, Estimate | None] = {
        name: share_of(outcome == OUTCOMES.index(name))
        for name in ("rolled_back", "promoted", "failed", "blocked", "running")
    }
    estimates["stopped"] = share_of(stopped(columns))
    for name, values in columns.items():
        if name.startswith("stopped_by."):
            estimates[name] = share_of((values > 0) & (outcome == OUTCOMES.index("rolled_back")))
        elif name != "outcome":
            estimates[name] = mean_of(values, unit=units.get(name, 0.0))
    return estimates


def _reason(estimates: Estimates) -> str:
    """What stopped a version, in words: `rolled back by errors in 97%, failed in its hooks' tests in 3%`."""
    shares = {
        name.removeprefix("stopped_by."): estimate.mean
        for name, estimate in estimates.items()
        if name.startswith("stopped_by.") and estimate is not None and estimate.mean
    }
    alarms = [f"by {name} in {share(value)}" for name, value in sorted(shares.items(), key=lambda pair: -pair[1])]
    parts = [f"rolled back {' and '.join(alarms)}"] if alarms else []
    for outcome, words in (
        ("failed", "failed in its hooks' tests in"),
        ("blocked", "blocked by an alarm at its start in"),
    ):
        estimate = estimates[outcome]
        if estimate is not None and estimate.mean:
            parts.append(f"{words} {share(estimate.mean)}")
    return ", ".join(parts)


def _nested(estimates: Estimates) -> dict[str, Any]:
    """Estimates as `nested` plain data."""
    return nested({name: None if estimate is None else estimate.to_json() for name, estimate in estimates.items()})


def nested(estimates: Mapping[str, Mapping[str, float | None] | None]) -> dict[str, Any]:
    """Estimates as plain data by name, with `budget_spent.x` under `budget_spent`, and others with a dot likewise."""
    entry: dict[str, Any] = {"budget_spent": {}, "budget_spent_by_rollout": {}, "stopped_by": {}}
    for name, value in estimates.items():
        outer, _, inner = name.partition(".")
        if inner:
            entry.setdefault(outer, {})[inner] = value
        else:
            entry[name] = value
    return entry
