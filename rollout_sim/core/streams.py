"""Named random streams: every draw belongs to (seed, replication, purpose) and to nothing else.

Two strategies that ask for the same stream draw the same numbers (common random numbers), and adding
a stream never shifts another one. Per-invocation draws come in blocks of `BLOCK`, each with a stream
of its own, so that invocation `i` has the same numbers however many are drawn at a time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

BLOCK: Final = 4096
"""How many invocations share one block of draws. Part of the model: changing it changes every result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The streams of one replication of one seed."""

    seed: int
    replication: int = 0
    prefix: str = ""
    """What is put before each stream's name, so that the parts of one batch have streams of their own."""

    def generator(self, name: str, *index: int) -> np.random.Generator:
        """The generator of the stream `name` (and `index`, such as a block number), at its start.

        Asking twice gives two generators with the same numbers. The name is hashed into the key of a
        `numpy.random.SeedSequence`, so similar names are as unrelated as different ones.
        """
        digest = hashlib.blake2b(f"{self.prefix}{name}".encode(), digest_size=8).digest()
        low, high = int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.replication, low, high, *index))
        return np.random.Generator(np.random.SFC64(sequence))
