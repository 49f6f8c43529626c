"""The compiled plane's environments: what `environments` does, over arrays, in the same order and with the same sums.

The idle environments of a version stand in a row, the next one to be taken last; each as a key, its priority and
its place in `env_times` in one number.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rollout_sim.faults import ERROR
from rollout_sim.planes.arrays import (
    BUSY,
    E_CREATED,
    E_SINCE,
    ENV_FREE,
    KEEP_ALIVE,
    LAST,
    LIMIT,
    MADE,
    MOST,
    REFILL,
    RUNNING,
    SCALE_UP,
    TOKENS,
    V_BUSY,
    V_CREATED_BUSY,
    V_IDLE,
    V_LIVED,
    V_RETURNS,
    V_STARTED_BUSY,
    V_SWEEP_AT,
    V_WORKED,
    Place,
    State,
    at,
)
from rollout_sim.planes.compiler import inlined
from rollout_sim.planes.environments import SWEEP

PROVISIONED: Final = -(1 << 38)
"""Priorities of provisioned environments count up from here; all others lie far above."""
_HALF: Final = PROVISIONED // 2
_SHIFT: Final = 24
MAX_ENVIRONMENTS: Final = 1 << _SHIFT
_PLACE: Final = MAX_ENVIRONMENTS - 1


@inlined
def push_idle(s: State, v: int, priority: int, env: int) -> None:
    """An environment of version `v` is idle."""
    key, place = priority * MAX_ENVIRONMENTS + env, s.versions[v, V_IDLE]
    s.versions[v, V_IDLE] += 1
    while place > 0 and s.idle[v, at(place - 1)] < key:
        s.idle[v, at(place)] = s.idle[v, at(place - 1)]
        place -= 1
    s.idle[v, at(place)] = key


@inlined
def next_idle(s: State, v: int) -> Place:
    """The idle environment of version `v` that would be taken next; there is one."""
    return at(s.idle[v, at(s.versions[v, V_IDLE] - 1)] & _PLACE)


@inlined
def identity_of(s: State, env: int) -> int:
    """An environment's number within its function."""
    priority = s.env_priority[env]
    return int(priority - PROVISIONED if priority < _HALF else -priority)


@inlined
def _made(s: State, t: float) -> Place:
    """A new environment's place; its priority is that of the newest. There is room."""
    s.n[ENV_FREE] -= 1
    env = at(s.env_free[at(s.n[ENV_FREE])])
    s.env_priority[env], s.env_times[env, E_CREATED] = -s.n[MADE], t
    s.n[MADE] += 1
    return env


@inlined
def _gone(s: State, v: int, env: int, lived: float) -> None:
    """An environment is no more, after so many seconds."""
    s.version_times[v, V_LIVED] += lived
    s.env_free[s.n[ENV_FREE]] = env
    s.n[ENV_FREE] += 1


@inlined
def add_provisioned(s: State, v: int, t: float) -> None:
    """One more environment of version `v` that is kept warm; there is room."""
    env = _made(s, t)
    s.env_priority[env] = PROVISIONED - s.env_priority[env]
    s.env_times[env, E_SINCE] = np.inf
    push_idle(s, v, s.env_priority[env], env)


@inlined
def _sweep(s: State, v: int, t: float) -> None:
    """Drops the environments that died unseen, the first ones first."""
    keep_alive, idle = s.x[KEEP_ALIVE], s.versions[v, V_IDLE]
    to = idle
    for place in range(idle - 1, -1, -1):
        env = s.idle[v, place] & _PLACE
        since = s.env_times[env, E_SINCE]
        if since + keep_alive >= t:
            to -= 1
            s.idle[v, to] = s.idle[v, place]
        else:
            _gone(s, v, env, since + keep_alive - s.env_times[env, E_CREATED])
    for place in range(idle - to):
        s.idle[v, place] = s.idle[v, to + place]
    s.versions[v, V_IDLE] = idle - to
    s.versions[v, V_SWEEP_AT] = max(SWEEP, 2 * (idle - to))


@inlined
def _may_start(s: State, t: float) -> bool:
    tokens = s.x[TOKENS] + (t - s.x[LAST]) * s.x[REFILL]
    tokens = min(tokens, s.x[SCALE_UP])
    s.x[LAST] = t
    if tokens < 1.0:
        s.x[TOKENS] = tokens
        return False
    s.x[TOKENS] = tokens - 1.0
    return True


@inlined
def take(s: State, v: int, t: float, r: int) -> bool:
    """Gives request `r` an environment of version `v`; False: throttled. There is room for a new one."""
    idle = s.versions[v, V_IDLE]
    if s.n[BUSY] >= s.n[LIMIT] and not (idle > 0 and s.idle[v, at(idle - 1)] < _HALF * MAX_ENVIRONMENTS):
        return False
    env, cold = at(0), True
    while idle > 0 and cold:
        idle -= 1
        env = at(s.idle[v, at(idle)] & _PLACE)
        since = s.env_times[env, E_SINCE]
        if since + s.x[KEEP_ALIVE] < t:
            _gone(s, v, env, since + s.x[KEEP_ALIVE] - s.env_times[env, E_CREATED])
        else:
            cold = False
    s.versions[v, V_IDLE] = idle
    s.requests[r].cold = cold
    if cold:
        if not _may_start(s, t):
            return False
        env = _made(s, t)
    if s.env_priority[env] >= _HALF:
        s.n[BUSY] += 1
    s.n[RUNNING] += 1
    s.versions[v, V_BUSY] += 1
    s.version_times[v, V_CREATED_BUSY] += s.env_times[env, E_CREATED]
    s.version_times[v, V_STARTED_BUSY] += t
    s.requests[r].env = env
    return True


@inlined
def leave(s: State, r: int, t: float) -> None:
    """The environment of request `r`, which began at its `T_BEGAN`, is idle or destroyed from `t` on."""
    v, env, began = at(s.requests[r].version), at(s.requests[r].env), s.requests[r].began
    created, priority = s.env_times[env, E_CREATED], s.env_priority[env]
    if priority >= _HALF:
        s.n[BUSY] -= 1
    s.n[RUNNING] -= 1
    s.versions[v, V_BUSY] -= 1
    s.version_times[v, V_CREATED_BUSY] -= created
    s.version_times[v, V_STARTED_BUSY] -= began
    s.version_times[v, V_WORKED] += t - began
    if s.requests[r].outcome > ERROR:
        _gone(s, v, env, t - created)
        if priority < _HALF:
            add_provisioned(s, v, t)
        return
    if priority >= _HALF:
        s.env_times[env, E_SINCE] = t
        if s.n[MOST] == 1:
            s.versions[v, V_RETURNS] += 1
            priority = -s.versions[v, V_RETURNS]
    push_idle(s, v, priority, env)
    if s.versions[v, V_IDLE] > s.versions[v, V_SWEEP_AT]:
        _sweep(s, v, t)
