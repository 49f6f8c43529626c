"""The rows of VALIDATION.md about weeks that nobody has seen: what a fitted scenario says of the next one.

Made functions whose errors are of known kind (even, scattered, in spells), with rates from 1 to 30 requests a second: a scenario
fitted to one week predicts how often a good version is stopped, and a backtest of the week after says how often it would have been.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from builders import data
from numpy.typing import NDArray
from validation.rows import Ours, Row

from rollout_sim.core.minutes import COLUMNS, Minutes, stamp_of
from rollout_sim.core.streams import Streams
from rollout_sim.core.units import text
from rollout_sim.function.error_rates import Dispersed, ErrorRate, Spells, paths_of
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study import backtest as playing
from rollout_sim.study.fit import error_rates as fitting

SHARED = Path(os.environ.get("ROLLOUT_SIM_SHARED", Path(__file__).parents[3] / "shared"))
TRACE = SHARED / "traces" / "azure2021_200.csv"
"""A slice of the Azure Functions Invocation Trace 2021: 21 minutes, 31 functions. It is no part of the project."""
FUNCTIONS = 200
BLOCK = 7
"""Minutes of a real function that stay together."""
WEEK = 7 * 1440
WITHIN = 0.05
START = 1_763_337_600
ALARM = {"metric": "error_rate", "of": "new_version", "datapoints": "2 of 3", "missing": "not_breaching"}


def made(k: int, rng: np.random.Generator) -> tuple[float, ErrorRate]:
    """The k-th function: requests per minute, and its errors."""
    rate = float(np.exp(rng.uniform(np.log(60), np.log(1800))))
    mean = float(np.exp(rng.uniform(np.log(0.001), np.log(0.02))))
    if k % 3 == 0:
        return rate, mean
    if k % 3 == 1:
        return rate, Dispersed(mean=mean, dispersion=float(rng.uniform(0.002, 0.03)))
    spell, every = float(rng.uniform(180, 1800)), float(rng.uniform(2, 12) * 3600)
    return rate, Spells(calm=mean / 4, spells=min(10 * mean, 0.2), spell=spell, every=every)


def failures(k: int, errors: ErrorRate, n: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """How many of the `n` calls of each minute of the two weeks fail, of the k-th function."""
    path = np.resize(paths_of(errors, Streams(seed=k), 2 * WEEK * 60.0)[0], 2 * WEEK)
    return rng.binomial(n, path)


def written(fit: fitting.ErrorFit) -> Any:
    """The fitted errors as a scenario has them."""
    described = fit.description
    if isinstance(described, fitting.Scattered):
        every = text(described.span * 60.0, "duration")
        return {"mean": text(described.mean, "share"), "dispersion": described.dispersion, "every": every}
    if isinstance(described, fitting.Spells):
        return {
            "calm": text(described.calm, "share"), "spells": text(described.bad, "share"),
            "spell": text(max(described.spell, 1) * 60.0, "duration"), "every": text(max(described.every, 1) * 60.0, "duration"),
        }  # fmt: skip
    return text(described.mean, "share")


def recording(invocations: NDArray[np.int64], errors: NDArray[np.int64]) -> Minutes:
    """Recorded minutes of the alias."""
    columns = {name: np.full(invocations.size, np.nan) for name in COLUMNS}
    columns |= {"invocations": invocations.astype(float), "errors": errors.astype(float)}
    return Minutes(of="alias:prod", start=float(START), period=60.0, columns=columns)


def difference(n: NDArray[np.int64], failed: NDArray[np.int64], arrivals: Callable[[Path], dict[str, Any]]) -> float:
    """By how much the prediction by the first of two weeks and the second differ; `arrivals` may write files into a folder."""
    fit = fitting.fit_errors(np.arange(WEEK) * 60, n[:WEEK], failed[:WEEK], 60)
    with TemporaryDirectory() as folder:
        first = Path(folder)
        given = Scenario.from_dict(data(
            horizon="30 min", rollout__start="10 min", function__versions__1__error_rate=written(fit),
            function__versions__1__cold_start=None, function__versions__2={"like": "1"}, function__account_concurrency=1_000_000,
            function__scale_up=1_000_000, traffic=[{"source": "http", "alias": "prod", "arrivals": arrivals(first)}],
            alarms={"errors": {**ALARM, "threshold": f"> {200 * failed[:WEEK].sum() / n[:WEEK].sum():.3g}%"}},
            strategies={"canary": {"type": "canary", "percent": 20, "interval": "10 min"}},
        ), path=first / "s.yaml")  # fmt: skip
        with patch.object(playing, "recorded", return_value=recording(n[WEEK:], failed[WEEK:])):
            result = playing.backtest(given, ".", replications=1000)
    predicted = result.predicted_stops("canary", good=True)
    assert predicted is not None
    return predicted.mean - result.stopped_for_nothing("canary").mean


@cache
def differences() -> NDArray[np.float64]:
    """Of each made function by how much the prediction and the next week differ: shape (functions,)."""
    rng, found = np.random.default_rng(18), []
    with patch.object(fitting, "SIMULATED", 40):  # of the goodness of the fit, which is not looked at here
        for k in range(FUNCTIONS):
            rate, errors = made(k, rng)
            n = rng.poisson(rate, 2 * WEEK)
            measured = text(float(n[:WEEK].mean()) / 60, "rate")
            found.append(difference(n, failures(k, errors, n, rng), lambda _, rate=measured: {"poisson": rate}))
    return np.array(found)


def real_minutes() -> NDArray[np.int64]:
    """How often each function of the real trace was called in each of its minutes: shape (functions, minutes)."""
    with TRACE.open(encoding="utf-8", newline="") as file:
        rows = [
            (row["app"], row["func"], float(row["end_timestamp"]) - float(row["duration"]))
            for row in csv.DictReader(file)
        ]
    minutes = np.array([int(start // 60) for _, _, start in rows])
    _, function = np.unique([f"{app}/{func}" for app, func, _ in rows], return_inverse=True)
    counts = np.zeros((function.max() + 1, np.ptp(minutes) + 1), np.int64)
    np.add.at(counts, (function, minutes - minutes.min()), 1)
    return counts


@cache
def differences_of_real_arrivals() -> NDArray[np.float64]:
    """The same of functions whose traffic comes as that of the functions of the real trace does, in turn: shape (functions,).

    Real is how the calls of a minute stand to those of the next: two weeks are blocks of seven minutes of the function's own, drawn
    by chance. How many there are in all, and the errors, are made, as those of `made` are. The scenario draws hours of the first week.
    """
    rng, found, real = np.random.default_rng(21), [], real_minutes()
    with patch.object(fitting, "SIMULATED", 40):
        for k in range(FUNCTIONS):
            rate, errors = made(k, rng)
            its = real[k % len(real)]
            begins = rng.integers(its.size, size=2 * WEEK // BLOCK)
            shape = its[(begins[:, None] + np.arange(BLOCK)) % its.size].reshape(-1) / its.mean()
            n = rng.poisson(rate * shape)
            failed = failures(k, errors, n, rng)

            def hours(folder: Path, n: NDArray[np.int64] = n[:WEEK]) -> dict[str, Any]:
                rows = [f"{stamp_of(START + 60 * k)},function,{count},0\n" for k, count in enumerate(n.tolist())]
                (folder / "minutes.csv").write_text("time,of,invocations,errors\n" + "".join(rows), encoding="utf-8")
                return {"trace": {"file": "minutes.csv", "layout": "minutes", "draw": "blocks"}}

            found.append(difference(n, failed, hours))
    return np.array(found)


def _missed(found: Callable[[], NDArray[np.float64]]) -> Callable[[], Ours]:
    return lambda: Ours(value=float((np.abs(found()) > WITHIN).mean()))


def unseen() -> Iterator[Row]:
    yield Row(
        group="Your own data",
        what=f"share of {FUNCTIONS} made functions whose next week stops a good version by more than {WITHIN:g} more or less often "
        "than the scenario fitted to the first predicts",
        expected=0.1, decimals=None, plane="fit", ours=_missed(differences), at_most=True,
    )  # fmt: skip


def unseen_real() -> Iterator[Row]:
    yield Row(
        group="Your own data, with real arrivals",
        what=f"the same share of {FUNCTIONS} functions with the arrivals of the real ones of a trace of Azure, in blocks of {BLOCK} "
        "minutes of each one's own; how many there are, and their errors, are made",
        expected=0.1, decimals=None, plane="fit", ours=_missed(differences_of_real_arrivals), at_most=True,
    )  # fmt: skip
