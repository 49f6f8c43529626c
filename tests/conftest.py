"""The same examples in every run, and no windows."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")

# A red test must stay red when it is run again; a deadline would measure the machine, not the code.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests are not traced where coverage is measured: tracing doubles what they take."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker("no_cover")
