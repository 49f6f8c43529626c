"""Tables: values until the last moment, and every number can be read at any width of the terminal."""

from __future__ import annotations

import io

import pytest
from builders import scenario
from rich.console import Console

from rollout_sim.core.statistics import Estimate
from rollout_sim.run.simulate import simulate, simulate_each
from rollout_sim.study.comparison import compare
from rollout_sim.study.judgement import goal_of, limits_of
from rollout_sim.study.recommend.limits import Limit
from rollout_sim.study.sweep import sweep
from rollout_sim.views.cells import (
    Average,
    Cell,
    Count,
    Duration,
    EstimatedDuration,
    EstimatedNumber,
    EstimatedShare,
    Judgement,
    MedianDuration,
    Share,
    Text,
)
from rollout_sim.views.tables import Column, Table, comparison_table, repeated, run_table, sweep_table, version_table


def estimate(
    mean: float, low: float | None, high: float | None, **quantiles: tuple[float, float | None, float | None]
) -> Estimate:
    return Estimate(n=9, mean=mean, low=low, high=high, quantiles=quantiles)


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    results = list(simulate_each(scenario(horizon="8 min")))
    return [run_table(results), version_table(results)]


def test_tables_of_managed_instances_speak_of_no_cold_starts() -> None:
    version = {"duration": "100 ms"}
    managed = {"function__managed": {"concurrency": 4}, "function__versions": {"1": version, "2": version}}
    results = [simulate(scenario(horizon="6 min", strategies={"instant": {"type": "all_at_once"}}, **managed))]
    titles = [[column.line for column in table.columns] for table in (run_table(results), version_table(results))]
    assert not [title for part in titles for title in part if "cold" in title]
    (throttled,) = [column for column in run_table(results).columns if column.line == "throttled"]
    assert not throttled.below


def printed(table: Table, width: int) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width)
    for part in table.for_terminal(width):
        console.print(part)
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 50, 80, 120, 300])
def test_nothing_is_cut_at_any_width(tables: list[Table], width: int) -> None:
    for table in tables:
        shown = printed(table, width)
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= width
        words = set(shown.split())
        wanted = [line for row in table.page_rows for lines in row for line in lines]
        if width == 300:  # each value on a line of its own
            wanted = [text for row in table.texts for text in row]
        missing = {word for line in wanted for word in line.split()} - words
        assert width < 60 or missing == set()  # a narrower terminal may break a long word


def test_a_long_name_stays_whole_in_tables_one_below_the_other() -> None:
    """CodeDeploy's longest one beside an alarm, in more columns than fit."""
    columns = [Column(title=title, names=title in ("strategy", "alarm")) for title in ("strategy", "alarm", *"abcdef")]
    names = (Text("Linear10PercentEvery3Minutes"), Text("errors > 10 of the alias, 1 of 1"))
    table = Table(columns=tuple(columns), rows=((*names, *(Text("0.0309–0.0332%"),) * 6),))
    shown = printed(table, 80)
    assert shown.count("Linear10PercentEvery3Minutes ") == shown.count("strategy") > 1
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_strategy_is_one_row_of_every_part(tables: list[Table], width: int) -> None:
    """Never turned around: a column can be read from top to bottom. What does not fit stands in a table of its own."""
    for table in tables:
        shown = printed(table, width).splitlines()
        rules = [k for k, line in enumerate(shown) if line.strip() and set(line.strip()) <= {"─", " "}]
        assert 1 <= len(rules) <= 2
        names = list(dict.fromkeys(row[0].text for row in table.rows))
        for first, last in zip(rules, [*rules[1:], len(shown)], strict=True):
            firsts = [line.split()[0] for line in shown[first + 1 : last] if line[:1].strip() or line[1:2].strip()]
            assert [name for name in dict.fromkeys(firsts) if name in names] == names


def test_values_have_three_digits_and_intervals_two_ends() -> None:
    assert Average(4.226).text == "4.23"
    assert Average(0.0000301).text == "<0.001"
    assert EstimatedShare(estimate(1.0, 1.0, 1.0)).lines == ("100%",)
    assert EstimatedShare(estimate(0.00154, 0.001541, 0.001539)).text == "0.154%"
    assert EstimatedNumber(estimate(0.0, 0.0, 0.0)).text == "0"


