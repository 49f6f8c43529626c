"""Rows of VALIDATION.md about `recommend`: its search, its intervals, and the arithmetic of what it advises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
from builders import scenario
from numpy.typing import NDArray
from scipy.stats import poisson
from validation.rows import Ours, Row, share

from rollout_sim.run.batch import stopped as rolled_back
from rollout_sim.scenario.goals import Risk
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare
from rollout_sim.study.recommend import candidates
from rollout_sim.study.recommend.advice import HOUR, needed_requests, needed_tests
from rollout_sim.study.recommend.candidates import Candidate, alarms, strategies
from rollout_sim.study.recommend.confirmation import Confirmation
from rollout_sim.study.recommend.defaults import default_goal
from rollout_sim.study.recommend.hypotheses import CATCH, GOOD, Evaluation
from rollout_sim.study.recommend.race import INDIFFERENCE, Race, rank
from rollout_sim.study.recommend.sampling import CONTENDING, FRESH
from rollout_sim.study.recommend.search import Search, prepare, recommend
from rollout_sim.study.recommend.stages import Stage

CHECKOUT = Path(__file__).parents[2] / "scenarios" / "checkout.yaml"
GRID = {
    "PERCENTS": (0.05, 0.2), "INTERVALS": (5.0, 10.0), "ERROR_COUNTS": (1, 5), "ERROR_SHARES": (0.01,),
    "DATAPOINTS": ("1 of 1", "2 of 2"),
}  # fmt: skip
"""Small enough to enumerate."""
BRIEF = Stage(strata=4, draws=1, each=32, others=128)
"""What tells the best thirty of some five hundred candidates, among which the best ten are told by more."""
SEEDS, LARGE = 60, 12
RUNS = 20_000
RACED = ("Linear10PercentEvery1Minute", "linear 20% every 2 min")
WATCHED = [("new_version", "> 2"), ("new_version", "> 5"), ("alias", "> 5")]
"""Of the races: a third cannot be had, for they stop a quarter of the good versions; the best two of the others differ by 8%."""
SMALL = Stage(strata=8, draws=2, each=64, others=256)
RACES = 200
"""Races of a grid that can be enumerated."""
RATE = 5.0
"""Requests per second."""


@cache
def enumerated(seed: int) -> tuple[Evaluation, Evaluation]:
    """The recommendation on the small grid, and the best of all its candidates: both drawn anew, 4,096 times each world.

    Drawn anew because the figures by which one of many was the best flatter it.
    """
    with patch.multiple(candidates, **GRID):
        given = Scenario.load(CHECKOUT)
        found = recommend(given, seed=seed, deploy_with="any")
        assert found.winner is not None
        search = Search(given, goal=found.goal, risk=found.risk, seed=1000 + seed)
        every = strategies(given)
        every += [candidate.watched_by(alarm) for candidate in every for alarm in alarms(given, latency=False)]
        every = [candidate for candidate in every if candidate.plan.time_to_full <= HOUR]
        sizes = search.sizes
        rough = rank(search.evaluations(every, BRIEF), found.goal)
        best_thirty = [one.candidate for one in rough[:30]]
        closer = rank(search.evaluations(best_thirty, sizes.contending, CONTENDING), found.goal)[:10]
        mine, *others = search.evaluations([found.winner, *(one.candidate for one in closer)], sizes.confirming, FRESH)
    assert not mine.broken(found.goal)
    return mine, next(one for one in rank(others, found.goal) if not one.missed_on_average(found.goal))


def excess(seed: int) -> Ours:
    """How far the recommendation's interval lies above the optimum's, as a ratio of their near ends; at most 1: it does not."""
    mine, best = enumerated(seed)
    if mine.candidate == best.candidate:
        return Ours(value=1.0)
    assert mine.objective.low is not None
    assert best.objective.high is not None
    return Ours(value=mine.objective.low / best.objective.high)


@cache
def figures(seed: int, wave: int) -> Evaluation:
    """The checkout's `SAM default` by a search with this seed: briefly (0), or as much as the confirmed are drawn (2)."""
    given = Scenario.load(CHECKOUT)
    chosen = [Candidate(name="SAM default", strategy=given.strategies["SAM default"], alarm=None, complexity=0)]
    search = Search(given, goal=default_goal(given), risk=Risk(), seed=seed)
    return search.evaluations(chosen, search.sizes.confirming if wave else search.sizes.brief, wave)[0]


