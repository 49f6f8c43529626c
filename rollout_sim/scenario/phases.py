"""Phases: where in a period of its alarms a rollout starts, replication by replication.

Nobody starts a deployment by the clock that CloudWatch's periods go by, so the phase is uniform over a period. It is drawn
by parts of equal length: of any 16 replications in a row one starts in each part, so that the mean over the phases is taken
without the noise of independent draws, and the replications of a batch that share a phase are run together.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.fields import Codec, Quantity
from rollout_sim.core.streams import Streams

PARTS: Final = 16
"""Parts of a period, of equal length."""
BLOCK: Final = 4096
"""Replications in a row that share one place within each part; each further block has another."""
_ORDER: Final = (8, 0, 12, 4, 10, 2, 14, 6, 9, 1, 13, 5, 11, 3, 15, 7)
"""In which order the parts come: a few replications, too, are spread over the period."""


class PhaseCodec(Codec):
    """How the file says a phase: `random`, or the duration by which the rollout starts later."""

    _duration = Quantity(kind="duration")

    def read(self, value: object) -> float | Literal["random"]:
        """`random`, or seconds. Raises ValueError for anything else."""
        if value == "random":
            return "random"
        try:
            return self._duration.read(value)
        except ValueError as error:
            raise ValueError(f"{error}, or `random`") from None

    def write(self, value: float | Literal["random"]) -> str:
        """What `read` turns back into the same."""
        return "random" if value == "random" else self._duration.write(value)

    def schema(self) -> dict[str, Any]:
        """The word, or a duration."""
        return {"anyOf": [{"enum": ["random"]}, *self._duration.schema()["anyOf"]]}


def parts_of_period(seed: int, replications: IntArray) -> FloatArray:
    """The phase of each of the `replications` of a seed, as a share of the period in [0, 1): an array of their shape.

    It depends on nothing else, so all strategies and planes start at the same instant. The seed turns the order of the parts.
    Within its part a replication of the first block lies in the middle, one of the next at a quarter, then at three quarters, ...
    """
    turned = int(Streams(seed=seed).generator("rollout/phase").integers(PARTS))
    part = np.array(_ORDER)[(replications + turned) % PARTS]
    result: FloatArray = (part + _radical_inverse(replications // BLOCK + 1)) / PARTS
    return result


def _radical_inverse(numbers: IntArray) -> FloatArray:
    """The binary digits of each number behind the point, in reverse: 1/2, 1/4, 3/4, 1/8, ... (van der Corput's sequence)."""
    result = np.zeros(numbers.shape)
    left, digit = numbers.copy(), 0.5
    while (left > 0).any():
        result += digit * (left % 2)
        left, digit = left // 2, digit / 2
    return result
