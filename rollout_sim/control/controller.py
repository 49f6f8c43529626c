"""Controller: metrics in, weights out. The one copy of what a deployment does, for a whole batch of replications.

At each instant that it asks for (`next_time`) the controller is called once (`act`) and goes through the order
of an instant: datapoints and alarms, then rollbacks, then scheduled shifts. It reads nothing but the metrics
and how many of a hook's tests failed, so it cannot tell which data plane ran. All that it wants done is in the
`Decision` that it returns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.alarm_evaluator import AlarmEvaluator
from rollout_sim.control.alarms import STATES
from rollout_sim.control.strategies import HOOK_LIMIT, Hold, Hook, Plan
from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray, Mask
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.streams import Streams
from rollout_sim.core.units import tick, ticks

PENDING, WARMING, TESTING_BEFORE, SHIFTING, TESTING_AFTER, BAKING, REVERTING, OVER = range(8)
OUTCOMES: Final = ("running", "promoted", "rolled_back", "failed", "blocked", "steady")
RUNNING, PROMOTED, ROLLED_BACK, FAILED, BLOCKED, STEADY = range(6)
_ALARM: Final = STATES.index("ALARM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One change of the new version's weight: when (s), from, to, in which replications (their indices), why."""

    at: float
    before: float
    weight: float
    replications: IntArray
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """Warm up `count` environments of the new version, ready at `ready` (s), in the replications of `mask`."""

    count: int
    ready: float
    mask: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTests:
    """Start the invocations of `hook`, in the replications of `mask`; by `end` (s) all of them have started.

    At that instant the controller wants to know what becomes of them: the `TestAnswers`.
    """

    hook: Hook
    end: float
    mask: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class TestAnswers:
    """What became of the tests of hooks, in the replications of `mask`; arrays have the shape (replications,)."""

    __test__ = False  # no test of pytest's

    mask: Mask
    failed: IntArray
    """How many tests fail or are throttled."""
    at: FloatArray
    """When the last one is answered (s), which may lie ahead."""


