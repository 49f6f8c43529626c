"""The aggregate plane: draws the counts of whole periods, for all replications of a batch at once.

The plane (`plane`), where it is exact (`exactness`), how many requests arrive (`arrivals`), and how likely each outcome of
an invocation is (`probabilities`). Begin with `plane`.
"""

from __future__ import annotations

import math
from typing import Final

from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.planes.base import PlaneSpec

_EXACT: Final = "exact here: invocations share no state that the results depend on"
SPEC: Final = PlaneSpec(
    engine="aggregate",
    speed=math.inf,
    exact_for=inexactness,
    advantage=lambda _: _EXACT,
    asked_for=_EXACT,
)
