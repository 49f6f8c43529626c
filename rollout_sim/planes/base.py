"""What all data planes share: the order of the events of one instant."""

from __future__ import annotations

from typing import Final

COMPLETION: Final = 2
CONTROL: Final = 3
ARRIVAL: Final = 4
RETRY: Final = 5
"""At equal times: completions, then control (datapoints, alarms, rollback, shifts), then arrivals, then retries.

SimPy itself uses 0 and 1: a process that was just created starts before anything else of that instant.
"""
