"""The compiled plane's environments: what `environments` does, over arrays, in the same order and with the same sums.

The idle environments of a version stand in a row, the next one to be taken last; each as a key, its priority and
its index in `environments` in one number. A fence of keys above all others stands before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from rollout_sim.core import units
from rollout_sim.core.arrays import IntArray
from rollout_sim.function.environments import PLACES, SCALE_UP_MICROS, SWEEP
from rollout_sim.function.faults import ERROR
from rollout_sim.planes.compiled.jit import inlined, with_names
from rollout_sim.planes.compiled.state import (
    BUSY,
    ENV_FREE,
    FENCE,
    KEEP_ALIVE,
    LIMIT,
    MADE,
    MANAGED,
    MOST_RECENT,
    RUNNING,
    STARTED,
    Index,
    State,
)

micros = with_names(units.micros)
PROVISIONED: Final = -(1 << 38)
"""Priorities of provisioned environments count up from here; all others lie far above."""
_HALF: Final = PROVISIONED // 2
_SHIFT: Final = 24
MAX_ENVIRONMENTS: Final = 1 << _SHIFT
_INDEX: Final = MAX_ENVIRONMENTS - 1


GOING: Final = -1.0
"""The time since which a place of an environment is idle that goes as soon as nothing runs in it."""


@inlined
def push_idle(s: State, v: int, priority: int, env: int) -> None:
    """An environment of version `v` is idle."""
    key, position = priority * MAX_ENVIRONMENTS + env, FENCE + s.versions[v].idle
    s.versions[v].idle += 1
    s.idle[v, Index(position)] = min(s.idle[v, Index(position - 1)], key)
    for k in range(1, FENCE):  # branch-free: how far it goes cannot be predicted
        s.idle[v, Index(position - k)] = max(
            s.idle[v, Index(position - k)], min(s.idle[v, Index(position - k - 1)], key)
        )
    position -= FENCE
    while s.idle[v, Index(position)] < key:
        s.idle[v, Index(position)] = min(s.idle[v, Index(position - 1)], key)
        position -= 1


@inlined
def next_warm(s: State, v: int, t: float) -> tuple[Index, bool]:
    """The idle environment of version `v` that would be taken next, and whether there is one that is still there at `t`."""
    idle = s.versions[v].idle
    env = Index(s.idle[v, Index(FENCE + idle - 1)] & _INDEX)
    return env, idle > 0 and s.environments[env].since + s.x[KEEP_ALIVE] >= t


@inlined
def identity_of(s: State, env: int) -> int:
    """An environment's number within its function."""
    priority = s.environments[env].priority
    return int((priority - PROVISIONED) % PLACES if priority < _HALF else -priority)


@inlined
def _made(s: State, t: float) -> Index:
    """The index of a new environment; its priority is that of the newest. There is room."""
    s.n[ENV_FREE] -= 1
    env = Index(s.env_free[Index(s.n[ENV_FREE])])
    s.environments[env].priority, s.environments[env].created = -s.n[MADE], t
    s.n[MADE] += 1
    return env


@inlined
def _gone(s: State, v: int, env: int, lived: float) -> None:
    """An environment is no more, after so many seconds."""
    s.versions[v].lived += lived
    s.env_free[s.n[ENV_FREE]] = env
    s.n[ENV_FREE] += 1


@inlined
def add_provisioned(s: State, v: int, t: float) -> None:
    """One more environment of version `v` that is kept warm; there is room."""
    env = _made(s, t)
    s.environments[env].priority = PROVISIONED - s.environments[env].priority
    s.environments[env].since = np.inf
    push_idle(s, v, s.environments[env].priority, env)


@inlined
def _sweep(s: State, v: int, t: float) -> None:
    """Drops the environments that died unseen, the first ones first."""
    keep_alive, end = s.x[KEEP_ALIVE], FENCE + s.versions[v].idle
    to = end
    for position in range(end - 1, FENCE - 1, -1):
        env = Index(s.idle[v, position] & _INDEX)
        since = s.environments[env].since
        if since + keep_alive >= t:
            to -= 1
            s.idle[v, to] = s.idle[v, position]
        else:
            _gone(s, v, env, since + keep_alive - s.environments[env].created)
    for position in range(end - to):
        s.idle[v, FENCE + position] = s.idle[v, to + position]
    s.versions[v].idle = end - to
    s.versions[v].sweep_at = max(SWEEP, 2 * (end - to))


@inlined
def _may_start(s: State, t: float) -> bool:
    """`Fleet.may_start`."""
    oldest, now = Index(s.n[STARTED] % s.starts.size), micros(t)
    if now - s.starts[oldest] < SCALE_UP_MICROS:
        return False
    s.starts[oldest] = now
    s.n[STARTED] += 1
    return True


