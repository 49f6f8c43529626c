"""Messages: whatever the input holds, a person can read them, and a terminal does nothing but show them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from builders import data
from command import call

from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import LONGEST, ScenarioError, legible
from rollout_sim.formats import openslo
from rollout_sim.formats.templates.sam import from_sam
from rollout_sim.run.simulate import simulate_each
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.grid import axis
from rollout_sim.views.report import figures

HOSTILE = "\x1b[31m\x07\u202e\n" + "x" * 5000
EVIL = "a\x1b[31m\nb\u202e\u2028c"


def test_a_message_is_one_line_without_control_characters() -> None:
    text = legible(f"got {HOSTILE}; allowed a, b")
    assert text.isprintable()
    assert len(text) < LONGEST + 100
    assert text.startswith(r"got \x1b[31m\x07\u202e\nxxx")
    assert text.endswith("xxx; allowed a, b")
    assert legible("caf\u00e9 \U0001f680 × 5") == "caf\u00e9 \U0001f680 × 5"


def test_every_problem_is_legible_and_survives_pickling() -> None:
    error = ScenarioError([HOSTILE, "fine"])
    assert [problem.isprintable() for problem in error.problems] == [True, True]
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


def test_input_of_every_kind_is_quoted_legibly(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def written(content: object) -> Path:
        path.write_text(content if isinstance(content, str) else to_yaml(content), encoding="utf-8")
        return path

    base = data()
    kinds = {
        "field": lambda: Scenario.from_dict({**base, HOSTILE: 1}),
        "alias": lambda: Scenario.from_dict({**base, "traffic": [{**base["traffic"][0], "alias": HOSTILE}]}),
        "trace": lambda: Scenario.from_dict(
            {**base, "traffic": [{**base["traffic"][0], "arrivals": {"trace": {"file": HOSTILE, "layout": "counts"}}}]}
        ),
        "openslo": lambda: openslo.read(written({"apiVersion": openslo.VERSION, "kind": HOSTILE})),
        "axis": lambda: axis(Scenario, HOSTILE),  # type: ignore[arg-type]
    }
    for kind, attempt in kinds.items():
        with pytest.raises(ScenarioError) as caught:
            attempt()
        assert all(problem.isprintable() and len(problem) < 1200 for problem in caught.value.problems), kind


def test_remarks_are_legible(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    alarms = [f"\x1b{HOSTILE}"]
    properties = {"AutoPublishAlias": "live", "DeploymentPreference": {"Type": "AllAtOnce", "Alarms": alarms}}
    path.write_text(to_yaml({"Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": properties}}}))
    _, remarks = from_sam(path)
    assert all(remark.isprintable() and len(remark) < 1200 for remark in remarks)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A scenario whose names hold what terminals, comments, XML and spreadsheets would act upon."""
    alarm = {"metric": "errors", "of": "new_version", "threshold": "> 0", "datapoints": "1 of 1"}
    written = data(
        name=EVIL,
        description=f"{EVIL}\nsecond line",
        slos=[{"name": EVIL, "sli": {"latency": "1 s"}, "objective": "99%", "spent": "10%"}],
        alarms={EVIL: alarm, f"{EVIL}2": {**alarm, "metric": "throttles"}},
        strategies={f"={EVIL}": {"type": "canary", "percent": 10, "interval": "1 min", "bake": "1 min"}},
    )
    written["rollout"]["alarms"] = [EVIL, f"{EVIL}2"]
    path = tmp_path / "evil.yaml"
    path.write_text(to_yaml(written), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_do_not_leave_their_place(evil: Path) -> None:
    import csv
    import xml.etree.ElementTree as ET

    import yaml

    folder = evil.parent
    for target in ("sam", "cloudformation", "argo", "flagger", "openslo"):
        done = call("export", target, evil.name, cwd=folder)
        assert done.returncode == 0, done.stderr
        comments = [line for line in done.stdout.splitlines() if line.startswith("#")]
        assert all(line.isprintable() for line in comments)
        documents = list(yaml.compose_all(done.stdout))
        assert len(documents) == (2 if target == "argo" else 1)
    done = call("run", evil.name, "--out", "out", "--format", "svg", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    for picture in (folder / "out").glob("*.svg"):
        ET.parse(picture)
    for table in (folder / "out").glob("*.csv"):
        with table.open(newline="", encoding="utf-8") as file:
            assert not any(cell.startswith("=") for row in csv.reader(file) for cell in row), table
    runs = list(simulate_each(Scenario.load(evil)))
    ET.fromstring(figures.error_budget(runs, runs[0].scenario.slos[0], "k").svg)


@pytest.mark.slow
def test_the_command_line_quotes_legibly(small: Path) -> None:
    for arguments in (("run", "a\x1b[31m.yaml"), ("run", small.name, "--strategy", "a\x1b\nb"), ("nothing\x1b",)):
        done = call(*arguments, cwd=small.parent)
        assert done.returncode == 2
        assert all(line.isprintable() for line in done.stderr.split("\n")), done.stderr
