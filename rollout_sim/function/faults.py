"""Faults: what a version does wrong, from when to when, and to which of its invocations.

A scenario's faults become rows of plain numbers (`rows_of`); two small scalar functions,
`failure_shares` and `slowdown`, are the only copy of what a row does, for every data plane.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, NamedTuple, Protocol

from rollout_sim.core.fields import Codec, Instant, PositiveSeconds, PositiveShare, Quantity, Seconds, Share, section
from rollout_sim.core.registry import FAULTS, ByType
from rollout_sim.core.units import TICK, tick

ERRORS, LATENCY, CRASH, HANG, RESPONSES, INIT, LEAK, LOAD, SUBSET, POISON = range(10)
KINDS: Final = ("errors", "latency", "crash", "hang", "responses", "init", "leak", "load", "subset", "poison")
OF_RECORDS: Final = ("errors", "responses", "subset", "poison")
"""The kinds that hit single records of a batch; the others hit the invocation."""
CUSTOM: Final = "custom"
OK, FAILED_RESPONSE, ERROR, CRASHED, INIT_FAILED, TIMED_OUT, THROTTLED, REFUSED = range(8)
OUTCOMES: Final = ("ok", "failed_response", "error", "crash", "init_error", "timeout", "throttled", "refused")
"""What becomes of an attempt: only `ok` is a good answer, from `error` on Lambda counts it, above it the environment is gone."""
CRASH_DURATION: Final = 0.01
"""Seconds from the start of an invocation to the exit of a process that crashes at once. AWS does not document it; a guess."""
_SLOWEST: Final = 1e100
"""Where many slowdowns multiply: slower than any timeout, and still a number."""


@dataclass(frozen=True, slots=True)
class Slowdown:
    """How much longer something takes: `factor` times as long, and `add` seconds more."""

    factor: float = 1.0
    add: float = 0.0


_POSITIVE_FACTOR: Final = Quantity(kind="factor", above=0.0)
_ADDED: Final = Quantity(kind="duration")
_FAILING: Final = Quantity(kind="share", high=1.0)


class _SlowdownCodec(Codec):
    """`2x` or `200 ms` for a `Slowdown`."""

    def read(self, value: object) -> Slowdown:
        """Raises ValueError for anything but a factor above 0 or a duration."""
        try:
            if isinstance(value, str) and value.rstrip().endswith("x"):
                return Slowdown(factor=_POSITIVE_FACTOR.read(value))
            return Slowdown(add=_ADDED.read(value))
        except ValueError as error:
            raise ValueError(
                f"needs a factor above 0 or a duration to add (for example 2x or 200 ms), got {value!r}"
            ) from error

    def write(self, value: Slowdown) -> str:
        """The factor, or the duration where there is none."""
        return _POSITIVE_FACTOR.write(value.factor) if value.factor != 1 else _ADDED.write(value.add)

    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string", "examples": ["2x", "200 ms"]}


class _InitCodec(_SlowdownCodec):
    """`5%` for cold starts that fail, or `2x` or `500 ms` for a slower init."""

    def read(self, value: object) -> float | Slowdown:  # type: ignore[override]  # a share besides
        """Raises ValueError for anything else."""
        return _FAILING.read(value) if isinstance(value, str) and value.rstrip().endswith("%") else super().read(value)

    def write(self, value: float | Slowdown) -> str:
        """A share, a factor or a duration."""
        return _FAILING.write(value) if isinstance(value, float) else super().write(value)

    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string", "examples": ["5%", "2x", "500 ms"]}


SlowdownField = Annotated[Slowdown, _SlowdownCodec()]
InitField = Annotated[float | Slowdown, _InitCodec()]


@section
class Leak:
    """What an environment's age does: with every `per` of age, `errors` more failures and `latency` more time."""

    per: PositiveSeconds
    """The age of an environment after which `errors` and `latency` have their full size once."""
    errors: Share = 0.0
    """More invocations that fail, for each `per` of age."""
    latency: SlowdownField = Slowdown()
    """More time (`1.1x` or `20 ms`), for each `per` of age."""

    def __post_init__(self) -> None:
        if self.errors == 0 and self.latency == Slowdown():
            raise ValueError("a leak does nothing without `errors` or `latency`")