@inlined
def take(s: State, v: int, t: float, r: int, env: Index, warm: bool) -> bool:
    """Gives request `r` an environment of version `v`; False: throttled. There is room for a new one.

    `env` and `warm` are what `next_warm` says.
    """
    idle = s.versions[v].idle
    if s.n[BUSY] >= s.n[LIMIT] and not (idle > 0 and s.idle[v, Index(FENCE + idle - 1)] < _HALF * MAX_ENVIRONMENTS):
        return False
    cold = not warm
    if warm:
        idle -= 1
    while idle > 0 and cold:
        idle -= 1
        env = Index(s.idle[v, Index(FENCE + idle)] & _INDEX)
        since = s.environments[env].since
        if since + s.x[KEEP_ALIVE] < t:
            _gone(s, v, env, since + s.x[KEEP_ALIVE] - s.environments[env].created)
        else:
            cold = False
    s.versions[v].idle = idle
    s.requests[r].cold = cold
    if cold:
        if not _may_start(s, t):
            return False
        env = _made(s, t)
    if s.environments[env].priority >= _HALF:
        s.n[BUSY] += 1
    s.n[RUNNING] += 1
    s.versions[v].busy += 1
    s.versions[v].created_busy += s.environments[env].created
    s.versions[v].started_busy += t
    s.requests[r].env = env
    return True


@inlined
def leave(s: State, r: int, t: float) -> None:
    """The environment of request `r`, which began at its `began`, is idle or destroyed from `t` on."""
    v, env, began = Index(s.requests[r].version), Index(s.requests[r].env), s.requests[r].began
    created, priority = s.environments[env].created, s.environments[env].priority
    if priority >= _HALF:
        s.n[BUSY] -= 1
    s.n[RUNNING] -= 1
    s.versions[v].busy -= 1
    s.versions[v].created_busy -= created
    s.versions[v].started_busy -= began
    s.versions[v].worked += t - began
    if s.requests[r].outcome > ERROR and s.n[MANAGED] == 0:
        _gone(s, v, env, t - created)
        if priority < _HALF:
            if s.versions[v].leaving > 0:
                s.versions[v].leaving -= 1
                s.n[LIMIT] += 1
            else:
                add_provisioned(s, v, t)
        return
    if priority >= _HALF:
        s.environments[env].since = t
        if s.n[MOST_RECENT] == 1:
            s.versions[v].returns += 1
            priority = -s.versions[v].returns
    elif s.environments[env].since == GOING:
        _gone(s, v, env, t - created)
        return
    elif s.versions[v].leaving > 0:
        s.versions[v].leaving -= 1
        s.n[LIMIT] += 1
        _gone(s, v, env, t - created)
        return
    push_idle(s, v, priority, env)
    if s.versions[v].idle > s.versions[v].sweep_at:
        _sweep(s, v, t)


def add_places(s: State, v: int, t: float, count: int) -> None:
    """An environment of version `v` on managed instances, with so many places, each of them one of the `environments`.

    As `function.environments.ManagedPool` has it. There is room.
    """
    s.n[ENV_FREE] -= count
    places = s.env_free[s.n[ENV_FREE] :][:count]
    priorities = PROVISIONED + np.arange(count) * PLACES + s.n[MADE]
    s.n[MADE] += 1
    for field, values in (("priority", priorities), ("created", t), ("since", np.inf)):
        s.environments[field][places] = values
    idle = int(s.versions[v]["idle"])
    row = s.idle[v, FENCE:]
    row[: idle + count] = np.sort(np.concatenate([row[:idle], priorities * MAX_ENVIRONMENTS + places]))[::-1]
    s.versions[v]["idle"] = idle + count


def remove_places(s: State, v: int, t: float, going: Sequence[int]) -> None:
    """The environments of those identities go: their idle places at `t` (s), the others as soon as nothing runs in them."""
    every = s.environments
    here = (every["priority"] < _HALF) & np.isin((every["priority"] - PROVISIONED) % PLACES, going)
    every["since"][here] = GOING
    _take_away(s, v, t, np.flatnonzero(here[s.idle[v, FENCE:][: s.versions[v]["idle"]] % MAX_ENVIRONMENTS]))


def remove_provisioned(s: State, v: int, t: float, count: int) -> None:
    """`EnvironmentPool.deprovision`."""
    idle = int(s.versions[v]["idle"])
    provisioned = np.flatnonzero(s.idle[v, FENCE:][:idle] < _HALF * MAX_ENVIRONMENTS)[::-1][:count]
    s.n[LIMIT] += provisioned.size
    s.versions[v]["leaving"] += count - provisioned.size
    _take_away(s, v, t, np.sort(provisioned))


def _take_away(s: State, v: int, t: float, positions: IntArray) -> None:
    """Environments of version `v` that are idle go at `t` (s): those at these `positions` of its row, in order."""
    row, version = s.idle[v, FENCE:][: s.versions[v]["idle"]], s.versions[v]
    free = row[positions][::-1] % MAX_ENVIRONMENTS
    for created in s.environments["created"][free].tolist():
        version["lived"] += t - created
    s.env_free[s.n[ENV_FREE] :][: free.size] = free
    s.n[ENV_FREE] += free.size
    version["idle"] -= free.size
    row[: version["idle"]] = np.delete(row, positions)
