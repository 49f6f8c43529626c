"""Named random streams: every draw belongs to (seed, replication, purpose) and to nothing else.

Two strategies that ask for the same stream draw the same numbers (common random numbers), and adding
a stream never shifts another one. Per-invocation draws come in blocks of `BLOCK`, each with a stream
of its own, so that invocation `i` has the same numbers however many are drawn at a time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rollout_sim.errors import ScenarioError

BLOCK: Final = 4096
"""How many invocations share one block of draws. Part of the model: changing it changes every result."""
WORD: Final = 32
POOL: Final = 4
"""Bits of a word of a seed sequence's entropy, and words of its pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The streams of one replication of one seed."""

    seed: int
    replication: int = 0
    prefix: str = ""
    """What is put before each stream's name, so that the parts of one batch have streams of their own."""

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int | np.integer) or self.seed < 0:
            raise ScenarioError([f"seed: needs a whole number from 0, got {self.seed!r}"])

    def generator(self, name: str, *index: int) -> np.random.Generator:
        """The generator of the stream `name` (and `index`, such as a block number), at its start.

        Asking twice gives two generators with the same numbers. The name is hashed into the key of a
        `numpy.random.SeedSequence`, so similar names are as unrelated as different ones.
        """
        key = (self.replication, *_hashed(f"{self.prefix}{name}"), *index)
        sequence = np.random.SeedSequence(self.seed, spawn_key=key)
        return np.random.Generator(np.random.SFC64(sequence))

    def unit_arrivals(self, after: float, name: str, *index: int) -> NDArray[np.float64]:
        """When the next `BLOCK` arrivals of a Poisson process of rate 1 come, by the stream of that name; the last came at `after`."""
        gaps = self.generator(name, *index).standard_exponential(BLOCK)
        gaps[0] += after
        return np.cumsum(gaps)

    def entropy(self, name: str, *index: int) -> NDArray[np.uint32]:
        """What the seed sequence of that generator is made from, for who mixes it himself: words of `WORD` bits.

        The seed, filled up to a pool of four words, and the key: each number from its lowest word on.
        """
        words = list(_stem(self.seed, self.replication, f"{self.prefix}{name}"))
        for number in index:
            words += _words(number)
        return np.array(words, np.uint32)


@lru_cache(maxsize=1024)
def _hashed(name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


@lru_cache(maxsize=1024)
def _stem(seed: int, replication: int, name: str) -> tuple[int, ...]:
    pool = _words(seed)
    return (*pool, *[0] * (POOL - len(pool)), *_words(replication), *_hashed(name))


def _words(number: int) -> list[int]:
    """A number from 0 in words of `WORD` bits, the lowest first; at least one."""
    words = [number % (1 << WORD)]
    while number := number >> WORD:
        words.append(number % (1 << WORD))
    return words