@section
class Load:
    """What happens to invocations that start when more than `above` run in the function, themselves included."""

    above: int
    """Invocations running in the function beyond which it happens."""
    errors: Share = 0.0
    """The share of those invocations that fails."""
    latency: SlowdownField = Slowdown()
    """How much longer they take: `2x` or `200 ms`."""

    def __post_init__(self) -> None:
        if self.above < 0:
            raise ValueError(f"`above` is a number of concurrent invocations, got {self.above}; allowed 0 or more")
        if self.errors == 0 and self.latency == Slowdown():
            raise ValueError("a load fault does nothing without `errors` or `latency`")


@section
class Subset:
    """Always the same share of the `users` suffers `errors`; invocations without a user never do."""

    users: PositiveShare
    """The share of the users that is hit, always the same ones."""
    errors: PositiveShare = 1.0
    """The share of their requests that fails."""


class FaultRow(NamedTuple):
    """A fault as plain numbers, as every data plane reads it; times are the simulation's."""

    kind: int
    """Which fault: `ERRORS`, `LATENCY`, ..., an index into `KINDS`."""
    onset: float
    """When it sets in (s)."""
    ramp: float
    """How long it takes to rise to its full size (s)."""
    until: float
    """When it ends (s), infinite where it does not."""
    share: float
    """The share of invocations that fail, or (of a latency fault) are slower."""
    factor: float
    """How many times as long durations, or the init, are."""
    add: float
    """How much longer they are (s)."""
    parameter: float
    """Of a leak `per` (s), of a load fault `above` (invocations), of a subset the share of the users; else 0."""


KIND, ONSET, RAMP, UNTIL, SHARE, FACTOR, ADD, PARAMETER = range(8)
"""The places in a row. The functions below go by these: for the compiled plane a row is a row of an array."""


