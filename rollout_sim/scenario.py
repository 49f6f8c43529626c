"""Scenario: one file as types: function, traffic, faults, SLOs, alarms, rollout and strategies.

`Scenario.load` reads, resolves (`like:`) and checks a file; `dump` writes it back fully resolved. All
that is wrong with a file is told at once, each problem with its line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from rollout_sim.alarms import Alarm
from rollout_sim.aliases import LATEST, check_alias_name
from rollout_sim.errors import ScenarioError, ValidationException
from rollout_sim.faults import Fault, Slowdown
from rollout_sim.goals import Goal, Risk
from rollout_sim.own_checks import own_problems
from rollout_sim.own_faults import unfolded
from rollout_sim.registry import generation
from rollout_sim.scenario_file import Document, dotted, locate, problems_of, read_yaml, suggest
from rollout_sim.slo import Objective
from rollout_sim.specs import FunctionSpec, OnCall, Promotion, Rollout, VersionSpec, check_count
from rollout_sim.strategies import StrategyField
from rollout_sim.traffic import Source
from rollout_sim.units import PositiveSeconds, show_duration

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_STAYS: Final = 2_000_000
"""Stays of a bursty source that fit into memory."""
NO_ROLLOUT: Final = "no rollout"
"""The name of the paired run that moves nothing."""
Engine = Literal["auto", "simpy", "compiled", "aggregate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that a simulation needs to know; immutable."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    """What the function or the question is called; results carry it."""
    function: FunctionSpec
    """The Lambda function: its versions and aliases."""
    traffic: tuple[Source, ...]
    """Who calls it: one or more sources."""
    horizon: PositiveSeconds
    """How long the simulation lasts."""
    description: str = ""
    """One line for people; printed above the results."""
    seed: int = 0
    """The number from which all chance is drawn; the same seed gives the same bytes."""
    engine: Engine = "auto"
    """The data plane; `auto` takes the cheapest one that is exact for the scenario."""
    slos: tuple[Objective, ...] = ()
    """The objectives whose error budgets are counted."""
    alarms: dict[str, Alarm] = field(default_factory=dict)
    """CloudWatch's alarms by name; `rollout` and `on_call` say which of them act."""
    rollout: Rollout | None = None
    """What is rolled out, when, and watched by what. Without it the run is a steady state."""
    strategies: dict[str, StrategyField] = field(default_factory=dict)
    """The strategies to compare, by a name of your own; `type` says which kind each is."""
    incident: tuple[Fault, ...] = ()
    """Faults that hit every version alike, such as a dependency that fails; one fault or a list."""
    on_call: OnCall | None = None
    """Who reacts to a page after the deployment is over; without it nobody does."""
    promotions: tuple[Promotion, ...] = ()
    """Moves of other aliases on the way, each all at once."""
    risk: Risk | None = None
    """How releases go wrong; `recommend` weighs candidates by it."""
    goal: Goal | None = None
    """What `recommend` must keep and minimise."""

    def __post_init__(self) -> None:
        check_count("seed", self.seed, 0, 2**63 - 1)

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """The scenario in a YAML file. Raises ScenarioError with every problem, each with file and line."""
        return cls.parse(read_yaml(Path(path)))

    @classmethod
    def parse(cls, document: Document) -> Scenario:
        """The scenario in a document that was read already. Raises ScenarioError."""
        from pydantic import ValidationError

        data = resolve_likes(document)
        try:
            scenario = adapter().validate_python(data)
        except ValidationError as error:
            raise ScenarioError(problems_of(error, document, cls, {VersionSpec: ("like",)})) from None
        scenario = scenario.with_files(document.path.parent, document)
        problems = [
            f"{document.path}:{locate(document, where)}: {dotted(where)}: {what}"
            for where, what in inconsistencies(scenario)
        ]
        if problems:
            raise ScenarioError(problems)
        return scenario

    def dump(self) -> dict[str, Any]:
        """The fully resolved scenario as plain data with units in the text: what `load` reads back to an equal one."""
        data: dict[str, Any] = adapter().dump_python(self, exclude_defaults=True)
        for source in data["traffic"]:
            source["arrivals"].get("trace", {}).pop("folder", None)  # where the file was found is not part of the file
        return data

    def with_files(self, folder: Path, document: Document) -> Scenario:
        """The same with file names relative to `folder`, the scenario's own, and every file looked into once."""
        problems, sources = [], []
        for i, source in enumerate(self.traffic):
            try:
                found = source.with_files(folder)
                if found.arrivals.trace is not None:
                    found.arrivals.trace.read()
                sources.append(found)
            except ValueError as error:
                problems.append(f"{document.path}:{locate(document, ('traffic', i))}: traffic[{i}]: {error}")
        versions = {}
        for number, spec in self.function.versions.items():
            try:
                times: dict[str, Any] = {
                    name: None if (one := getattr(spec, name)) is None else one.with_files(folder, "s")
                    for name in ("duration", "cold_start", "cold_duration")
                }
                versions[number] = replace(spec, **times)
            except ValueError as error:
                where = ("function", "versions", number)
                problems.append(f"{document.path}:{locate(document, where)}: {dotted(where)}: {error}")
        if problems:
            raise ScenarioError(problems)
        return replace(self, traffic=tuple(sources), function=replace(self.function, versions=versions))

    def _repr_html_(self) -> str:
        from rollout_sim.tables import scenario_sheet

        about = f"{self.name}: {self.description}" if self.description else self.name
        return scenario_sheet(self).html(f"{about} ({show_duration(self.horizon)}, seed {self.seed})")

    @property
    def alias(self) -> str:
        """The alias that the rollout moves, or the first source's."""
        return self.rollout.alias if self.rollout is not None else self.traffic[0].alias

    @property
    def start(self) -> float:
        """The rollout's start (s), 0 without one; faults, incidents and reported times count from here."""
        return self.rollout.start if self.rollout is not None else 0.0

    @property
    def acting(self) -> tuple[str, ...]:
        """The alarms that do something: those that stop the rollout and those that page."""
        stopping = self.rollout.alarms if self.rollout is not None else ()
        paging = self.on_call.alarms if self.rollout is not None and self.on_call is not None else ()
        return tuple(dict.fromkeys(stopping + paging))

    def faults_of(self, version: str) -> tuple[Fault, ...]:
        """What is wrong with a version, incidents included; own faults as the built-in ones that they come to."""
        return unfolded(self.function.versions[version].faults + self.incident, self.horizon - self.start)

    @property
    def old(self) -> str:
        """The version that the rollout's alias points to when the rollout starts."""
        moved = [
            p.to for p in sorted(self.promotions, key=lambda p: p.at) if p.alias == self.alias and p.at <= self.start
        ]
        return moved[-1] if moved else self.function.aliases[self.alias]

    @property
    def new(self) -> str | None:
        """The version that is rolled out, if any is."""
        return self.rollout.to if self.rollout is not None else None


