"""Garbage: how often Python looks for cycles among its objects, in processes that are ours."""

from __future__ import annotations

import atexit
import gc
from typing import Final

GARBAGE: Final = 10_000
"""Objects that come without going until Python looks for cycles among them. By its own 700 it looks through everything that
was imported again and again: a tenth of a short command's time."""


def look_seldom() -> None:
    """Looks for cycles seldom from now on, and not at the end of the process, which takes half a second after a `run`."""
    gc.set_threshold(GARBAGE)
    atexit.register(gc.freeze)
