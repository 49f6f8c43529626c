"""What can go wrong: the Lambda API's errors under their own names, and mistakes in a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class LambdaError(Exception):
    """A request that Lambda refuses: `code` is the API's name of the error, `status` its HTTP status."""

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
    """What is wrong with the user's input: all `problems` together, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        # The argument itself goes to Exception, so that the error survives pickling between processes.
        super().__init__(tuple(problems))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)
