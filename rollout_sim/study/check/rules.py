"""Rules: all that stand in the modules of rules, in the order in which they stand there, which is that of their codes."""

from __future__ import annotations

from typing import Final

from rollout_sim.study.check import alarm_rules, deployment_rules, goal_rules, polling_rules, traffic_rules
from rollout_sim.study.check.rule import Rule

RULES: Final[dict[str, Rule]] = {
    rule.code: rule
    for module in (alarm_rules, deployment_rules, traffic_rules, polling_rules, goal_rules)
    for rule in vars(module).values()
    if isinstance(rule, Rule)
}
"""By code."""
