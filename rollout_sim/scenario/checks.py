"""What does not fit together in a scenario: found when it is loaded, not in the middle of a run.

Each check is about one section and yields its problems: where in the file, and what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from rollout_sim.control.expressions import in_order
from rollout_sim.control.readings import POLLED, STATISTICS, Reading, plain
from rollout_sim.control.slo import AgeSli
from rollout_sim.core.minutes import stamp_of
from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import Where, dotted, listed, suggest
from rollout_sim.errors import ValidationException
from rollout_sim.function.faults import Fault, Slowdown, unfolded
from rollout_sim.function.lambda_api import LATEST, check_alias_name
from rollout_sim.function.managed import MAX_PLACES
from rollout_sim.scenario.sections import NO_ROLLOUT, Rollout, Sections
from rollout_sim.traffic.processes import check_expected
from rollout_sim.traffic.source import MAX_USERS

_UNMANAGED: Final = {
    "reserved_concurrency": "; `environments` bounds what runs at once",
    "account_concurrency": "; `environments` bounds what runs at once",
    "keep_alive": "; see `managed.scale_down_after`",
    "scale_up": "; see `managed.every` and `managed.launch`",
    "reuse": ": an invocation takes a free place in any environment",
    "throttled": ": no limit of the account's holds there",
}
"""Fields of a function that mean nothing on managed instances, and what is there instead."""
Problem = tuple[Where, str]
MAX_STAYS: Final = 2_000_000
"""Stays of a bursty source that fit into memory."""


def inconsistencies(scenario: Sections, data: Mapping[str, Any]) -> list[Problem]:
    """What does not fit together across sections: the place in the file and what is wrong, in the order of the checks.

    `data` is what the file says, in which a default is not what nobody wrote.

    User-defined classes are asked first; where one breaks its protocol, nothing else can be said. What a rollout
    comes to is looked at only where every name in the file leads somewhere.
    """
    problems = list(_custom_classes(scenario))
    if problems:
        return problems
    for check in (
        _aliases,
        _traffic,
        _drawn_hours,
        _slos,
        _own_metrics,
        _alarms,
        _promotions,
        _on_call,
        _rollout_names,
    ):
        problems += check(scenario)
    if scenario.rollout is not None and not problems:
        problems += _rollout(scenario, scenario.rollout)
    for check in (_faults, _provisioned, partial(_managed, data=data), _strategies):
        problems += check(scenario)
    return problems


def _custom_classes(scenario: Sections) -> Iterator[Problem]:
    """What user-defined classes themselves, or their protocols, say against what the file makes of them."""
    for where, check in _protocols(scenario):
        try:
            check()
        except ValueError as error:
            yield where, str(error)


def _protocols(scenario: Sections) -> Iterator[tuple[Where, Callable[[], object]]]:
    """A check for each user-defined class in the file, and for each strategy's plan."""
    for i, source in enumerate(scenario.traffic):
        custom = source.arrivals.custom
        if hasattr(custom, "expected"):
            yield ("traffic", i, "arrivals", "custom"), partial(check_expected, custom, scenario.horizon)
    faults: list[tuple[Where, tuple[Fault, ...]]] = [(("incident",), scenario.incident)]
    faults += [(("function", "versions", n, "faults"), spec.faults) for n, spec in scenario.function.versions.items()]
    for where, given in faults:
        for j, fault in enumerate(given):
            if fault.custom is not None:
                yield (*where, j, "custom"), partial(unfolded, [fault], scenario.horizon - scenario.start)
    for name, strategy in scenario.strategies.items():
        yield ("strategies", name), partial(getattr, strategy, "plan")


def _unknown(where: Where, kind: str, name: str, names: Iterable[str]) -> Iterator[Problem]:
    """A problem where `name` is none of `names`, which are names of a `kind` of things."""
    allowed = list(names)
    if name not in allowed:
        yield where, f"there is no {kind} {name!r}; allowed {listed(allowed)}{suggest(name, allowed)}"


