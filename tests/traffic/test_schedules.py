"""Schedules: rate(...) and cron(...) of EventBridge, and the moments at which their events come."""

from __future__ import annotations

from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from builders import data, scenario

from rollout_sim.core.minutes import iso_of, moment_of
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.processes import arrival_process
from rollout_sim.traffic.schedules import Rate, schedule_of
from rollout_sim.traffic.source import Arrivals, CronArrivals

DAY = 86400.0
UTC = ZoneInfo("UTC")


def first(expression: str, begin: str, number: int = 3, zone: str = "UTC") -> list[str]:
    """The first moments from `begin` on, in UTC, without the year."""
    moments = schedule_of(expression).moments(moment_of(begin), ZoneInfo(zone))
    return [iso_of(moment)[5:] for moment in islice(moments, number)]


@pytest.mark.parametrize(
    ("expression", "moments"),
    [
        ("0/5 8-17 ? * MON-FRI *", ["01-01 17:50", "01-01 17:55", "01-02 08:00"]),
        ("cron(15,45 * * * ? *)", ["01-01 18:15", "01-01 18:45", "01-01 19:15"]),
        ("0 22-1 * * ? *", ["01-01 22:00", "01-01 23:00", "01-02 00:00"]),
        ("0 9 L * ? *", ["01-31 09:00", "02-28 09:00", "03-31 09:00"]),
        ("0 9 LW * ? *", ["01-30 09:00", "02-27 09:00", "03-31 09:00"]),
        ("0 9 1W * ? *", ["02-02 09:00", "03-02 09:00", "04-01 09:00"]),  # February begins on a Sunday
        ("0 9 31W * ? *", ["01-30 09:00", "03-31 09:00", "05-29 09:00"]),
        ("0 9 ? * 6L *", ["01-30 09:00", "02-27 09:00", "03-27 09:00"]),
        ("0 9 ? * TUE#2 *", ["01-13 09:00", "02-10 09:00", "03-10 09:00"]),
        ("0 9 ? * L *", ["01-03 09:00", "01-10 09:00", "01-17 09:00"]),
        ("0 9 ? * sat-mon *", ["01-03 09:00", "01-04 09:00", "01-05 09:00"]),
        ("0 9 1 1/6 ? *", ["07-01 09:00", "01-01 09:00", "07-01 09:00"]),
        ("0 9 29 FEB ? *", ["02-29 09:00"] * 3),
        ("rate(5 minutes)", ["01-01 17:50", "01-01 17:55", "01-01 18:00"]),
        (" rate( 1  day ) ", ["01-01 17:50", "01-02 17:50", "01-03 17:50"]),
    ],
)
def test_when_it_comes(expression: str, moments: list[str]) -> None:
    """By a calendar: 1 January 2026 is a Thursday."""
    assert first(expression, "2026-01-01 17:50") == moments


def test_clocks_that_change() -> None:
    """What the clocks leave out is skipped, what they repeat counts once, as EventBridge Scheduler has it; a rate goes on."""
    assert first("30 2 * * ? *", "2026-03-28", zone="Europe/Berlin") == ["03-28 01:30", "03-30 00:30", "03-31 00:30"]
    assert first("30 2 * * ? *", "2026-10-24", zone="Europe/Berlin") == ["10-24 00:30", "10-25 00:30", "10-26 01:30"]
    assert first("0/20 2 * * ? *", "2026-10-03 15:00", 3, "Australia/Lord_Howe") == [
        "10-03 15:40",
        "10-04 15:00",
        "10-04 15:20",
    ]
    assert first("rate(12 hours)", "2026-03-28 12:00", zone="Europe/Berlin") == [
        "03-28 12:00",
        "03-29 00:00",
        "03-29 12:00",
    ]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "needs the six fields of EventBridge's cron"),
        ("0 9 * * ?", "needs the six fields"),
        ("at(2026-01-01T00:00:00)", "needs the six fields"),
        ("rate(5)", r"a rate is a whole number of minutes, hours or days, such as rate\(5 minutes\), got 'rate\(5\)'"),
        ("rate(1.5 hours)", "a rate is a whole number"),
        ("rate(-1 day)", "a rate is a whole number"),
        ("rate(5 weeks)", "a rate is a whole number"),
        ("rate(0 minutes)", "a rate is at least 1"),
        (
            "rate(5 minute)",
            r"the unit after 5 must be minutes, got 'rate\(5 minute\)'",
        ),
        ("rate(1 minutes)", "the unit after 1 must be minute, got 'rate"),
        ("0 9 * * * *", r"one of the day of month and the day of week must be \?"),
        ("0 9 ? * ? *", r"one of the day of month and the day of week must be \?"),
        ("61 9 * * ? *", "the minutes must be 0 to 59, with , - . and /, got '61'"),
        ("0/0 9 * * ? *", "the minutes must be"),
        ("*/60 * * * ? *", "the minutes must be"),
        ("0 0/24 * * ? *", "the hours must be"),
        ("0 9 15 * MON *", r"one of the day of month and the day of week must be \?"),
        ("? 9 * * ? *", "the minutes must be"),
        ("0 x * * ? *", "the hours must be"),
        ("0 9 40W * ? *", "the day of month must be 1 to 31"),
        ("0 9 ? 13 MON *", "the month must be 1 to 12 or JAN to DEC"),
        ("0 9 ? * MON#6 *", "the day of week must be 1 to 7 or SUN to SAT"),
        ("0 9 ? * MON 1969", "the year must be 1970 to 2199"),
        ("0 9 31 FEB ? *", "never comes"),
    ],
)
def test_what_is_no_schedule(expression: str, message: str) -> None:
    source = {"source": "schedule", "alias": "prod", "arrivals": {"cron": expression}}
    with pytest.raises(
        ScenarioError, match=rf"test.yaml:1: traffic\[0\]\.arrivals\.cron: `expression` {message}"
    ) as told:
        Scenario.from_dict(data(traffic=[source]), path="test.yaml")
    assert len(told.value.problems) == 1


