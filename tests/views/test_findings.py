"""Findings as text, annotations, SARIF, JUnit, Markdown and JSON: valid, the same again, and safe whatever the names are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from rollout_sim.core.statistics import Estimate
from rollout_sim.study.check.checking import Checked, CheckReport
from rollout_sim.study.check.finding import Edit, Finding, Place, Remedy
from rollout_sim.study.check.rules import RULES
from rollout_sim.views.findings import FORMATS

SCHEMA = json.loads((Path(__file__).parent / "sarif-2.1.0.part.json").read_text(encoding="utf-8"))
FIGURE = Estimate(n=2048, mean=0.123, low=0.11, high=0.14, quantiles={})
REMEDY = Remedy(
    edits=(Edit(where=("alarms", "errors", "datapoints"), value="1 of 1"),),
    text="alarms.errors.datapoints: 1 of 1", effect="then it catches 7.2% errors in 99% [98%, 99.5%]", figures={"caught": FIGURE},
)  # fmt: skip
FOUND = Finding(
    code="RS102", name="alarm-hardly-fires", severity="warning", subject="orders", where=("alarms", "errors"),
    place=Place(path=Path("rollouts/orders.yaml"), line=16), message="errors hardly fires: alone 12.3% [11%, 14%]",
    figures={"caught": FIGURE}, remedy=REMEDY,
)  # fmt: skip
SILENCED = replace(FOUND, code="RS203", name="hooks-only", silenced="the hook runs everything", remedy=None)
ERROR = replace(FOUND, code="RS201", name="nothing-watches", severity="error", remedy=None)
NOTE = replace(FOUND, severity="note", remedy=None)
UGLY = "a|b <script>\x1b[31m\n::error::x%, 100%`*[y](z)\u2028"
NASTY = replace(
    ERROR, subject=UGLY, message=UGLY, place=Place(path=Path("a b,c:d.yaml"), line=3), remedy=replace(REMEDY, text=UGLY)
)


def report(*findings: Finding, notes: tuple[str, ...] = ()) -> CheckReport:
    place = Place(path=Path("rollouts/orders.yaml"), line=1)
    one = Checked(
        name=findings[0].subject if findings else "orders",
        function="bills",
        scenario="orders",
        place=place,
        seed=1,
        plane="aggregate",
        findings=findings,
        notes=notes,
    )
    return CheckReport(checked=(one,))


EVERY = report(FOUND, ERROR, SILENCED, NOTE, notes=("something is guessed",))


def test_the_json_has_all_findings_at_its_top_level() -> None:
    document = json.loads(FORMATS["json"](EVERY))
    (subject,) = document["checked"]
    assert (subject["function"], subject["scenario"]) == ("bills", "orders")
    assert document["findings"] == subject["findings"]
    first = document["findings"][0]
    assert (first["function"], first["alarm"], first["estimate"]) == ("bills", "errors", FIGURE.to_json())
    elsewhere = report(replace(FOUND, where=("strategies", "canary"), figures={}))
    (other,) = json.loads(FORMATS["json"](elsewhere))["findings"]
    assert (other["alarm"], other["estimate"]) == (None, None)


def test_functions_of_one_file_are_told_apart() -> None:
    """An alarm that two functions share is found twice, at one line."""
    orders, bills = (
        report(replace(FOUND, subject=name), notes=("guessed",)).checked[0] for name in ("orders", "bills")
    )
    both = CheckReport(checked=(orders, bills))
    for line in (
        "warning RS102 alarm-hardly-fires (orders)",
        "warning RS102 alarm-hardly-fires (bills)",
        "note: orders, bills: guessed",
    ):
        assert line in FORMATS["text"](both)
    assert "title=RS102 alarm-hardly-fires bills::" in FORMATS["github"](both)
    elsewhere = replace(orders, place=Place(path=Path("other.yaml"), line=1))
    apart = FORMATS["text"](CheckReport(checked=(orders, elsewhere)))
    assert "alarm-hardly-fires\n" in apart
    assert "note: orders: guessed" in apart


@pytest.mark.parametrize("findings", [(), (FOUND, ERROR, SILENCED, NOTE), (NASTY,)], ids=["none", "all", "nasty"])
def test_sarif_keeps_to_its_schema(findings) -> None:
    document = json.loads(FORMATS["sarif"](report(*findings)))
    jsonschema.validators.validator_for(SCHEMA)(SCHEMA).validate(document)
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(RULES)
    for result, finding in zip(run["results"], findings, strict=True):
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == finding.code
        assert ("suppressions" in result) == (finding.silenced is not None)


def test_the_schema_notices_what_does_not_belong() -> None:
    document = json.loads(FORMATS["sarif"](EVERY))
    document["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError, match="fatal"):
        jsonschema.validators.validator_for(SCHEMA)(SCHEMA).validate(document)


def test_a_fingerprint_stays_when_lines_move() -> None:
    moved = replace(FOUND, place=Place(path=FOUND.place.path, line=99), message="another figure")
    prints = [
        json.loads(FORMATS["sarif"](report(found)))["runs"][0]["results"][0]["partialFingerprints"]
        for found in (FOUND, moved, replace(FOUND, subject="payments"))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_paths_are_told_from_the_working_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside = replace(FOUND, place=Place(path=tmp_path / "a b.yaml", line=2))
    outside = replace(FOUND, place=Place(path=Path("/elsewhere/x.yaml"), line=2))
    results = json.loads(FORMATS["sarif"](report(inside, outside)))["runs"][0]["results"]
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results]
    assert uris == ["a%20b.yaml", "file:///elsewhere/x.yaml"]
    assert "::warning file=a b.yaml,line=2," in FORMATS["github"](report(inside))


def test_annotations_are_one_line_each() -> None:
    lines = FORMATS["github"](report(NASTY, FOUND, NOTE, SILENCED)).splitlines()
    assert [re.match(r"::(\w+) ", line)[1] for line in lines[:-1]] == ["error", "warning", "notice"]  # type: ignore[index]
    assert lines[0].startswith("::error file=a b%2Cc%3Ad.yaml,line=3,title=RS201 nothing-watches::")
    assert "%0A::error::x%25, 100%25" in lines[0]
    assert "%0AFix: alarms.errors.datapoints: 1 of 1" in lines[1]


def test_junit_has_a_case_for_each_rule() -> None:
    root = ET.fromstring(FORMATS["junit"](EVERY))
    (suite,) = root
    assert suite.attrib == {"name": "orders", "tests": str(len(RULES)), "failures": "2", "errors": "0", "skipped": "1"}
    kinds = {case.attrib["name"][:5]: [child.tag for child in case] for case in suite}
    assert {code: kinds[code] for code in ("RS101", "RS102", "RS201", "RS203")} == {
        "RS101": [], "RS102": ["failure"], "RS201": ["failure"], "RS203": ["skipped"],
    }  # fmt: skip
    nasty = ET.fromstring(FORMATS["junit"](report(NASTY)))
    assert "\\x1b[31m" in nasty.find(".//failure").text  # type: ignore[union-attr,operator]


def test_a_table_cell_of_markdown_holds_what_it_is_given() -> None:
    text = FORMATS["markdown"](report(NASTY, SILENCED))
    (row,) = [line for line in text.splitlines() if line.startswith("| error")]
    assert re.sub(r"\\\|", "", row).count("|") == 4
    assert "<script>" not in text
    assert "- silenced: RS203, the hook runs everything" in text


def test_recommend_is_named_only_where_it_takes_the_scenario() -> None:
    (one,) = EVERY.checked
    for form in ("text", "markdown"):
        assert "`rollout-sim recommend` searches further" in FORMATS[form](EVERY)
        refused = FORMATS[form](CheckReport(checked=(replace(one, searchable=False),)))
        assert "no change that was tried fixes it" in refused
        assert "recommend" not in refused


def test_text_says_what_mends_it_and_what_is_silenced() -> None:
    text = FORMATS["text"](EVERY)
    assert text.startswith("rollouts/orders.yaml:16: warning RS102 alarm-hardly-fires\n  errors hardly fires")
    assert "  fix: alarms.errors.datapoints: 1 of 1\n       then it catches 7.2% errors in 99%" in text
    assert "fix: no change that was tried fixes it; `rollout-sim recommend` searches further" in text
    assert "silenced RS203: the hook runs everything" in text
    assert "note: orders: something is guessed" in text
    assert text.endswith("1 rollout checked: 1 error, 1 warning, 1 note, 1 silenced\n")
    assert max(map(len, text.splitlines())) <= 100


def test_no_format_lets_control_characters_through() -> None:
    for name, form in FORMATS.items():
        assert "\x1b" not in form(report(NASTY)), name


def test_json_holds_every_figure() -> None:
    document = json.loads(FORMATS["json"](EVERY))
    assert (document["errors"], document["warnings"], document["notes"], document["silenced"]) == (1, 1, 1, 1)
    first = document["checked"][0]["findings"][0]
    assert first["figures"]["caught"] == {"mean": 0.123, "low": 0.11, "high": 0.14}
    assert first["remedy"]["edits"] == [{"where": "alarms.errors.datapoints", "value": "1 of 1"}]
