"""Files: what each command may write, known before anything that writes or draws is loaded."""

from __future__ import annotations

from typing import Final

from rollout_sim.core.files import pictures

RUN_FILES: Final = (
    "summary.csv", "timeline.csv", "alarms.csv", "history.csv", "events.csv",
    *pictures("traffic", "backlog", "error_budget", "burn_rate"), "recipe.json",
)  # fmt: skip
COMPARISON_FILES: Final = ("estimates.csv", "replications.csv", "comparison_recipe.json", *pictures("comparison"))
SWEEP_FILES: Final = ("sweep.csv", "sweep_recipe.json", *pictures("heat_maps", "power", "trend", "trade_off"))
RECOMMENDATION_FILES: Final = (
    "contenders.csv",
    "recommended.yaml",
    "recommendation_recipe.json",
    *pictures("pareto", "recommended_power"),
)
BACKTEST_FILES: Final = ("backtest.csv", "backtest_recipe.json", *pictures("week", "prediction"))
WHEN_FILES: Final = ("when.csv", "when_recipe.json", *pictures("when"))