def _aliases(scenario: Sections) -> Iterator[Problem]:
    """Aliases point to versions that there are, under names that Lambda takes."""
    for alias, version in scenario.function.aliases.items():
        where = ("function", "aliases", alias)
        yield from _unknown(where, "version", version, scenario.function.versions)
        try:
            check_alias_name(alias)
        except ValidationException:
            yield where, f"is no name for an alias, got {alias!r}; allowed letters, digits, - and _, not digits alone"


def _traffic(scenario: Sections) -> Iterator[Problem]:
    """There is traffic, to aliases that there are, in bursts and from users that fit into memory."""
    if not scenario.traffic:
        yield ("traffic",), "has no source; at least one is needed"
    users = sum(source.owners.count for source in scenario.traffic if source.owners is not None)
    if users > MAX_USERS:
        yield ("traffic",), f"has {users:,} users in all; allowed {MAX_USERS:,}"
    for i, source in enumerate(scenario.traffic):
        if source.function:
            if LATEST not in scenario.function.versions:
                yield ("traffic", i, "function"), "calls $LATEST, which is none of the `versions`"
        else:
            yield from _unknown(("traffic", i, "alias"), "alias", source.alias, scenario.function.aliases)
        if (
            source.polled
            and not source.mapping.stream
            and source.mapping.visibility_timeout < scenario.function.timeout
        ):
            shortest, timeout = (
                f"{time:g} s" for time in (source.mapping.visibility_timeout, scenario.function.timeout)
            )
            what = f"must be at least the function's timeout ({timeout}), got {shortest}; AWS advises six times as much"
            yield ("traffic", i, "visibility_timeout"), what
        moves = scenario.rollout is not None and source.alias == scenario.alias
        if source.delivery is not None and source.delivery.permission == "missing" and not moves:
            what = f"goes with the rollout of an alias, got a source of {source.alias!r}, which nothing moves"
            yield ("traffic", i, "delivery", "permission"), what
        bursty = source.arrivals.bursty
        stays = 0.0 if bursty is None else 2 * scenario.horizon / (bursty.stay_low + bursty.stay_high)
        if stays > MAX_STAYS:
            what = f"makes {stays:.3g} stays until the horizon; allowed {MAX_STAYS:.3g}"
            yield ("traffic", i, "arrivals", "bursty"), what


def _drawn_hours(scenario: Sections) -> Iterator[Problem]:
    """Recordings that are drawn from hour by hour are of the same time, for the same draw has to mean the same hour."""
    drawn: dict[Where, tuple[float | None, float, int]] = {}
    for i, source in enumerate(scenario.traffic):
        trace = source.arrivals.trace
        if trace is not None and trace.draw == "blocks":
            recording = trace.recording
            periods = round(recording.length / recording.period)
            drawn["traffic", i, "arrivals", "trace"] = (recording.start, recording.period, periods)
    for place, part in scenario.function.recorded().items():
        if part.draw == "blocks":
            drawn["function", *place] = (part.recording.start, part.recording.period, part.recording.size)
    for where, span in drawn.items():
        first, its_span = next(iter(drawn.items()))
        undated = None in (span[0], its_span[0])
        if span[undated:] != its_span[undated:]:
            yield (
                where,
                (
                    f"drawn hours fall together only where all recordings are of the same time, got {_spans(span)} here and "
                    f"{_spans(its_span)} in {dotted(first)}; see `end`"
                ),
            )


def _spans(span: tuple[float | None, float, int]) -> str:
    start, period, periods = span
    when = "" if start is None else f" from {stamp_of(start)} on"
    return f"{periods:,} periods of {period:g} s{when}"


def _slos(scenario: Sections) -> Iterator[Problem]:
    """SLOs are about aliases that there are, and are told apart by their names."""
    for i, slo in enumerate(scenario.slos):
        if slo.alias is not None:
            yield from _unknown(("slos", i, "alias"), "alias", slo.alias, scenario.function.aliases)
        if slo.name in [earlier.name for earlier in scenario.slos[:i]]:
            yield ("slos", i, "name"), f"two SLOs are called {slo.name!r}"


