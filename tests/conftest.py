"""The same examples in every run, and no windows."""

from __future__ import annotations

import os

from hypothesis import settings

# Before anything imports matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")

# A red test must stay red when it is run again; a deadline would measure the machine, not the code.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")
