"""The types of the arrays that the package passes around; shapes stand where they are used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Mask = BoolArray
"""Which replications of a batch something is about: of shape (replications,)."""
