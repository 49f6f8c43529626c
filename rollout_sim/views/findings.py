"""Findings: what `check` has found, as text, annotations, SARIF, JUnit, Markdown or JSON."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from xml.etree import ElementTree as ET

from rollout_sim.errors import UNSEEN, escaped
from rollout_sim.study.check.checking import Checked, CheckReport
from rollout_sim.study.check.finding import Finding, Severity
from rollout_sim.study.check.rules import RULES

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
PAGE: Final = "check.html"
"""The page of the documentation that holds a section for each code."""
WIDTH: Final = 100
"""Columns of the text, unless the terminal has fewer."""
_GITHUB: Final[Mapping[Severity, str]] = {"error": "error", "warning": "warning", "note": "notice"}
_NOTHING_MENDS: Final = "no change that was tried fixes it"


def text(report: CheckReport, width: int = WIDTH) -> str:
    """For a terminal of that `width`: each finding with its place, and what mends it below."""
    lines: list[str] = []
    for subject in report.checked:
        for finding in subject.loud:
            whose = _whose(report, subject)
            head = f"{finding.place}: {finding.severity} {finding.code} {finding.name}{f' ({whose})' if whose else ''}"
            lines += [head, *_wrapped(finding.message, width, "  "), *_remedy_lines(subject, finding, width), ""]
        for finding in subject.findings:
            if finding.silenced is not None:
                lines += [*_wrapped(f"{finding.place}: silenced {finding.code}: {finding.silenced}", width, ""), ""]
    for note, names in notes_of(report).items():
        lines += _wrapped(f"note: {', '.join(names)}: {note}", width, "", "  ")
    lines += [""] if lines and lines[-1] else []
    return "\n".join([*lines, summary(report)]) + "\n"


def notes_of(report: CheckReport) -> dict[str, list[str]]:
    """Every note, once, and the subjects that it is about."""
    notes: dict[str, list[str]] = {}
    for subject in report.checked:
        for note in subject.notes:
            names = notes.setdefault(note, [])
            if subject.name not in names:  # two files may call their functions alike
                names.append(subject.name)
    return notes


def _whose(report: CheckReport, subject: Checked) -> str:
    """The function, where its file rolls out several, which may share an alarm and its line; else empty."""
    several = sum(other.place.path == subject.place.path for other in report.checked) > 1
    return escaped(subject.name) if several else ""


def _unmended(subject: Checked) -> str:
    """What is said in the place of a change that mends a finding; `recommend` only where it takes the scenario."""
    return f"{_NOTHING_MENDS}; `rollout-sim recommend` searches further" if subject.searchable else _NOTHING_MENDS


def _remedy_lines(subject: Checked, finding: Finding, width: int) -> Iterator[str]:
    if finding.remedy is not None:
        yield from _wrapped(f"fix: {finding.remedy.text}", width, "  ", "       ")
        yield from _wrapped(finding.remedy.effect, width, "       ")
    elif finding.severity != "note":
        yield from _wrapped(f"fix: {_unmended(subject)}", width, "  ", "       ")


def _wrapped(sentence: str, width: int, indent: str, below: str | None = None) -> list[str]:
    return textwrap.wrap(
        escaped(sentence), width, initial_indent=indent, subsequent_indent=indent if below is None else below,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def summary(report: CheckReport) -> str:
    """`3 rollouts checked: 1 error, 2 warnings`."""
    count = len(report.checked)
    parts = [_counted(report.count(severity), severity) for severity in ("error", "warning", "note")]
    silenced = sum(finding.silenced is not None for finding in report.findings)
    parts += [f"{silenced} silenced"] if silenced else []
    counts = ", ".join(part for part in parts if not part.startswith("0 ")) or "nothing found"
    return f"{_counted(count, 'rollout')} checked: {counts}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def github(report: CheckReport) -> str:
    """Workflow commands of GitHub Actions, which become annotations of the changed lines; then the summary."""
    lines = []
    for subject in report.checked:
        for finding in subject.loud:
            place = f"file={_property(_relative(finding.place.path))},line={finding.place.line}"
            title = _property(" ".join(filter(None, (finding.code, finding.name, _whose(report, subject)))))
            message = finding.message if finding.remedy is None else f"{finding.message}\n{_mend(finding)}"
            lines.append(f"::{_GITHUB[finding.severity]} {place},title={title}::{_data(message)}")
    return "\n".join([*lines, summary(report)]) + "\n"


def _data(value: str) -> str:
    return _lines(value).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _mend(finding: Finding) -> str:
    return "" if finding.remedy is None else f"Fix: {finding.remedy.text} - {finding.remedy.effect}"


def sarif(report: CheckReport) -> str:
    """One run of SARIF 2.1.0, with all rules, for code scanning."""
    from importlib.metadata import version

    codes = list(RULES)
    rules = [
        {
            "id": rule.code,
            "name": "".join(word.capitalize() for word in rule.name.split("-")),
            "shortDescription": {"text": rule.summary},
            "fullDescription": {"text": " ".join(rule.why.split())},
            "help": {"text": " ".join(rule.mend.split())},
            "defaultConfiguration": {"level": rule.severity},
        }
        for rule in RULES.values()
    ]
    results = [_result(finding, codes.index(finding.code)) for finding in report.findings]
    driver = {"name": "rollout-sim", "semanticVersion": version("rollout-sim"), "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"subjects": [subject.name for subject in report.checked]},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n"


def _result(finding: Finding, index: int) -> dict[str, Any]:
    remedy = finding.remedy
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": finding.message if remedy is None else f"{finding.message}. {_mend(finding)}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(finding.place.path),
                    "region": {"startLine": finding.place.line},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.subject, "kind": "function"}],
            }
        ],
        "partialFingerprints": {"rolloutSim/v1": _fingerprint(finding)},
        "properties": {name: estimate.to_json() for name, estimate in finding.figures.items()},
    }
    if finding.silenced is not None:
        result["suppressions"] = [{"kind": "external", "justification": finding.silenced}]
    return result


def _artifact(path: Path) -> dict[str, Any]:
    """A URI; of a file below the working folder relative to it, as code scanning wants it."""
    from urllib.parse import quote

    relative = _relative(path)
    if Path(relative).is_absolute():
        return {"uri": Path(relative).as_uri()}
    return {"uri": quote(relative)}


def _relative(path: Path) -> str:
    """The path from the working folder, with slashes, where the file is below it."""
    given = path if path.is_absolute() else Path.cwd() / path
    try:
        return str(PurePosixPath(*given.resolve().relative_to(Path.cwd().resolve()).parts))
    except ValueError:
        return path.as_posix()


def _fingerprint(finding: Finding) -> str:
    """What stays the same when the file moves on: the code, the subject and the part of it."""
    import hashlib

    parts = [finding.code, finding.subject, *map(str, finding.where)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def junit(report: CheckReport) -> str:
    """JUnit's XML: a suite for each rollout, a case for each rule; errors and warnings are failures."""
    root = ET.Element("testsuites", name="rollout-sim check")
    for subject in report.checked:
        suite = ET.SubElement(root, "testsuite", name=_lines(subject.name))
        failures = skipped = 0
        for rule in RULES.values():
            matching = [finding for finding in subject.findings if finding.code == rule.code]
            case = ET.SubElement(
                suite,
                "testcase",
                classname=_lines(subject.name),
                name=f"{rule.code} {rule.name}",
                file=_lines(str(subject.place.path)),
            )
            loud = [finding for finding in matching if finding.silenced is None and finding.severity != "note"]
            if loud:
                failures += 1
                body = "\n".join(f"{finding.place}: {finding.message}\n{_mend(finding)}".rstrip() for finding in loud)
                failure = ET.SubElement(case, "failure", type=loud[0].severity, message=_lines(loud[0].message))
                failure.text = _lines(body)
            elif any(finding.silenced is not None for finding in matching):
                skipped += 1
                reason = next(finding.silenced for finding in matching if finding.silenced is not None)
                ET.SubElement(case, "skipped", message=_lines(reason))
            elif matching:
                ET.SubElement(case, "system-out").text = _lines("\n".join(finding.message for finding in matching))
        suite.set("tests", str(len(RULES)))
        suite.set("failures", str(failures))
        suite.set("errors", "0")
        suite.set("skipped", str(skipped))
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _lines(value: str) -> str:
    """Text with what no message shows escaped, and what XML does not allow; line ends are kept."""
    return re.sub(r"[^\n]+", lambda match: UNSEEN.sub(lambda unseen: ascii(unseen[0])[1:-1], match[0]), value)