Command = Provision | StartTests
"""What is asked for besides weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the controller wants at one instant, in every replication of a batch."""

    weights: FloatArray
    """The new version's share of the alias from now on, in [0, 1]: shape (replications,)."""
    moved: Mask
    """Where that is another one than before the instant: shape (replications,)."""
    shifts: tuple[Shift, ...] = ()
    """Each change of a weight with its reason, in order, those undone in the same instant included; without `record` none."""
    commands: tuple[Command, ...] = ()
    """What else is to be done, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pager:
    """The alarms that page somebody once the deployment is over, and how long that person takes to point back."""

    alarms: tuple[str, ...]
    response: Distribution


class Controller:
    """Follows `plan` in every replication of a batch; `plan` None watches the alarms and moves nothing.

    With a `hold` the `watched` alarms hold the weight before they roll back.

    All arrays lead with the replication. `weight` is the new version's share of the alias now; `outcome` holds
    indices of `OUTCOMES`; `rolled_back_at`, `full_at`, `over_at` and `paged_back_at` are seconds, NaN where it
    has not happened. `stopped_by` (replications, `watched` alarms) says which alarms were in ALARM when they rolled a
    deployment back, or kept it from beginning. `alarm_log` lists the changes of alarms' states: when (s), replication, alarm,
    from, to. Without `record` there is no log, shifts are not listed with their reasons, and alarms are evaluated only while
    they can act, not before or at `watch_from` (s).
    """

    def __init__(
        self,
        plan: Plan | None,
        evaluator: AlarmEvaluator,
        *,
        replications: Iterable[Streams],
        start: float = 0.0,
        watched: tuple[str, ...] = (),
        revert: float = 0.0,
        hold: Hold | None = None,
        pager: Pager | None = None,
        record: bool = True,
        watch_from: float = -math.inf,
    ) -> None:
        streams = list(replications)
        size = len(streams)
        self.plan = plan
        self.evaluator = evaluator
        self.start = start
        self.watched = watched
        self.revert = revert
        self.hold = hold
        self.pager = pager
        self.record = record
        self.watch_from = watch_from
        self.weight: FloatArray = np.zeros(size)
        self.outcome = np.full(size, RUNNING if plan is not None else STEADY, np.int8)
        self.phase = np.full(size, PENDING if plan is not None else OVER, np.int8)
        self.step = np.full(size, -1, np.int64)
        self.due: FloatArray = np.full(size, start if plan is not None else np.inf)
        self.pending_outcome = np.full(size, RUNNING, np.int8)
        self.rolled_back_at: FloatArray = np.full(size, np.nan)
        self.full_at: FloatArray = np.full(size, np.nan)
        self.over_at: FloatArray = np.full(size, np.nan)
        self.paged_back_at: FloatArray = np.full(size, np.nan)
        self.stopped_by: BoolArray = np.zeros((size, len(watched)), bool)
        self.alarm_log: list[tuple[float, int, str, str, str]] = []
        self._shifts: list[Shift] = []
        self._commands: list[Command] = []
        self._watched = np.array([evaluator.names.index(name) for name in watched], np.int64)
        self._reason: list[str] = [""] * size if record else []
        self._hook_began: FloatArray = np.full(size, np.nan)
        self._failed_tests: IntArray = np.zeros(size, np.int64)
        self._answered_at: FloatArray = np.full(size, np.inf)
        self._look_due: FloatArray = np.full(size, np.inf)
        self._failed_looks: IntArray = np.zeros(size, np.int64)
        self._page_due: FloatArray = np.full(size, np.inf)
        self._paging = np.array([evaluator.names.index(name) for name in pager.alarms] if pager else [], np.int64)
        self._response: FloatArray = np.zeros(size)
        if pager is not None:
            u = np.array([stream.generator("on_call").random() for stream in streams])
            self._response = pager.response.ppf(u)

    def next_time(self, now: float) -> float:
        """The next instant (s) after `now` at which `act` must be called; infinite when nothing can happen any more."""
        due = float(min(self.due.min(), self._look_due.min(), self._page_due.min()))
        if self.record or self._needs_alarms().any():
            due = min(due, self.evaluator.next_time(max(now, self.watch_from)))
        return due

    def act(self, now: float, tests: TestAnswers | None = None) -> Decision:
        """Goes through everything due at `now`, in the order of an instant.

        `tests` are the answers of the hooks whose `StartTests.end` is now, where there are any.
        """
        self._shifts, self._commands = [], []
        weight_before = self.weight.copy()
        active = None if self.record else self._needs_alarms()
        states_before = self.evaluator.states.copy()
        changed = self.evaluator.evaluate(now, active)
        if self.record and changed.any():
            self._log_alarms(now, states_before, changed)
        if tests is not None:
            self._failed_tests[tests.mask] = tests.failed[tests.mask]
            self._answered_at[tests.mask] = tests.at[tests.mask]
        if self.plan is not None:
            if self.hold is None:
                self._stop_alarmed(now)
            else:
                self._look(self.hold, now)
            self._finish_reverts(now)
            while (due := (self.due <= now) & (self.phase != REVERTING) & (self.phase != OVER)).any():
                self._advance(now, due)
        self._answer_pages(now, changed)
        return Decision(
            weights=self.weight.copy(),
            moved=self.weight != weight_before,
            shifts=tuple(self._shifts),
            commands=tuple(self._commands),
        )

    def _needs_alarms(self) -> Mask:
        unfinished = (self.phase != OVER) & (self._watched.size > 0)
        paging = (
            np.isnan(self.paged_back_at) & (self._paging.size > 0) & ((self.outcome == PROMOTED) | (self.phase != OVER))
        )
        result: Mask = unfinished | paging
        return result

    def _log_alarms(self, now: float, before: NDArray[np.int8], changed: Mask) -> None:
        for replication, alarm in np.argwhere(changed):
            old, new = STATES[before[replication, alarm]], STATES[self.evaluator.states[replication, alarm]]
            self.alarm_log.append((now, int(replication), self.evaluator.names[alarm], old, new))

    def _in_alarm(self, which: IntArray) -> Mask:
        result: Mask = (self.evaluator.states[:, which] == _ALARM).any(axis=1)
        return result

    def _stop_alarmed(self, now: float) -> None:
        """Alarms stop a deployment that runs, and block one that is about to start."""
        if not self._watched.size:
            return
        alarmed = self._in_alarm(self._watched)
        blocked = alarmed & (self.phase == PENDING) & (self.due <= now)
        if blocked.any():
            self._explain(blocked, "blocked: {} is in ALARM")
            self.stopped_by[blocked] = (self.evaluator.states[:, self._watched] == _ALARM)[blocked]
            self._end(blocked, now, BLOCKED)
        stopped = alarmed & (self.phase > PENDING) & (self.phase < REVERTING)
        if stopped.any():
            self._roll_back(stopped, now, "rolled back: {} in ALARM")

    def _look(self, hold: Hold, now: float) -> None:
        """Looks that are due find an alarm in ALARM or none; with enough that do the deployment is rolled back."""
        looking = self._look_due <= now
        if not looking.any():
            return
        self._look_due[looking] = tick(now + hold.every)
        failed = looking & self._in_alarm(self._watched)
        self._failed_looks[failed] += 1
        stopped = failed & (self._failed_looks >= hold.failures) & (self.phase < REVERTING)
        if stopped.any():
            times = f"look {hold.failures} that finds it" if hold.failures > 1 else "a look that finds it"
            self._roll_back(stopped, now, f"rolled back: {{}} in ALARM, {times}")

    def _roll_back(self, mask: Mask, now: float, form: str) -> None:
        """Alarms roll a deployment back, for the reason that `form` gives with their names in it."""
        self._explain(mask, form)
        self.stopped_by[mask] = (self.evaluator.states[:, self._watched] == _ALARM)[mask]
        self._start_revert(mask, now, ROLLED_BACK)

    def _explain(self, mask: Mask, form: str) -> None:
        if self.record:
            for i in np.flatnonzero(mask):
                names = [self.evaluator.names[k] for k in self._watched if self.evaluator.states[i, k] == _ALARM]
                self._reason[i] = form.format(" and ".join(names))

    def _start_revert(self, mask: Mask, now: float, pending_outcome: int) -> None:
        self.phase[mask] = REVERTING
        self.pending_outcome[mask] = pending_outcome
        self._look_due[mask] = np.inf
        self.due[mask] = tick(now + self.revert)

    def _finish_reverts(self, now: float) -> None:
        back = (self.phase == REVERTING) & (self.due <= now)
        if back.any():
            self._set_weight(back, 0.0, now)
            self.rolled_back_at[back] = now
            for pending_outcome in (ROLLED_BACK, FAILED):
                self._end(back & (self.pending_outcome == pending_outcome), now, pending_outcome)

    def _end(self, mask: Mask, now: float, outcome: int) -> None:
        self.outcome[mask] = outcome
        self.phase[mask] = OVER
        self.due[mask] = np.inf
        self._look_due[mask] = np.inf
        self.over_at[mask] = now

    def _set_weight(self, mask: Mask, weight: float, now: float) -> None:
        moved = mask & (self.weight != weight)
        if not moved.any():
            return
        if self.record:
            for i in np.flatnonzero(moved):
                reason = self._reason[i] or f"step {self.step[i] + 1} of {len(self.plan.steps) if self.plan else 0}"
                self._shifts.append(
                    Shift(
                        at=now, before=float(self.weight[i]), weight=weight, replications=np.array([i]), reason=reason
                    )
                )
        self.weight[moved] = weight

    def _advance(self, now: float, due: Mask) -> None:
        """One transition in each replication that is due; called again until none is."""
        plan = self.plan
        assert plan is not None
        phase = self.phase.copy()
        starting = due & (phase == PENDING)
        if starting.any():
            if plan.provisioned:
                ready = tick(now + plan.allocation)
                self._commands.append(Provision(count=plan.provisioned, ready=ready, mask=starting))
            self._enter(starting, WARMING, now + plan.allocation)
        self._enter_hook_or_next(due & (phase == WARMING), plan.before, TESTING_BEFORE, now)
        tested = due & ((phase == TESTING_BEFORE) | (phase == TESTING_AFTER))
        if tested.any():
            self._judge_tests(tested, now)
        held = self._held(due & ((phase == SHIFTING) | (phase == BAKING)))
        self._next_step(due & (phase == SHIFTING) & ~held, now)
        baked = due & (phase == BAKING) & ~held
        if baked.any():
            self._end(baked, now, PROMOTED)

    def _held(self, mask: Mask) -> Mask:
        """The replications of `mask` in which an alarm in ALARM holds the weight: they wait for the next look."""
        held: Mask = np.zeros(mask.size, bool)
        if self.hold is not None:
            held = mask & (self.step >= 0) & self._in_alarm(self._watched)
            self.due[held] = self._look_due[held]
        return held

    def _enter(self, mask: Mask, phase: int, due: float) -> None:
        self.phase[mask] = phase
        self.due[mask] = tick(due)

    def _enter_hook_or_next(self, mask: Mask, hook: Hook | None, phase: int, now: float) -> None:
        if not mask.any():
            return
        if hook is not None:
            end = hook.end(now)
            self._commands.append(StartTests(hook=hook, end=end, mask=mask))
            self._hook_began[mask] = now
            self._enter(mask, phase, end)
        elif phase == TESTING_BEFORE:
            self._enter(mask, SHIFTING, now)
        else:
            self._enter(mask, BAKING, now + (self.plan.bake if self.plan else 0.0))

    def _judge_tests(self, mask: Mask, now: float) -> None:
        """A hook is judged when all of its tests are answered, or after an hour, which fails it."""
        plan = self.plan
        assert plan is not None
        for phase, hook, name in (
            (TESTING_BEFORE, plan.before, "pre-traffic"),
            (TESTING_AFTER, plan.after, "post-traffic"),
        ):
            asked = mask & (self.phase == phase)
            if hook is None or not asked.any():
                continue
            answered: FloatArray = np.where(asked, self._answered_at if hook.answers == "always" else np.inf, np.nan)
            over = np.minimum(answered, ticks(self._hook_began + HOOK_LIMIT))
            waiting = asked & (over > now)
            self.due[waiting] = over[waiting]
            judged = asked & ~waiting
            silent = judged & (answered > now)
            failed = silent | (judged & (self._failed_tests > hook.max_failures))
            if self.record:
                for i in np.flatnonzero(failed):
                    what = f"{self._failed_tests[i]} of {hook.invocations} {name} tests"
                    self._reason[i] = (
                        f"failed: no answer of the {name} hook in an hour" if silent[i] else f"failed: {what}"
                    )
            serving = failed & (self.weight > 0)
            self._end(failed & ~serving, now, FAILED)
            if serving.any():
                self._start_revert(serving, now, FAILED)
                self._finish_reverts(now)
            self._enter_hook_or_next(judged & ~failed, None, phase, now)

    def _next_step(self, mask: Mask, now: float) -> None:
        if not mask.any():
            return
        plan = self.plan
        assert plan is not None
        finished = mask & (self.step == len(plan.steps) - 1)
        self._enter_hook_or_next(finished, plan.after, TESTING_AFTER, now)
        moving = mask & ~finished
        self.step[moving] += 1
        for k in np.unique(self.step[moving]):
            step = plan.steps[k]
            here = moving & (self.step == k)
            self._set_weight(here, step.weight, now)
            self.due[here] = tick(now + step.hold)
            if k == 0 and self.hold is not None:
                self._look_due[here] = tick(now + self.hold.every)
            if step.weight == 1:
                self.full_at[here] = now

    def _answer_pages(self, now: float, changed: Mask) -> None:
        """After the deployment is over, an alarm of the pager's that goes into ALARM brings somebody who points the alias back.

        Actions fire on a change of state only: an alarm that was in ALARM before the deployment was over has paged before,
        for whatever it was, and pages again only after it has left ALARM. One that changes in the very instant counts.
        """
        if not self._paging.size:
            return
        watching = (self.outcome == PROMOTED) & np.isnan(self.paged_back_at) & np.isinf(self._page_due)
        fired = changed & (self.evaluator.states == _ALARM)
        paged = watching & fired[:, self._paging].any(axis=1)
        self._page_due[paged] = ticks(now + self._response[paged])
        answered = self._page_due <= now
        if answered.any():
            if self.record:
                for i in np.flatnonzero(answered):
                    self._reason[i] = "rolled back by on-call"
            self._set_weight(answered, 0.0, now)
            self.paged_back_at[answered] = now
            self._page_due[answered] = np.inf

    def reason(self, replication: int) -> str:
        """Why the deployment ended as it did, or an empty text; only of a recording controller."""
        return self._reason[replication]
