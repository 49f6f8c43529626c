"""The row of VALIDATION.md about weeks that nobody has seen: what a fitted scenario says of the next one.

Made functions whose errors are of known kind (even, scattered, in spells), with rates from 1 to 30 requests a second: a scenario
fitted to one week predicts how often a good version is stopped, and a backtest of the week after says how often it would have been.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
from builders import scenario
from numpy.typing import NDArray
from validation.rows import Ours, Row

from rollout_sim.core.minutes import COLUMNS, Minutes
from rollout_sim.core.streams import Streams
from rollout_sim.core.units import text
from rollout_sim.function.error_rates import Dispersed, ErrorRate, Spells, paths_of
from rollout_sim.study import backtest as playing
from rollout_sim.study.fit import error_rates as fitting

FUNCTIONS = 200
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


@cache
def differences() -> NDArray[np.float64]:
    """By how much the prediction and the next week differ, for each function: shape (functions,)."""
    rng, found = np.random.default_rng(18), []
    with patch.object(fitting, "SIMULATED", 40):  # of the goodness of the fit, which is not looked at here
        for k in range(FUNCTIONS):
            rate, errors = made(k, rng)
            path = np.resize(paths_of(errors, Streams(seed=k), 2 * WEEK * 60.0)[0], 2 * WEEK)
            n = rng.poisson(rate, 2 * WEEK)
            failed = rng.binomial(n, path)
            fit = fitting.fit_errors(np.arange(WEEK) * 60, n[:WEEK], failed[:WEEK], 60)
            measured = float(n[:WEEK].mean())
            given = scenario(
                horizon="30 min", rollout__start="10 min", function__versions__1__error_rate=written(fit),
                function__versions__1__cold_start=None, function__versions__2={"like": "1"},
                traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": text(measured / 60, "rate")}}],
                alarms={"errors": {**ALARM, "threshold": f"> {200 * failed[:WEEK].sum() / n[:WEEK].sum():.3g}%"}},
                strategies={"canary": {"type": "canary", "percent": 20, "interval": "10 min"}},
            )  # fmt: skip
            with patch.object(playing, "recorded", return_value=recording(n[WEEK:], failed[WEEK:])):
                result = playing.backtest(given, ".", replications=1000)
            predicted = result.predicted_stops("canary", good=True)
            assert predicted is not None
            found.append(predicted.mean - result.stopped_for_nothing("canary").mean)
    return np.array(found)


def _missed() -> Ours:
    return Ours(value=float((np.abs(differences()) > WITHIN).mean()))


def unseen() -> Iterator[Row]:
    yield Row(
        group="Your own data",
        what=f"share of {FUNCTIONS} made functions whose next week stops a good version by more than {WITHIN:g} more or less often "
        "than the scenario fitted to the first predicts",
        expected=0.1, decimals=None, plane="fit", ours=_missed, at_most=True,
    )  # fmt: skip
