"""What a backtest says: its table, and in sentences when, by what and why, and where the scenario says otherwise."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rollout_sim.core.formatting import share, share_with_interval
from rollout_sim.core.minutes import DAY, stamp_of
from rollout_sim.scenario.goals import Goal
from rollout_sim.study.backtest import Backtest
from rollout_sim.study.clumping import clumping
from rollout_sim.study.recommend.limits import Kept, names
from rollout_sim.study.recommend.recorded import Confirmation
from rollout_sim.views.cells import EstimatedShare, MedianDuration, Text
from rollout_sim.views.tables import Column, Field, Table, table_of

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_ENOUGH: Final = 0.95
"""How often a fault has to be caught where no goal says so."""
_DAYS: Final = 3
"""How many dates are named."""


def backtest_table(result: Backtest) -> Table:
    """A row per strategy: how often it is stopped for nothing and catches the fault, each beside what the scenario predicts."""
    fields: list[Field[str]] = [
        (Column(title="strategy", names=True), Text),
        (
            Column(title="stopped\nfor nothing", interval=True),
            lambda name: EstimatedShare(result.stopped_for_nothing(name)),
        ),
        (
            Column(title="as\npredicted", interval=True),
            lambda name: EstimatedShare(result.predicted_stops(name, good=True)),
        ),
        (Column(title="did not\nbegin", interval=True), lambda name: EstimatedShare(result.blocked(name))),
    ]
    if result.bad:
        fields += [
            (Column(title="fault\ncaught", interval=True), lambda name: EstimatedShare(result.caught(name))),
            (
                Column(title="caught as\npredicted", interval=True),
                lambda name: EstimatedShare(result.predicted_stops(name, good=False)),
            ),
            (Column(title="caught after\nmedian / p95"), lambda name: MedianDuration(result.time_to_stop(name))),
        ]
    return table_of(result.good, fields)


def heading(result: Backtest) -> str:
    """What was played, in a line."""
    recording = result.recording
    end = stamp_of(recording.start + recording.size * recording.period)
    days = recording.size * recording.period / DAY
    fault = f"; the fault that is added: {result.fault}" if result.fault else ""
    return (
        f"{result.scenario.name}  {result.begins.size:,} beginnings in {days:.3g} recorded days of {recording.of}, "
        f"{stamp_of(recording.start)} to {end} UTC{fault}"
    )


def remarks(result: Backtest) -> list[str]:
    """By strategy when and by what it would have been stopped for nothing; then where the scenario says otherwise, and why."""
    lines = []
    for strategy in result.good:
        when = when_stopped(result, strategy)
        if when:
            lines.append(f"{strategy}: {when}")
    apart = [f"{strategy}: {words}" for strategy in result.good for words in result.disagreements(strategy)]
    if apart:
        lines += [*apart, *(f"because {words}" for words in result.differences)]
        if not result.differences:
            lines.append(_why_not(result))
    elif result.differences:
        lines += [f"the recording differs from the scenario: {words}" for words in result.differences]
    return lines


def _why_not(result: Backtest) -> str:
    """What to think of it where nothing is told in which the recording differs."""
    if clumping(result.recording).rate.low is None:
        return "a day was recorded at most, too little to tell in what it differs from the scenario"
    return "the recording's rate and errors are those of the scenario; what differs must be durations or their hours"


def when_stopped(result: Backtest, strategy: str) -> str:
    """By which alarm, at which hour and on which days a good version would have been stopped; empty where it never was."""
    alarms, days = result.by_alarm(strategy), result.by_day(strategy)
    if not days:
        return ""
    played = result.good[strategy]
    by_hooks = played.stopped & ~np.any([played.stopped, *played.stopped_by.values()][1:], axis=0)
    causes = [
        *((f"the alarm {name}", part) for name, part in sorted(alarms.items(), key=lambda cause: -cause[1])),
        ("failed tests of hooks", by_hooks.sum() / played.stopped.sum()),
    ]
    by = ", ".join(f"{name} ({share(part)})" for name, part in causes if part > 0)
    table = result.by_hour(strategy)
    weekday, hour = divmod(int(np.nanargmax(table)), 24)
    worst = sorted(days.items(), key=lambda day: -day[1])[:_DAYS]
    dates = ", ".join(f"{date} ({share(part)})" for date, part in worst)
    most = "" if len(days) <= _DAYS else f" most of {len(days)} days"
    return (
        f"stopped for nothing by {by}; most often {WEEKDAYS[weekday]} {hour:02}:00 to {(hour + 1) % 24:02}:00 UTC "
        f"({share(float(table[weekday, hour]))} of the beginnings); on {dates}{most}"
    )


def sentence(result: Backtest) -> str:
    """The answer in a line: which strategy is stopped for nothing least often, of those that catch the fault often enough."""
    stopped = {name: result.stopped_for_nothing(name) for name in result.good}
    caught = {name: estimate for name in result.bad if (estimate := result.caught(name)) is not None}
    goal = result.scenario.goal
    enough = _ENOUGH if goal is None or goal.catch is None else goal.catch.at_least
    able = [name for name, estimate in caught.items() if estimate.mean >= enough]
    best = min(able or stopped, key=lambda name: stopped[name].mean)
    often = f"a version exactly as good would have been stopped for nothing {share_with_interval(stopped[best])} of the time"
    if not caught:
        return f"{best} does best: {often}"
    if not able:
        return f"no strategy would have caught {result.fault} in {share(enough)}; by {best} {often}"
    by = f"{best} would have caught {result.fault} in {share_with_interval(caught[best])}"
    return (
        f"{by}; {often}, the least of those that catch it in {share(enough)}" if len(stopped) > 1 else f"{by}; {often}"
    )


def confirmed(confirmation: Confirmation, goal: Goal) -> list[str]:
    """What the recommended rollout does on the days that the search has not seen, and whether that keeps the goal."""
    played, strategy = confirmation.played, confirmation.strategy
    days = played.begins.size * played.recording.period / DAY
    stopped = share_with_interval(played.stopped_for_nothing(strategy))
    line = f"on {days:.3g} recorded days after {confirmation.until} UTC, which the search has not seen, a version exactly as good "
    line += f"would have been stopped {stopped} of the time"
    caught = played.caught(strategy)
    if caught is not None:
        line += f", and {played.fault} caught {share_with_interval(caught)}"
    lines = [line]
    limits = confirmation.limits(goal)
    words: tuple[tuple[str, Kept], ...] = (("broken", "no"), ("open (too few days to decide)", "open"), ("kept", "yes"))
    told = [
        f"{word}: {' and '.join(names(limits, kept)).replace('_', ' ')}" for word, kept in words if names(limits, kept)
    ]
    if told:
        lines.append(f"limits of the goal on those days: {'; '.join(told)}")
    when = when_stopped(played, strategy)
    return [*lines, when] if when else lines


def confirmation_json(confirmation: Confirmation, goal: Goal) -> dict[str, Any]:
    """The `unseen` of `recommend --json`: the backtest's entry, and the limits of the goal on those days."""
    (entry,) = confirmation.played.to_json()["strategies"]
    return {"after": confirmation.until, **entry, "limits": [limit.to_json() for limit in confirmation.limits(goal)]}
