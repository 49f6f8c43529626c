"""The generators of `core.streams` written out: NumPy's SFC64, begun by its seed sequence, in one compiled loop.

Every block of draws has a stream of its own, and to make a NumPy generator and its seed sequence takes as long as a thousand
and more of its numbers. The loop gives the same numbers to the last bit.

M. E. O'Neill, "Developing a seed_seq alternative", 2015, and C. Doty-Humphrey's Small Fast Chaotic generator of PractRand,
as `numpy/random/bit_generator.pyx` and `numpy/random/src/sfc64` have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.streams import BLOCK, POOL, WORD, Streams
from rollout_sim.planes.compiled import jit
from rollout_sim.planes.compiled.jit import inlined, kept

_MASK: Final = (1 << WORD) - 1
_INIT_A, _MULT_A, _INIT_B, _MULT_B = 0x43B0D7E5, 0x931E8875, 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT = 0xCA01F9DD, 0x4973F715
_WARM_UP: Final = 12
"""Numbers of a new stream that are thrown away."""
_ONE: Final = np.uint64(1)
_UNUSED: Final = np.uint64(11)
"""Bits of a word that a uniform does not show."""
_UNIT: Final = 2.0**-53
GOES_ON: Final = np.zeros(0, np.uint32)
"""In place of entropy: the stream goes on from its state."""
State = NDArray[np.uint64]
"""A stream: three words and a counter."""


@inlined
def _next(a: Any, b: Any, c: Any, counter: Any) -> Any:
    """The next 64 bits, and the state after them."""
    drawn = a + b + counter
    rotated = (c << np.uint64(24)) | (c >> np.uint64(40))
    return drawn, b ^ (b >> np.uint64(11)), c + (c << np.uint64(3)), rotated + drawn, counter + _ONE


@inlined
def _hashed(word: int, constant: int, following: int) -> int:
    """A word hashed by a constant and the one that follows it."""
    value = ((word ^ constant) * following) & _MASK
    return value ^ (value >> (WORD // 2))


@inlined
def _mixed(x: int, y: int) -> int:
    value = (_MIX_LEFT * x - _MIX_RIGHT * y) & _MASK
    return value ^ (value >> (WORD // 2))


@inlined
def _begin(entropy: NDArray[np.uint32], state: State) -> None:
    """`SeedSequence.generate_state(3, np.uint64)` of at least `POOL` words of entropy, and `SFC64`'s start from it."""
    constant = _INIT_A
    for source in range(-1, entropy.size):
        for k in range(POOL):
            following = (constant * _MULT_A) & _MASK
            if source < 0:  # the pool is filled, then its words are mixed with one another, then with all others
                state[k] = np.uint64(_hashed(np.int64(entropy[k]), constant, following))
            elif source >= POOL:
                word = _hashed(np.int64(entropy[source]), constant, following)
                state[k] = np.uint64(_mixed(np.int64(state[k]), word))
            elif k != source:
                word = _hashed(np.int64(state[source]), constant, following)
                state[k] = np.uint64(_mixed(np.int64(state[k]), word))
            else:
                continue
            constant = following
    constant = _INIT_B
    a, b, c, counter = np.uint64(0), np.uint64(0), np.uint64(0), _ONE
    for k in range(6):  # halves of three words
        following = (constant * _MULT_B) & _MASK
        half = np.uint64(_hashed(np.int64(state[k % POOL]), constant, following)) << np.uint64(WORD * (k % 2))
        constant = following
        if k < 2:
            a |= half
        elif k < 4:
            b |= half
        else:
            c |= half
    for _ in range(_WARM_UP):
        _, a, b, c, counter = _next(a, b, c, counter)
    state[0], state[1], state[2], state[3] = a, b, c, counter


def _uniforms(entropy: NDArray[np.uint32], state: State, rows: FloatArray) -> None:
    """Fills `rows` with the next uniforms of the stream that begins with the `entropy`; `GOES_ON`: of the one in that `state`."""
    if entropy.size > 0:
        _begin(entropy, state)
    a, b, c, counter = state[0], state[1], state[2], state[3]
    for row in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            drawn, a, b, c, counter = _next(a, b, c, counter)
            rows[row, j] = np.int64(drawn >> _UNUSED) * _UNIT
    state[0], state[1], state[2], state[3] = a, b, c, counter


uniforms = kept(_uniforms, jit)


def _add_up(gaps: FloatArray) -> None:
    """Each number becomes the sum of those up to it."""
    total = 0.0
    for j in range(gaps.size):
        total += gaps[j]
        gaps[j] = total


add_up = kept(_add_up, jit)


class _NoSeeds(ISeedSequence):
    """For a bit generator whose state is set."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        return np.zeros(n_words, dtype)


_NO_SEEDS: Final[Any] = _NoSeeds()
"""Any seed sequence will do, which NumPy's own stubs do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickStreams(Streams):
    """The same streams; their generators are begun by the compiled loop."""

    def generator(self, name: str, *index: int) -> np.random.Generator:
        """As `Streams` has it."""
        state = np.empty(4, np.uint64)
        uniforms(self.entropy(name, *index), state, np.empty((0, 0)))
        bits = np.random.SFC64(_NO_SEEDS)
        bits.state = {"bit_generator": "SFC64", "state": {"state": state}, "has_uint32": 0, "uinteger": 0}
        return np.random.Generator(bits)

    def unit_arrivals(self, after: float, name: str, *index: int) -> FloatArray:
        """As `Streams` has it."""
        gaps = self.generator(name, *index).standard_exponential(BLOCK)
        gaps[0] += after
        add_up(gaps)
        return gaps
