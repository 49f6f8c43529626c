"""Change: what another scenario file does to the same strategies, replication by replication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollout_sim.core.statistics import Estimate, difference, share_difference
from rollout_sim.errors import ScenarioError
from rollout_sim.run.batch import stopped
from rollout_sim.study.comparison import Comparison, units_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The comparisons of two files, of the same seed and number of replications."""

    before: Comparison
    after: Comparison

    def __post_init__(self) -> None:
        if not self.strategies:
            none = f"{self.after.scenario.name}: strategies: none is called as one of {self.before.scenario.name}"
            raise ScenarioError(
                [f"{none}; got {', '.join(self.after.columns)}; allowed {', '.join(self.before.columns)}"]
            )

    @property
    def strategies(self) -> tuple[str, ...]:
        """Those that both files have, in the first one's order."""
        return tuple(name for name in self.before.columns if name in self.after.columns)

    @property
    def paired(self) -> bool:
        """Whether replication k of both files meets the same traffic, on the same data plane."""
        before, after = self.before, self.after
        return before.scenario.traffic == after.scenario.traffic and before.plane.engine == after.plane.engine

    def differences(self, strategy: str) -> dict[str, Estimate | None]:
        """The mean differences, after minus before: `stopped`, `good_version_stopped`, `bad_requests`, `budget_spent.<slo>`.

        None where one of the files has no such figure.
        """
        sides = (self.before, self.after)
        columns = [side.columns[strategy] for side in sides]
        was, now = (stopped(side) for side in columns)
        differences: dict[str, Estimate | None] = {"stopped": share_difference(now, was), "good_version_stopped": None}
        good = [side if side.twin is None else side.twin for side in sides]
        if any(side.twin is not None for side in sides):
            was, now = (stopped(side.columns[strategy]) for side in good)
            differences["good_version_stopped"] = share_difference(now, was)
        units = units_of(self.before.scenario)
        shared = [name for name in columns[0] if name == "bad_requests" or name.startswith("budget_spent.")]
        for name in shared:
            differences[name] = (
                difference(columns[1][name], columns[0][name], units.get(name, 1.0)) if name in columns[1] else None
            )
        return differences

    def to_json(self) -> dict[str, Any]:
        """What `compare --json` prints of two files: plain data."""
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "paired": self.paired,
            "after_minus_before": [
                {"strategy": name}
                | {key: None if value is None else value.to_json() for key, value in self.differences(name).items()}
                for name in self.strategies
            ],
        }
