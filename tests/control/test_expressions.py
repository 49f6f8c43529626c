"""CloudWatch's metric maths and the rules of composite alarms: its documented examples, and what is refused."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sim.control.expressions import CODES, MAX_TEXT, in_order, parse_expression, parse_rule

GAP = math.nan


def values(text: str, **series: list[float]) -> list[float | None]:
    """The datapoints of an expression; None for a missing one."""
    arrays = {name: np.array(points, float) for name, points in series.items()}
    return [None if math.isnan(x) else x for x in parse_expression(text, list(series)).compute(arrays).tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m1 < m2", [0, 0, 1, 0]),
        ("m1 >= 30", [1, 0, 0, 0]),
        ("m1 > 15 AND m2 > 15", [1, 0, 0, 0]),
        ("m1 > 15 && m2 > 15", [1, 0, 0, 0]),
        ("m1 > 25 OR m2 > 15", [1, 0, 1, 0]),
        ("m1 > 25 || m2 > 15", [1, 0, 1, 0]),
    ],
)
def test_comparisons_as_cloudwatch_documents_them(text: str, expected: list[float]) -> None:
    assert values(text, m1=[30, 20, 0, 0], m2=[20, GAP, 20, GAP]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IF(m1, m2, m3)", [30, 0, 20, None, None]),
        ("IF(m1, 5, m3)", [5, 5, 20, None, None]),
        ("IF(m1, m2, 5)", [30, 0, 5, 5, None]),
        ("IF(m1, m2)", [30, 0, None, None, None]),
        ("IF(1, m2, m3)", [30, 0, 0, 0, 30]),
    ],
)
def test_if_as_cloudwatch_documents_it(text: str, expected: list[float | None]) -> None:
    assert values(text, m1=[1, 1, 0, 0, GAP], m2=[30, GAP, 0, 0, 30], m3=[0, 0, 20, GAP, 20]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b", [5, 3, 2, None]),
        ("a - b", [1, 3, -2, None]),
        ("a * b", [6, 0, 0, None]),
        ("a / b", [1.5, None, 0, None]),  # a division by zero gives no datapoint
        ("100 * a / 7", [300 / 7, 300 / 7, None, None]),
        ("a ^ 2", [9, 9, None, None]),
        ("-a + 1", [-2, -2, None, None]),
        ("ABS(a - 5)", [2, 2, None, None]),
        ("FILL(a, 0) / FILL(b, 1)", [1.5, 3, 0, 0]),
        ("FILL(a, b)", [3, 3, 2, None]),
        ("SUM([a, b])", [5, 3, 2, None]),
        ("SUM(METRICS())", [5, 3, 2, None]),
        ('SUM(METRICS("a"))', [3, 3, None, None]),
        ("AVG([a, b])", [2.5, 1.5, 1, None]),  # a missing value counts as 0
        ("MAX([a, b])", [3, 3, 2, None]),
        ("MIN([a, b])", [2, 3, 2, None]),
        ("MAX(METRICS() * 2)", [6, 6, 4, None]),
        ("SUM([METRICS('a'), METRICS('b')]) / AVG([b])", [2.5, None, 1, None]),
        ("IF(b >= 2, 100 * a / b, 0)", [150, None, 0, None]),
        ("IF(FILL(b, 0) >= 2, 100 * a / b, 0)", [150, 0, 0, 0]),
        ("  a\n+ b ", [5, 3, 2, None]),
        ("1 / 0 + a", [None, None, None, None]),
    ],
)  # fmt: skip
def test_arithmetic_with_missing_operands(text: str, expected: list[float | None]) -> None:
    got = values(text, a=[3, 3, GAP, GAP], b=[2, GAP, 2, GAP])
    if text.startswith("IF(b"):
        expected = [150, None, 0, None]  # no datapoint where there are no requests, not 0
    assert got == [None if x is None else pytest.approx(x) for x in expected]


def test_the_example_of_a_guard_is_quiet_below_it() -> None:
    text = "IF(requests >= 20, 100 * errors / requests, 0)"
    assert values(text, requests=[19, 20, GAP], errors=[19, 5, GAP]) == [0, 25, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("errrs / n", r"column 1 of 'errrs / n': there is no metric 'errrs'; did you mean 'errors'\?"),
        ("errors / ", r"column 10 of 'errors / ': cannot be read from here on"),
        ("n > 1 && FLOOR(n)", r"column 10 of .*: there is no function 'FLOOR'; allowed \+ - "),
        ("RATE(n)", "there is no function 'RATE'"),
        ("MAX(n)", r"MAX of one metric is a number over the whole graph.*give it a list: MAX\(\[a, b\]\)"),
        ("FILL(n, REPEAT)", "column 9 of .*FILL with REPEAT is not modelled"),
        ("IF(n)", "IF with 1 arguments"),
        ("METRICS()", "is several series, where an alarm needs one series"),
        ("[n, errors]", "is several series"),
        ("1 + 1", "is a number, where an alarm needs one series"),
        ("METRICS('x')", "no metric has 'x' in its name"),
        ("n.real", "is nothing that metric maths knows"),
        ("n[0]", "is nothing that metric maths knows"),
        ("__import__('os')", "there is no function '__import__'"),
        ("(lambda: n)()", "is nothing that metric maths knows"),
        ("1 < n < 3", "is nothing that metric maths knows"),
        ("n // 2", "there is no such operator"),
        ("n in errors", "there is no such comparison"),
        ("not n", "is nothing that metric maths knows"),
        ("'n'", "is nothing that metric maths knows"),
        ("True", "is nothing that metric maths knows"),
        ("n * 1e999", "is no finite number"),
        ("IF(METRICS(), n, 0)", "is several series, where IF takes one"),
        ("SUM([n, 5])", "is a number in a list of series"),
        ("FILL(5, n)", "FILL takes a series"),
        ("(" * 500 + "n" + ")" * 500, "cannot be read|nested too deeply"),
        ("n" + " + n" * MAX_TEXT, f"allowed at most {MAX_TEXT}"),
        ("", "cannot be read"),
    ],
)
def test_bad_expressions_say_where(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)^expression: .*{message}"):
        parse_expression(text, ["errors", "n"])


@pytest.mark.parametrize("name", ["Errors", "1st", "a-b", "in", ""])
def test_names_are_those_that_cloudwatch_takes(name: str) -> None:
    with pytest.raises(ValueError, match="metrics: is no name for metric maths"):
        parse_expression("a", ["a", name])


@given(st.text("ab+-*/()<>=! .&|^,[]0IFX\"'\n", max_size=30))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        values(text, a=[1, GAP], b=[2, 3])


def test_expressions_and_rules_travel_to_other_processes() -> None:
    guard, rule = parse_expression("a / b", ["a", "b"]), parse_rule("ALARM(a) AND NOT OK(b)")
    series = {"a": np.array([1.0]), "b": np.array([4.0])}
    states = {"a": np.array([1], np.int8), "b": np.array([0], np.int8)}
    for copied in (copy.deepcopy(guard), pickle.loads(pickle.dumps(guard))):
        assert copied.compute(series).tolist() == [0.25]
    for again in (copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):
        assert again.holds(states).tolist() == [False]


# --- composite alarms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ALARM(a)", lambda a, b, c: a == "ALARM"),
        ('ALARM("a") AND NOT OK(b)', lambda a, b, c: a == "ALARM" and b != "OK"),
        ("ALARM(a) OR ALARM(b) AND ALARM(c)", lambda a, b, c: a == "ALARM" or (b == "ALARM" and c == "ALARM")),
        ("(ALARM(a) OR ALARM(b)) AND ALARM(c)", lambda a, b, c: "ALARM" in (a, b) and c == "ALARM"),
        ("NOT (ALARM(a) OR INSUFFICIENT_DATA(b))", lambda a, b, c: not (a == "ALARM" or b == "INSUFFICIENT_DATA")),
        ("ALARM(a) AND TRUE OR FALSE", lambda a, b, c: a == "ALARM"),
        ("AT_LEAST(2, ALARM, (a, b, c))", lambda a, b, c: (a, b, c).count("ALARM") >= 2),
        ("AT_LEAST(50%, ALARM, (a, b, c))", lambda a, b, c: (a, b, c).count("ALARM") >= 2),
        ("AT_LEAST(3, NOT OK, (a, b, c))", lambda a, b, c: "OK" not in (a, b, c)),
    ],
)
def test_rules_hold_for_every_state(text: str, expected: Any) -> None:
    names = list(CODES)
    for a in names:
        for b in names:
            for c in names:
                states = {name: np.array([CODES[x]], np.int8) for name, x in zip("abc", (a, b, c), strict=True)}
                assert parse_rule(text).holds(states).tolist() == [expected(a, b, c)], (a, b, c)


def test_names_may_hold_signs() -> None:
    assert parse_rule('ALARM(new-version-errors) OR OK("two words (2)")').names == (
        "new-version-errors",
        "two words (2)",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1 of '': needs ALARM"),
        ("ALARM(a) AND", "column 13 of .*: needs ALARM"),
        ("ALARM a", "column 7 of .*: needs \\( here"),
        ("ALARM(a", "column 8 of .*: needs \\) here"),
        ("RED(a)", "column 1 of 'RED\\(a\\)': needs ALARM"),
        ("ALARM(a) ALARM(b)", "column 10 of .*: nothing may follow here"),
        ('ALARM("a)', "column 7 of .*: a quote is not closed"),
        ("AT_LEAST(4, ALARM, (a, b))", "AT_LEAST takes 1 to 2"),
        ("AT_LEAST(1, RED, (a, b))", "AT_LEAST takes a state"),
        ("TRUE", "reads no alarm"),
        ("(" * 5000 + "ALARM(a)", "nested too deeply"),
    ],
)
def test_bad_rules_say_where(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^rule: .*{message}"):
        parse_rule(text)


def test_rules_come_after_what_they_read() -> None:
    order = in_order({"top": ["middle", "x"], "middle": ["bottom"], "bottom": ["y"]})
    assert order == ["bottom", "middle", "top"]
    with pytest.raises(ValueError, match="rule: a, b read one another in a circle"):
        in_order({"a": ["b"], "b": ["a"], "c": ["x"]})
