"""Result folders: what a command writes appears in one go, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FORMATS: Final = ("png", "svg", "pdf")
"""What pictures can be written as."""


def pictures(*stems: str) -> tuple[str, ...]:
    """The names of pictures in any format: what an earlier run of a command may have left."""
    return tuple(f"{stem}.{suffix}" for stem in stems for suffix in FORMATS)


@contextmanager
def atomic_folder(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write into, whose files move to `out` (made if need be) once all of them are there.

    `names` are all the files that the command may write: those of an earlier time that are not written again go
    away. Whatever fails or interrupts the writing leaves `out` as it was.
    """
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
    try:
        yield folder
        for name in names:
            if (folder / name).exists():
                (folder / name).replace(out / name)
            else:
                (out / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
