"""Rules: what is left of a composite alarm's rule when some of the alarms that it reads cannot be said."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from rollout_sim.control.expressions import CODES, parse_rule


def without_child(rule: str, child: str, state: str, why: str) -> str:
    """A rule in which an alarm is always in one state. Raises ValueError with the reason `why` where it counts alarms."""

    def held(match: re.Match[str]) -> str:
        return "TRUE" if match[1] == state else "FALSE"

    asked = rf"\b({'|'.join(CODES)})\s*\(\s*(?:\"{re.escape(child)}\"|{re.escape(child)})\s*\)"
    result = re.sub(asked, held, rule)
    if "AT_LEAST" in rule and child in rule:
        raise ValueError(why)
    return result


def decides(rule: str, children: Mapping[str, str]) -> bool:
    """Whether some states of the alarms that a rule still reads make it hold, and others do not."""
    if not children:
        return False
    states = np.array(np.meshgrid(*[list(CODES.values())] * min(len(children), 8))).reshape(min(len(children), 8), -1)
    last = states[-1]
    given = {child: states[k] if k < len(states) else last for k, child in enumerate(children)}
    holds = parse_rule(rule).holds(given)
    return bool(holds.any() and not holds.all())
