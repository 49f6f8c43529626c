"""What does not fit together in a scenario: found when it is loaded, not in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.yaml_io import suggest
from rollout_sim.errors import ValidationException
from rollout_sim.function.faults import Fault, Slowdown, unfolded
from rollout_sim.function.lambda_api import LATEST, check_alias_name
from rollout_sim.scenario.sections import NO_ROLLOUT, Sections
from rollout_sim.traffic.processes import check_expected

if TYPE_CHECKING:
    from rollout_sim.core.yaml_io import Where


def custom_problems(scenario: Sections) -> list[tuple[Where, str]]:
    """Where and what, as the classes themselves (ValueError) or their protocols say it."""
    found: list[tuple[Where, str]] = []
    for where, check in _checks(scenario):
        try:
            check()
        except ValueError as error:
            found.append((where, str(error)))
    return found


def _checks(scenario: Sections) -> Iterator[tuple[Where, Callable[[], object]]]:
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


MAX_STAYS: Final = 2_000_000
"""Stays of a bursty source that fit into memory."""


def inconsistencies(scenario: Sections) -> list[tuple[tuple[str | int, ...], str]]:
    """What does not fit together across sections: (where, what is wrong)."""
    found = custom_problems(scenario)
    if found:
        return found

    def known(where: tuple[str | int, ...], kind: str, name: str, names: list[str]) -> None:
        if name not in names:
            found.append(
                (where, f"there is no {kind} {name!r}; allowed {', '.join(names) or 'none'}{suggest(name, names)}")
            )

    function = scenario.function
    versions, aliases, alarms = list(function.versions), list(function.aliases), list(scenario.alarms)
    for alias, version in function.aliases.items():
        known(("function", "aliases", alias), "version", version, versions)
        try:
            check_alias_name(alias)
        except ValidationException:
            what = f"is no name for an alias, got {alias!r}; allowed letters, digits, - and _, not digits alone"
            found.append((("function", "aliases", alias), what))
    if not scenario.traffic:
        found.append((("traffic",), "has no source; at least one is needed"))
    for i, source in enumerate(scenario.traffic):
        known(("traffic", i, "alias"), "alias", source.alias, aliases)
        bursty = source.arrivals.bursty
        stays = 0.0 if bursty is None else 2 * scenario.horizon / (bursty.stay_low + bursty.stay_high)
        if stays > MAX_STAYS:
            what = f"makes {stays:.3g} stays until the horizon; allowed {MAX_STAYS:.3g}"
            found.append((("traffic", i, "arrivals", "bursty"), what))
    for i, slo in enumerate(scenario.slos):
        if slo.alias is not None:
            known(("slos", i, "alias"), "alias", slo.alias, aliases)
        if slo.name in [other.name for other in scenario.slos[:i]]:
            found.append((("slos", i, "name"), f"two SLOs are called {slo.name!r}"))
    for name, alarm in scenario.alarms.items():
        if alarm.slo is not None:
            known(("alarms", name, "slo"), "SLO", alarm.slo, [slo.name for slo in scenario.slos])
            other = next((slo.alias for slo in scenario.slos if slo.name == alarm.slo), None)
            if alarm.of != "alias" and scenario.traffic and other not in (None, scenario.alias):
                what = f"the SLO {alarm.slo!r} is about {other!r}, which the rollout does not move"
                found.append((("alarms", name, "of"), f"{what}; got {alarm.of}; allowed alias"))
    for i, promotion in enumerate(scenario.promotions):
        known(("promotions", i, "alias"), "alias", promotion.alias, aliases)
        known(("promotions", i, "to"), "version", promotion.to, versions)
        if scenario.rollout is not None and promotion.alias == scenario.alias and promotion.at > scenario.start:
            found.append(
                (("promotions", i, "at"), f"{promotion.alias!r} is moved by the rollout from {scenario.start:g} s on")
            )
    if scenario.on_call is not None:
        for j, name in enumerate(scenario.on_call.alarms):
            known(("on_call", "alarms", j), "alarm", name, alarms)
    found += _rollout_inconsistencies(scenario, known, found)
    faulty = [fault for number in versions for fault in scenario.faults_of(number)]
    if any(f.subset is not None for f in faulty) and all(source.users is None for source in scenario.traffic):
        found.append((("traffic",), "a subset fault hits a share of the users, but no source has `users`"))
    sized = any(source.size is not None for source in scenario.traffic)
    for number, spec in function.versions.items():
        if spec.per_mb and not sized:
            where = ("function", "versions", number, "per_mb")
            found.append((where, "does nothing: no source gives its events a `size`"))
        for j, fault in enumerate(spec.faults):
            if isinstance(fault.init, Slowdown) and fault.init.factor != 1 and spec.cold_start is None:
                what = f"does nothing: version {number} has no `cold_start` to be longer; give a duration to add"
                found.append((("function", "versions", number, "faults", j, "init"), what))
    if function.versions.get(LATEST) is not None and function.versions[LATEST].provisioned:
        where = ("function", "versions", LATEST, "provisioned")
        found.append((where, "provisioned concurrency belongs to a numbered version, never $LATEST"))
    provisioned = sum(spec.provisioned for spec in function.versions.values())
    if provisioned > function.concurrency:
        found.append(
            (("function",), f"{provisioned} provisioned environments exceed the concurrency of {function.concurrency}")
        )
    for name, strategy in scenario.strategies.items():
        more = provisioned + strategy.plan.provisioned
        if strategy.plan.provisioned and more > function.concurrency:
            what = f"with the versions' own makes {more} provisioned environments; allowed {function.concurrency}"
            found.append((("strategies", name, "provisioned"), what))
        if name == NO_ROLLOUT:
            found.append((("strategies", name), "the name stands for the run without a rollout; choose another"))
    return found


def _rollout_inconsistencies(
    scenario: Sections, known: Any, found: list[Any]
) -> list[tuple[tuple[str | int, ...], str]]:
    rollout = scenario.rollout
    if rollout is None:
        return (
            [(("strategies",), "there are strategies but no `rollout` to apply them to")] if scenario.strategies else []
        )
    known(("rollout", "alias"), "alias", rollout.alias, list(scenario.function.aliases))
    known(("rollout", "to"), "version", rollout.to, list(scenario.function.versions))
    for j, name in enumerate(rollout.alarms):
        known(("rollout", "alarms", j), "alarm", name, list(scenario.alarms))
    if found:
        return []
    wrong: list[tuple[tuple[str | int, ...], str]] = []
    if not scenario.strategies:
        wrong.append(
            (
                ("rollout",),
                "a rollout needs `strategies`, such as {canary: {type: canary, percent: 10, interval: 10 min}}",
            )
        )
    if rollout.start >= scenario.horizon:
        wrong.append(
            (("rollout", "start"), f"must come before the horizon ({scenario.horizon:g} s), got {rollout.start:g} s")
        )
    if LATEST in (rollout.to, scenario.old):
        wrong.append(
            (("rollout", "alias"), "an alias with weights cannot point to $LATEST; publish a numbered version")
        )
    if rollout.to == scenario.old:
        wrong.append((("rollout", "to"), f"alias {rollout.alias!r} points to version {rollout.to} already"))
    if all(source.alias != rollout.alias for source in scenario.traffic):
        wrong.append((("rollout", "alias"), f"no source sends traffic to {rollout.alias!r}"))
    return wrong
