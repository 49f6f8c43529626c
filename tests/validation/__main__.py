"""`python tests/validation` writes VALIDATION.md; the exit status is 1 where a row is missed."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from validation.page import write

    sys.exit(write())
