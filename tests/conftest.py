"""The same examples in every run, and no windows."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")
for of_the_terminal in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):  # a test that wants one sets it
    os.environ.pop(of_the_terminal, None)

# A red test must stay red when it is run again; a deadline would measure the machine, not the code.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The file of the scenario `builders.BASE`, alone in a folder."""
    import yaml
    from builders import data

    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(data(), sort_keys=False))
    return path


TESTS = Path(__file__).parent
FOLDERS = ("agreement", "validation", "product")
"""The folders of tests that take their time; the others mirror the package."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is in one of `FOLDERS` by its name, and as `fast` what is in none and neither `slow` nor `long`."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)
        elif item.get_closest_marker("long") is None and item.get_closest_marker("slow") is None:
            item.add_marker("fast")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`pytest -m fast` does not even import the tests in `FOLDERS` and the libraries that they need."""
    return True if config.option.markexpr == "fast" and collection_path.name in FOLDERS else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Only fast tests are traced where coverage is measured: tracing doubles what the others take.

    pytest-cov's own marker for that has no effect in the processes of pytest-xdist.
    """
    tracer = sys.gettrace()
    if item.get_closest_marker("fast") is None:
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
