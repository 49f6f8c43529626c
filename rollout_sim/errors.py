"""What can go wrong: the Lambda API's errors under their own names, and mistakes in a scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final

LONGEST: Final = 1_000
"""Characters of a message, a remark or one of their lines; the middle of what is longer is left out."""
MOST: Final = 100
"""Problems that the text of an error lists; the rest are counted."""
UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Characters that no message shows as they are: they move a terminal's cursor, end a line, turn the direction of text around,
or are none. XML and YAML refuse most of them."""


def legible(text: str) -> str:
    r"""`text` as one line for people: `UNSEEN` characters escaped as Python writes them, the middle cut out where it is too long.

    Examples:
        >>> legible("unknown field 'a\x1b[31m'")
        "unknown field 'a\\x1b[31m'"
    """
    if len(text) > LONGEST:
        head, tail = LONGEST * 2 // 3, LONGEST // 5
        text = f"{text[:head]} ... ({len(text) - head - tail:,} characters left out) ... {text[-tail:]}"
    return escaped(text)


def escaped(text: str) -> str:
    """`text` with `UNSEEN` characters as Python writes them, line ends among them."""
    return UNSEEN.sub(lambda match: ascii(match[0])[1:-1], text)


class LambdaError(Exception):
    """A request that Lambda refuses: `message` says why, `code` is the API's name of the error, `status` its HTTP status."""

    code: ClassVar[str] = "LambdaError"
    status: ClassVar[int] = 500

    def __init_subclass__(cls) -> None:
        cls.code = cls.__name__

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ResourceConflictException(LambdaError):
    """The resource exists already, or another one still refers to it."""

    status = 409


class ResourceNotFoundException(LambdaError):
    """The version or alias does not exist."""

    status = 404


class InvalidParameterValueException(LambdaError):
    """A parameter is well formed but not allowed here."""

    status = 400


class PreconditionFailedException(LambdaError):
    """The revision id is stale: somebody else changed the resource in the meantime."""

    status = 412


class ValidationException(LambdaError):
    """A parameter breaks the API's pattern, length or range."""

    status = 400


class ScenarioError(Exception):
    """What is wrong with the user's input: all `problems` together, one `legible` line each, whatever the input holds."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(map(legible, problems))
        # The argument itself goes to Exception, so that the error survives pickling between processes.
        super().__init__(self.problems)

    def __str__(self) -> str:
        more = len(self.problems) - MOST
        return "\n".join((*self.problems[:MOST], *([f"... and {more:,} more problems"] if more > 0 else ())))
