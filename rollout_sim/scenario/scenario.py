"""A scenario: read from a file or from plain data, resolved, checked, and written back.

All that is wrong with a file is told at once, each problem with its line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_sim.core.display import Displayed
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.files import FileReader
from rollout_sim.core.formatting import show_duration
from rollout_sim.core.minutes import DAY, iso_of
from rollout_sim.core.registry import registered
from rollout_sim.core.yaml_io import YamlDocument, locate, problem, read_yaml, shorten
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import Fault
from rollout_sim.function.spec import VersionSpec
from rollout_sim.scenario.checks import inconsistencies
from rollout_sim.scenario.messages import problems_of
from rollout_sim.scenario.resolve import resolve_likes
from rollout_sim.scenario.sections import Sections
from rollout_sim.scenario.warning_checks import ScenarioWarning, warnings_about

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(Displayed, Sections):
    """Everything that a simulation needs to know; immutable."""

    def __repr__(self) -> str:
        moved = "no rollout" if self.new is None else f"{self.alias} from version {self.old} to {self.new}"
        return f"{self.name}: {moved}, {len(self.strategies)} strategies, {show_duration(self.horizon)}"

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """The scenario in the YAML file `path`, and the traces and samples that it names, each read once.

        Raises ScenarioError with every problem, each with file and line.

        Examples:
            >>> scenario = Scenario.load("scenarios/checkout.yaml")
            >>> scenario.name, scenario.horizon, list(scenario.strategies)[:2]
            ('checkout', 3600.0, ['instant', 'blue/green'])
        """
        return cls.parse(read_yaml(Path(path)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, path: str | Path = "scenario") -> Scenario:
        """The scenario in the plain `data` that `dump` writes and a YAML file holds.

        Messages name `path`, and files that the data names (traces, samples) are looked for beside it. Raises
        ScenarioError with every problem.

        Examples:
            >>> scenario = Scenario.from_dict({
            ...     "name": "steady",
            ...     "horizon": "10 min",
            ...     "function": {"name": "f", "versions": {"1": {"duration": "80 ms"}}, "aliases": {"prod": "1"}},
            ...     "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "5/s"}}],
            ... })
            >>> scenario.rates
            {'prod': 5.0}
        """
        if not isinstance(data, Mapping):
            raise ScenarioError([f"{path}: needs a mapping of fields, got {shorten(repr(data))}"])
        plain = json.loads(json.dumps(data))  # lists for tuples, text for keys, as a file has
        return cls.parse(YamlDocument(data=plain, lines={}, path=Path(path)))

    @classmethod
    def parse(cls, document: YamlDocument) -> Scenario:
        """The scenario in a `document` that was read already. Raises ScenarioError."""
        from pydantic import ValidationError

        data = resolve_likes(document)
        try:
            scenario = adapter().validate_python(data)
        except ValidationError as error:
            raise ScenarioError(problems_of(error, document, cls, {VersionSpec: ("like",)})) from None
        scenario = scenario.with_files(document)
        problems = [
            problem(document.path, locate(document, where), where, what)
            for where, what in inconsistencies(scenario, data)
        ]
        if problems:
            raise ScenarioError(problems)
        return scenario

    def dump(self) -> dict[str, Any]:
        """The fully resolved scenario as plain data with units in the text; fields at their defaults are left out.

        `from_dict` reads it back to an equal scenario, `load` does where it is written as YAML.

        Examples:
            >>> scenario = Scenario.load("scenarios/checkout.yaml")
            >>> scenario.dump()["rollout"]
            {'alias': 'prod', 'to': '2', 'start': '10 min', 'alarms': ('new-version-errors',)}
        """
        data: dict[str, Any] = adapter().dump_python(self, exclude_defaults=True)
        for source in data["traffic"]:
            source["arrivals"].get("trace", {}).pop("folder", None)  # where the file was found is not part of the file
            if source.get("function"):
                source.pop("alias")
        function = data["function"]
        for recorded in (
            function.get("throttled"),
            *(spec.get("error_rate") for spec in function["versions"].values()),
        ):
            if isinstance(recorded, dict):
                recorded.pop("folder", None)
        return data

    def with_files(self, document: YamlDocument) -> Scenario:
        """The same with the traces and samples that it names, each file read once.

        `document` is where the scenario comes from: names are relative to its folder, and problems name its lines.
        Raises ScenarioError with every file that cannot be read or does not hold what it should.
        """
        folder, files = document.path.parent, document.files
        problems, sources = [], []
        for i, source in enumerate(self.traffic):
            try:
                sources.append(source.with_files(folder, files))
            except ValueError as error:
                problems.append(problem(document.path, locate(document, ("traffic", i)), ("traffic", i), str(error)))
        function = self.function
        for where, part in self.function.recorded().items():
            try:
                function = function.with_recorded({where: part.with_files(folder, files)})
            except ValueError as error:
                place = ("function", *where)
                problems.append(problem(document.path, locate(document, place), place, str(error)))
        versions = {}
        for number, spec in function.versions.items():
            try:
                times: dict[str, Any] = {
                    name: time.with_files(folder, "s", files)
                    for name in ("duration", "cold_start", "cold_duration")
                    if isinstance(time := getattr(spec, name), Distribution)
                }
                versions[number] = replace(spec, **times)
            except ValueError as error:
                place = ("function", "versions", number)
                problems.append(problem(document.path, locate(document, place), place, str(error)))
        if problems:
            raise ScenarioError(problems)
        return replace(self, traffic=tuple(sources), function=replace(function, versions=versions))

    @property
    def knows_time(self) -> bool:
        """Whether anything of it follows a recording step by step, or the time of day, so that moments differ."""
        traffic = [source.arrivals for source in self.traffic]
        daily = any(a.cron is not None or (a.diurnal is not None and a.diurnal.period == DAY) for a in traffic)
        traces = [a.trace for a in traffic if a.trace is not None]
        draws = [*(trace.draw for trace in traces), *(part.draw for part in self.function.recorded().values())]
        return daily or "replay" in draws

    def at(self, moment: float, files: FileReader | None = None) -> Scenario:
        """The same with its rollout (or, without one, the simulation) beginning at a recorded `moment` (s since 1970).

        Traces and replayed minutes, which `files` reads, begin `start` before it, and the peak of daily traffic comes when the
        time of day has it. Raises ScenarioError where nothing is recorded of that moment, or the traffic knows no time.
        """
        files = FileReader() if files is None else files
        if not self.knows_time:
            what = "neither traffic nor errors follow the time of day or a recording, so no moment differs from another"
            raise ScenarioError([f"{self.name}: traffic: {what}"])
        begin = moment - (0.0 if self.rollout is None else self.rollout.start or 0.0)
        sources = []
        for i, source in enumerate(self.traffic):
            arrivals = source.arrivals
            if arrivals.trace is not None and arrivals.trace.draw == "replay":
                try:
                    trace = arrivals.trace.beginning(begin)
                    arrivals = replace(arrivals, trace=trace.with_files(Path(trace.folder), files))
                except ValueError as error:
                    ahead = moment - begin
                    start = f" of the simulation, {ahead:g} s before the rollout," if ahead else ""
                    raise ScenarioError(
                        [f"{self.name}: traffic.{i}: the begin{start} has no traffic: {error}"]
                    ) from None
            elif arrivals.cron is not None:
                arrivals = replace(arrivals, cron=replace(arrivals.cron, begin=iso_of(begin)))
            elif arrivals.diurnal is not None and arrivals.diurnal.period == DAY:
                peak = (arrivals.diurnal.peak - begin) % DAY
                arrivals = replace(arrivals, diurnal=replace(arrivals.diurnal, peak=peak))
            sources.append(replace(source, arrivals=arrivals))
        parts = {}
        for where, part in self.function.recorded().items():
            try:
                parts[where] = part.beginning(begin, files)
            except ValueError as error:
                raise ScenarioError([f"{self.name}: function.{'.'.join(where)}: {error}"]) from None
        return replace(self, traffic=tuple(sources), function=self.function.with_recorded(parts))

    def with_faults(self, version: str, faults: Sequence[Fault]) -> Scenario:
        """The same scenario with `faults` in place of those of `version`; incidents stay.

        Raises ScenarioError for a version that the function does not have.

        Examples:
            >>> scenario = Scenario.load("scenarios/checkout.yaml")
            >>> broken = scenario.with_faults("2", [Fault(errors=0.5)])
            >>> [fault.errors for fault in broken.function.versions["2"].faults]
            [0.5]
        """
        versions = dict(self.function.versions)
        if version not in versions:
            raise ScenarioError([f"{self.name}: there is no version {version!r}; allowed {', '.join(versions)}"])
        versions[version] = replace(versions[version], faults=tuple(faults))
        return replace(self, function=replace(self.function, versions=versions))

    def with_phase(self, phase: float) -> Scenario:
        """The same scenario with the rollout a `phase` (s) later than its `start`, in place of one that is drawn.

        Examples:
            >>> scenario = Scenario.load("scenarios/checkout.yaml")
            >>> scenario.start, scenario.with_phase(30.0).start
            (600.0, 630.0)
        """
        if self.rollout is None:
            return self
        return replace(self, rollout=replace(self.rollout, phase=phase))

    def without_rollout(self) -> Scenario:
        """The same traffic, faults and incidents at the same times, but nothing is deployed, and nobody acts.

        The rollout stays for its alias and its start, from which faults count; what runs is `STEADY`.

        Examples:
            >>> scenario = Scenario.load("scenarios/checkout.yaml").without_rollout()
            >>> scenario.start, list(scenario.strategies)
            (600.0, [])
        """
        rollout = None if self.rollout is None else replace(self.rollout, alarms=(), hold=None)
        return replace(self, rollout=rollout, strategies={}, on_call=None, goal=None, risk=None)

    def warnings(self) -> tuple[ScenarioWarning, ...]:
        """What is allowed and probably not meant, such as a threshold that the traffic cannot reach.

        Examples:
            >>> from dataclasses import replace
            >>> scenario = Scenario.load("scenarios/checkout.yaml")
            >>> scenario.warnings()
            ()
            >>> for warning in replace(scenario, horizon=900.0).warnings():
            ...     print(warning.name, warning.where)
            horizon ('horizon',)
        """
        return warnings_about(self)

    def recipe(self, **choices: Any) -> dict[str, Any]:
        """What makes a result again: versions, the resolved scenario, and the `choices` made beside it.

        Examples:
            >>> recipe = Scenario.load("scenarios/checkout.yaml").recipe(seed=7)
            >>> recipe["scenario"]["name"], recipe["seed"]
            ('checkout', 7)
        """
        from importlib.metadata import version

        versions = {"rollout_sim": version("rollout-sim"), "numpy": version("numpy")}
        return {**versions, "scenario": self.dump(), **choices}


def adapter() -> TypeAdapter[Scenario]:
    """Pydantic's reader and writer of a scenario, with all classes that are registered by now."""
    return _adapter(registered())


@lru_cache(maxsize=1)
def _adapter(classes: tuple[type[Any], ...]) -> TypeAdapter[Scenario]:
    """Made anew whenever other `classes` are registered: they are part of the fields' types."""
    from pydantic import TypeAdapter

    del classes
    return TypeAdapter(Scenario)


def check_is_scenario(given: object) -> None:
    """Raises ScenarioError for what is no scenario, such as the path of a file with one."""
    if not isinstance(given, Scenario):
        raise ScenarioError([f"scenario: needs a Scenario, got {shorten(repr(given))}; Scenario.load(path) reads one"])
