"""Files: each input file is read once, and what a command writes appears in one go, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

FORMATS: Final = ("png", "svg", "pdf")
"""What pictures can be written as."""
Contents = TypeVar("Contents")
Parameters = ParamSpec("Parameters")


class FileReader:
    """Reads files and keeps what was read, so that a file is read once however often it is asked for.

    It lives as long as the document that it belongs to; everything that is made from one document shares it.
    """

    def __init__(self) -> None:
        self._contents: dict[tuple[object, ...], Any] = {}

    def read(
        self,
        reader: Callable[Concatenate[Path, Parameters], Contents],
        path: Path,
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Contents:
        """`reader(path, *arguments)`, or what it returned when it was called so before; its errors are its own."""
        key = (reader, path, arguments, tuple(named.items()))
        if key not in self._contents:
            self._contents[key] = reader(path, *arguments, **named)
        contents: Contents = self._contents[key]
        return contents


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