def markdown(report: CheckReport) -> str:
    """A comment on a pull request: the summary, then a table of the findings for each rollout, with what mends them."""
    lines = [f"### rollout-sim: {summary(report)}", ""]
    for subject in report.checked:
        lines += _markdown_of(subject)
    return "\n".join(lines).rstrip() + "\n"


def _markdown_of(subject: Checked) -> Iterator[str]:
    if not subject.findings and not subject.notes:
        return
    yield from (f"**{_cell(subject.name)}** (`{_relative(subject.place.path)}`)", "")
    if subject.loud:
        yield from ("| | finding | fix |", "|---|---|---|")
        for finding in subject.loud:
            mend = (
                _unmended(subject)
                if finding.remedy is None
                else f"`{_code(finding.remedy.text)}`: {finding.remedy.effect}"
            )
            if finding.remedy is None and finding.severity == "note":
                mend = ""
            place = f"line {finding.place.line}"
            yield f"| {finding.severity} {finding.code}<br>{place} | {_cell(finding.message)} | {_cell(mend)} |"
        yield ""
    silenced = [finding for finding in subject.findings if finding.silenced is not None]
    for finding in silenced:
        yield f"- silenced: {finding.code}, {_cell(str(finding.silenced))}"
    if silenced:
        yield ""
    if subject.notes:
        yield from ("<details><summary>what this takes for granted</summary>", "")
        yield from (f"- {_cell(note)}" for note in subject.notes)
        yield from ("", "</details>", "")


def _cell(value: str) -> str:
    """Text inside a table, with nothing in it that Markdown would take for its own."""
    plain = escaped(value).replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("|", "\\|").replace("*", "\\*").replace("[", "\\[")


def _code(value: str) -> str:
    return value.replace("`", "'")


def as_json(report: CheckReport) -> str:
    """The whole report as one JSON document."""
    return json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n"


FORMATS: Final[Mapping[str, Callable[[CheckReport], str]]] = {
    "text": text,
    "github": github,
    "sarif": sarif,
    "junit": junit,
    "markdown": markdown,
    "json": as_json,
}
"""By the name that `--format` takes."""
