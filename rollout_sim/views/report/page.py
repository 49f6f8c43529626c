"""The page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.control.alarms import describe
from rollout_sim.control.codedeploy import shortcoming
from rollout_sim.core.files import write_file
from rollout_sim.core.formatting import number_with_interval, show_duration
from rollout_sim.core.statistics import difference
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import escaped
from rollout_sim.study.comparison import best_strategy
from rollout_sim.study.executor import each_of
from rollout_sim.study.judgement import goal_of, limits_of
from rollout_sim.study.recommend.candidates import undeployable
from rollout_sim.views.cells import MedianDuration, Verdict
from rollout_sim.views.plots.style import strategy_index
from rollout_sim.views.sentences import assumed, choice, conclusion, holding, key_figures, remarks, sentence
from rollout_sim.views.tables import comparison_table

if TYPE_CHECKING:
    from rollout_sim.scenario.goals import Goal
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.views.report.build import Report
    from rollout_sim.views.report.figures import Picture


PACKAGES: Final = ("rollout-sim", "numpy", "scipy", "pandas", "matplotlib", "simpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A strategy in the comparison: its name with a swatch (SVG) and a note, and the lines of each cell.

    `kind` is its badge, or nothing; `tone` says how the last cell is judged.
    """

    name: str
    swatch: str
    note: str
    cells: Sequence[tuple[str, ...]]
    kind: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A figure in large letters: what it is, its value, and below it the interval or the tail."""

    what: str
    value: str
    below: str


def write_report(report: Report, out: Path) -> Path:
    """Writes the page into the file `out`, all of it or nothing; returns `out`."""
    text = html(report)
    write_file(out, text)
    return out


def html(report: Report) -> str:
    """The page. The same scenario and seed give the same text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("rollout_sim.views.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["svg"] = lambda picture: Markup(picture.svg)  # noqa: S704 - matplotlib's, which escapes its texts
    environment.filters["narrow"] = lambda picture: Markup(picture.narrow)  # noqa: S704 - likewise
    environment.filters["swatch"] = Markup
    style = environment.get_template("report.css").render()
    page = environment.get_template("report.html").render(style=Markup(style), **_content(report))  # noqa: S704 - our own file
    return "\n".join(map(escaped, page.split("\n")))


def _content(report: Report) -> dict[str, Any]:
    scenario = report.scenario
    return {
        "scenario": scenario,
        "report": report,
        "facts": _facts(scenario),
        "sentences": conclusion(report.compared),
        "answer": _answer(report),
        "best": _best(report),
        "unjudged": _unjudged(report),
        "tiles": _tiles(report),
        "recommendation": _recommendation(report),
        "columns": (
            *comparison_table(report.shown).page_columns[1:],
            *(["limits of the goal"] if _goal(report) else []),
        ),
        "rows": _rows(report),
        "pictures": _pictures(report),
        "slos": [f"{slo.name} {_percent(slo.objective)} over {show_duration(slo.window)}" for slo in scenario.slos],
        "planes": _planes(report),
        "approximations": _approximations(report),
        "assumed": [] if report.recommendation is None else assumed(report.recommendation),
        "versions": _versions(report),
        "resolved": to_yaml(scenario.dump()),
    }


def _facts(scenario: Scenario) -> list[tuple[str, list[str]]]:
    """What is rolled out, under which traffic, what may be wrong with it, and what watches it."""
    data = scenario.dump()
    function, new = scenario.function, scenario.new
    if new is None:
        facts = [("In service", [f"version {scenario.old} of {function.name}, behind the alias {scenario.alias}"])]
    else:
        moved = (
            f"version {new} of {function.name}, in place of version {scenario.old} behind the alias {scenario.alias}"
        )
        facts = [("Rolled out", [moved])]
    facts.append(("Traffic", [f"{source['source']}, {_words(source['arrivals'])}" for source in data["traffic"]]))
    if new is not None:
        faults = data["function"]["versions"][new].get("faults", ())
        facts.append(
            (f"Wrong with version {new}", [_words(fault) for fault in faults] or ["nothing: it is a good version"])
        )
    if scenario.incident:
        facts.append(("Incident", [f"{_words(fault)}, on every version" for fault in data["incident"]]))
    facts.append(("SLO", [_objective(scenario, k) for k in range(len(scenario.slos))] or ["none"]))
    if scenario.rollout is not None:
        alarms = [f"{name}: {_alarm(scenario, name)}" for name in scenario.rollout.alarms]
        if scenario.rollout.hold is not None:
            alarms.append(holding(scenario.rollout.hold))
        facts.append(("Alarms", alarms or ["none: nothing stops the rollout"]))
    drawn = f" or up to {show_duration(scenario.period_of_phases)} later" if scenario.phase_is_drawn else ""
    what = f"{show_duration(scenario.horizon)}, the rollout from {show_duration(scenario.start)}{drawn} on"
    facts.append(("Simulated", [what]))
    return facts


def _alarm(scenario: Scenario, name: str) -> str:
    alarm = scenario.alarms[name]
    if alarm.metric == "burn_rate":
        return f"burn rate {alarm.threshold} of {alarm.slo}, over {show_duration(alarm.long)} and {show_duration(alarm.short)}"
    if alarm.rule is not None:
        return describe(alarm)
    return f"{describe(alarm)}, every {show_duration(alarm.period)}"


def _objective(scenario: Scenario, k: int) -> str:
    slo = scenario.slos[k]
    good = "handled at all" if slo.sli == "lost" else "answered without an error"
    if slo.limit is not None:
        good = f"{'answered' if slo.latency is not None else 'handled'} within {show_duration(slo.limit)}"
    if slo.slices is None:
        return f"{slo.name}: {_percent(slo.objective)} of the requests {good}, over {show_duration(slo.window)}"
    target = slo.slices.target
    each = (
        "each as good as the share of its requests" if target is None else f"with {_percent(target)} of their requests"
    )
    return f"{slo.name}: {_percent(slo.objective)} of the {slo.counted} good, {each} {good}, over {show_duration(slo.window)}"


def _percent(value: float) -> str:
    return f"{value:.6%}".rstrip("%").rstrip("0").rstrip(".") + "%"


def _recommendation(report: Report) -> dict[str, Any]:
    """The recommended rollout; `why_not` where there is none."""
    recommendation = report.recommendation
    if recommendation is None:
        return {
            "why_not": report.why_not["recommendation"],
            "text": "",
            "title": "",
            "winner": False,
            "remarks": [],
            "snippet": "",
        }
    text = sentence(recommendation)
    decided = "" if recommendation.decided else ", with too few replications to be sure"
    title, snippet = f"A search found no rollout that keeps the goal{decided}", ""
    if recommendation.winner is not None:
        title = f"What a search recommends{decided}"
        dumped = recommendation.chosen_scenario.dump()
        snippet = to_yaml({name: dumped[name] for name in ("alarms", "rollout", "strategies")})
    return {
        "why_not": "",
        "text": _sentence(text),
        "title": title,
        "winner": recommendation.winner is not None,
        "remarks": [_sentence(remark) for remark in remarks(recommendation)],
        "snippet": snippet,
    }


def _goal(report: Report) -> Goal | None:
    """The goal that the strategies are held against; None where there is nothing to hold."""
    if report.recommendation is not None:
        return report.recommendation.goal
    return goal_of(report.scenario)


def _unjudged(report: Report) -> bool:
    """Whether the goal has a limit on catching that the file's version, whose faults are smaller or none, says nothing of."""
    goal = _goal(report)
    if goal is None or goal.catch is None:
        return False
    any_strategy = next(iter(report.compared.columns))
    return all(limit.name != "catch" for limit in limits_of(report.compared, any_strategy, goal))


def _best(report: Report) -> str:
    """The strategy that the page tells the reader to use."""
    goal = _goal(report)
    if report.chosen is not None:
        return report.chosen
    return best_strategy(report.compared) if goal is None else choice(report.compared, goal)[0]


def _answer(report: Report) -> dict[str, Any]:
    """What to do, in a sentence or two; `ties` names what would do as well."""
    recommendation, goal = report.recommendation, _goal(report)
    if recommendation is not None and recommendation.winner is not None:
        ties = "; ".join(candidate.label for candidate in recommendation.ties)
        text = _sentence(sentence(recommendation))
        missing = shortcoming(recommendation.winner.plan)
        more = [f"CodeDeploy cannot carry that out: {missing}."] if missing is not None else []
        more += _better_elsewhere(report)
        more += [f"In what is minimised there is no significant difference to: {ties}."] if ties else []
        assert goal is not None
        assert report.chosen is not None
        verdict = Verdict(limits_of(report.shown, report.chosen, goal))
        if verdict.tone != "good":
            more.append(
                f"The comparison below holds it against the goal once more, on other random numbers: {verdict.text}."
            )
        return {"text": text, "more": more}
    if goal is None or not report.scenario.new:
        return {"text": "", "more": []}
    best, alike = choice(report.compared, goal)
    limits = limits_of(report.compared, best, goal)
    verdict = Verdict(limits)
    how = {"good": "it keeps every limit of the goal that can be told here", "": "the goal has no limit"}.get(
        verdict.tone, f"limits of the goal: {verdict.text}"
    )
    only = "" if len(report.compared.columns) == 1 else f" of the {len(report.compared.columns)} strategies of the file"
    more = [f"As good, as far as the replications can tell: {', '.join(alike)}."] if alike else []
    if verdict.tone == "bad":
        return {
            "text": f"None of the file's strategies keeps the goal; {best} comes closest ({verdict.text}).",
            "more": more,
        }
    return {"text": f"Use {best}{only}: {how}.", "more": more}


def _better_elsewhere(report: Report) -> list[str]:
    """A sentence about a strategy of the file that is better than the recommended one, and left out by what deploys it.

    It keeps every limit of the goal that can be told, and adds fewer bad requests, replication by replication; at most one.
    """
    recommendation, shown = report.recommendation, report.shown
    chosen = None if report.chosen is None else shown.columns[report.chosen].get("bad_requests_added")
    if recommendation is None or chosen is None:
        return []
    target = recommendation.goal.deploy_with
    better = []
    for name, strategy in report.scenario.strategies.items():
        why = undeployable(strategy.plan, target)
        added = shown.columns[name].get("bad_requests_added") if name in shown.columns else None
        if why is None or added is None or Verdict(limits_of(shown, name, recommendation.goal)).tone != "good":
            continue
        apart = difference(added, chosen)
        if apart is not None and apart.high is not None and apart.high < 0:
            better.append((apart.mean, name, why))
    if not better:
        return []
    _, name, why = min(better)
    figures = [number_with_interval(shown.estimates(of)["bad_requests_added"]) for of in (name, report.chosen or "")]
    return [
        f"Better elsewhere: {name} adds {figures[0]} bad requests to the file's fault, against {figures[1]}, but {why}."
    ]


def _rows(report: Report) -> list[Row]:
    from rollout_sim.views.report.figures import swatch

    scenario, compared, goal = report.scenario, report.shown, _goal(report)
    dumped = scenario.dump().get("strategies", {})
    winner = None if report.recommendation is None else report.recommendation.winner
    rows = []
    for name, (_, *cells) in zip(compared.columns, comparison_table(compared).page_rows, strict=True):
        note = _words(dumped[name], first="type") if name in dumped else ""
        if name == report.chosen and name not in report.compared.columns and winner is not None:
            note = "with the file's alarm" if winner.alarm is None else f"with the alarm {winner.alarm_text}"
        verdict = Verdict(limits_of(compared, name, goal)) if goal is not None else None
        judged = [] if verdict is None else [(*verdict.lines, *(["catch: not judged"] if _unjudged(report) else []))]
        kind = "recommended" if name == report.chosen else ""
        if report.chosen is None and goal is not None and len(compared.columns) > 1 and name == _best(report):
            kind = "keeps the goal best"
        rows.append(
            Row(
                name=name,
                swatch=swatch(strategy_index(scenario, name)) if scenario.rollout is not None else "",
                note=note,
                cells=(*cells, *judged),
                kind=kind,
                tone="" if verdict is None else verdict.tone,
            )
        )
    return sorted(rows, key=lambda row: not row.kind)


def _tiles(report: Report) -> list[Tile]:
    """The main figures of the strategy to use, under the file's own fault."""
    tiles = []
    for figure in key_figures(report.shown, _best(report)):
        first, *others = figure.value.lines
        below = "".join(others)
        if isinstance(figure.value, MedianDuration):
            below = f"95th percentile {below}"
        tiles.append(Tile(what=figure.what, value=first, below=below))
    return tiles


def _pictures(report: Report) -> dict[str, list[Picture]]:
    """The pictures in the order of the page; the ones that take longest are drawn first."""
    from rollout_sim.views.report import figures

    slos, runs, compared = report.scenario.slos, report.runs, report.shown
    records = (figures.backlog, figures.oldest, figures.fates)
    calls: dict[str, list[Callable[[], Picture]]] = {
        "traffic": [partial(figures.traffic, runs)],
        "records": [partial(draw, runs) for draw in records] if report.scenario.polled else [],
        "power": [] if report.sensitivity is None else [partial(figures.power, report.sensitivity)],
        "candidates": [] if report.recommendation is None else [partial(figures.candidates, report.recommendation)],
        "stopping": [] if report.scenario.rollout is None else [partial(figures.stopping, compared)],
        "budgets": [partial(figures.budgets, compared, slo, f"cost{k}") for k, slo in enumerate(slos)],
        "error_budget": [partial(figures.error_budget, runs, slo, f"budget{k}") for k, slo in enumerate(slos)],
        "burn_rate": [partial(figures.burn_rate, runs, slo, f"burn{k}") for k, slo in enumerate(slos)],
    }
    drawn = iter(each_of([partial(_drawn, call) for several in calls.values() for call in several], report.jobs))
    return {name: list(itertools.islice(drawn, len(several))) for name, several in calls.items()}


def _drawn(call: Callable[[], Picture]) -> Picture:
    """A picture, in whichever process: without a window."""
    import matplotlib as mpl

    mpl.use("Agg")
    return call()


def _planes(report: Report) -> list[str]:
    """Which planes simulated what, and why."""
    compared, run = report.compared, report.runs[0]
    lines = [f"Comparison: {compared.plane.engine} plane: {compared.plane.reason}."]
    lines.append(
        f"Error budget, burn rate and traffic: one run of each strategy on the {run.engine} plane: {run.engine_reason}."
    )
    if report.recommendation is not None:
        lines.append(
            f"Recommendation: {report.recommendation.plane.engine} plane, {report.recommendation.searched:,} candidates."
        )
    return lines


def _approximations(report: Report) -> list[str]:
    noted = [*report.compared.approximations]
    for run in report.runs:
        noted += run.approximations
    noted += report.recommendation.notes if report.recommendation is not None else ()
    return [_sentence(note) for note in dict.fromkeys(noted)]


def _sentence(text: str) -> str:
    """A clause as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


def _versions(report: Report) -> list[tuple[str, str]]:
    packages = list(PACKAGES)
    if "compiled" in {report.compared.plane.engine, report.runs[0].engine}:
        packages.append("numba")
    return [*((name, version(name)) for name in packages), ("Python", platform.python_version())]


def _words(value: Any, first: str = "") -> str:
    """Plain data of a scenario as words: `errors 4%, onset 2 min`; the value of the key `first` stands without it."""
    if isinstance(value, Mapping):
        return ", ".join(
            _words(part) if key == first else f"{str(key).replace('_', ' ')} {_words(part)}"
            for key, part in value.items()
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(_words(part) for part in value)
    return str(value)
