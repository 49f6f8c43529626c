"""Does a fit predict the next week? `python benchmarks/next_week.py TRACE [FUNCTIONS]`.

Each function repeats the minutes of one of TRACE (layout azure2021), at 300 to 6,000 requests a minute, for two weeks; its errors are
of a known kind: a constant rate, a rate that scatters, or spells. The first week is imported as `import cloudwatch` does it. Then a
canary of 10 minutes is played from every minute of the second week, which nobody has seen, with a version that is as good as the
old one; how often it is stopped for nothing is held against what the imported scenario predicts.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.formats.measurements.clock import Clock
from rollout_sim.formats.measurements.folder import Choices, imported, write
from rollout_sim.formats.measurements.naming import Names
from rollout_sim.formats.measurements.recording import stamp
from rollout_sim.formats.measurements.tables import read_table
from rollout_sim.study.backtest import backtest
from rollout_sim.study.fit.error_rates import Constant, Scattered, Spells
from rollout_sim.traffic.traces import read_trace

WEEK = 7 * 1440
START = 1_794_182_400  # a Monday, midnight UTC
ROOM = 0.05
SENSITIVE = 2.5
"""The alarm fires at so many times the week's share of errors, in 2 of 3 minutes: often enough for a difference to show."""
STRATEGY = "canary 10%"


def patterns(path: Path) -> list[FloatArray]:
    """Each function's share of the requests by minute, from the trace: shape (minutes,), with a mean of 1."""
    with path.open(newline="") as file:
        functions = dict.fromkeys((row["app"], row["func"]) for row in csv.DictReader(file))
    counts = [read_trace(path, "azure2021", f"{app}/{func}").per_period.astype(float) for app, func in functions]
    return [row / row.mean() for row in counts]


def recorded(pattern: FloatArray, rng: np.random.Generator) -> tuple[str, IntArray, IntArray]:
    """The kind of the errors, and two weeks of invocations and errors."""
    rate = float(np.exp(rng.uniform(np.log(300), np.log(6000))))
    mean = float(np.exp(rng.uniform(np.log(0.001), np.log(0.02))))
    invocations = rng.poisson(rate * pattern[np.arange(2 * WEEK) % pattern.size])
    kind = ("constant", "scattered", "spells")[int(rng.integers(3))]
    truth = {
        "constant": Constant(mean=mean),
        "scattered": Scattered(mean=mean, dispersion=float(rng.uniform(0.002, 0.05)), span=int(rng.choice([1, 5, 15]))),
        "spells": Spells(
            calm=mean / 2, bad=min(10 * mean, 0.3), spell=float(rng.uniform(3, 30)), every=float(rng.uniform(100, 1000))
        ),
    }[kind]
    shares = truth.draw(invocations, np.arange(2 * WEEK), rng, 1)[0]
    return kind, invocations, rng.binomial(invocations, shares)


def table(invocations: IntArray, errors: IntArray, first: int) -> str:
    """A week as the CSV of a dashboard."""
    rows = [f"{stamp(START + 60 * (first + k))},{n},{errors[k]}" for k, n in enumerate(invocations) if n]
    return "\n".join(["time,prod invocations,prod errors", *rows])


def import_week(text: str, out: Path) -> None:
    """The folder of a week."""
    clock = Clock(zone=UTC, named=True, remarks=[], source="week.csv")
    recording = read_table(text, "week.csv", Names(function="f"), clock)
    write(imported(recording, Choices(function="f", alias="prod")), out, lambda _: None)


def difference(pattern: FloatArray, seed: int, folder: Path) -> tuple[str, float, float]:
    """The kind of the errors, how often the canary is stopped for nothing in the second week, and what was predicted."""
    from rollout_sim.scenario.scenario import Scenario

    kind, invocations, errors = recorded(pattern, np.random.default_rng([seed, 18]))
    for week in range(2):
        part = slice(week * WEEK, (week + 1) * WEEK)
        import_week(table(invocations[part], errors[part], week * WEEK), folder / f"week{week}")
    scenario = Scenario.load(folder / "week0" / "scenario.yaml")
    share = errors[:WEEK].sum() / invocations[:WEEK].sum()
    alarm = replace(scenario.alarms["new-version-errors"], threshold=f"> {SENSITIVE * 100 * share:.4g}%")
    scenario = replace(
        scenario, strategies={STRATEGY: scenario.strategies[STRATEGY]}, alarms={"new-version-errors": alarm}
    )
    # What is predicted are rollouts that begin at moments of the week that was seen.
    predicted = backtest(scenario, folder / "week0", replications=1000).predicted_stops(STRATEGY, good=True)
    assert predicted is not None
    return kind, backtest(scenario, folder / "week1", replications=2).stopped_for_nothing(STRATEGY).mean, predicted.mean


def main(trace: Path, functions: int) -> None:
    """Prints each function, and at the end how many are predicted to `ROOM`."""
    shapes = patterns(trace)
    within = []
    for number in range(functions):
        with tempfile.TemporaryDirectory() as folder:
            kind, measured, predicted = difference(shapes[number % len(shapes)], number, Path(folder))
        within.append(abs(measured - predicted) <= ROOM)
        print(f"{number:3} {kind:9} stopped for nothing {measured:7.2%}, predicted {predicted:7.2%}", flush=True)
    print(f"{sum(within)} of {len(within)} within {ROOM:g}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)
