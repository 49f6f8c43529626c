"""One run: picks the plane, wires it to the controller, runs both under SimPy's clock.

The order within an instant is `clock`'s: completions, control (datapoints, alarms, rollback, shifts), arrivals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.control.metrics import RequestCounts
from rollout_sim.core.streams import Streams
from rollout_sim.function.faults import OUTCOMES as INVOCATION_OUTCOMES
from rollout_sim.function.lambda_api import LATEST, Function
from rollout_sim.planes.base import CONTROL
from rollout_sim.planes.clock import At, Clock
from rollout_sim.planes.draws import EVENT_COLUMNS
from rollout_sim.planes.selection import check_size, engine_of
from rollout_sim.planes.simpy_plane import SimpyPlane
from rollout_sim.run.result import RunResult, VersionSummary
from rollout_sim.run.wiring import build_alarms, build_controller, build_metrics, reach
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import NO_ROLLOUT

if TYPE_CHECKING:
    from rollout_sim.planes.compiled.plane import CompiledPlane


Progress = Callable[[float], None]
_TICKS: Final = 400


def simulate(
    scenario: Scenario,
    strategy: str | None = None,
    *,
    seed: int | None = None,
    replication: int = 0,
    events: bool = False,
    progress: Progress | None = None,
) -> RunResult:
    """One run of `scenario` under one of its strategies, on the plane that `engine_of` picks.

    `strategy` None takes the only one, or none where the scenario has no rollout; `no rollout` leaves the alias
    where it is. `seed` replaces the scenario's. With `events` the result keeps every invocation. `progress` is
    called with the share of the horizon that is done. Raises ScenarioError for what cannot be run.
    """
    name = scenario.chosen(strategy)
    run = _Run(
        scenario, name, Streams(seed=scenario.seed if seed is None else seed, replication=replication), events=events
    )
    return run.go(progress)


def simulate_each(
    scenario: Scenario,
    strategies: Sequence[str] = (),
    *,
    seed: int | None = None,
    events: bool = False,
    progress: Progress | None = None,
) -> Iterator[RunResult]:
    """One run per strategy (all of the scenario's by default), each beside the paired run without a rollout.

    Yields each as soon as it is done; takes and raises what `simulate` does. A scenario without a rollout is one run.
    """
    if scenario.rollout is None:
        yield simulate(scenario, *strategies, seed=seed, events=events, progress=progress)
        return
    names = list(dict.fromkeys(scenario.chosen(name) for name in (strategies or scenario.strategies)))
    check_size(scenario, runs=len(names) + 1, events=events)
    runs = len(names) + 1
    baseline = simulate(scenario, NO_ROLLOUT, seed=seed, progress=part_of(progress, 0.0, 1 / runs))
    for k, name in enumerate(names, 1):
        part = part_of(progress, k / runs, (k + 1) / runs)
        yield replace(simulate(scenario, name, seed=seed, events=events, progress=part), baseline=baseline)


def part_of(progress: Progress | None, start: float, end: float) -> Progress | None:
    """The progress of a part that leads the whole's from `start` to `end`."""
    return None if progress is None else lambda done: progress(start + (end - start) * done)


class _Run:
    """One run while it goes on: the clock, the function, the metrics, the plane, the controller."""

    def __init__(self, scenario: Scenario, strategy: str, streams: Streams, *, events: bool) -> None:
        self.engine, self.engine_reason = engine_of(scenario, check_size(scenario, events=events))
        self.scenario = scenario
        self.strategy = strategy
        self.streams = streams
        self.clock = Clock()
        self.function = _function(scenario, self.clock)
        self.metrics = build_metrics(scenario)
        self.counts = RequestCounts.empty(
            replications=1,
            targets=len(self.metrics.targets),
            periods=self.metrics.periods,
            objectives=len(scenario.slos),
        )
        self.plane = _plane(self.engine)(
            self.clock,
            scenario,
            {alias.name: alias for alias in self.function.list_aliases()},
            streams,
            self.metrics,
            self.counts,
            keep=reach(alarm for alarm in scenario.alarms.values() if alarm.percentile is not None)
            + scenario.function.timeout,
            events=events,
        )
        self.rates: dict[str, float] = {}
        for lane in self.plane.lanes:
            self.rates[lane.source.alias] = self.rates.get(lane.source.alias, 0.0) + lane.draws.process.long_run_rate
        moving = scenario.rollout is not None and strategy != NO_ROLLOUT
        self.controller = build_controller(
            scenario,
            scenario.strategies[strategy].plan if moving else None,
            build_alarms(scenario, self.metrics, self.rates),
            [streams],
        )
        self._applied = 0

    def go(self, progress: Progress | None) -> RunResult:
        """Runs to the horizon."""
        for promotion in self.scenario.promotions:  # before the control, so that they come first in their instant
            self.clock.process(self._promote(promotion.at, promotion.alias, promotion.to))
        self.clock.process(self._control())
        if progress is not None:
            self.clock.process(self._tick(progress))
        self.clock.run(until=self.scenario.horizon)
        self.plane.finish()
        return self._result()

    def _control(self) -> Generator[At, None, None]:
        """Wakes the controller at the instants that it asks for, and hands on what it decides."""
        controller, now = self.controller, -1.0
        while (due := controller.next_time(now)) < self.scenario.horizon:
            yield self.clock.at(due, CONTROL)
            now = due
            self.plane.advance()
            commands = controller.act(now)
            for command in commands:
                assert self.scenario.new is not None
                if command.kind == "provision":
                    delay = controller.plan.allocation if controller.plan is not None else 0.0
                    self.clock.process(self._provision(now + delay, self.scenario.new, command.count))
                else:
                    self.plane.test(command, self.scenario.new, controller.failed_tests)
            for shift in controller.shifts[self._applied :]:
                if self.scenario.function.propagation > 0:
                    self.clock.process(self._update_later(shift.weight, shift.reason))
                else:
                    self._update(shift.weight, shift.reason)
            self._applied = len(controller.shifts)

    def _update(self, weight: float, reason: str) -> None:
        """Points the alias as the controller wants it, through the function's own calls."""
        scenario = self.scenario
        assert scenario.new is not None
        self.plane.advance()
        primary = scenario.new if weight == 1 else scenario.old
        routing = {scenario.new: weight} if 0 < weight < 1 else {}
        self.function.update_alias(scenario.alias, function_version=primary, routing_config=routing, reason=reason)

    def _update_later(self, weight: float, reason: str) -> Generator[At, None, None]:
        yield self.clock.at(self.clock.now + self.scenario.function.propagation, CONTROL)
        self._update(weight, reason)

    def _provision(self, at: float, version: str, count: int) -> Generator[At, None, None]:
        yield self.clock.at(at, CONTROL)
        self.plane.advance()
        self.plane.provision(version, count)

    def _promote(self, at: float, alias: str, to: str) -> Generator[At, None, None]:
        yield self.clock.at(at, CONTROL)
        self.plane.advance()
        self.function.update_alias(alias, function_version=to, routing_config={}, reason="promotion")

    def _tick(self, progress: Progress) -> Generator[At, None, None]:
        for k in range(1, _TICKS):
            yield self.clock.at(self.scenario.horizon * k / _TICKS, CONTROL)
            progress(k / _TICKS)

    def _result(self) -> RunResult:
        scenario, controller = self.scenario, self.controller
        users = self.plane.users()
        return RunResult(
            scenario=scenario,
            strategy=self.strategy,
            seed=self.streams.seed,
            replication=self.streams.replication,
            engine=self.engine,
            engine_reason=self.engine_reason,
            outcome=OUTCOMES[controller.outcome[0]],
            reason=controller.reason(0),
            time_to_rollback_s=_since(controller.rolled_back_at[0], scenario.start),
            time_to_full_s=_since(controller.full_at[0], scenario.start),
            time_to_end_s=_since(controller.over_at[0], scenario.start),
            on_call_rollback_s=_since(controller.paged_back_at[0], scenario.start),
            metrics=self.metrics,
            counts=self.counts,
            shifts=tuple(controller.shifts),
            alarm_log=tuple((at, name, old, new) for at, _, name, old, new in controller.alarm_log),
            history=tuple(self.function.history),
            versions=self._versions(),
            rates=self.rates,
            users=users if users.active else None,
            approximations=_approximations(scenario, int(self.metrics.throttles.sum())),
            events=self._events(),
        )

    def _versions(self) -> dict[str, VersionSummary]:
        horizon, result = self.scenario.horizon, {}
        for number, version in self.plane.versions.items():
            lived, worked = version.pool.seconds(horizon)
            result[number] = VersionSummary(
                invocations=version.invocations,
                errors=version.errors,
                cold_starts=version.cold_starts,
                cold_start_probability=version.cold_starts / version.invocations if version.invocations else None,
                environments=lived / horizon,
                running=worked / horizon,
                idle=(lived - worked) / horizon,
            )
        return result

    def _events(self) -> Any:
        if self.plane.events is None:
            return None
        import pandas as pd

        frame = pd.DataFrame(self.plane.events, columns=list(EVENT_COLUMNS))
        frame["start_s"] -= self.scenario.start
        frame["outcome"] = np.array(INVOCATION_OUTCOMES, object)[frame["outcome"].to_numpy(int)]
        frame.insert(0, "strategy", self.strategy)
        return frame


def _plane(engine: str) -> type[SimpyPlane | CompiledPlane]:
    """The class of a per-invocation plane; Numba is imported only for the one that needs it."""
    if engine == "simpy":
        return SimpyPlane
    from rollout_sim.planes.compiled.plane import CompiledPlane

    return CompiledPlane


def _function(scenario: Scenario, clock: Clock) -> Function:
    """The function with its versions published and its aliases made, at time 0."""
    function = Function(scenario.function.name, clock=lambda: clock.now)
    numbers = {int(number) for number in scenario.function.versions if number != LATEST}
    for number in range(1, max(numbers, default=0) + 1):
        function.update_code(f"code of version {number}")
        function.publish_version()
    for number in set(range(1, max(numbers, default=0) + 1)) - numbers:
        function.delete_version(str(number))
    for alias, version in scenario.function.aliases.items():
        function.create_alias(alias, function_version=version)
    return function


def _since(at: float, start: float) -> float | None:
    return None if math.isnan(at) else float(at - start)


def _approximations(scenario: Scenario, throttles: int) -> tuple[str, ...]:
    """What this run assumes where AWS does not say, as far as the scenario depends on it."""
    notes = []
    if any(alarm.metric == "burn_rate" for alarm in scenario.alarms.values()):
        notes.append(
            "burn-rate windows that reach back before the start are filled with the old version's expected counts"
        )
    latency = {slo.name for slo in scenario.slos if slo.latency is not None}
    if any(alarm.slo in latency for alarm in scenario.alarms.values()):
        notes.append("a burn-rate alarm on a latency SLO counts slow invocations, without init, failures and throttles")
    far = [name for name in scenario.acting if reach([scenario.alarms[name]]) > scenario.start]
    if scenario.rollout is not None and any(scenario.alarms[name].metric != "burn_rate" for name in far):
        notes.append("alarms find no datapoints from before the simulation's start, which the rollout's start is near")
    if throttles:
        notes.append(
            "the scale-up rate is a bucket that starts full: up to twice as many environments in the first 10 s of a burst"
        )
    if scenario.slos:
        notes.append("the budget of the whole SLO window is a forecast from the traffic's expected rate")
    if any(spec.cold_duration is not None for spec in scenario.function.versions.values()):
        notes.append("a cold invocation given by cold_duration counts its init as Duration")
    return tuple(notes)
