"""The twin against the data planes, in distribution, on random scenarios.

Every figure of every strategy on every plane is one two-sided test; all of a campaign's together are held to
`LEVEL` with Holm's correction: the chance that a right package is called wrong at all is at most that.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import fisher_exact, ks_2samp, mannwhitneyu

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare

from . import twin
from .scenarios import edge
from .scenarios import scenario as random_scenario

LEVEL = 0.001
"""The chance of any false alarm in a whole campaign."""
RUNS = 48
"""Runs of the twin, and of a per-invocation plane, for each strategy."""
MANY = 512
"""Runs of the aggregate plane, which cost next to nothing."""
FIGURES = (
    "requests", "bad_requests", "bad_requests_new_version", "cold_starts", "throttles", "time_to_rollback_s",
    "time_to_full_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One test: of what, and its p-value."""

    number: int
    plane: str
    strategy: str
    figure: str
    test: str
    p: float
    ours: float
    twins: float


@dataclass(slots=True)
class Agreement:
    """What a part of a campaign has compared."""

    scenarios: int = 0
    runs: int = 0
    planes: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def smallest(self) -> float:
        return min((check.p for check in self.checks), default=1.0)

    def by_plane(self) -> dict[str, float]:
        return {
            plane: min((check.p for check in self.checks if check.plane == plane), default=1.0) for plane in self.planes
        }

    def rejected(self) -> list[Check]:
        """Holm's procedure: those that cannot be chance at `LEVEL` for all checks together."""
        refused = []
        ordered = sorted(self.checks, key=lambda check: check.p)
        for k, check in enumerate(ordered):
            if check.p > LEVEL / (len(ordered) - k):
                break
            refused.append(check)
        return refused

    def shown(self) -> list[Check]:
        """The clearest of the rejected ones, for each scenario and plane."""
        clearest: dict[tuple[int, str], Check] = {}
        for check in self.rejected():
            clearest.setdefault((check.number, check.plane), check)
        return list(clearest.values())

    def document(self) -> dict[str, Any]:
        return {
            "scenarios": self.scenarios,
            "twin_runs": self.runs,
            "planes": self.planes,
            "tests": len(self.checks),
            "level": LEVEL,
            "smallest_p": self.smallest,
            "smallest_p_by_plane": self.by_plane(),
            "rejected": [asdict(check) for check in self.rejected()],
        }


def case(seed: int, number: int, folder: Path) -> dict[str, Any]:
    """The plain data of the random scenario with this number: in turns one with state between invocations, and without.

    Every sixth is one of the `edge`.
    """
    rng = random.Random(f"{seed}/twin/{number}")
    return edge(rng, folder) if number % 6 == 5 else random_scenario(rng, folder, stateless=number % 2 == 0)


def agree(
    agreement: Agreement, seed: int, number: int, *, runs: int = RUNS, many: int = MANY, single: str = "simpy"
) -> None:
    """Adds the checks of one random scenario; `single` is the per-invocation plane."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        agree_on(agreement, case(seed, number, folder), seed, number, folder, {single: runs, "aggregate": many}, runs)


def agree_on(
    agreement: Agreement, data: dict[str, Any], seed: int, number: int, folder: Path, planes: dict[str, int], runs: int
) -> None:
    """Adds the checks of a scenario's plain data on `planes`, each with so many replications, but where one refuses it."""
    loaded = Scenario.from_dict(data, path=folder / "random.yaml")
    twins = {
        strategy: [twin.run(data, strategy, f"{seed}/{number}/{strategy}/{k}", folder) for k in range(runs)]
        for strategy in data["strategies"]
    }
    agreement.runs += runs * len(twins)
    for plane, count in planes.items():
        try:
            ours = compare(loaded, count, seed=seed + number, engine=plane, twin=False).columns
        except ScenarioError:
            if plane != "aggregate":
                raise
            continue
        agreement.planes[plane] = agreement.planes.get(plane, 0) + 1
        for strategy, rows in twins.items():
            for figure, test, p, our, their in tests(ours[strategy], rows):
                agreement.checks.append(Check(number, plane, strategy, figure, test, p, our, their))
    agreement.scenarios += 1


def tests(columns: Any, rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, float, float, float]]:
    """Figure, test, p-value, our mean and the twin's, for everything that both know."""
    names = np.array(OUTCOMES, object)[columns["outcome"].astype(int)]
    theirs = np.array([row["outcome"] for row in rows], object)
    for name in sorted({*names, *theirs}):
        a, b = int((names == name).sum()), int((theirs == name).sum())
        table = [[a, names.size - a], [b, theirs.size - b]]
        yield f"outcome {name}", "Fisher", float(fisher_exact(table).pvalue), a / names.size, b / theirs.size
    budgets = tuple(name for name in columns if name.startswith("budget_spent."))
    for figure in (*FIGURES, *budgets):
        ours = columns[figure]
        if figure in ("cold_starts", "throttles") and np.isnan(columns["cold_starts"]).all():
            continue  # the aggregate plane does not count them
        other = np.array([row[figure] for row in rows], float)
        if figure.startswith("budget_spent.") and np.isnan(other).all():
            continue  # a trace has no rate in the long run
        ours, other = _rounded(ours), _rounded(other)
        if figure.startswith("time_to_") and min(ours.size, other.size) < 8:
            continue  # how often it happened is the outcome's test
        yield figure, "Kolmogorov-Smirnov", _ks(ours, other), float(ours.mean()), float(other.mean())
        together = np.concatenate([ours, other])
        _, counts = np.unique(together, return_counts=True)
        if together.size - counts.max() >= 20:
            p = float(mannwhitneyu(ours, other, method="asymptotic").pvalue)
            yield figure, "Mann-Whitney", p, float(ours.mean()), float(other.mean())


def _rounded(values: Any) -> Any:
    """Without what is missing, and equal where they are equal on paper."""
    there = values[~np.isnan(values)]
    return np.array([float(f"{value:.9g}") for value in there])


def _ks(ours: Any, other: Any) -> float:
    if np.unique(np.concatenate([ours, other])).size == 1:
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it falls back to the asymptotic value
        return float(ks_2samp(ours, other, method="exact").pvalue)  # with ties: never smaller than the true one


def campaign(seed: int, seconds: float, *, single: str = "simpy") -> Agreement:
    """As many scenarios as fit into the time."""
    agreement = Agreement()
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        agree(agreement, seed, number, single=single)
        number += 1
    return agreement


def told(check: Check, seed: int) -> str:
    """A rejected check in a line, and the scenario that shows it."""
    with tempfile.TemporaryDirectory() as name:
        data = case(seed, check.number, Path(name))
    sides = f"{check.ours:.6g} on the {check.plane} plane, {check.twins:.6g} in the twin"
    where = f"scenario {check.number}, {check.strategy}: {check.figure}"
    return f"{where}: {sides} ({check.test}, p = {check.p:.2g})\n    {json.dumps(data)}"
