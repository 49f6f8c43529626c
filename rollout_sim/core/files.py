"""Files: each input file is read once, and what a command writes appears in one go, or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from rollout_sim.errors import ScenarioError

FORMATS: Final = ("png", "svg", "pdf")
"""What pictures can be written as."""
_UNFINISHED: Final[set[Path]] = set()
"""The folders that this process is writing into."""
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


def open_regular(path: Path, most: int) -> BufferedReader:
    """The file, open for reading; devices, pipes and folders are not read, for some of them never end.

    Raises ValueError with the path and the reason, for more than `most` bytes, too.
    """
    if "\0" in str(path):
        raise ValueError(f"{path}: cannot be read: the name holds a null character")
    what = "is a device, a pipe or a socket; allowed a regular file"
    size = 0
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            size = status.st_size
        if (stat.S_ISREG(status.st_mode) and size <= most) or stat.S_ISDIR(status.st_mode):  # opening a folder tells
            return path.open("rb")
    except OSError as error:
        what = str(error.strerror)
    if size > most:
        raise ValueError(f"{path}: the file is too large; allowed {most / (1 << 20):g} MiB")
    raise ValueError(f"{path}: cannot be read: {what}")


_FIGURE: Final = re.compile(r"[-+0-9.,:eETZ ]{1,30}|nan|-?inf|", re.IGNORECASE)


def quoted(text: str) -> str:
    """`text` of a file that a scenario names, for a message: figures as they are, of anything else only how long it is.

    The file may be another than was meant, and what it holds may be nobody's business.
    """
    return repr(text) if _FIGURE.fullmatch(text) else f"text of {len(text):,} characters"


def read_regular(path: Path, most: int) -> bytes:
    """What the file holds. Raises ValueError as `open_regular` does."""
    with open_regular(path, most) as file:
        try:
            content = file.read(most + 1)  # some files, such as those of /proc, do not tell their size
        except OSError as error:
            raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise ValueError(f"{path}: the file is too large; allowed {most / (1 << 20):g} MiB")
    return content


def no_text(content: bytes) -> str:
    """Why what a file begins with is no UTF-8 text, for a message."""
    if content.startswith(b"\x1f\x8b"):
        return "is compressed (gzip); unpack it"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16 text; save it as UTF-8"
    return "is no UTF-8 text"


def digest(path: Path, most: int) -> str:
    """The SHA-256 of what the file holds, in hexadecimal. Raises ScenarioError for a file that `open_regular` does not open."""
    try:
        with open_regular(path, most) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except ValueError as error:
        raise ScenarioError([str(error)]) from None
    except OSError as error:
        raise ScenarioError([f"{path}: cannot be read: {error.strerror}"]) from None


def check_writable(out: Path, names: Sequence[str]) -> None:
    """Raises what `atomic_folder(out, names)` would raise; to be asked before anything is computed.

    Nothing is left but what was there, without what processes that are no more have left unfinished.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    with _told(out, names):
        try:
            out.mkdir(parents=True, exist_ok=True)
            _check_replaceable(out, names)
            _clear_unfinished(out)
            Path(tempfile.mkdtemp(prefix=_prefix(os.getpid()), dir=out)).rmdir()
        finally:
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()


@contextmanager
def atomic_folder(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write into, whose files move to `out` (made if need be) once all of them are there.

    `names` are all the files that the command may write: those of an earlier time that are not written again go
    away. Whatever fails or interrupts the writing leaves `out` as it was. Raises ScenarioError for a name of anything but
    a regular file (a device, a pipe, a symbolic link), and OSError, which names `out`, where it cannot be written.
    """
    folder = out / f"{_prefix(os.getpid())}{secrets.token_hex(8)}"
    with _told(out, names):
        _check_replaceable(out, names)
        out.mkdir(parents=True, exist_ok=True)
        try:
            _UNFINISHED.add(folder)  # before it is there: an interruption may come at any moment
            folder.mkdir(mode=0o700)
            yield folder
            with _locked(out):
                for name in names:
                    if (folder / name).exists():
                        (folder / name).replace(out / name)
                    else:
                        (out / name).unlink(missing_ok=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _UNFINISHED.discard(folder)


def clear_interrupted() -> None:
    """Removes what an interruption in the midst of the clearing up has left; for the end of a process."""
    for folder in _UNFINISHED:
        shutil.rmtree(folder, ignore_errors=True)


def write_file(path: Path, text: str) -> None:
    """Writes the text as UTF-8, all of it or nothing. Raises ScenarioError and OSError as `atomic_folder` does."""
    with atomic_folder(path.parent, [path.name]) as folder:
        (folder / path.name).write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _told(out: Path, names: Sequence[str]) -> Iterator[None]:
    """Lets errors of the system name what was to be written, and no temporary file."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:
            raise
        path = out / names[0] if len(names) == 1 else out
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from None


def _check_replaceable(out: Path, names: Sequence[str]) -> None:
    """Raises ScenarioError unless each name is new or a regular file."""
    for name in names:
        try:
            mode = (out / name).lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "a symbolic link" if stat.S_ISLNK(mode) else "a device or pipe"
            raise ScenarioError([f"{out / name}: cannot be written: is {what}; allowed a regular file or a new name"])


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps the files of two processes that finish at once from being mixed, where the system has locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _prefix(process: int | str) -> str:
    """How the names of a process's unfinished folders begin; process numbers mean something on one machine only."""
    machine = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f".unfinished-{machine}-{process}-"


def _clear_unfinished(out: Path) -> None:
    """Removes what processes of this machine that were killed have left."""
    if os.name != "posix":
        return
    for folder in out.glob(f"{_prefix('*')}*"):
        number = folder.name.split("-")[2]
        if number.isdigit() and not _lives(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no number of a process
        return True
    return True