def _own_metrics(scenario: Sections) -> Iterator[Problem]:
    """The scenario's own metrics have names of their own."""
    for name in scenario.metrics:
        if plain(name) in STATISTICS:
            yield ("metrics", name), f"{name!r} is a metric already; give it another name"


def _alarms(scenario: Sections) -> Iterator[Problem]:
    """Alarms on a burn rate name an SLO; one that watches a version alone needs an SLO of the alias that moves."""
    aliases = {slo.name: slo.alias for slo in reversed(scenario.slos)}
    for name, alarm in scenario.alarms.items():
        for other in alarm.composite.names if alarm.composite is not None else ():
            yield from _unknown(("alarms", name, "rule"), "alarm", other, scenario.alarms)
        for of, reading in alarm.readings.items():
            where: Where = ("alarms", name, "metric") if not of else ("alarms", name, "metrics", of, "metric")
            if reading.is_own:
                yield from _unknown(where, "metric", reading.metric, [*STATISTICS, *scenario.metrics])
            yield from _polled_metric(scenario, where, reading)
            own = scenario.metrics.get(reading.metric) if reading.is_own else None
            if own is not None and reading.of not in ("alias", own.of):
                what = f"the metric {reading.metric!r} is of {own.of}, got {reading.of}; allowed {own.of}"
                yield (*where[:-1], "of"), what
        if alarm.slo is None:
            continue
        yield from _unknown(("alarms", name, "slo"), "SLO", alarm.slo, [slo.name for slo in scenario.slos])
        if any(slo.name == alarm.slo and isinstance(slo.sli, AgeSli) for slo in scenario.slos):
            what = f"the SLO {alarm.slo!r} is about the age of records, of which no metric tells a burn rate"
            yield ("alarms", name, "slo"), f"{what}; watch oldest_message_age or iterator_age instead"
        if any(slo.name == alarm.slo and slo.sli == "lost" for slo in scenario.slos):
            what = f"the SLO {alarm.slo!r} is about lost records, and failed invocations lose none as long as they are tried again"
            yield ("alarms", name, "slo"), f"{what}; watch messages_in_dlq instead"
        alias = aliases.get(alarm.slo)
        if alarm.of != "alias" and scenario.traffic and alias not in (None, scenario.alias):
            what = f"the SLO {alarm.slo!r} is about {alias!r}, which the rollout does not move"
            yield ("alarms", name, "of"), f"{what}; got {alarm.of}; allowed alias"
        slices = next((slo.slices for slo in scenario.slos if slo.name == alarm.slo), None)
        for field, window in (("long", alarm.long), ("short", alarm.short)):
            if slices is not None and window % slices.every:
                what = f"the budget of {alarm.slo!r} counts slices of {text(slices.every, 'duration')}"
                yield ("alarms", name, field), f"{what}; got {text(window, 'duration')}; allowed whole slices"
    rules = {name: alarm.composite.names for name, alarm in scenario.alarms.items() if alarm.composite is not None}
    try:
        in_order(rules)
    except ValueError as error:
        yield ("alarms",), str(error)


def _polled_metric(scenario: Sections, where: Where, reading: Reading) -> Iterator[Problem]:
    """A metric of queues or streams has one behind the alias, or the function, that is read."""
    if reading.metric not in POLLED:
        return
    kind = "stream" if reading.metric == "iterator_age" else "queue"
    heard = [source.source for source in scenario.traffic if reading.of == "function" or source.alias == scenario.alias]
    if scenario.traffic and kind not in heard:
        yield where, f"{reading.metric} is of a {kind}, but no source of the {reading.of.replace('_', ' ')} is one"


