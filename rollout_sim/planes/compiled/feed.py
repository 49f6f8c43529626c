"""What the compiled plane's kernel asks for: arrivals, and the draws and times of their invocations, block by block.

The kernel draws nothing. Invocations come in blocks of `BLOCK`; a block's arrivals, users, uniforms and times on each
version stand in a *slot*, a row of the state's arrays. Where something is missing the kernel returns with a code, the plane
calls the method of `Loader` that stands for it, and the kernel goes on.

A source has one slot for first attempts, or `SLOTS` that are used in turn (block modulo `SLOTS`): one block in use, and room for
those that are ready or being made. With a core to spare a second thread makes the next `BATCH` blocks while the kernel, which holds no
interpreter lock, works on the present one; both write into different slots, so nothing is locked. The plane waits for that
thread only where the kernel has caught up with it. Blocks of second and later attempts share `RETRY_SLOTS` further slots,
where the one that was filled first makes room. They are drawn when they are asked for, and also ahead, for the blocks that
the thread makes, if attempts of that number were used since the last time. `keys` says what such a slot holds, and is
written only by the first thread and only when the slot is complete.

The runs of several strategies draw the same numbers. In a batch one `Loader` serves them all, one after the other: it keeps
all blocks of first attempts (`keeps`), with as many slots as that takes, so that only the first of the runs has them drawn.

Which thread draws a block, and when, changes nothing: every block has streams of its own (`core.streams`).
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.streams import BLOCK
from rollout_sim.core.units import all_micros
from rollout_sim.planes.compiled import state as k
from rollout_sim.planes.compiled.normal import quantile
from rollout_sim.planes.compiled.sfc64 import GOES_ON, uniforms
from rollout_sim.planes.compiled.state import BATCH, SLOTS, empty_draws
from rollout_sim.planes.draws import INIT, RETRY_SLOTS, SERVICE, Draws, init_times, service_times
from rollout_sim.scenario.scenario import Scenario

Block = tuple[int, int, int]
"""A source, which attempt it is, and the block's number."""