@section
class Fault:
    """One thing that goes wrong, from `onset` (counted from the rollout's start), rising over `ramp`, until `until`.

    Exactly one of the kinds is given: `errors`, `latency`, `crash`, `hang`, `responses`, `init`, `leak`, `load`, `subset`,
    `poison` or `custom`. Of what is polled, `errors`, `responses`, `subset` and `poison` hit single records, the others batches.
    """

    errors: PositiveShare | None = None
    """The share of invocations that end in a handled exception, on top of the version's own."""
    latency: SlowdownField | None = None
    """How much longer invocations take: `2x` or `200 ms`."""
    crash: PositiveShare | None = None
    """The share of invocations whose process exits at once: an error, and the environment is gone."""
    hang: PositiveShare | None = None
    """The share of invocations that run into the timeout and destroy their environment."""
    responses: PositiveShare | None = None
    """The share of invocations that succeed for Lambda and yet answer with a failure, such as a status 500."""
    init: InitField | None = None
    """Cold starts that fail (`5%`), or take longer (`2x`, `500 ms`)."""
    leak: Leak | None = None
    """Gets worse with the age of an environment."""
    load: Load | None = None
    """Happens above a concurrency."""
    subset: Subset | None = None
    """Hits always the same share of the users."""
    poison: PositiveShare | None = None
    """The share of the records of a queue or stream that always fail; in `incident` on every version alike."""
    custom: Annotated[Any, ByType(FAULTS)] | None = None
    """A fault of your own, by its `type`: a class registered with `extensions`."""
    share: PositiveShare = 1.0
    """With `latency`: the share of the invocations that is slower."""
    onset: Instant = 0.0
    """When it sets in, counted from the rollout's start."""
    ramp: Seconds = 0.0
    """How long it takes to rise to its full size."""
    until: Instant | None = None
    """When it ends; without it, never."""

    def __post_init__(self) -> None:
        kinds = (*KINDS, CUSTOM)
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"a fault is exactly one of {', '.join(kinds)}, got {' and '.join(given) or 'none'}")
        if self.custom is not None and self.ramp:
            raise ValueError("`ramp` belongs to built-in faults; a custom one says itself how it rises")
        if self.share != 1 and given != ["latency"]:
            raise ValueError(f"`share` belongs to a latency fault, got it with {given[0]}")
        if self.until is not None and self.until <= self.onset:
            raise ValueError(f"`until` ({self.until:g} s) must come after `onset` ({self.onset:g} s)")

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is, or `custom`."""
        return next(kind for kind in (*KINDS, CUSTOM) if getattr(self, kind) is not None)

    def row(self, zero: float) -> FaultRow:
        """The fault as numbers; `zero` is the simulation time (s) that `onset` and `until` count from.

        A custom fault has none: `unfolded` says which built-in ones it comes to.
        """
        share, slow, parameter = (
            self.errors or self.crash or self.hang or self.responses or self.poison or 0.0,
            Slowdown(),
            0.0,
        )
        if self.latency is not None:
            share, slow = self.share, self.latency
        elif isinstance(self.init, Slowdown):
            slow = self.init
        elif self.init is not None:
            share = self.init
        elif self.leak is not None:
            share, slow, parameter = self.leak.errors, self.leak.latency, self.leak.per
        elif self.load is not None:
            share, slow, parameter = self.load.errors, self.load.latency, float(self.load.above)
        elif self.subset is not None:
            share, parameter = self.subset.errors, self.subset.users
        until = math.inf if self.until is None else zero + self.until
        return FaultRow(
            kind=KINDS.index(self.kind),
            onset=zero + self.onset,
            ramp=self.ramp,
            until=until,
            share=share,
            factor=slow.factor,
            add=slow.add,
            parameter=parameter,
        )


def rows_of(faults: tuple[Fault, ...], zero: float) -> tuple[FaultRow, ...]:
    """The rows of several faults whose times count from the simulation time `zero` (s)."""
    return tuple(fault.row(zero) for fault in faults)


def intensity(t: float, onset: float, ramp: float, until: float) -> float:
    """How far a fault has set in at `t`: 0 before `onset` and from `until`, rising in a line over `ramp`, else 1."""
    if t < onset or t >= until:
        return 0.0
    if t - onset >= ramp:
        return 1.0
    return (t - onset) / ramp


def failure_shares(
    rows: tuple[FaultRow, ...],
    error_rate: float,
    failed_responses: float,
    t: float,
    cold: bool,
    age: float,
    running: int,
    user_quantile: float,
) -> tuple[float, float, float, float, float]:
    """The shares of invocations like this one that fail in the init, hang, crash, raise an error, and answer with a failure.

    Each share is of those that the ones before it left over; several faults strike independently of one
    another. `age` is the environment's (s), `running` the function's concurrency with this one, `user_quantile`
    the user's fixed number in [0, 1), 2 where there is no user.
    """
    init, hang, crash, error, response = 0.0, 0.0, 0.0, error_rate, failed_responses
    for row in rows:
        strength = intensity(t, row[ONSET], row[RAMP], row[UNTIL])
        if strength == 0.0:
            continue
        kind = row[KIND]
        share = row[SHARE] * strength
        if kind == ERRORS:
            error = 1.0 - (1.0 - error) * (1.0 - share)
        elif kind == CRASH:
            crash = 1.0 - (1.0 - crash) * (1.0 - share)
        elif kind == HANG:
            hang = 1.0 - (1.0 - hang) * (1.0 - share)
        elif kind == RESPONSES:
            response = 1.0 - (1.0 - response) * (1.0 - share)
        elif kind == INIT:
            if cold:
                init = 1.0 - (1.0 - init) * (1.0 - share)
        elif kind == LEAK:
            share = min(1.0, share * age / row[PARAMETER])
            error = 1.0 - (1.0 - error) * (1.0 - share)
        elif (kind == LOAD and running > row[PARAMETER]) or (kind == SUBSET and user_quantile < row[PARAMETER]):
            error = 1.0 - (1.0 - error) * (1.0 - share)
    return init, hang, crash, error, response


def error_share(shares: tuple[float, float, float, float, float]) -> float:
    """The share of invocations that Lambda counts as errors, from `failure_shares`."""
    init, hang, crash, error, _ = shares
    return init + (1.0 - init) * (hang + (1.0 - hang) * (crash + (1.0 - crash) * error))


def bad_share(shares: tuple[float, float, float, float, float]) -> float:
    """The share of invocations that fail, for Lambda or for whoever asked, from `failure_shares`."""
    error = error_share(shares)
    return error + (1.0 - error) * shares[-1]


def outcome_of(u: float, init: float, hang: float, crash: float, error: float, response: float) -> int:
    """What becomes of the invocation whose fault draw is `u` in [0, 1): one of `OUTCOMES`, as its index.

    The worst outcomes take the smallest draws, so that a larger share only ever turns successes into failures.
    """
    if u < init:
        return INIT_FAILED
    left = 1.0 - init
    if u < init + left * hang:
        return TIMED_OUT
    if u < init + left * (hang + (1.0 - hang) * crash):
        return CRASHED
    if u < init + left * (hang + (1.0 - hang) * (crash + (1.0 - crash) * error)):
        return ERROR
    if u < init + left * (hang + (1.0 - hang) * (crash + (1.0 - crash) * (error + (1.0 - error) * response))):
        return FAILED_RESPONSE
    return OK


def slowdown(
    rows: tuple[FaultRow, ...], t: float, age: float, running: int, u: float
) -> tuple[float, float, float, float]:
    """Factor and seconds to add for the duration, then for the init, of an invocation that starts at `t`.

    `u` in [0, 1) decides whether a latency fault that hits a share of the invocations hits this one.
    """
    factor, add, init_factor, init_add = 1.0, 0.0, 1.0, 0.0
    for row in rows:
        strength = intensity(t, row[ONSET], row[RAMP], row[UNTIL])
        if strength == 0.0:
            continue
        kind = row[KIND]
        if kind == INIT:
            init_factor *= 1.0 + (row[FACTOR] - 1.0) * strength
            init_add += row[ADD] * strength
        elif (kind == LATENCY and u < row[SHARE]) or (kind == LOAD and running > row[PARAMETER]):
            factor *= 1.0 + (row[FACTOR] - 1.0) * strength
            add += row[ADD] * strength
        elif kind == LEAK:
            factor *= max(0.0, 1.0 + (row[FACTOR] - 1.0) * strength * age / row[PARAMETER])
            add += row[ADD] * strength * age / row[PARAMETER]
    return min(factor, _SLOWEST), add, min(init_factor, _SLOWEST), init_add


def resolve_invocation(
    rows: tuple[FaultRow, ...],
    error_rate: float,
    failed_responses: float,
    timeout: float,
    init_limit: float,
    u: float,
    u_slow: float,
    t: float,
    cold: bool,
    age: float,
    running: int,
    user_quantile: float,
    duration: float,
    init: float,
) -> tuple[int, float, float]:
    """Outcome, seconds of init and of duration of an invocation that starts at `t` and without faults took these times.

    `u` decides about failure, `u_slow` about slowness; the other arguments are those of `failure_shares`. What
    faults do to whole microseconds is rounded to whole microseconds.
    """
    if len(rows) > 0:
        init_share, hang, crash, error, response = failure_shares(
            rows, error_rate, failed_responses, t, cold, age, running, user_quantile
        )
        outcome = outcome_of(u, init_share, hang, crash, error, response)
        factor, add, init_factor, init_add = slowdown(rows, t, age, running, u_slow)
        duration = tick(min(duration * factor + add, timeout))
        if cold:
            init = tick(min(init * init_factor + init_add, 2 * init_limit))
    else:
        outcome = outcome_of(u, 0.0, 0.0, 0.0, error_rate, failed_responses)
    if init > init_limit:
        init, outcome = init_limit, INIT_FAILED
    if outcome == INIT_FAILED:
        return outcome, init, 0.0
    if outcome == CRASHED and timeout > CRASH_DURATION:
        return outcome, init, CRASH_DURATION
    if outcome >= CRASHED or duration >= timeout:
        return TIMED_OUT, init, timeout
    return outcome, init, duration


class BatchFaults(NamedTuple):
    """A version's faults for what is polled: those of the invocation as a whole, and those of each of its records."""

    of_invocations: tuple[FaultRow, ...]
    of_records: tuple[FaultRow, ...]
    alike: bool
    """Whether records fail alike, whoever they belong to."""
    poisoned: bool
    """Whether there are records that always fail."""

    @classmethod
    def of(cls, rows: tuple[FaultRow, ...]) -> BatchFaults:
        """The faults in `rows`."""
        single = tuple(KINDS.index(kind) for kind in OF_RECORDS)
        of_records = tuple(row for row in rows if row.kind in single)
        kinds = {row.kind for row in of_records}
        rest = tuple(row for row in rows if row.kind not in single)
        return cls(rest, of_records, alike=SUBSET not in kinds, poisoned=POISON in kinds)


