"""Rule: what is looked for, under a stable code, with what a reader of the documentation has to know about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rollout_sim.core.statistics import Estimate
from rollout_sim.core.yaml_io import Where
from rollout_sim.study.check.evidence import Evidence
from rollout_sim.study.check.finding import Remedy, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a rule has found: the part of the scenario that it is about, and a sentence with the simulated figures."""

    where: Where
    message: str
    figures: Mapping[str, Estimate] = field(default_factory=dict)
    remedy: Remedy | None = None
    severity: Severity | None = None
    """Instead of the rule's."""


Look = Callable[[Evidence], Iterator[Match]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: `look` makes its matches; all else is for people, on the page of the documentation and in SARIF."""

    code: str
    name: str
    severity: Severity
    summary: str
    """One sentence."""
    why: str
    """Why that matters, in paragraphs."""
    example: str
    """Sections of a scenario file that, in place of those of the page's first example, are an example of it."""
    mend: str
    """What to do about it."""
    look: Look


def rule(code: str, name: str, severity: Severity, *, example: str, mend: str) -> Callable[[Look], Rule]:
    """Makes a rule of a function: the first line of its docstring is the summary, the rest says why."""

    def made(look: Look) -> Rule:
        summary, _, why = inspect.cleandoc(look.__doc__ or "").partition("\n")
        return Rule(
            code=code,
            name=name,
            severity=severity,
            summary=summary.strip(),
            why=why.strip(),
            example=inspect.cleandoc(example),
            mend=inspect.cleandoc(mend),
            look=look,
        )

    return made


def among(evidence: Evidence, strategies: Sequence[str]) -> str:
    """` with canary 10% (and with 2 other strategies)`, where the scenario has several."""
    if len(evidence.scenario.strategies) == 1:
        return ""
    first, others = strategies[0], len(strategies) - 1
    if others == 0:
        return f" with {first}"
    return f" with {first} (and with {others} other {'strategy' if others == 1 else 'strategies'})"