def test_a_row_that_is_the_same_as_another_says_so() -> None:
    columns = tuple(Column(title=title) for title in ("strategy", "a", "b", "c", "d", "e"))
    row = tuple(Count(k) for k in range(5))
    other = (*row[:4], Count(9))
    assert repeated(columns, [(Text("x"), *row), (Text("y"), *row)]) == "y: same as x"
    assert repeated(columns, [(Text("x"), *row), (Text("y"), *other)]) == "y: same as x but for: e"
    assert repeated(columns, [(Text("x"), *row), (Text("y"), *other[1:], Count(0))]) == ""


def test_what_breaks_a_limit_is_red_and_what_is_open_yellow() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    for low, high, colour in ((0.0, 0.005, "32"), (0.0, 0.02, "33"), (0.02, 0.03, "31")):
        limit = Limit(name="false_rollback", estimate=estimate(low, low, high), at_most=0.01)
        table = Table(
            columns=(Column(title="x"), Column(title="y")), rows=((Text("x"), EstimatedShare(limit.estimate, limit)),)
        )
        with console.capture() as capture:
            for part in table.for_terminal(80):
                console.print(part)
        assert f"{colour}m" in capture.get()


def test_a_comparison_and_a_sweep_are_judged_by_the_goal() -> None:
    """A fault of 20% has to be caught in 90%, good versions may be stopped in 10%; a smaller fault is not what the goal is about."""
    goal = {
        "catch": {"at_least": "90%", "of": {"error_rate": "20%"}},
        "false_rollback": {"at_most": "10%"},
        "time_to_full": {"at_most": "4 min"},
    }
    strategies = {"instant": {"type": "all_at_once"}, "canary": {"type": "canary", "percent": 10, "interval": "5 min"}}
    compared = compare(scenario(goal=goal, strategies=strategies), 300)
    tones = {row[0].text: tuple(cell.tone for cell in row[1:4]) for row in comparison_table(compared).rows}
    assert tones == {"instant": ("bad", "good", "good"), "canary": ("good", "good", "bad")}
    swept = sweep(scenario(goal=goal, strategies=strategies), ["severity=5%,20%"], 300)
    of_sweep = [
        (*(cell.text for cell in row[:2]), *(cell.tone for cell in row[2:4])) for row in sweep_table(swept).rows
    ]
    assert of_sweep == [
        ("5%", "instant", "", "good"),
        ("5%", "canary", "", "good"),
        ("20%", "instant", "bad", "good"),
        ("20%", "canary", "good", "good"),
    ]


def test_the_time_to_full_traffic_is_that_of_a_good_version_that_is_not_stopped() -> None:
    blocked = {"alarms__errors__threshold": "> -1", "alarms__errors__missing": "breaching"}
    """Below the cell to its left it has the colour of its own limit."""
    for changes, expected in (({}, ["0 s", "5 min", "6 min"]), (blocked, ["-", "-", "-"])):
        table = comparison_table(compare(scenario(**changes), 20))
        full = [column.line for column in table.columns].index("full traffic after")
        assert [row[full].text for row in table.rows] == expected
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    late = EstimatedDuration(
        estimate(300.0, 300.0, 300.0), Limit(name="x", estimate=estimate(3.0, 3.0, 3.0), at_most=1.0)
    )
    columns = (
        Column(title="s" * 50, names=True),
        Column(title="stopped", interval=True),
        Column(title="full" * 9, below="full"),
    )
    with console.capture() as capture:
        for part in Table(
            columns=columns, rows=((Text("x"), EstimatedShare(estimate(0.5, 0.4, 0.6)), late),)
        ).for_terminal(80):
            console.print(part)
    shown = {line for line in capture.get().splitlines() if "31m" in line}
    assert ["full 5 min" in line for line in shown] == [True]


