"""Schedules: rate(...) and cron(...) as beats."""

from __future__ import annotations

import pytest

from rollout_sim.formats.templates.schedules import beat

HOUR, DAY, YEAR = 3600.0, 86400.0, 365 * 86400.0


@pytest.mark.parametrize(
    ("expression", "every", "even"),
    [
        ("rate(1 minute)", 60, True),
        ("rate(5 minutes)", 300, True),
        (" rate( 2  hours ) ", 2 * HOUR, True),
        ("rate(1 day)", DAY, True),
        ("cron(0/5 * * * ? *)", 300, True),
        ("cron(*/15 * * * ? *)", 900, True),
        ("cron(0 * * * ? *)", HOUR, True),
        ("cron(15 3 * * ? *)", DAY, True),
        ("cron(0 0,12 * * ? *)", DAY / 2, True),
        ("cron(0 9 ? * MON-FRI *)", YEAR / 261, False),
        ("cron(0 9 ? * 2 *)", YEAR / 52, False),
        ("cron(0 9 1 * ? *)", YEAR / 12, False),
        ("cron(0 9 L * ? *)", YEAR / 12, False),
        ("cron(0 9 ? * 6L *)", YEAR / 12, False),
        ("cron(0 9 ? * MON#1 *)", YEAR / 12, False),
        ("cron(0 9 3W * ? *)", YEAR / 12, False),
        ("cron(0 9 1 JAN,JUL ? *)", YEAR / 2, False),
        ("cron(0 8-10 * * ? *)", DAY / 3, False),
        ("cron(0 22-1 * * ? *)", DAY / 4, False),
    ],
)
def test_how_often_it_comes(expression: str, every: float, even: bool) -> None:
    assert beat(expression) == (pytest.approx(every), even)


@pytest.mark.parametrize(
    "expression",
    [
        "", "rate(0 minutes)", "rate(5)", "cron(0 9 * *)", "cron(61 9 * * ? *)", "cron(x 9 * * ? *)", "cron(0 9 31 FEB ? *)",
        "at(2026-01-01T00:00:00)", "⟨Rate⟩",
    ],
)  # fmt: skip
def test_what_is_no_schedule(expression: str) -> None:
    with pytest.raises(ValueError, match="got "):
        beat(expression)
