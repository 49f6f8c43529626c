"""RunResult: what came out of one run, with the recipe that makes it again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_sim.control.controller import Shift
from rollout_sim.control.metrics import RequestCounts, Target
from rollout_sim.control.slo import Objective, burn_rate
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.display import Plotted
from rollout_sim.core.units import tick
from rollout_sim.planes.polling import age_quantile
from rollout_sim.run.backlog import Backlog
from rollout_sim.scenario.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

    from rollout_sim.control.metrics import Metrics
    from rollout_sim.function.lambda_api import HistoryEntry
    from rollout_sim.planes.exposure import Users
    from rollout_sim.planes.polling import PolledTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """One version's invocations, tests of hooks included, and its environments over the run."""

    invocations: int
    """Invocations that ended by the horizon."""
    errors: int
    """Those of them that failed."""
    cold_starts: int | None
    """Those of them that began in a new environment; None where unknown."""
    cold_start_probability: float | None
    """Cold starts over invocations; None without any."""
    environments: float | None
    """Environments that existed, averaged over the run; None where unknown."""
    running: float | None
    """Environments with an invocation in them, averaged likewise."""
    idle: float | None
    """The difference of the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An SLO's error budget over the run, in what it counts: what a whole window allows, and what was lost of it when.

    The periods are those of the metrics, the window is the objective's.
    """

    objective: Objective
    """The SLO."""
    whole: float
    """Bad requests that a whole window allows, a forecast from the traffic's expected rate; or bad time slices."""
    bad: FloatArray
    """Bad requests by period of their arrival: shape (periods,)."""
    requests: FloatArray
    """Requests that are known to be good or bad for it, by period of their arrival: shape (periods,)."""
    lost: FloatArray
    """What of the budget is gone by period: bad requests, or bad time slices in the last period of each: shape (periods,)."""
    resolution: float
    """How long a period is (s)."""

    @property
    def spent(self) -> float:
        """Share of the window's budget that is gone at the horizon; 1.0 is all of it."""
        return self.objective.spent + (float(self.lost.sum()) / self.whole if self.whole else 0.0)

    @property
    def remaining(self) -> FloatArray:
        """Share of the budget left at time 0 and at the end of each period: shape (periods + 1,); negative when overspent."""
        gone = np.concatenate([[0.0], np.cumsum(self.lost)])
        gone = gone / self.whole if self.whole else np.zeros(gone.size)
        result: FloatArray = 1.0 - self.objective.spent - gone
        return result

    def burn_rate(self, periods: int) -> FloatArray:
        """Burn rate over the last `periods` periods at the end of each: shape (periods,); NaN without requests.

        Where the budget counts time slices, over the whole slices in them (one at least); NaN before the first is over.
        """
        slices = self.objective.slices
        if slices is not None:
            per = round(slices.every / self.resolution)
            number = max(periods // per, 1)
            over = self.lost[per - 1 :: per][: self.lost.size // per]
            rates = np.convolve(over, np.ones(number))[: over.size] / np.minimum(np.arange(over.size) + 1, number)
            shown: FloatArray = np.concatenate([np.full(per - 1, np.nan), np.repeat(rates, per)])[: self.lost.size]
            return shown / (1 - self.objective.objective)
        kernel = np.ones(periods)
        bad, requests = (np.convolve(x, kernel)[: x.size] for x in (self.bad, self.requests))
        return burn_rate(bad, requests, self.objective.objective)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(Plotted):
    """One strategy, one replication: what happened from time 0 to the horizon.

    Times called `*_s` count in seconds from the rollout's start (from 0 without one), all others from time 0.
    """

    scenario: Scenario
    """What was simulated; where the rollout's phase is drawn, with the one that was."""
    strategy: str
    """The strategy's name in the scenario; `no rollout` or `steady` where the alias was left alone."""
    seed: int
    """The seed of all chance, the scenario's or the one given."""
    replication: int
    """Which replication of that seed, from 0."""
    engine: str
    """The data plane: `simpy` or `compiled`."""
    engine_reason: str
    """Why that one."""
    outcome: str
    """How the deployment ended, one of `controller.OUTCOMES`."""
    reason: str
    """Why it ended so; empty where there is nothing to say."""
    time_to_rollback_s: float | None
    """When the alias was back on the old version, by an alarm or a failed hook; None if never."""
    time_to_full_s: float | None
    """When the new version first had all of the traffic; None if never."""
    time_to_end_s: float | None
    """When the deployment was over; None if it was still running."""
    on_call_rollback_s: float | None
    """When on-call pointed the alias back after the deployment; None if nobody did."""
    metrics: Metrics
    """What the alarms could see, of one replication: arrays of shape (1, targets, periods)."""
    counts: RequestCounts
    """Requests, which alarms never see: arrays of shape (1, targets, periods), dated by arrival."""
    shifts: tuple[Shift, ...]
    """Each change of the new version's weight when it was decided (s); it takes effect a propagation later."""
    alarm_log: tuple[tuple[float, str, str, str], ...]
    """Each change of an alarm's state: when (s), the alarm, from, to."""
    history: tuple[HistoryEntry, ...]
    """Each change of the function's versions and aliases when it took effect (s), oldest first."""
    versions: dict[str, VersionSummary]
    """By version."""
    rates: dict[str, float]
    """Long-run arrivals per second by alias."""
    users: Users | None
    """The exposure of users; None where none was active."""
    stopped_by: tuple[str, ...] = ()
    """The alarms that were in ALARM when they rolled the deployment back, or kept it from beginning; empty where none did."""
    approximations: tuple[str, ...] = ()
    """What the run assumes where AWS does not say, one sentence each."""
    polled: tuple[PolledTotals, ...] = ()
    """What became of the records of each source that Lambda polls, in the scenario's order."""
    events: pd.DataFrame | None = None
    """Every attempt as a row, `strategy` and `draws.EVENT_COLUMNS`, in the order of their starts; None if not kept."""
    baseline: RunResult | None = field(default=None, repr=False)
    """The paired run without a rollout, on the same random numbers: the difference to it is what the rollout caused."""

    @property
    def outcome_text(self) -> str:
        """The outcome in words, with what on-call did afterwards; it says nothing about whether that is good news."""
        words = {"failed": "failed its tests", "running": "still running"}
        text = words.get(self.outcome, self.outcome.replace("_", " "))
        return text if self.on_call_rollback_s is None else f"{text}, then on-call"

    @property
    def requests(self) -> int:
        """Requests that are known to be good or bad: answered, or waiting for longer than an SLO allows at the horizon."""
        return int(self.counts.judged[0].sum())

    @property
    def pending(self) -> int:
        """Requests without an answer at the horizon that may still be good."""
        return int(self.counts.pending[0])

    @property
    def bad_requests(self) -> int:
        """Requests that are bad for any SLO (failed, where there is none)."""
        return int(self.counts.bad[0].sum())

    @property
    def bad_requests_new_version(self) -> int:
        """Bad requests to the rollout's alias whose last attempt went to the new version."""
        new = self.scenario.new
        behind = [k for k, t in enumerate(self.metrics.targets) if (t.alias, t.version) == (self.scenario.alias, new)]
        return int(self.counts.bad[0, behind].sum())

    @property
    def bad_requests_added(self) -> int | None:
        """Bad requests that the rollout adds: more than without it, on the same numbers. None where that was not simulated."""
        return None if self.baseline is None else self.bad_requests - self.baseline.bad_requests

    @property
    def cold_starts(self) -> int:
        """Invocations that began in a new environment."""
        return int(self.metrics.cold_starts[0].sum())

    @property
    def throttles(self) -> int:
        """Attempts refused for want of concurrency or scale-up."""
        return int(self.metrics.throttles[0].sum())

    @property
    def users_affected(self) -> float | None:
        """Share of the users active while the new version took part in the traffic who had a bad request meanwhile."""
        return self.users.affected / self.users.active if self.users else None

    @property
    def users_reached(self) -> float | None:
        """Share of those users whom the new version served at least once."""
        return self.users.exposed / self.users.active if self.users and self.scenario.new is not None else None

    @property
    def users_reached_while_split(self) -> float | None:
        """Share of the users active while traffic was split between two versions whom the new one served meanwhile."""
        return self.users.split_exposed / self.users.split_active if self.users and self.users.split_active else None

    @property
    def records(self) -> int:
        """Records of queues and streams that came."""
        return sum(source.arrived for source in self.polled)

    @property
    def records_bad(self) -> int:
        """Records that are bad for any SLO (lost or handled wrongly, where there is none)."""
        return sum(source.bad for source in self.polled)

    @property
    def records_lost(self) -> int:
        """Records that no version handled: in a dead-letter queue, expired or discarded."""
        return sum(source.lost for source in self.polled)

    @property
    def backlog(self) -> Backlog | None:
        """How many records had no fate, over time; None where nothing is polled."""
        return Backlog.of(self.scenario, self.polled) if self.polled else None

    @property
    def rolled_back_at(self) -> float | None:
        """When an alarm, a hook or on-call had the alias back on the old version (s, from time 0); None if never."""
        back = self.time_to_rollback_s if self.time_to_rollback_s is not None else self.on_call_rollback_s
        return None if back is None else back + self.scenario.start

    @property
    def backlog_at_rollback(self) -> int | None:
        """Records without a fate when the alias was back; None where there was no rollback or nothing is polled."""
        back, backlog = self.rolled_back_at, self.backlog
        return None if back is None or backlog is None else backlog.at(back)

    @property
    def drain_time_s(self) -> float | None:
        """Seconds from the rollback until the backlog is no longer than it ever was before the rollout.

        To the next look at it, as a rule a second. None where there was no rollback, nothing is polled, or it was not over by
        the horizon.
        """
        back, backlog = self.rolled_back_at, self.backlog
        return None if back is None or backlog is None else backlog.drained(back)

    def age_quantile(self, share: float) -> float | None:
        """The age (s) from arrival to success that the `share` (fraction) of the handled records does not exceed; None without any.

        At most a thousandth too long.
        """
        return age_quantile(np.sum([source.ages for source in self.polled], axis=0), share) if self.polled else None

    def budget(self, slo: Objective) -> Budget:
        """The error budget of `slo`, one of the scenario's."""
        j = self.scenario.slos.index(slo)
        alias = slo.alias or self.scenario.alias
        targets = [k for k, target in enumerate(self.metrics.targets) if target.alias == alias]
        return Budget(
            objective=slo,
            whole=slo.budget(self.rates.get(alias, 0.0)),
            bad=self.counts.bad_by[j][0, targets].sum(axis=0).astype(float),
            requests=self.counts.judged_for(j, targets)[0].astype(float),
            lost=self.counts.losses(slo, j, targets, self.metrics.resolution)[0],
            resolution=self.metrics.resolution,
        )

    def caused(self, slo: Objective) -> float | None:
        """Share of the budget of `slo` that went because of the rollout: more than without it, on the same numbers."""
        if self.baseline is None:
            return None
        return self.budget(slo).spent - self.baseline.budget(slo).spent

    def weights(self, times: FloatArray) -> FloatArray:
        """The new version's weight at each of the `times` (s, from the simulation's start), the shift of that instant included."""
        at = np.array([shift.at for shift in self.shifts])
        weight = np.array([0.0, *(shift.weight for shift in self.shifts)])
        result: FloatArray = weight[np.searchsorted(at, times, side="right")]
        return result

    @property
    def timeline(self) -> pd.DataFrame:
        """One row per alias, version and period that had any traffic; `time_s` is the period's start from the rollout's."""
        import pandas as pd

        metrics, counts = self.metrics, self.counts
        starts: FloatArray = np.arange(metrics.periods, dtype=np.float64) * metrics.resolution
        frames = []
        for k, target in enumerate(metrics.targets):
            columns: dict[str, Any] = {
                "strategy": self.strategy,
                "alias": target.alias,
                "version": target.version,
                "time_s": starts - self.scenario.start,
                "weight": self._share_of(target, starts),
                "requests": counts.judged[0, k],
                "bad_requests": counts.bad[0, k],
                **{f"bad_{slo.name}": counts.bad_by[j][0, k] for j, slo in enumerate(self.scenario.slos)},
                "invocations": metrics.invocations[0, k],
                "errors": metrics.errors[0, k],
                "failed_responses": metrics.failed_responses[0, k],
                "throttles": metrics.throttles[0, k],
                "cold_starts": metrics.cold_starts[0, k],
            }
            with np.errstate(invalid="ignore", divide="ignore"):
                columns["mean_duration_s"] = metrics.duration_sum[0, k] / metrics.invocations[0, k]
            frame = pd.DataFrame(columns)
            frames.append(
                frame[(frame["requests"] + frame["invocations"] + frame["throttles"] > 0) | (frame["weight"] > 0)]
            )
        return pd.concat(frames, ignore_index=True).sort_values(
            ["time_s", "alias", "version"], kind="stable", ignore_index=True
        )

    def _share_of(self, target: Target, times: FloatArray) -> FloatArray:
        """The share of the alias's traffic routed to one version over time, from the function's history."""
        share = np.zeros(times.size)
        for entry in self.history:
            if entry.alias == target.alias and entry.to_version is not None:
                weight = entry.to_routing.get(target.version, 0.0)
                if entry.to_version == target.version:
                    weight = 1.0 - math.fsum(entry.to_routing.values())
                share[times >= entry.at] = weight
        return share

    @property
    def alarms(self) -> pd.DataFrame:
        """Each change of an alarm's state; times from the rollout's start."""
        import pandas as pd

        rows = [(self.strategy, at - self.scenario.start, *change) for at, *change in self.alarm_log]
        return pd.DataFrame(rows, columns=["strategy", "time_s", "alarm", "from_state", "to_state"])

    @property
    def changes(self) -> pd.DataFrame:
        """Each change of an alias: when (from the rollout's start), from what to what, with which weights, why."""
        import pandas as pd

        rows = [
            (
                self.strategy,
                entry.at - self.scenario.start,
                entry.alias,
                entry.from_version,
                entry.to_version,
                _routing(entry.from_routing),
                _routing(entry.to_routing),
                entry.reason,
            )
            for entry in self.history
            if entry.alias is not None
        ]
        names = ["strategy", "time_s", "alias", "from_version", "to_version", "from_routing", "to_routing", "reason"]
        return pd.DataFrame(rows, columns=names)

    @property
    def phase_s(self) -> float | None:
        """How far into a minute (or the longest period on the clock) of the alarms the rollout starts; None without one."""
        scenario = self.scenario
        return None if scenario.rollout is None else tick(scenario.start % scenario.period_of_phases)

    @property
    def summary(self) -> dict[str, Any]:
        """The run in plain numbers, under the keys of the command line's JSON."""
        budgets = {slo.name: self.budget(slo).spent for slo in self.scenario.slos}
        caused = None
        if self.baseline is not None:
            caused = {slo.name: self.caused(slo) for slo in self.scenario.slos}
        return {
            "strategy": self.strategy,
            "outcome": self.outcome,
            "reason": self.reason,
            "stopped_by": list(self.stopped_by),
            "rolled_back": int(self.outcome == "rolled_back"),
            "promoted": int(self.outcome == "promoted"),
            "phase_s": self.phase_s,
            "time_to_rollback_s": self.time_to_rollback_s,
            "time_to_full_s": self.time_to_full_s,
            "on_call_rollback_s": self.on_call_rollback_s,
            "requests": self.requests,
            "pending": self.pending,
            "bad_requests": self.bad_requests,
            "bad_requests_new_version": self.bad_requests_new_version,
            "bad_requests_added": self.bad_requests_added,
            "budget_spent": budgets,
            "budget_spent_by_rollout": caused,
            "cold_starts": self.cold_starts,
            "throttles": self.throttles,
            "users_affected": self.users_affected,
            "users_reached": self.users_reached,
            "users_reached_while_split": self.users_reached_while_split,
            **self._of_records(),
            "versions": {
                number: {
                    name: value
                    for name in version.__dataclass_fields__
                    if (value := getattr(version, name)) is not None
                }
                for number, version in self.versions.items()
            },
        }

    def _of_records(self) -> dict[str, Any]:
        """The part of `summary` about queues and streams; empty where nothing is polled."""
        if (backlog := self.backlog) is None:
            return {}
        return {
            "records": self.records,
            "records_bad": self.records_bad,
            "records_lost": self.records_lost,
            "records_by_fate": {source.source: {**source.fates, "waiting": source.waiting} for source in self.polled},
            "backlog": int(backlog.records.max()),
            "backlog_at_rollback": self.backlog_at_rollback,
            "drain_time_s": self.drain_time_s,
            "age_s": {"p50": self.age_quantile(0.5), "p95": self.age_quantile(0.95)},
        }

    @property
    def recipe(self) -> dict[str, Any]:
        """What makes the same run again: the resolved scenario, seed, replication, engine and versions."""
        return self.scenario.recipe(
            strategy=self.strategy, seed=self.seed, replication=self.replication, engine=self.engine
        )

    def __repr__(self) -> str:
        told = self.reason or self.outcome_text
        return f"{self.strategy}, {told} (seed {self.seed}, replication {self.replication}, {self.engine} plane)"


def _routing(routing: Any) -> str:
    return " ".join(f"{version}:{weight:.6g}" for version, weight in routing.items())
