"""Checking: the rules applied to scenarios, one after the other or on several processes, and what came of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from rollout_sim.core.yaml_io import suggest
from rollout_sim.errors import ScenarioError
from rollout_sim.run.simulate import Progress
from rollout_sim.scenario.goals import Goal, Risk
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.check.evidence import Evidence
from rollout_sim.study.check.finding import SEVERITIES, Finding, Origin, Place, Severity, Unread
from rollout_sim.study.check.rule import Match, Rule
from rollout_sim.study.check.rules import RULES
from rollout_sim.study.executor import elsewhere
from rollout_sim.study.recommend.defaults import obstacles

EVERYWHERE: Final = "*"
"""The subject of a silence that holds for all."""
Silences = Mapping[str, Mapping[str, str]]
"""By code, then by subject (or `EVERYWHERE`): the reason for which a finding is silenced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A scenario to check, and the file that it comes from."""

    name: str
    scenario: Scenario
    origin: Origin
    remarks: tuple[str, ...] = ()
    """What is not the user's own in it."""
    unread: tuple[Unread, ...] = ()
    """Alarms that the file lists and the scenario does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of one subject."""

    name: str
    function: str
    scenario: str
    """The names of the function and of the scenario that it was checked as."""
    place: Place
    seed: int
    plane: str
    """The data plane, and why it; empty where nothing was simulated."""
    findings: tuple[Finding, ...]
    """In the order of severity, place and code; silenced ones included."""
    notes: tuple[str, ...]
    """What was assumed, left out, or not looked at."""
    searchable: bool = True
    """Whether `recommend` takes the scenario as it is."""

    @property
    def loud(self) -> tuple[Finding, ...]:
        """The findings that are not silenced."""
        return tuple(finding for finding in self.findings if finding.silenced is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What came of all subjects."""

    checked: tuple[Checked, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all subjects, silenced ones included."""
        return tuple(finding for subject in self.checked for finding in subject.findings)

    def count(self, severity: Severity) -> int:
        """How many findings of a severity are not silenced."""
        return sum(finding.severity == severity for subject in self.checked for finding in subject.loud)

    def fails(self, severity: Severity | None) -> bool:
        """Whether there is a finding of that severity or a graver one; None never fails."""
        if severity is None:
            return False
        return any(self.count(grave) for grave in SEVERITIES[: SEVERITIES.index(severity) + 1])

    def to_json(self) -> dict[str, Any]:
        """What `check --format json` prints: the findings of each subject, and all of them once more at the top level."""
        findings = [
            [{"function": subject.function} | finding.to_json() for finding in subject.findings]
            for subject in self.checked
        ]
        return {
            "findings": list(itertools.chain.from_iterable(findings)),
            "checked": [
                {
                    "subject": subject.name,
                    "function": subject.function,
                    "scenario": subject.scenario,
                    "file": str(subject.place.path),
                    "line": subject.place.line,
                    "seed": subject.seed,
                    "plane": subject.plane,
                    "findings": its,
                    "notes": list(subject.notes),
                }
                for subject, its in zip(self.checked, findings, strict=True)
            ],
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "notes": self.count("note"),
            "silenced": sum(finding.silenced is not None for finding in self.findings),
        }


def check(
    subjects: Iterable[Subject],
    *,
    goal: Goal | None = None,
    risk: Risk | None = None,
    silences: Silences | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> CheckReport:
    """What is wrong with the rollouts of the subjects, by every rule.

    `goal` and `risk` take the place of the scenarios' own; `silences` are added to those of the scenarios' section `check`.
    `jobs` processes share the work, one subject each at a time. Raises ScenarioError for a silenced code that there is not.
    """
    every = list(subjects)
    for subject in every:
        _check_codes(f"{subject.origin.path}: check.ignore", _own(subject))
    _check_codes("ignore", silences or {})
    work = [(subject, goal, risk, silences or {}) for subject in every]
    results: list[Checked] = []
    for done, result in enumerate(_run(work, jobs), 1):
        results.append(result)
        if progress is not None:
            progress(done / len(work))
    return CheckReport(checked=tuple(results))


_Work = tuple[Subject, Goal | None, Risk | None, Silences]


def _run(work: Sequence[_Work], jobs: int) -> Iterator[Checked]:
    if jobs == 1 or len(work) <= 1:
        yield from map(_checked, work)
        return
    with elsewhere([partial(_checked, item) for item in work], jobs) as checked:
        yield from checked


def _checked(item: _Work) -> Checked:
    """What comes of one subject."""
    subject, goal, risk, silences = item
    place = subject.origin.place(())
    own = _own(subject)
    blank = Checked(
        name=subject.name, function=subject.scenario.function.name, scenario=subject.scenario.name, place=place,
        seed=subject.scenario.seed, plane="", findings=(), notes=(),
    )  # fmt: skip
    if subject.scenario.rollout is None:
        return replace(blank, notes=(*subject.remarks, "nothing is rolled out, so nothing is checked"))
    evidence = Evidence(subject.scenario, subject.origin, goal=goal, risk=risk, unread=subject.unread)
    findings = []
    for rule in RULES.values():
        for match in rule.look(evidence):
            finding = _finding(rule, match, subject)
            findings.append(replace(finding, silenced=_reason(finding, own) or _reason(finding, silences)))
    findings.sort(key=lambda finding: (SEVERITIES.index(finding.severity), finding.place.line, finding.code))
    idle = [code for code in own if code not in {finding.code for finding in findings}]
    notes = (
        *subject.remarks,
        *evidence.notes,
        *(f"{code} is silenced ({own[code][EVERYWHERE]}), and is not found" for code in idle),
    )
    plane = evidence.plane
    return replace(
        blank,
        seed=evidence.scenario.seed,
        plane=f"{plane.engine}: {plane.reason}" if plane.reason else plane.engine,
        findings=tuple(findings),
        notes=notes,
        searchable=not obstacles(subject.scenario),
    )


def _finding(rule: Rule, match: Match, subject: Subject) -> Finding:
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=match.severity or rule.severity,
        subject=subject.name,
        where=match.where,
        place=subject.origin.place(match.where),
        message=match.message,
        figures=match.figures,
        remedy=match.remedy,
    )


def _own(subject: Subject) -> Silences:
    """What the scenario's own section silences."""
    section = subject.scenario.check
    return {} if section is None else {code: {EVERYWHERE: reason} for code, reason in section.ignore.items()}


def _reason(finding: Finding, silences: Silences) -> str | None:
    reasons = silences.get(finding.code, {})
    return reasons.get(finding.subject) or reasons.get(EVERYWHERE)


def _check_codes(where: str, silences: Silences) -> None:
    problems = [
        f"{where}: there is no code {code!r}; allowed {', '.join(RULES)}{suggest(code, RULES)}"
        for code in silences
        if code not in RULES
    ]
    if problems:
        raise ScenarioError(problems)
