"""The driver: one loop for a single run and for a batch, between a data plane and the controller.

It goes from instant to instant, lets the plane advance, asks the controller, and carries out what it decides. Whatever
takes effect later (provisioned environments that are ready after a while, updates that propagate, promotions) waits in
an agenda beside the controller's next instant. What is due at one instant happens in the order in which it was entered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol, assert_never

import numpy as np

from rollout_sim.control.controller import Controller, Decision, Provision, Shift, StartTests, TestAnswers
from rollout_sim.core.arrays import FloatArray, Mask
from rollout_sim.planes.base import Answers, DataPlane, PlaneTotals
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Promotion

Progress = Callable[[float], None]
"""Is told the share, in [0, 1], of the work that is done."""
_TICKS: Final = 400
"""How often a run says how far it is."""


class AliasLog(Protocol):
    """Who is told of every change of an alias, when it takes effect (s)."""

    def shift(self, at: float, shift: Shift) -> None:
        """The rollout's alias has another weight."""
        ...

    def promote(self, at: float, promotion: Promotion) -> None:
        """An alias has moved, as the scenario says."""
        ...


@dataclass(frozen=True, slots=True)
class _RunningTests:
    """The tests of a hook that have all started by `end` (s), in the replications of `mask`."""

    end: float
    mask: Mask
    answers: Answers


class Driver:
    """Drives `plane` by `controller` through `scenario`, once.

    With a `log` all changes of aliases are told to it, promotions included. `progress` is told how far the run is.
    """

    def __init__(
        self,
        plane: DataPlane,
        controller: Controller,
        scenario: Scenario,
        *,
        log: AliasLog | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._plane = plane
        self._controller = controller
        self._scenario = scenario
        self._log = log
        self.shifts: list[Shift] = []
        """Every change of a weight that was decided, if the controller records them."""
        self._weights: FloatArray = np.zeros(controller.weight.size)
        self._tests: list[_RunningTests] = []
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._entries = count()
        if log is not None:
            for promotion in scenario.promotions:  # before the controller, so that they come first in their instant
                self._enter(promotion.at, partial(log.promote, promotion=promotion))
        self._enter(controller.next_time(-1.0), self._control)
        if progress is not None:
            self._tick(progress, 1)

    def run(self) -> PlaneTotals:
        """From time 0 to the horizon, whose instant is the last one."""
        while self._agenda[0][0] <= self._scenario.horizon:
            due, _, act = heappop(self._agenda)
            self._plane.advance(due, self._weights)
            act(due)
        self._plane.advance(self._scenario.horizon, self._weights)
        self._agenda.clear()  # it holds this driver, which holds the plane: arrays would wait for the collector of cycles
        return self._plane.finish()

    def _enter(self, due: float, act: Callable[[float], None]) -> None:
        """Has `act` called at `due` (s), once the plane is there; not if that is after the horizon."""
        heappush(self._agenda, (due, next(self._entries), act))

    def _control(self, now: float) -> None:
        """One instant of the controller's."""
        decision = self._controller.act(now, self._answers(now))
        self._carry_out(now, decision)
        self._enter(self._controller.next_time(now), self._control)

    def _carry_out(self, now: float, decision: Decision) -> None:
        for command in decision.commands:
            match command:
                case Provision():
                    self._enter(command.ready, partial(self._provision, command))
                case StartTests():
                    answers = self._plane.test(command.hook, command.mask)
                    self._tests.append(_RunningTests(command.end, command.mask, answers))
                case _:
                    assert_never(command)
        self.shifts += decision.shifts
        if not decision.moved.any() and not decision.shifts:
            return
        delay = self._scenario.function.propagation
        if delay > 0:
            self._enter(now + delay, partial(self._shift, decision))
        else:
            self._shift(decision, now)

    def _provision(self, command: Provision, _: float) -> None:
        self._plane.provision(command.count, command.mask)

    def _shift(self, decision: Decision, now: float) -> None:
        """A decision reaches the router."""
        self._weights = np.where(decision.moved, decision.weights, self._weights)
        if self._log is not None:
            for shift in decision.shifts:
                self._log.shift(now, shift)

    def _answers(self, now: float) -> TestAnswers | None:
        """The answers of the tests that have all started, of every hook that waits for them; None where there is none."""
        started = [tests for tests in self._tests if tests.end <= now]
        if not started:
            return None
        self._tests = [tests for tests in self._tests if tests.end > now]
        size = self._weights.size
        mask, failed, at = np.zeros(size, bool), np.zeros(size, np.int64), np.full(size, np.nan)
        for tests in started:
            here = tests.mask
            answered = tests.answers()
            mask[here], failed[here], at[here] = True, answered[0][here], answered[1][here]
        return TestAnswers(mask=mask, failed=failed, at=at)

    def _tick(self, progress: Progress, k: int) -> None:
        """Tells how far the run is at the `k`-th of `_TICKS` equal parts, and at those after it."""

        def tell(_: float) -> None:
            progress(k / _TICKS)
            self._tick(progress, k + 1)

        self._enter(self._scenario.horizon * k / _TICKS, tell)
