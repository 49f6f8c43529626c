"""The console off a terminal: a line now and then tells how far a long command is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from checks import example
from click.testing import CliRunner
from command import call

from rollout_sim.cli import console
from rollout_sim.cli.main import app


def test_off_a_terminal_a_line_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with console.progress("quick") as report:
        report(0.5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(console, "INTERVAL", 0.0)
    with console.progress("long") as report:
        report(0.25)
        report(0.5)
    assert capsys.readouterr().err == "long: 25% after 0 min\nlong: 50% after 0 min\n"


def test_what_is_told_is_broken_at_words_where_the_width_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/a/" + "very/" * 9 + "long-path.yaml"
    text = f"note: {path} is one, and \x1b[31m is told\n  a second line, which is indented, goes on below itself"
    console.tell(text)
    whole = capsys.readouterr().err
    assert whole == text.replace("\x1b", "\\x1b") + "\n"
    monkeypatch.setenv("COLUMNS", "40")
    console.tell(text)
    told = capsys.readouterr().err
    assert [len(line) > 40 for line in told.splitlines()] == [path in line for line in told.splitlines()]
    assert told.split() == whole.split()
    assert told.endswith("\n  on below itself\n")


def test_an_error_and_a_finding_keep_to_80_columns(tmp_path: Path) -> None:
    narrow = {"COLUMNS": "80"}
    (tmp_path / "t.yaml").write_text("Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {A: 1}}}\n")
    done = call("import", "sam", "t.yaml", cwd=tmp_path, env=narrow)
    assert done.returncode == 2
    assert 1 < len(done.stderr.splitlines()) == sum(len(line) <= 80 for line in done.stderr.splitlines())
    checked = CliRunner(env=narrow).invoke(app, ["check", str(example("RS201", tmp_path)), "--fail-on", "never"])
    lines = [line for line in checked.output.splitlines() if not line.startswith(str(tmp_path))]
    assert 70 < max(map(len, lines)) <= 80


def test_a_closed_stream_has_no_width() -> None:
    assert console.width_of(None) is None


def test_the_end_of_a_command_does_not_go_through_all_that_there_is() -> None:
    """At its end Python looks for cycles, among all objects of matplotlib's and of the results: half a second."""
    script = """
import os, sys
from rollout_sim.cli.main import main

class Cycle:
    def __init__(self): self.itself = self
    def __del__(self, write=os.write): write(1, b"found")

Cycle()
sys.argv[1:] = ["--version"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "version" in done.stdout
    assert "found" not in done.stdout


def test_what_is_broken_goes_on_below_its_own_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    console.show("     4 min  the alarm fires after 23 errors", "a line that does not begin with a time")
    assert capsys.readouterr().out.split("\n")[:4] == [
        "     4 min  the alarm fires", "            after 23 errors", "a line that does not begin ", "with a time",
    ]  # fmt: skip