def _promotions(scenario: Sections) -> Iterator[Problem]:
    """Promotions move aliases that there are to versions that there are, but not what the rollout is moving."""
    for i, promotion in enumerate(scenario.promotions):
        yield from _unknown(("promotions", i, "alias"), "alias", promotion.alias, scenario.function.aliases)
        yield from _unknown(("promotions", i, "to"), "version", promotion.to, scenario.function.versions)
        if scenario.rollout is not None and promotion.alias == scenario.alias and promotion.at > scenario.start:
            yield (
                ("promotions", i, "at"),
                f"{promotion.alias!r} is moved by the rollout from {scenario.start:g} s on",
            )


def _on_call(scenario: Sections) -> Iterator[Problem]:
    """Who is on call is paged by alarms that there are."""
    for j, name in enumerate(() if scenario.on_call is None else scenario.on_call.alarms):
        yield from _unknown(("on_call", "alarms", j), "alarm", name, scenario.alarms)


def _rollout_names(scenario: Sections) -> Iterator[Problem]:
    """The rollout names an alias, a version and alarms that there are; without one there are no strategies."""
    rollout = scenario.rollout
    if rollout is None:
        if scenario.strategies:
            yield ("strategies",), "there are strategies but no `rollout` to apply them to"
        return
    yield from _unknown(("rollout", "alias"), "alias", rollout.alias, scenario.function.aliases)
    yield from _unknown(("rollout", "to"), "version", rollout.to, scenario.function.versions)
    for j, name in enumerate(rollout.alarms):
        yield from _unknown(("rollout", "alarms", j), "alarm", name, scenario.alarms)


def _rollout(scenario: Sections, rollout: Rollout) -> Iterator[Problem]:
    """The rollout moves an alias with traffic to another version before the horizon, by some strategy."""
    if not scenario.strategies:
        what = "a rollout needs `strategies`, such as {canary: {type: canary, percent: 10, interval: 10 min}}"
        yield ("rollout",), what
    latest = scenario.start + (scenario.period_of_phases if scenario.phase_is_drawn else 0.0)
    if scenario.start >= scenario.horizon:
        what = f"must come before the horizon ({scenario.horizon:g} s), got {scenario.start:g} s"
        yield ("rollout", "start"), what
    elif latest >= scenario.horizon:
        what = f"random draws starts up to {latest:g} s, which must come before the horizon ({scenario.horizon:g} s)"
        yield ("rollout", "phase"), what
    if rollout.hold is not None and not rollout.alarms:
        yield ("rollout", "hold"), "there is no alarm in `alarms` that could hold the weight"
    if LATEST in (rollout.to, scenario.old):
        yield ("rollout", "alias"), "an alias with weights cannot point to $LATEST; publish a numbered version"
    if rollout.to == scenario.old:
        yield ("rollout", "to"), f"alias {rollout.alias!r} points to version {rollout.to} already"
    if all(source.alias != rollout.alias for source in scenario.traffic):
        yield ("rollout", "alias"), f"no source sends traffic to {rollout.alias!r}"


def _faults(scenario: Sections) -> Iterator[Problem]:
    """Faults and what depends on the size of an event have something to act on."""
    versions = scenario.function.versions
    faulty = [fault for number in versions for fault in scenario.faults_of(number)]
    if any(f.subset is not None for f in faulty) and all(source.owners is None for source in scenario.traffic):
        yield ("traffic",), "a subset fault hits a share of the users, but no source has `users`"
    if any(f.poison is not None for f in faulty) and not scenario.polled:
        yield ("traffic",), "a poison fault hits records, but no source is a queue or a stream"
    sized = any(source.size is not None for source in scenario.traffic)
    for number, spec in versions.items():
        if spec.per_record and not scenario.polled:
            yield ("function", "versions", number, "per_record"), "does nothing: no source is a queue or a stream"
        if spec.per_mb and not sized:
            yield ("function", "versions", number, "per_mb"), "does nothing: no source gives its events a `size`"
        for j, fault in enumerate(spec.faults):
            if isinstance(fault.init, Slowdown) and fault.init.factor != 1 and spec.cold_start is None:
                what = f"does nothing: version {number} has no `cold_start` to be longer; give a duration to add"
                yield ("function", "versions", number, "faults", j, "init"), what