def is_poison(rows: tuple[FaultRow, ...], t: float, trait: float) -> bool:
    """Whether a record fails at `t` because it is poison; `trait` in [0, 1) is the record's, the same at every try."""
    for row in rows:  # noqa: SIM110 - compiled, too
        if row[KIND] == POISON and trait < row[SHARE] * intensity(t, row[ONSET], row[RAMP], row[UNTIL]):
            return True
    return False


MAX_PIECES: Final = 500
"""Built-in faults that a custom one may come to: each invocation looks at all of them."""
MAX_ANSWERS: Final = 1_000_000


class CustomFault(Protocol):
    """A user-defined fault: at each moment some built-in ones. `step` is for how long (s) each answer of `at` holds."""

    step: float

    def at(self, seconds: float) -> Sequence[Fault]:
        """What is wrong `seconds` after the onset (0, `step`, 2 `step`, ...): faults without times of their own."""
        ...


def unfolded(faults: Sequence[Fault], length: float) -> tuple[Fault, ...]:
    """The same with custom faults as the built-in ones that they come to within `length` (s) from the rollout's start.

    Answers that stay the same from step to step are one piece. Raises ValueError for a custom fault that breaks its
    protocol, or comes to more than `MAX_PIECES`.
    """
    built_in: list[Fault] = []
    for fault in faults:
        built_in += [fault] if fault.custom is None else _pieces(fault, length)
    return tuple(built_in)


