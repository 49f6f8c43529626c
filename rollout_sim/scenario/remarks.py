"""What a scenario takes for granted because nobody said otherwise: no mistake, but a special case, which the results show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout_sim.core.yaml_io import listed
from rollout_sim.scenario.sections import Sections

SCALING: Final = (
    "how managed instances scale is assumed: traffic that doubles in 5 min finds room, as AWS says (see docs/model.md)"
)
"""What is assumed of a function on managed instances."""
_EDGE: Final = 1e-6


def remarks_about(scenario: Sections) -> tuple[str, ...]:
    """A sentence for each special case that the alarms which act are given, and what would be right; and for an assumed law."""
    acting = [name for name in scenario.evaluated if scenario.alarms[name].composite is None]
    scaling = (SCALING,) if scenario.function.managed is not None else ()
    if scenario.rollout is None or not acting:
        return scaling
    return (*scaling, *_on_the_edge(scenario), *_without_lag(scenario, acting))


def _on_the_edge(scenario: Sections) -> list[str]:
    """The rollout starts with a period of its alarms, and nobody wrote that it is meant to."""
    assert scenario.rollout is not None
    into = scenario.start % scenario.period_of_phases
    if scenario.phase_is_drawn or scenario.rollout.phase is not None or into > _EDGE:
        return []
    what = "the rollout starts exactly at the start of an alarm period, where weak faults are caught most often and strong ones late"
    return [f"{what}; `rollout.phase: random` draws the moment within the period"]


def _without_lag(scenario: Sections, acting: Sequence[str]) -> list[str]:
    """Alarms that see a minute in the instant in which it ends: the default, a guess."""
    prompt = [name for name in acting if scenario.alarms[name].lags[1] == 0]
    if not prompt:
        return []
    what = f"no `lag` is given for {listed(prompt)}: 0 s is a guess, and the best case"
    return [f"{what}; users report 1 to 4 min, so write `lag: 1 min`"]
