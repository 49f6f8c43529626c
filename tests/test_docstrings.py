"""Examples in docstrings do what they say."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import pydoc
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("module", "least"),
    [pytest.param(*item, marks=[pytest.mark.slow] if "recommend" in item[0] else []) for item in MODULES.items()],
)
def test_examples_run(module: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    loaded = import_module(f"rollout_sim.{module}".rstrip("."))
    with_examples = [test for test in doctest.DocTestFinder().find(loaded) if test.examples]
    assert len(with_examples) >= least
    assert doctest.testmod(loaded, verbose=False).failed == 0


PUBLIC = ("", "extensions", "theory", "alarms", "errors")
"""Modules whose names are promised to stay."""


def public_functions() -> Iterator[tuple[str, Any, str]]:
    """Name, function and docstring of each public function, and of each public method of a public class, once."""
    seen: set[Any] = set()
    for module in PUBLIC:
        loaded = import_module(f"rollout_sim.{module}".rstrip("."))
        own = [name for name in vars(loaded) if not name.startswith("_")]
        for name in getattr(loaded, "__all__", own):
            value = getattr(loaded, name)
            for label, function, about in methods(name, value) if inspect.isclass(value) else [(name, value, "")]:
                if (
                    not inspect.isfunction(function)
                    or function in seen
                    or not function.__module__.startswith("rollout_sim")
                ):
                    continue
                seen.add(function)
                yield f"{module}.{label}", function, f"{function.__doc__}{about}"


def methods(name: str, value: type) -> Iterator[tuple[str, Any, str]]:
    """A class's public methods, and what makes one, unless that follows from its fields; its docstring is about the latter."""
    for key, member in inspect.getmembers_static(value):
        making = key == "__init__" and not dataclasses.is_dataclass(value)
        if not key.startswith("_") or making:
            yield f"{name}.{key}", getattr(member, "__func__", member), f"{value.__doc__}" if making else ""


def unnamed(function: Any, text: str) -> list[str]:
    """The parameters of a function that no part of the text in backticks names."""
    parameters = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    return [name for name in parameters if not re.search(rf"`[^`]*\b{name}\b[^`]*`", text)]


def test_public_docstrings_name_every_parameter() -> None:
    checked = {name: unnamed(function, text) for name, function, text in public_functions()}
    assert {name: missing for name, missing in checked.items() if missing} == {}
    assert {".compare", ".Scenario.load", ".Function.__init__", "theory.erlang_b", "alarms.alarm_state"} <= set(checked)
    assert len(checked) > 60


def test_a_parameter_without_a_word_is_found() -> None:
    def function(rate: float, weight: float) -> None:
        del rate, weight

    assert unnamed(function, "The `rate` and the weight.") == ["weight"]


def test_the_version_is_the_distribution_s() -> None:
    assert rollout_sim.__version__ == version("rollout-sim")


def test_help_shows_the_public_names_and_an_example() -> None:
    text = pydoc.plain(pydoc.render_doc(rollout_sim))
    assert '>>> compared = compare(Scenario.load("scenarios/checkout.yaml")' in text
    public = text[text.index("\nCLASSES") :]
    assert [name for name in rollout_sim.__all__ if name not in public] == []
    head = (rollout_sim.__doc__ or "").partition("The map")[0]
    assert [name for name in rollout_sim.__all__ if name not in head] == []
