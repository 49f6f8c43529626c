"""The rows of VALIDATION.md about `import cloudwatch`: how often the intervals of fitted parameters hold what was planted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from planted import PLANTED, SEEDS, coverage
from validation.rows import Row, share

PARAMETERS = {
    "errors, scattered": ("mean", "dispersion"),
    "errors, spells": ("calm", "bad", "spell", "every"),
    "durations, percentiles": ("median", "p99"),
    "durations, invocations": ("median", "p99"),
    "arrivals, Poisson": ("dispersion",),
    "releases": ("p_bad",),
}


@cache
def _covered(name: str) -> dict[str, NDArray[np.bool_]]:
    return coverage(name)


def own_data() -> Iterator[Row]:
    for name in PLANTED:
        for parameter in PARAMETERS[name]:
            yield Row(
                group="Your own data", what=f"{name}: P(the 95% interval of {parameter} holds it), {SEEDS} recordings",
                expected=0.95, decimals=None, plane="fit",
                ours=share(lambda name=name, parameter=parameter: _covered(name)[parameter], 0.95),
            )  # fmt: skip