def adapter() -> TypeAdapter[Scenario]:
    """Pydantic's reader and writer of a scenario, with all classes that are registered by now."""
    return _adapter(generation())


@lru_cache(maxsize=1)
def _adapter(registered: int) -> TypeAdapter[Scenario]:
    from pydantic import TypeAdapter

    del registered
    return TypeAdapter(Scenario)


def resolve_likes(document: Document) -> dict[str, Any]:
    """The document's data in the shape that the types take.

    `like: 1` becomes a copy of version 1 under the fields given, numbers that stand for versions become
    text, and a single incident becomes a list of one.
    """
    data = dict(document.data)
    function = data.get("function")
    if isinstance(function, dict):
        function = dict(function)
        data["function"] = function
        if isinstance(function.get("versions"), dict):
            given = {str(number): spec for number, spec in function["versions"].items()}
            function["versions"] = {number: _inherit(number, given, document, ()) for number in given}
        if isinstance(function.get("aliases"), dict):
            function["aliases"] = {name: _text(version) for name, version in function["aliases"].items()}
    if isinstance(data.get("rollout"), dict) and "to" in data["rollout"]:
        data["rollout"] = {**data["rollout"], "to": _text(data["rollout"]["to"])}
    if isinstance(data.get("promotions"), list):
        data["promotions"] = [
            {**one, "to": _text(one["to"])} if isinstance(one, dict) and "to" in one else one
            for one in data["promotions"]
        ]
    if isinstance(data.get("incident"), dict):
        data["incident"] = [data["incident"]]
    return data


def _inherit(number: str, given: dict[str, Any], document: Document, seen: tuple[str, ...]) -> Any:
    spec = given[number]
    if not isinstance(spec, dict) or "like" not in spec:
        return spec
    like = str(spec["like"])
    where = ("function", "versions", number, "like")
    if like not in given:
        raise ScenarioError(
            [
                f"{document.path}:{locate(document, where)}: {dotted(where)}: there is no version {like}; allowed {', '.join(given)}"
            ]
        )
    if like == number:
        raise ScenarioError(
            [f"{document.path}:{locate(document, where)}: {dotted(where)}: a version cannot be like itself"]
        )
    if like in seen:
        raise ScenarioError(
            [
                f"{document.path}:{locate(document, where)}: {dotted(where)}: versions {number} and {like} are like each other"
            ]
        )
    base = _inherit(like, given, document, (*seen, number))
    own = {key: value for key, value in spec.items() if key != "like"}
    if not isinstance(base, dict):
        return base
    for one, other in (("cold_start", "cold_duration"), ("cold_duration", "cold_start")):
        if one in own:
            base = {key: value for key, value in base.items() if key != other}
    return {**base, **own}


def inconsistencies(scenario: Scenario) -> list[tuple[tuple[str | int, ...], str]]:
    """What does not fit together across sections: (where, what is wrong)."""
    found = own_problems(scenario)
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
    scenario: Scenario, known: Any, found: list[Any]
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


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