def _pieces(fault: Fault, length: float) -> list[Fault]:
    """The built-in faults that a custom one comes to, each from the step where its answer begins to where it ends."""
    custom: Any = fault.custom
    name = custom.type
    if not custom.step >= TICK:
        raise ValueError(f"`step` of {name} must be a time above 0, got {custom.step:g} s")
    end = length if fault.until is None else min(fault.until, length)
    if end - fault.onset > MAX_ANSWERS * custom.step:
        raise ValueError(
            f"`step` of {name} makes {(end - fault.onset) / custom.step:.3g} answers; allowed {MAX_ANSWERS:,}"
        )
    pieces: list[Fault] = []
    begins: float = fault.onset
    holds: tuple[Fault, ...] = ()
    for k in itertools.count():
        at = tick(fault.onset + k * custom.step)
        now = tuple(custom.at(at - fault.onset)) if at < end else ()
        if now != holds or at >= end:
            # The last piece ends with the custom fault itself; the horizon, where nothing is simulated, ends nothing.
            until = fault.until if at >= end else at
            pieces += [replace(answer, onset=begins, until=until) for answer in holds]
            begins, holds = at, now
        if at >= end:
            return pieces
        for answer in now:
            if (
                not isinstance(answer, Fault)
                or answer.custom is not None
                or (answer.onset, answer.ramp, answer.until) != (0.0, 0.0, None)
            ):
                raise ValueError(
                    f"at() of {name} returns built-in faults without onset, ramp and until, got {answer!r}"
                )
        if len(pieces) > MAX_PIECES:
            raise ValueError(f"{name} comes to more than {MAX_PIECES} pieces; a longer `step` makes fewer")
    raise AssertionError
