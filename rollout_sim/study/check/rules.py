"""Rules: all of them, in the order of their codes."""

from __future__ import annotations

from typing import Final

from rollout_sim.study.check import alarm_rules, deployment_rules, goal_rules, polling_rules, traffic_rules
from rollout_sim.study.check.rule import Rule

RULES: Final[dict[str, Rule]] = {
    rule.code: rule
    for rule in (
        *alarm_rules.RULES,
        *deployment_rules.RULES,
        *traffic_rules.RULES,
        *polling_rules.RULES,
        *goal_rules.RULES,
    )
}
"""By code."""
