"""Quantiles of the standard normal distribution in plain arithmetic, so that compiled code computes the same to the last bit.

M. J. Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37(3), 1988, 477-484,
PPND16: three ratios of polynomials, for the shares near a half, for both tails, and for their far ends. The relative error is
about 1e-16. SciPy's `ndtri` is as exact and has a logarithm in its way for every share; it took a seventh of the time of
a simulation with lognormal durations, and cannot be compiled in.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rollout_sim.core.arrays import FloatArray

CENTRAL: Final = 0.425
"""How far from a half the central shares reach."""
_CENTRE: Final = 0.180625
FAR: Final = 5.0
"""The square root of -log(share) from which on a tail is a far one."""
_TAIL_SHIFT: Final = 1.6
_CENTRAL_TOP: Final = (
    3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
    45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
)  # fmt: skip
_CENTRAL_BOTTOM: Final = (
    1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
    21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610,
)  # fmt: skip
_TAIL_TOP: Final = (
    1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
    1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4,
)  # fmt: skip
_TAIL_BOTTOM: Final = (
    1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
    0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
)  # fmt: skip
_FAR_TOP: Final = (
    6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
    0.0265321895265761230930, 0.00124266094738807843860, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
)  # fmt: skip
_FAR_BOTTOM: Final = (
    1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
)  # fmt: skip


def polynomial(c: tuple[float, ...], x: Any) -> Any:
    """The polynomial of degree seven with the coefficients `c`, the constant first, at `x`, a number or an array."""
    return ((((((c[7] * x + c[6]) * x + c[5]) * x + c[4]) * x + c[3]) * x + c[2]) * x + c[1]) * x + c[0]


def central(q: Any) -> Any:
    """The quantile of the share 0.5 + q, `q` within `CENTRAL`; elementwise, as the others."""
    r = _CENTRE - q * q
    return q * polynomial(_CENTRAL_TOP, r) / polynomial(_CENTRAL_BOTTOM, r)


def tail(r: Any) -> Any:
    """Minus the quantile of the share exp(-r^2) below 0.5 - `CENTRAL`, r at most `FAR`."""
    return polynomial(_TAIL_TOP, r - _TAIL_SHIFT) / polynomial(_TAIL_BOTTOM, r - _TAIL_SHIFT)


def far_tail(r: Any) -> Any:
    """The same for r above `FAR`."""
    return polynomial(_FAR_TOP, r - FAR) / polynomial(_FAR_BOTTOM, r - FAR)


def quantile(u: FloatArray) -> FloatArray:
    """The values below which a standard normal variable lies with the probabilities `u` in [0, 1), of any shape.

    Minus infinity for 0.
    """
    shares = np.ravel(u)
    from_half = shares - 0.5
    result: FloatArray = central(from_half)
    outer = np.flatnonzero(np.abs(from_half) > CENTRAL)
    smaller = np.minimum(shares[outer], 1.0 - shares[outer])
    with np.errstate(divide="ignore"):
        r = np.sqrt(-np.log(smaller))
    with np.errstate(invalid="ignore"):
        size = np.where(r > FAR, far_tail(r), tail(r))
    size[smaller == 0.0] = np.inf
    result[outer] = np.where(from_half[outer] < 0.0, -size, size)
    return result.reshape(np.shape(u))