def test_scheduler_takes_a_rate_in_either_number() -> None:
    """Its reference lists both; what is written of it is what a rule takes as well."""
    for written, canonical in (("rate(1 hours)", "rate(1 hour)"), ("rate(120 minute)", "rate(2 hours)")):
        schedule = schedule_of(written, scheduler=True)
        assert isinstance(schedule, Rate)
        assert schedule.expression == canonical
        assert schedule_of(canonical) == schedule


def test_the_zone_is_one() -> None:
    with pytest.raises(ValueError, match="needs a time zone such as Europe/Berlin, got 'Mars'"):
        CronArrivals(expression="rate(1 day)", zone="Mars")


def times(within: float, blocks: int = 1, **fields: Any) -> np.ndarray:
    arrivals = Arrivals(cron=CronArrivals(**({"expression": "0/5 * * * ? *", "within": within} | fields)))
    process = arrival_process(arrivals, Streams(seed=5), "t", horizon=1e6)
    return np.concatenate([process.block(number) for number in range(blocks)])


def test_events_come_within_the_minute_and_never_fall() -> None:
    """With a window of a quarter of an hour they overtake each other, one in its order all the same."""
    exact = times(0.0)
    np.testing.assert_array_equal(exact[:3], [0.0, 300.0, 600.0])
    late = times(60.0) - np.round((times(60.0) - 30.0) / 300.0) * 300.0
    assert 0 <= late.min() < 1
    assert 59 < late.max() < 60
    assert late.mean() == pytest.approx(30.0, abs=4.5 * 60 / np.sqrt(12 * late.size))
    wide = times(900.0, begin="2026-01-05 12:00")
    assert (np.diff(wide) >= 0).all()
    assert wide[0] >= 0
    assert np.searchsorted(wide, 90_000.0) == pytest.approx(300, abs=15)


def test_what_is_expected() -> None:
    spec = CronArrivals(expression="0 9-16 ? * MON-FRI *", begin="2026-11-24 08:00")
    process = arrival_process(Arrivals(cron=spec), Streams(seed=5), "t")
    assert process.long_run_rate == pytest.approx(40 / (7 * DAY), rel=1e-3)
    assert process.mean_count(0.0, 5 * 3600.0 + 30.0) == 4.5
    assert process.highest_rate(DAY) == 1 / 60


def test_another_moment_is_another_hour() -> None:
    """`--at` says when the rollout begins, here 5 min after the simulation: nothing comes at night, a dozen an hour by day."""
    source = {"source": "schedule", "alias": "prod", "arrivals": {"cron": "0/5 8-17 ? * MON-FRI *"}}
    whole = scenario(traffic=[source], horizon="60 min", function__versions__2={"like": "1"})
    assert simulate(whole, "instant").requests == 0
    by_day = simulate(whole.at(moment_of("2026-11-24 09:05")), "instant")
    assert by_day.requests + by_day.pending == 12
    assert by_day.scenario.traffic[0].arrivals.cron.begin == "2026-11-24 09:00"
    assert Scenario.from_dict(by_day.scenario.dump()).traffic == by_day.scenario.traffic


def test_a_schedule_that_does_not_come_is_told() -> None:
    source = {"source": "schedule", "alias": "prod", "arrivals": {"cron": "0 9 ? * SAT *"}}
    (warning,) = [warning for warning in scenario(traffic=[source]).warnings() if "[schedule]" in str(warning)]
    assert "begins at 2026-01-05 00:00 and comes at 2026-01-10 09:00, after the horizon" in str(warning)
    source["arrivals"] = {"cron": {"expression": "0 9 ? * SAT *", "begin": "2026-01-10 08:50"}}
    assert not any("[schedule]" in str(warning) for warning in scenario(traffic=[source]).warnings())
