"""Strategies: each only says which weights, for how long, behind which hooks; all become one `Plan`.

Shifts happen at the start of each increment. The controller is the only one who acts on a plan.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal, Protocol

from rollout_sim.core.fields import Percent, PositiveSeconds, PositiveShare, Seconds, section
from rollout_sim.core.registry import STRATEGIES, ByType
from rollout_sim.core.units import TICK, tick

MINUTE = 60.0
HOOK_LIMIT: Final = 3600.0
"""CodeDeploy fails a deployment whose hook has been silent for an hour."""
ALLOCATION: Final = 90.0
"""Seconds in which provisioned environments are allocated where nobody says it: one to two minutes are usual."""
CODEDEPLOY_LIMIT: Final = 2880
"""Minutes that CodeDeploy allows from the first to the last shift."""


@section
class Hook:
    """Test invocations sent straight to the new version, evenly spread `over` a time, and judged when all are answered.

    More than `max_failures` failed or throttled tests fail the deployment, and so does a hook that is not over after an hour.
    """

    invocations: int = 10
    """How many test invocations are sent."""
    over: PositiveSeconds = 30.0
    """The time over which they are spread."""
    max_failures: int = 0
    """How many may fail."""
    answers: Literal["always", "never"] = "always"
    """`never`: the hook does not report back, so that the deployment waits for an hour and fails."""

    def __post_init__(self) -> None:
        if not 1 <= self.invocations <= 100_000:
            raise ValueError(f"`invocations` must be 1 to 100000, got {self.invocations}")
        if not 0 <= self.max_failures < self.invocations:
            raise ValueError(f"`max_failures` must be 0 to {self.invocations - 1}, got {self.max_failures}")
        if self.over > HOOK_LIMIT:
            raise ValueError(
                f"`over` must be at most 1 h (CodeDeploy fails a hook that is silent for 1 h), got {self.over:g} s"
            )

    @property
    def length(self) -> float:
        """Seconds that it takes, when its last test does not outlast the time over which they are spread."""
        return self.over if self.answers == "always" else HOOK_LIMIT

    def end(self, now: float) -> float:
        """When the time over which the tests are spread is over (s), of a hook that begins at `now`: all have started."""
        return max(tick(now + self.over), tick(now + TICK))

    def starts(self, now: float) -> list[float]:
        """When each test starts (s), of a hook that begins at `now`: evenly spread, each in a part of the time of its own."""
        last, gap = tick(self.end(now) - TICK), self.over / self.invocations
        return [min(tick(now + (k + 0.5) * gap), last) for k in range(self.invocations)]


@section
class Hooks:
    """CodeDeploy's lifecycle hooks: before the first shift and after the last."""

    before_allow_traffic: Hook | None = None
    """Tests before the first shift."""
    after_allow_traffic: Hook | None = None
    """Tests after the last shift."""


@section
class Hold:
    """Alarms hold the weight instead of rolling back at once, as Flagger's checks do.

    From the first shift on the alarms are looked at `every` so often. While one is in ALARM no step is taken and the deployment
    does not end; `failures` looks that find one, in all and not in a row, roll it back. An alarm that is in ALARM before the first
    shift blocks nothing.
    """

    every: PositiveSeconds
    """How often the alarms are looked at."""
    failures: int = 1
    """How many looks that find one in ALARM roll the deployment back."""

    def __post_init__(self) -> None:
        if not 1 <= self.failures <= 100_000:
            raise ValueError(f"`failures` must be 1 to 100000, got {self.failures}")

    def longest(self, plan: Plan) -> float:
        """Seconds by which it prolongs a deployment at most: each failed look, and each step that waits for its look."""
        return (self.failures + len(plan.steps) + 1) * self.every


@section
class Step:
    """A weight of the new version in (0, 1], and how long it is held (s) before the next step."""

    weight: PositiveShare
    """The new version's share of the requests."""
    hold: Seconds = 0.0
    """How long it is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a strategy comes down to: the steps, the last of them at weight 1, and what stands before and after them.

    `provisioned` environments of the new version take `allocation` (s) to warm up before anything else.
    `bake` (s) is how long the alarms go on acting after the last shift and its hook.
    """

    steps: tuple[Step, ...]
    before: Hook | None = None
    after: Hook | None = None
    bake: float = 0.0
    provisioned: int = 0
    allocation: float = 0.0

    def __post_init__(self) -> None:
        if not self.steps or self.steps[-1].weight != 1:
            raise ValueError("a plan ends with a step at 100%")
        weights = [0.0, *(step.weight for step in self.steps)]
        if not all(later > earlier for earlier, later in itertools.pairwise(weights)):
            raise ValueError(f"a plan's weights rise from above 0 to 1, got {', '.join(f'{w:g}' for w in weights[1:])}")
        if not all(0 <= step.hold < math.inf for step in self.steps) or not 0 <= self.bake < math.inf:
            raise ValueError("a plan's steps and its bake last from 0 s on, and not for ever")

    @property
    def length(self) -> float:
        """Seconds from the rollout's start to the end of the deployment, when nothing stops it and no hook waits for answers."""
        hooks = math.fsum(hook.length for hook in (self.before, self.after) if hook is not None)
        return self.allocation + hooks + math.fsum(step.hold for step in self.steps) + self.bake

    @property
    def time_to_full(self) -> float:
        """Seconds from the rollout's start to weight 1, when nothing stops it and no hook waits for answers."""
        before = self.before.length if self.before is not None else 0.0
        return self.allocation + before + math.fsum(step.hold for step in self.steps[:-1])

    def agrees_with(self, other: Plan, begun: float = 0.0) -> float:
        """When `other` is told apart (s), with the first shift at `begun` and nothing that holds the weight.

        Minus infinity: before that shift.
        """
        if (self.before, self.provisioned, self.allocation, len(self.steps)) != (
            other.before, other.provisioned, other.allocation, len(other.steps),
        ):  # fmt: skip
            return -math.inf
        for mine, its in zip(self.steps, other.steps, strict=True):
            if mine.weight != its.weight:
                break
            begun = tick(begun + min(mine.hold, its.hold))
            if mine.hold != its.hold:
                break
        return begun


