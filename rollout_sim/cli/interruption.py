"""Interruption: Ctrl-C, SIGTERM and SIGHUP end a command at the next safe point, in one line and with the signal's status.

Python raises KeyboardInterrupt wherever it happens to be. Where that is a callback of the interpreter's own (a weak reference of
its import lock, a finalizer) it is reported and swallowed; then it is raised once more, a moment later. Whatever else swallows
it, the next report of progress raises it again.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN: Final = 0.02
"""Seconds after which an interruption that was swallowed is raised once more."""
_LISTENED: Final[set[int]] = set()
"""The signals that interrupt this process."""
_HEARD: Final[list[int]] = []
"""Those that have interrupted it, in their order."""


def listen() -> None:
    """From now on the signals raise KeyboardInterrupt, once more where it is swallowed, and leave no traceback.

    A signal that whoever started this process has it ignore (as `nohup` does SIGHUP) stays ignored; Ctrl-C never does.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and (name == "SIGINT" or signal.getsignal(number) is not signal.SIG_IGN):
            _LISTENED.add(number)
            signal.signal(number, _interrupt)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _raise)
    sys.unraisablehook = _tell_unraisable
    threading.excepthook = _tell_uncaught_of_thread
    sys.excepthook = _tell_uncaught


def check() -> None:
    """Raises KeyboardInterrupt where this process has been interrupted: who still works then has not noticed."""
    if _HEARD:
        raise KeyboardInterrupt


def heard() -> bool:
    """Whether this process has been interrupted."""
    return bool(_HEARD)


def status() -> int:
    """The exit status of a command that was interrupted: 128 and the number of the signal."""
    return 128 + (_HEARD[0] if _HEARD else signal.SIGINT)


def ignore() -> None:
    """Nothing interrupts this process from now on: it clears up, and ends with the status that it says.

    Where KeyboardInterrupt has passed through an `exec` of text, as in the making of a dataclass, Python would end by SIGINT
    although it was caught; the next such `exec` makes it forget that.
    """
    for number in _LISTENED:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    exec("")  # noqa: S102 - see above


def _interrupt(number: int, frame: FrameType | None) -> None:
    _HEARD.append(number)
    for other in _LISTENED - {signal.SIGINT}:
        # Whoever ends us sends it once or keeps on; the second one must not interrupt the clearing up after the first.
        signal.signal(other, signal.SIG_IGN)
    _raise(number, frame)


def _raise(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _tell_unraisable(problem: UnraisableHookArgs) -> None:
    if issubclass(problem.exc_type, KeyboardInterrupt) and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
    else:
        sys.__unraisablehook__(problem)


def _tell_uncaught_of_thread(problem: threading.ExceptHookArgs) -> None:
    if not _HEARD:  # joblib's thread ends with a KeyError where it has just got work that is taken away again
        threading.__excepthook__(problem)


def _tell_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):  # of a second Ctrl-C, in the midst of the clearing up after the first
        sys.__excepthook__(kind, error, trace)