@pytest.mark.parametrize(
    ("outcome", "bad", "text", "tone"),
    [("failed", True, "bad version caught", "good"), ("promoted", True, "bad version missed", "bad"),
     ("promoted", False, "good version shipped", "good"), ("rolled_back", False, "false alarm", "bad"), ("running", True, "-", "")],
)  # fmt: skip
def test_an_outcome_is_judged_by_the_version(outcome: str, bad: bool, text: str, tone: str) -> None:
    judged = Judgement(outcome, bad)
    assert (judged.text, judged.tone) == (text, tone)


def test_markdown_shows_names_as_they_are() -> None:
    table = Table(
        columns=(Column(title="a|b", names=True), Column(title="n")), rows=((Text("*x* <y>"), Count(1)),), caption="c_d"
    )
    assert table.markdown() == "| a\\|b | n |\n| --- | ---: |\n| \\*x\\* \\<y\\> | 1 |\n\nc\\_d"


def test_the_rollouts_own_share_of_the_budget_is_shown(tables: list[Table]) -> None:
    assert "added by\nthe rollout" in tables[0].headings


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        (Text("a / b [c, d]"), ("a / b [c, d]",)),
        (Count(12345), ("12,345",)),
        (Count(None), ("-",)),
        (Average(1.23456), ("1.23",)),
        (Share(0.99999), ("99.999%",)),
        (Duration(90.0), ("1.5 min",)),
        (EstimatedShare(estimate(0.25, 0.2, 1.0)), ("25%", "20–100%")),
        (EstimatedShare(estimate(0.25, None, None)), ("25%", "-–-")),
        (EstimatedNumber(estimate(1234.5, -3.0, 2500.0)), ("1,234", "-3 to 2,500")),
        (EstimatedNumber(None), ("-",)),
        (MedianDuration(estimate(9, 9, 9, p50=(240.0, None, None), p95=(600.0, None, None))), ("4 min", "10 min")),
        (MedianDuration(None), ("-",)),
    ],
)
def test_a_page_has_a_cells_parts_below_each_other(cell: Cell, lines: tuple[str, ...]) -> None:
    assert cell.lines == lines


def test_a_table_has_a_cells_parts_on_one_line() -> None:
    assert EstimatedShare(estimate(0.25, 0.2, 0.3)).text == "25% [20%, 30%]"
    assert EstimatedNumber(estimate(1234.5, -3.0, 2500.0)).text == "1,234 [-3, 2,500]"
    back = estimate(9, 9, 9, p50=(240.0, None, None), p95=(600.0, None, None))
    assert MedianDuration(back).text == "4 min / 10 min"


def test_a_comparison_hands_over_its_own_estimates() -> None:
    compared = compare(scenario(), 60)
    assert compared.twin is not None
    table = comparison_table(compared)
    for name, row in zip(compared.columns, table.rows, strict=True):
        estimates, good = compared.estimates(name), compared.twin.estimates(name)
        full = compared.twin.time_to_full(name)
        limits = {limit.name: limit for limit in limits_of(compared, name, goal_of(compared.scenario))}
        assert [limit.estimate for limit in limits.values()] == [estimates["stopped"], good["stopped"], full]
        budget, in_all = estimates["budget_spent.availability"], estimates["bad_requests"]
        assert budget is not None
        assert in_all is not None
        assert row == (
            Text(name),
            EstimatedShare(estimates["stopped"], limits["catch"]),
            EstimatedShare(good["stopped"], limits["false_rollback"]),
            EstimatedDuration(full, limits["time_to_full"]),
            MedianDuration(estimates["time_to_rollback_s"]),
            EstimatedNumber(estimates["bad_requests_added"]),
            Average(in_all.mean),
            EstimatedShare(budget),
            Share(budget.quantiles["p95"][0]),
        )


def test_a_page_has_no_column_for_what_stands_below() -> None:
    table = Table(
        columns=(Column(title="budget\nmean", interval=True), Column(title="budget\np95", below="p95")),
        rows=((EstimatedShare(estimate(0.25, 0.2, 0.3)), Share(0.5)),),
    )
    assert table.headings == ("budget\nmean [95%]", "budget\np95")
    assert table.page_columns == ("budget mean",)
    assert table.page_rows == ((("25%", "20–30%", "p95 50%"),),)
