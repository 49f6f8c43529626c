"""The recorded week of the notebook is what its script makes."""

from __future__ import annotations

import runpy
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "notebooks"


def test_the_recorded_week_is_what_its_script_makes() -> None:
    made = runpy.run_path(str(FOLDER / "sample_data.py"))["minutes"]()
    assert made == (FOLDER / "orders" / "minutes.csv").read_text(encoding="utf-8")