def _provisioned(scenario: Sections) -> Iterator[Problem]:
    """Provisioned environments belong to numbered versions and fit into the function's concurrency."""
    function = scenario.function
    if LATEST in function.versions and function.versions[LATEST].provisioned:
        yield (
            ("function", "versions", LATEST, "provisioned"),
            "provisioned concurrency belongs to a numbered version, never $LATEST",
        )
    for alias in function.provisioned:
        where = ("function", "provisioned", alias)
        yield from _unknown(where, "alias", alias, function.aliases)
        if function.managed is not None:
            yield where, "cannot stand beside `managed`; see `environments: {minimum: ...}`"
        elif any(spec.provisioned for spec in function.versions.values()):
            yield where, "cannot stand beside `provisioned` of a version: give it to the aliases or to the versions"
        if function.aliases.get(alias) == LATEST:
            yield where, "provisioned concurrency belongs to a numbered version, never $LATEST"
    provisioned = _environments(scenario)
    if function.managed is None and provisioned > function.concurrency:
        what = f"{provisioned} provisioned environments exceed the concurrency of {function.concurrency}"
        yield ("function",), what


def _managed(scenario: Sections, data: Mapping[str, Any]) -> Iterator[Problem]:
    """What is about environments that start when an invocation comes is not given together with managed instances, and the reverse."""
    function, where = scenario.function, ("function", "versions")
    managed = function.managed
    if managed is None:
        for number, spec in function.versions.items():
            if spec.environments is not None:
                yield (*where, number, "environments"), "needs `managed` of the function, which is not given"
        return
    for name, instead in _UNMANAGED.items():
        if data["function"].get(name) is not None:
            yield ("function", name), f"cannot stand beside `managed`{instead}"
    for number, spec in function.versions.items():
        init = "cannot stand beside `managed`: no invocation waits for an init; see `managed.launch`"
        if spec.cold_start is not None:
            yield (*where, number, "cold_start"), init
        if spec.cold_duration is not None:
            yield (*where, number, "cold_duration"), init
        if any(fault.init is not None for fault in scenario.faults_of(number)):
            yield (*where, number, "faults"), "an init fault hits cold starts, and managed instances have none"
        if spec.provisioned:
            yield (*where, number, "provisioned"), "cannot stand beside `managed`; see `environments: {minimum: ...}`"
        places = function.limits_of(number).maximum * managed.concurrency
        if places > MAX_PLACES:
            yield ("function", "managed"), f"gives version {number} {places:,} places; allowed {MAX_PLACES:,}"


def _strategies(scenario: Sections) -> Iterator[Problem]:
    """Strategies leave room for the environments that they provision, and the name of the paired run free."""
    function, own, allowed = scenario.function, _environments(scenario), scenario.function.concurrency
    if function.managed is not None and scenario.new is not None:
        limits = function.limits_of(scenario.new)
        own, allowed = limits.minimum, limits.maximum
    for name, strategy in scenario.strategies.items():
        provisioned = own + strategy.plan.provisioned
        if strategy.plan.provisioned and function.provisioned:
            yield (
                ("strategies", name, "provisioned"),
                "cannot stand beside `provisioned` of aliases; give it to the versions",
            )
        if strategy.plan.provisioned and provisioned > allowed:
            what = f"with the versions' own makes {provisioned} provisioned environments; allowed {allowed}"
            yield ("strategies", name, "provisioned"), what
        if name == NO_ROLLOUT:
            yield ("strategies", name), "the name stands for the run without a rollout; choose another"


def _environments(scenario: Sections) -> int:
    """Provisioned environments of all versions and aliases together."""
    function = scenario.function
    own = sum(spec.provisioned for spec in function.versions.values())
    return own + sum(provisioned.environments for provisioned in function.provisioned.values())
