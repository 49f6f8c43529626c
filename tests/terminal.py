"""A terminal for tests: the command line behind a pty of a given width, with its answers typed in."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from command import COMMAND

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)(?:;\d+)*m")
"""A select-graphic-rendition sequence that sets a colour."""
LIMIT = 180
QUIET = 0.2
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Session:
    """What came out of a command at a terminal, and its exit status."""

    raw: str
    status: int

    @property
    def lines(self) -> list[str]:
        """The lines as they can be read, without escape sequences."""
        return _ESCAPE.sub("", self.raw).replace("\r\n", "\n").split("\n")


def at_terminal(
    *arguments: str | Path,
    cwd: Path,
    columns: int = 80,
    answers: Sequence[tuple[str, str]] = (),
    env: dict[str, str] | None = None,
    command: Sequence[str] = COMMAND,
) -> Session:
    """Runs `command` in `cwd` with all three streams on a terminal of `columns`; `env` is set on top.

    Each of `answers` is what to wait for, and what is typed then.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm-256color"} | (env or {}),
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads
    )  # fmt: skip
    os.close(theirs)
    out, waiting, since = b"", list(answers), 0
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], QUIET)[0]:
            # Only once it is quiet: a terminal that is still being set up forgets what was typed before.
            if waiting and waiting[0][0].encode() in out[since:]:
                since = len(out)
                os.write(ours, waiting.pop(0)[1].encode())
            continue
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's way of saying that the other end is closed
            piece = b""
        if not piece:
            break
        out += piece
    else:
        process.kill()
        process.wait()
        raise TimeoutError(f"still running after {LIMIT} s, having written: {out.decode()}")
    os.close(ours)
    assert not waiting, f"never asked for {waiting[0][0]!r}: {out.decode()}"
    return Session(out.decode(), process.wait(timeout=LIMIT))
