"""Where compiled code is kept; Numba is not needed to know that there is none."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final

KERNELS: Final = "*.nbc"
"""The files in which Numba keeps machine code."""


def is_empty() -> bool:
    """Whether nothing is kept anywhere, so that whatever runs is compiled first."""
    return not any(next(base.rglob(KERNELS), None) for base in _bases())


def cache_folder(sources: tuple[ModuleType, ...]) -> Path | None:
    """A folder for each version of what is compiled in, which nobody else can write to; None where there is none.

    What lies there is run: in a folder that all users share it must be this user's own.
    """
    digest = hashlib.sha256(b"".join(Path(str(module.__file__)).read_bytes() for module in sources)).hexdigest()[:16]
    for base in _bases():
        folder = base / digest
        try:
            base.parent.mkdir(parents=True, exist_ok=True)
            if _made_own(base) and _made_own(folder):
                return folder
        except OSError:
            continue
    return None


def _bases() -> Iterator[Path]:
    """Where compiled code may be kept, the best place first."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        yield Path(given) / "rollout_sim"
        return
    with suppress(RuntimeError):  # a user without an account and without HOME
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rollout_sim"
    if hasattr(os, "getuid"):
        yield Path(tempfile.gettempdir()) / f"rollout_sim-{os.getuid()}"


def _made_own(folder: Path) -> bool:
    """Whether the folder, made if need be, is a real one, of this user, and writable for this user alone."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not hasattr(os, "getuid"):
        return os.access(folder, os.W_OK)
    status = folder.lstat()
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
    return own and os.access(folder, os.W_OK)