class Strategy(Protocol):
    """Anything that can lay out a plan."""

    @property
    def plan(self) -> Plan:
        """The plan that the controller follows."""
        ...


@section
class _Common:
    bake: Seconds = 0.0
    """How long the alarms go on acting after the last shift."""
    hooks: Hooks = field(default_factory=Hooks)
    """Tests before and after the shifts."""
    provisioned: int = 0
    """Environments of the new version that are allocated before anything else, besides the `provisioned` of the version itself."""
    allocation: Seconds | None = None
    """How long allocating provisioned environments takes, those of the version itself included; by default 90 s for the
    strategy's own, and no time without any."""

    def __post_init__(self) -> None:
        if not 0 <= self.provisioned <= 100_000:
            raise ValueError(f"`provisioned` must be 0 to 100000 environments, got {self.provisioned}")

    @property
    def _common(self) -> dict[str, Any]:
        """The fields that every strategy has."""
        names = ("bake", "hooks", "provisioned", "allocation")
        return {name: getattr(self, name) for name in names}

    def _plan(self, *steps: tuple[float, float]) -> Plan:
        return Plan(
            steps=tuple(Step(weight=weight, hold=hold) for weight, hold in steps),
            before=self.hooks.before_allow_traffic,
            after=self.hooks.after_allow_traffic,
            bake=self.bake,
            provisioned=self.provisioned,
            allocation=self.allocation if self.allocation is not None else ALLOCATION if self.provisioned else 0.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AllAtOnce(_Common):
    """Every request goes to the new version at the start (an instant rollout)."""

    type: Literal["all_at_once"] = "all_at_once"
    """Which strategy this is."""

    @property
    def plan(self) -> Plan:
        """One step at 100%."""
        return self._plan((1.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueGreen(_Common):
    """Green is warmed and tested, then takes all traffic at once; blue is kept to switch back to while it bakes.

    The pre-traffic hook tests green. By default ten test invocations over 30 s and no provisioned environments; blue/green
    without a test before the switch is `all_at_once` with a `bake`.
    """

    type: Literal["blue_green"] = "blue_green"
    """Which strategy this is."""

    def __post_init__(self) -> None:
        _Common.__post_init__(self)
        if self.hooks.before_allow_traffic is None:
            object.__setattr__(self, "hooks", replace(self.hooks, before_allow_traffic=Hook()))

    @property
    def plan(self) -> Plan:
        """Warm up, test, one step at 100%, bake."""
        return self._plan((1.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary(_Common):
    """`percent` of the requests for `interval`, then all of them."""

    type: Literal["canary"] = "canary"
    """Which strategy this is."""
    percent: Percent
    """The new version's share of the requests while it is a canary; also without the sign, as `10`."""
    interval: PositiveSeconds
    """How long it is one."""

    def __post_init__(self) -> None:
        _Common.__post_init__(self)
        _below_full(self.percent)

    @property
    def plan(self) -> Plan:
        """Two steps."""
        return self._plan((self.percent, self.interval), (1.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(_Common):
    """`percent` more of the requests at the start of every `interval`: 10% every 10 min is at 100% after 90 min."""

    type: Literal["linear"] = "linear"
    """Which strategy this is."""
    percent: Percent
    """What each step adds to the new version's share; also without the sign, as `10`."""
    interval: PositiveSeconds
    """The time from each step to the next."""

    def __post_init__(self) -> None:
        _Common.__post_init__(self)
        _below_full(self.percent)
        if self.percent < 0.001:
            raise ValueError(f"`percent` must be at least 0.1, got {self.percent * 100:g}")

    @property
    def plan(self) -> Plan:
        """Equal steps of `percent` each; the last one takes whatever remains to 100%."""
        weights = []
        k = 1
        while round(k * self.percent, 12) < 1:
            weights.append(round(k * self.percent, 12))
            k += 1
        return self._plan(*((weight, self.interval) for weight in weights), (1.0, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps(_Common):
    """Any list of weights and holds; all of the traffic follows the last hold."""

    type: Literal["steps"] = "steps"
    """Which strategy this is."""
    steps: tuple[Step, ...]
    """Weights and how long each is held."""

    def __post_init__(self) -> None:
        _Common.__post_init__(self)
        if not self.steps:
            raise ValueError("`steps` needs at least one step, such as {weight: 10%, hold: 5 min}")
        for earlier, later in zip(self.steps, self.steps[1:], strict=False):
            if later.weight <= earlier.weight:
                raise ValueError(f"`steps` must rise, got {later.weight:.6g} after {earlier.weight:.6g}")

    @property
    def plan(self) -> Plan:
        """The steps as given, ended at 100%."""
        steps = [(step.weight, step.hold) for step in self.steps]
        return self._plan(*steps, *([] if steps[-1][0] == 1 else [(1.0, 0.0)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBasedCanary(_Common):
    """A custom CodeDeploy deployment configuration, in CodeDeploy's own words: percent and minutes."""

    type: Literal["TimeBasedCanary"] = "TimeBasedCanary"
    """Which strategy this is."""
    CanaryPercentage: int
    """The canary's percentage, a whole number."""
    CanaryInterval: int
    """Its interval in minutes."""

    def __post_init__(self) -> None:
        _Common.__post_init__(self)
        _whole("CanaryPercentage", self.CanaryPercentage, 99)
        _whole("CanaryInterval", self.CanaryInterval, CODEDEPLOY_LIMIT)

    @property
    def plan(self) -> Plan:
        """A canary's."""
        percent, interval = self.CanaryPercentage / 100, self.CanaryInterval * MINUTE
        return Canary(percent=percent, interval=interval, **self._common).plan


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBasedLinear(_Common):
    """A custom CodeDeploy deployment configuration, in CodeDeploy's own words: percent and minutes."""

    type: Literal["TimeBasedLinear"] = "TimeBasedLinear"
    """Which strategy this is."""
    LinearPercentage: int
    """What each step adds, in whole percent."""
    LinearInterval: int
    """Minutes from each step to the next."""

    def __post_init__(self) -> None:
        _Common.__post_init__(self)
        _whole("LinearPercentage", self.LinearPercentage, 99)
        _whole("LinearInterval", self.LinearInterval, CODEDEPLOY_LIMIT)
        shifts = -(-100 // self.LinearPercentage) - 1
        if shifts * self.LinearInterval > CODEDEPLOY_LIMIT:
            raise ValueError(
                f"from the first to the last shift are {shifts * self.LinearInterval} min; CodeDeploy allows {CODEDEPLOY_LIMIT}"
            )

    @property
    def plan(self) -> Plan:
        """A linear rollout's."""
        percent, interval = self.LinearPercentage / 100, self.LinearInterval * MINUTE
        return Linear(percent=percent, interval=interval, **self._common).plan


PREDEFINED: Final = (
    *(f"Canary10Percent{minutes}Minutes" for minutes in (5, 10, 15, 30)),
    "Linear10PercentEvery1Minute",
    *(f"Linear10PercentEvery{minutes}Minutes" for minutes in (2, 3, 10)),
    "AllAtOnce",
)
PREFIX: Final = "CodeDeployDefault.Lambda"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predefined(_Common):
    """One of CodeDeploy's predefined configurations by its name, with or without `CodeDeployDefault.Lambda`."""

    type: str
    """The configuration's name, such as `Canary10Percent5Minutes`."""

    @property
    def plan(self) -> Plan:
        """What the name says."""
        name = self.type.removeprefix(PREFIX)
        match = re.fullmatch(r"(Canary|Linear)(\d+)Percent(?:Every)?(\d+)Minutes?", name)
        if name not in PREDEFINED:
            raise ValueError(f"unknown CodeDeploy configuration {self.type!r}; allowed {', '.join(PREDEFINED)}")
        if match is None:
            return self._plan((1.0, 0.0))
        kind: type[Canary | Linear] = Canary if match[1] == "Canary" else Linear
        percent, interval = int(match[2]) / 100, int(match[3]) * MINUTE
        return kind(percent=percent, interval=interval, **self._common).plan


TYPES: Final[dict[str, type[Any]]] = {
    "all_at_once": AllAtOnce,
    "blue_green": BlueGreen,
    "canary": Canary,
    "linear": Linear,
    "steps": Steps,
    "TimeBasedCanary": TimeBasedCanary,
    "TimeBasedLinear": TimeBasedLinear,
    **{f"{prefix}{name}": Predefined for prefix in ("", PREFIX) for name in PREDEFINED},
}
"""Every built-in `type:` of a scenario's strategy, and the class that holds its fields."""
StrategyField = Annotated[Any, ByType(STRATEGIES, TYPES)]


def _below_full(percent: float) -> None:
    if percent >= 1:
        raise ValueError(f"`percent` must be below 100, got {percent * 100:g}; for 100% use type: all_at_once")


def _whole(name: str, value: int, high: int) -> None:
    if not 1 <= value <= high:
        raise ValueError(f"`{name}` must be a whole number from 1 to {high}, got {value}")
