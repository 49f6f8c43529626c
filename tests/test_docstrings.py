"""Examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import pydoc
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import rollout_sim

MODULES = {
    "": 1,
    "theory": 13,
    "run.simulate": 2,
    "function.lambda_api": 7,
    "scenario.scenario": 5,
    "control.alarms": 1,
    "control.slo": 1,
    "core.units": 2,
    "core.yaml_io": 2,
    "study.comparison": 1,
    "study.sweep": 1,
    "study.recommend.search": 1,
}
"""Modules, and in how many docstrings each has examples at least."""


@pytest.mark.parametrize(("module", "least"), MODULES.items())
def test_examples_run(module: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    loaded = import_module(f"rollout_sim.{module}".rstrip("."))
    with_examples = [test for test in doctest.DocTestFinder().find(loaded) if test.examples]
    assert len(with_examples) >= least
    assert doctest.testmod(loaded, verbose=False).failed == 0


def test_the_version_is_the_distribution_s() -> None:
    assert rollout_sim.__version__ == version("rollout-sim")


def test_help_shows_the_public_names_and_an_example() -> None:
    text = pydoc.plain(pydoc.render_doc(rollout_sim))
    assert '>>> compared = compare(Scenario.load("scenarios/checkout.yaml")' in text
    public = text[text.index("\nCLASSES") :]
    assert [name for name in rollout_sim.__all__ if name not in public] == []
    head = (rollout_sim.__doc__ or "").partition("The map")[0]
    assert [name for name in rollout_sim.__all__ if name not in head] == []
