"""The range of metric maths holds whatever its metrics come to, and is as narrow as it should be."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from rollout_sim.control.expressions import parse_expression
from rollout_sim.control.ranges import Range, range_of

INF = math.inf
CALLS = 200.0
METRICS = {
    "calls": Range(low=0, high=CALLS),
    "errors": Range(low=0, high=CALLS, at_most={"calls": 1.0}),
    "few": Range(low=0, high=CALLS, at_most={"calls": 1.0, "errors": 1.0}),
    "slow": Range(low=0, high=3.0),
}
NAMES = tuple(METRICS)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("errors / calls", 0, 1),
        ("100 * errors / calls", 0, 100),
        ("errors * 100 / calls", 0, 100),
        ("errors / (calls / 100)", 0, 100),
        ("1 - errors / calls", 0, 1),
        ("100 * (1 - errors / calls)", 0, 100),
        ("100 - 100 * errors / calls", 0, 100),
        ("FILL(errors, 0) / FILL(calls, 1)", 0, 1),
        ("(errors + few) / calls", 0, 2),
        ("SUM([errors, few]) / calls", 0, 2),
        ("MAX([errors, few]) / calls", 0, 1),
        ("few / errors", 0, 1),
        ("IF(calls >= 20, errors / calls, 0)", 0, 1),
        ("IF(calls >= 20, errors, 0) / calls", 0, 1),
        ("IF(calls >= 20, 2, 5) * errors / errors", 0, INF),
        ("errors > 5", 0, 1),
        ("errors > 5 AND slow > 1", 0, 1),
        ("calls / errors", 0, INF),
        ("errors - few", -CALLS, CALLS),
        ("-errors / calls", -INF, 0),
        ("ABS(slow - 5)", 2, 5),
        ("AVG([slow, slow])", 0, 3),
        ("slow ^ 2", -INF, INF),
        ("SUM(METRICS('e')) / calls", 0, 2),
    ],
)  # fmt: skip
def test_the_range_of_an_expression(text: str, low: float, high: float) -> None:
    found = range_of(parse_expression(text, NAMES), METRICS)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def random_text(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice([*NAMES, "2", "0.5", "100"])
    inner = [random_text(rng, depth - 1) for _ in range(3)]
    return rng.choice(
        [
            f"({inner[0]} {rng.choice('+-*/')} {inner[1]})", f"-{inner[0]}", f"ABS({inner[0]})",
            f"IF({inner[0]} > {inner[1]}, {inner[1]}, {inner[2]})", f"FILL({rng.choice(NAMES)}, {rng.choice(['0', '1'])})",
            f"MAX([{rng.choice(NAMES)}, {rng.choice(NAMES)}])", f"AVG([{rng.choice(NAMES)}, {rng.choice(NAMES)}])",
            f"({inner[0]} >= {inner[1]})", f"({rng.choice(NAMES)} / {rng.choice(NAMES)})",
        ]
    )  # fmt: skip


def test_nothing_lies_outside_the_range() -> None:
    """Random expressions on random counts with gaps: where there are no calls there are no errors."""
    rng, numbers = random.Random(0), np.random.default_rng(0)
    calls = numbers.integers(0, int(CALLS) + 1, 400).astype(float)
    errors = np.floor(calls * numbers.choice([0, 0.1, 1.0], 400))
    series = {"calls": calls, "errors": errors, "few": np.floor(errors / 2), "slow": numbers.choice([0.1, 3.0], 400)}
    gone = {name: numbers.random(400) < 0.2 for name in ("errors", "slow")}
    series["errors"][gone["errors"]] = np.nan
    series["few"][gone["errors"]] = np.nan  # no failure of anybody is known then
    series["slow"][gone["slow"]] = np.nan
    narrow = 0
    for _ in range(1500):
        text = random_text(rng, rng.randint(1, 3))
        try:
            expression = parse_expression(text, NAMES)
        except ValueError:  # a number, say
            continue
        found, values = range_of(expression, METRICS), expression.compute(series)
        values = values[~np.isnan(values)]
        narrow += math.isfinite(found.high) and math.isfinite(found.low)
        if values.size:
            assert values.min() >= found.low - 1e-6 * abs(values.min()), text
            assert values.max() <= found.high + 1e-6 * abs(values.max()), text
    assert narrow > 400
