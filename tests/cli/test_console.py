"""The console off a terminal: a line now and then tells how far a long command is."""

from __future__ import annotations

import pytest

from rollout_sim.cli import console


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