def covered(name: str) -> NDArray[np.bool_]:
    """For each of `SEEDS` seeds, whether the figure's interval holds the mean of `LARGE` far larger samples."""
    truth = float(np.mean([getattr(figures(5000 + k, 2), name).mean for k in range(LARGE)]))
    estimates = [getattr(figures(seed, 0), name) for seed in range(SEEDS)]
    return np.array([estimate.low <= truth <= estimate.high for estimate in estimates])


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What came of many seeds of the sequential procedure on a grid whose every figure has a closed form."""

    right: NDArray[np.bool_]
    """Whether what was selected truly keeps the goal, and costs at most a trifle more than the best that does."""
    covered: dict[str, NDArray[np.bool_]]
    """By figure, whether the interval of the confirmed one holds the truth."""


@cache
def races(count: int | None = None) -> Searched:
    """So many races, `RACES` by default, of the six candidates, each with the confirmation of what it selects, on small samples.

    Poisson traffic, constant durations and one severity: minutes are independent, and the closed forms of the screen exact.
    """
    given = scenario(
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "20/s"}}],
        function__versions={"1": {"duration": "50 ms", "error_rate": "0.1%"}, "2": {"like": "1"}},
        risk={"severity": {"error_rate": "3%"}},
        goal={"catch": {"of": {"error_rate": "3%"}, "at_least": "90%"}, "false_rollback": {"at_most": "2%"}},
    )
    judge = prepare(given, seed=0)
    truth: dict[str, tuple[float, float, float]] = {}
    grid = []
    good, catch = (list(judge.problem.hypotheses).index(name) for name in (GOOD, CATCH))
    for candidate in strategies(given):
        screened = judge.shortlist.screen.screen(candidate.plan)
        costs = judge.shortlist.objective(candidate, screened)
        for k, alarm in enumerate(judge.problem.alarms):
            if candidate.name in RACED and (alarm.of, alarm.threshold) in WATCHED and alarm.datapoints == "1 of 1":
                grid.append(candidate.watched_by(alarm))
                # On the alias it may be red before the start, by the old version's errors in the minute before.
                red = float(poisson.sf(alarm.limit, 20 * 60 * 0.001)) if alarm.of == "alias" else 0.0
                false = 1 - (1 - red) * (1 - screened.stopped[k, good])
                truth[grid[-1].label] = (false, screened.stopped[k, catch], costs[k])
    best = min(cost for false, caught, cost in truth.values() if false <= 0.02 and caught >= 0.9)
    right, covered = [], {name: list[bool]() for name in ("false_rollback", "bad")}
    for seed in range(RACES if count is None else count):
        racing = prepare(given, seed=seed)
        racing.sizes = replace(racing.sizes, contending=SMALL, confirming=SMALL)
        sampler = racing.sampler()
        selected = Race(sampler, grid).run().ranked[0].candidate
        false, caught, cost = truth[selected.label]
        right.append(false <= 0.02 and caught >= 0.9 and cost <= (1 + INDIFFERENCE) * best)
        confirmed = Confirmation(sampler, racing.shortlist).evaluate(selected)
        for name, exact in (("false_rollback", false), ("bad", cost)):
            estimate = getattr(confirmed, name)
            covered[name].append(estimate.low <= exact <= estimate.high)
    return Searched(right=np.array(right), covered={name: np.array(hits, dtype=bool) for name, hits in covered.items()})


@cache
def stopped(rate: float, error_rate: float, weight: float, seconds: float, tests: int) -> NDArray[np.bool_]:
    """Whether a version that fails `error_rate` is stopped by one error: of a canary, or of `tests` before any traffic."""
    hook = {"before_allow_traffic": {"invocations": tests, "over": f"{max(1, tests)} s"}}
    tested = {"type": "blue_green", "hooks": hook}
    split = {"type": "canary", "percent": weight * 100, "interval": f"{seconds:.3f} s"}
    given = scenario(
        horizon=f"{seconds + 7200:.0f} s",
        function__versions={
            "1": {"duration": "1 ms"},
            "2": {"duration": "1 ms", "error_rate": f"{error_rate * 100:g}%"},
        },
        function__timeout="1 s",
        function__account_concurrency=1_000_000,
        function__scale_up=1_000_000,
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": f"{rate}/s"}}],
        rollout={"alias": "prod", "to": "2", "start": "0 s", "alarms": [] if tests else ["errors"]},
        alarms={"errors": {"metric": "errors", "of": "new_version", "threshold": "> 0", "missing": "not_breaching"}},
        strategies={"s": tested if tests else split},
    )
    found = compare(given, RUNS, engine="aggregate", twin=False, seed=11).columns["s"]
    return rolled_back(found)


def recommendations() -> Iterator[Row]:
    for seed in (1, 2, 3):
        yield Row(
            group="Recommendations",
            what=f"excess of the recommended rollout over the enumerated optimum of a small grid, interval ends, seed {seed}",
            expected=1.0, decimals=None, plane="aggregate", at_most=True, ours=lambda seed=seed: excess(seed),
        )  # fmt: skip
    for name, label in (
        ("caught", "caught"),
        ("false_rollback", "good version stopped"),
        ("bad", "bad requests added"),
    ):
        yield Row(
            group="Recommendations", what=f"share of the 95% intervals of `{label}` that hold the truth, {SEEDS} seeds",
            expected=0.95, decimals=None, plane="aggregate", ours=share(lambda name=name: covered(name), 0.95),
        )  # fmt: skip
    yield Row(
        group="Recommendations", what="share of 200 races of 6 enumerated candidates that select another than the best",
        expected=0.05, decimals=None, plane="aggregate", at_most=True,
        ours=lambda: Ours(value=1 - float(races().right.mean())),
    )  # fmt: skip
    for name, label in (("false_rollback", "good version stopped"), ("bad", "bad requests added")):
        yield Row(
            group="Recommendations",
            what=f"share of the 95% intervals of `{label}` of what a race selects that hold the exact value, 200 seeds",
            expected=0.95, decimals=None, plane="aggregate", ours=share(lambda name=name: races().covered[name], 0.95),
        )  # fmt: skip
    for error_rate, caught, weight in ((0.01, 0.95, 0.1), (0.001, 0.99, 0.5)):
        minutes = np.ceil(needed_requests(error_rate, caught) / RATE / weight / 60)
        # Alarms look at whole minutes: the advised time, rounded up to one.
        expected = float(-np.expm1(-error_rate * RATE * weight * minutes * 60))
        yield Row(
            group="Recommendations",
            what=f"P(an error of {error_rate:.1%} stops a {weight:.0%} canary of {minutes:.0f} min), as advised for {caught:.0%}",
            expected=expected, decimals=None, plane="aggregate",
            ours=share(lambda e=error_rate, w=weight, m=minutes: stopped(RATE, e, w, m * 60, 0), expected),
        )  # fmt: skip
    tests = needed_tests(0.05, 0.95)
    expected = 1 - 0.95**tests
    yield Row(
        group="Recommendations", what=f"P({tests} tests before any traffic find 5% errors), as many as advised for 95%",
        expected=expected, decimals=None, plane="aggregate",
        ours=share(lambda: stopped(0.01, 0.05, 1.0, 60.0, tests), expected),
    )  # fmt: skip