def spare_core() -> bool:
    """Whether there is a core for another thread: not where processes share the work already."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores > 1 and multiprocessing.current_process().name == "MainProcess"


class Loader:
    """Writes what the kernel asks for, by `want`, into arrays of the state of one run after the other.

    It draws the next blocks `ahead` of the kernel, if asked to, for one run; or it `keeps` all blocks of first attempts, about
    so many of each source, for the runs that follow; 0: none.
    """

    def __init__(self, scenario: Scenario, sources: list[Draws], *, ahead: bool = False, keeps: int = 0) -> None:
        assert not (ahead and keeps)
        self.sources = sources
        self.specs = tuple(scenario.function.versions.values())
        self.ahead = ahead
        self.keeps = keeps
        self.held = keeps or (SLOTS if ahead else 1) + scenario.polled
        """How many blocks of first attempts of each source there are slots for; of what is polled also the one before the latest."""
        self.arrays = empty_draws(scenario, self.held)
        """The fields of the state that it writes; a state has these in place of its own."""
        self._as_fast = [
            [v for v, other in enumerate(self.specs) if (other.duration, other.per_mb) == (spec.duration, spec.per_mb)]
            for spec in self.specs
        ]
        """Of each version those whose invocations take as long before faults."""
        self._threads: ThreadPoolExecutor | None = None
        self._next: dict[int, tuple[Future[list[int]], dict[Block, int]]] = {}
        self._ready: list[deque[int]] = [deque() for _ in sources]
        self._kept: list[list[int]] = [[] for _ in sources]
        first, every = len(self.arrays["arrivals"]), len(self.arrays["keys"])
        self._slots = deque(range(first, every))
        self._streams = np.empty((every, 4), np.uint64)
        self._sizes: dict[int, FloatArray | None] = {}

    def block(self, state: k.State) -> None:
        """The next block of a source's arrivals, with its users, draws and times on the alias's versions."""
        source = int(state.want[0])
        row = state.sources[source]
        number, primary, additional = int(row["block"]) + 1, int(row["primary"]), int(row["additional"])
        versions = (primary,) if additional < 0 else (primary, additional)
        count = self._kept_block(source, number, versions) if self.keeps else self._next_block(source, number, versions)
        row["position"], row["length"] = 0, count
        row["block"], row["slot"] = number, self._slot(source, number)

    def _kept_block(self, source: int, number: int, versions: tuple[int, ...]) -> int:
        """How many there are in a block that is kept; it is made, if it is the first time that it is asked for."""
        kept = self._kept[source]
        if number == len(kept):
            if number >= self.keeps:
                self._make_room()
            kept.append(self._make(source, number, versions))
        return kept[number]

    def _next_block(self, source: int, number: int, versions: tuple[int, ...]) -> int:
        """How many there are in the next block, which may be ready."""
        ready = self._ready[source]
        if source in self._next and not ready:
            future, later = self._next.pop(source)
            ready.extend(future.result())
            for block, slot in later.items():
                self._fill(slot, block)
        count = ready.popleft() if ready else self._make(source, number, versions)
        last = ready[-1] if ready else count
        # after the first block, so that a short run needs no thread
        if self.ahead and number > 0 and last == BLOCK and source not in self._next:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(1)
            first = number + len(ready) + 1
            later = self._later(source, range(first, first + BATCH))
            self._next[source] = self._threads.submit(self._make_next, source, first, versions, later), later
        return count

    def _make_room(self) -> None:
        """Slots for twice as many blocks of first attempts; those of later attempts, which come last, move on."""
        first = len(self.arrays["arrivals"])
        for name, array in self.arrays.items():
            self.arrays[name] = _with_room(array, first)
        self._streams = _with_room(self._streams, first)
        self.keeps *= 2
        self.held = self.keeps

        def moved(slot: int) -> int:
            return slot + first if slot >= first else slot

        self._slots = deque(map(moved, self._slots))
        self._sizes = {moved(slot): sizes for slot, sizes in self._sizes.items()}

    def draws(self, state: k.State) -> None:
        """The first uniforms of another attempt than the first: routing, faults and service."""
        source, attempt, number = state.want[:3].tolist()
        slot = self._emptied()
        self._draw(slot, (source, attempt, number))
        self._fill(slot, (source, attempt, number))

    def all_draws(self, state: k.State) -> None:
        """The uniforms that only some invocations need."""
        self._rest(int(state.want[3]))

    def times(self, state: k.State) -> None:
        """How long a block's invocations take on a version."""
        self._times(*state.want[3:5].tolist())

    def inits(self, state: k.State) -> None:
        """How long a block's cold starts take on a version."""
        slot, v = state.want[3:5].tolist()
        init = self.specs[v].cold_duration or self.specs[v].cold_start
        assert init is not None
        self._rest(slot)
        self.arrays["inits"][slot, v] = init_times(init, self.arrays["uniforms"][slot, INIT])
        self.arrays["loaded"][slot, 1 + len(self.specs) + v] = 1

    def close(self) -> None:
        """Stops the second thread; nothing can be asked for afterwards."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _slot(self, source: int, block: int) -> int:
        return source + len(self.sources) * (block % self.held)

    def _emptied(self) -> int:
        """A slot for a block of later attempts: the one that was filled before all others, if it ever was."""
        slot = self._slots.popleft()
        self.arrays["keys"][slot] = -1
        return slot

    def _fill(self, slot: int, block: Block) -> None:
        """The slot holds that block from now on."""
        self._slots.append(slot)
        self.arrays["keys"][slot] = *block, 0

    def _later(self, source: int, numbers: range) -> dict[Block, int]:
        """Slots for some blocks' second attempts if there were second ones since the last call, third ones likewise, ...

        Half of the slots are left to what the kernel asks for itself.
        """
        later: dict[Block, int] = {}
        if self.sources[source].source.polled:  # whose blocks of second attempts do not go with those of first ones
            return later
        held = self.arrays["keys"][len(self.arrays["arrivals"]) :]
        used = (held[:, 0] == source) & (held[:, 3] == 1)
        held[used, 3] = 0
        for attempt in np.unique(held[used, 1]).tolist():
            for number in numbers:
                if len(self._slots) > RETRY_SLOTS // 2:
                    later[source, attempt, number] = self._emptied()
        return later

    def _make_next(self, source: int, first: int, versions: tuple[int, ...], later: dict[Block, int]) -> list[int]:
        """A batch of blocks from the `first` on, unless one is the last, and of `later` attempts; the blocks' sizes."""
        counts: list[int] = []
        while len(counts) < BATCH and (not counts or counts[-1] == BLOCK):
            counts.append(self._make(source, first + len(counts), versions))
        for block, slot in later.items():
            self._draw(slot, block, versions)
        return counts

    def _make(self, source: int, block: int, versions: tuple[int, ...]) -> int:
        """A block of first attempts, with their times on some versions; how many there are."""
        draws, slot = self.sources[source], self._slot(source, block)
        times = draws.process.block(block)
        self.arrays["arrivals"][slot, : times.size] = all_micros(times)
        users = draws.users(block)
        if users is not None:
            self.arrays["users"][slot] = users
        self._draw(slot, (source, 1, block), versions)
        return times.size

    def _draw(self, slot: int, block: Block, versions: tuple[int, ...] = ()) -> None:
        """The first uniforms of a block's attempts, and their times on some versions."""
        source, attempt, number = block
        draws = self.sources[source]
        self.arrays["loaded"][slot] = 0
        uniforms(draws.entropy(number, attempt), self._streams[slot], self.arrays["uniforms"][slot, : SERVICE + 1])
        self._sizes[slot] = draws.sizes(number)
        for v, spec in enumerate(self.specs):
            if spec.cold_start is None and spec.cold_duration is None:
                self.arrays["inits"][slot, v] = 0.0  # which the kernel never asks for
        for v in versions:
            self._times(slot, v)

    def _rest(self, slot: int) -> None:
        """The other uniforms, from where `_draw` left the stream."""
        if self.arrays["loaded"][slot, 0] == 0:
            uniforms(GOES_ON, self._streams[slot], self.arrays["uniforms"][slot, SERVICE + 1 :])
            self.arrays["loaded"][slot, 0] = 1

    def _times(self, slot: int, v: int) -> None:
        spec, services, loaded = self.specs[v], self.arrays["services"][slot], self.arrays["loaded"][slot, 1:]
        same = next((other for other in self._as_fast[v] if loaded[other] == 1), None)
        if same is None:
            draws = self.arrays["uniforms"][slot, SERVICE]
            services[v] = service_times(spec.duration, spec.per_mb, draws, self._sizes[slot], quantile)
        else:
            services[v] = services[same]
        loaded[v] = 1


def _with_room(array: NDArray[Any], first: int) -> NDArray[Any]:
    """`array` with so many more rows behind its `first` ones."""
    return np.concatenate([array[:first], np.empty_like(array[:first]), array[first:]])
