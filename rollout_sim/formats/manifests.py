"""Manifests: Argo Rollouts' `Rollout` and Flagger's `Canary`, read into a scenario.

Steps, weights and pauses become a strategy; the metrics of an analysis become alarms where their limits tell what they are
about. A query is not read: what it measures is a guess by its name and its limit, and is marked so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import MISSHAPEN, read_documents, shorten, what_is_wrong
from rollout_sim.errors import ScenarioError, legible
from rollout_sim.formats.cloudwatch import METRICS
from rollout_sim.formats.openslo import in_seconds
from rollout_sim.formats.snippet import dashed, numbered
from rollout_sim.formats.templates.deployed import LAG, Deployed
from rollout_sim.formats.templates.watching import check

SCRAPED: Final = "15 s"
"""How long after its end a period is visible where pods are scraped: a guess."""
ARGO: Final = "argoproj.io/"
FLAGGER: Final = "flagger.app/"
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_CONDITION: Final = re.compile(r"([<>]=?)\s*([0-9]+(?:\.[0-9]+)?(?:[eE][-+]?\d+)?)")
_ARGUMENT: Final = re.compile(r"\{\{\s*args\.([\w-]+)\s*\}\}")
_GUARD: Final = re.compile(r"\blen\([^)]*\)\s*[<>=!]+\s*\d+\s*(&&|\|\|)?|\bisNaN\([^)]*\)\s*(&&|\|\|)?")
"""The part of a condition that asks whether there are data at all."""
_MIRRORED: Final = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
"""What holds where a condition does not."""
_KINDS: Final = {
    "duration": re.compile(r"latenc|duration|response.?time|p9\d", re.IGNORECASE),
    "success": re.compile(r"success|availab|good|2xx", re.IGNORECASE),
    "errors": re.compile(r"err|fail|5xx|bad", re.IGNORECASE),
}
"""What a measurement is about, by the words in its name or its query; the first that is there."""
_PERCENT: Final = re.compile(r"[*-]\s*100\b|\b100(\.0)?\s*[*-]")
_PROMOTION: Final = 100
_EXACT: Final = re.compile(r"==\s*(\d+(?:\.\d+)?)\b")
_QUANTILE: Final = re.compile(r"(?<![a-z0-9])p(?:ct)?(\d{2}\d*(?:\.\d+)?)|quantile\(\s*0?\.(\d+)", re.IGNORECASE)
"""A percentile: p95, p99.9 or p999, `histogram_quantile(0.95, ...)`."""
_AVERAGE: Final = re.compile(r"(?<![a-z])(?:avg|average|mean)(?![a-z])|_sum\b.*/.*_count\b", re.IGNORECASE)
_INTO_MS: Final = re.compile(r"\*\s*(?:1000|1e3)\b|\b(?:1000|1e3)\s*\*")
_INTO_SECONDS: Final = re.compile(r"/\s*(?:1000|1e3)\b")
_COUNTED: Final = re.compile(r"\b(?:(increase|count_over_time|delta)|rate|irate)\(")
"""A query that counts events, or events a second; of a share it divides."""
_RANGE: Final = re.compile(r"\[((?:\d+(?:ms|[smhd]))+)(?::[^\]]*)?\]")
"""Over how long a query looks back."""
_NOT_READ: Final = {
    "stepWeightPromotion": "the promotion is one step here",
    "mirror": "no copy of the traffic is sent here",
    "sessionAffinity": "each request draws its version anew here",
    "match": "who is routed by headers or cookies is a share of all here",
}
"""What of a Canary's analysis is not read, and what is instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One metric of an analysis: its name, how it fails, how often it is asked, and how many failures stop the rollout."""

    name: str
    comparator: str
    limit: float
    interval: float
    failures: int
    """How many failures stop the rollout."""
    checks: int
    """Out of how many: those of the whole rollout, where all of them count."""
    clue: str
    """What else tells what it is about: its query."""
    lag: str
    """How long after its end a period is visible: a guess."""
    known: Mapping[str, Any] | None = None
    """The fields of the alarm, where the query is one of CloudWatch's that can be read."""


def from_manifests(
    path: Path, name: str | None = None, others: Iterable[Path] = (), rate: float | None = None
) -> tuple[str, list[str]]:
    """The scenario file of the Rollout or Canary in a file of manifests, and the remarks.

    Templates of its analyses may stand in `others`; `name` chooses one of several, `rate` (1/s) is that of its requests
    where it is not to be guessed. Raises ScenarioError where there is none, or
    none that a scenario can have.
    """
    read = [document for file in (path, *others) for document in read_documents(file)]
    documents = [document for document in _flat(read) if isinstance(document, Mapping)]
    rollouts = {}
    for document in documents:
        version, kind = str(document.get("apiVersion")), document.get("kind")
        if (version.startswith(ARGO) and kind == "Rollout") or (version.startswith(FLAGGER) and kind == "Canary"):
            rollouts[_name(document)] = document
    if not rollouts:
        raise ScenarioError([f"{path}: there is no Rollout of {ARGO[:-1]} and no Canary of {FLAGGER[:-1]}"])
    if name is not None and name not in rollouts:
        raise ScenarioError([f"{path}: --function: got {name!r}; allowed {', '.join(rollouts)}"])
    if name is None and len(rollouts) > 1:
        raise ScenarioError([f"{path}: there are several; choose one with --function: {', '.join(rollouts)}"])
    chosen = name or next(iter(rollouts))
    document = rollouts[chosen]
    argo = document.get("kind") == "Rollout"
    deployed = Deployed(identity=chosen, name=chosen, origin="Argo Rollout" if argo else "Flagger Canary", given=rate)
    try:
        (_argo if argo else _flagger)(deployed, document, documents)
    except MISSHAPEN as error:
        raise ScenarioError([f"{path}: {chosen}: {what_is_wrong(error)}"]) from None
    deployed.remarks.append(
        "the workload runs in pods: timeout, cold starts and concurrency are those of a function here, a GUESS"
    )
    deployed.warn()
    deployed.remarks[:] = list(map(legible, deployed.remarks))
    return deployed.written(path), deployed.remarks


def _flat(documents: Iterable[Any]) -> list[Any]:
    """The documents, lists of them taken apart."""
    result = []
    for document in documents:
        if isinstance(document, Mapping) and document.get("kind") == "List":
            result += _items(document.get("items"))
        else:
            result += document if isinstance(document, list) else [document]
    return result


def _name(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name", "rollout")) if isinstance(metadata, Mapping) else "rollout"


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(value: Any) -> float:
    """A time as Kubernetes' tools write it: `90s`, `1h30m`, or a number of seconds. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    parts = _TIME.findall(str(value))
    if "".join(number + unit for number, unit in parts) != str(value).strip() or not parts:
        if re.fullmatch(r"\d+", str(value).strip()):
            return float(value)
        raise ValueError(f"got {shorten(repr(value))}; allowed such as 30s, 5m, 1h")
    return math.fsum(float(number) * _UNITS[unit] for number, unit in parts)


def _steps(weights: list[tuple[float, float]], remarks: list[str]) -> list[dict[str, Any]]:
    """Weights (percent) and holds (s) as steps: equal ones in a row are one, falling ones are left out."""
    result: list[list[float]] = []
    for weight, hold in weights:
        if not 0 <= weight <= 100:
            raise ValueError(f"a weight is 0 to 100, got {weight:g}")
        if weight == 0:
            if hold:
                remarks.append(f"left out: {hold:g} s at a weight of 0, in which nothing is shifted")
        elif result and weight == result[-1][0]:
            result[-1][1] += hold
        elif result and weight < result[-1][0]:
            remarks.append(f"left out: the step back to {weight:g}%; weights only rise here")
        else:
            result.append([weight, hold])
    return [
        {"weight": text(round(weight / 100, 9), "share"), "hold": text(hold, "duration")} for weight, hold in result
    ]


# --- Argo Rollouts ----------------------------------------------------------------------------------------------------


def _argo(deployed: Deployed, document: Mapping[str, Any], documents: list[Mapping[str, Any]]) -> None:
    """Fills in the steps and the analyses of a Rollout. Raises ValueError, KeyError or TypeError."""
    strategy = document["spec"]["strategy"]
    remarks = deployed.remarks
    if "blueGreen" in strategy:
        _blue_green(deployed, strategy["blueGreen"] or {}, documents)
        return
    canary = strategy["canary"] or {}
    weights: list[tuple[float, float]] = []
    names: list[str] = []
    inline: list[Mapping[str, Any]] = []
    weight = 0.0
    for number, step in enumerate(_items(canary.get("steps")), 1):
        if "setWeight" in step:
            weight = float(step["setWeight"])
            weights.append((weight, 0.0))
        elif "pause" in step:
            duration = (step["pause"] or {}).get("duration")
            if duration is None:
                remarks.append(f"step {number} pauses until somebody promotes: 10 min of it are a GUESS")
            weights.append((weight, 600.0 if duration is None else _seconds(duration)))
        elif "analysis" in step:
            own = _templates(step["analysis"] or {}, documents, names)
            inline += [{**metric, "inline": True} for metric in own]
            weights.append((weight, max((_length(metric) for metric in own), default=0.0)))
        else:
            remarks.append(f"left out: step {number}: {', '.join(map(str, step))}, which has no like here")
    if isinstance(canary.get("analysis"), Mapping) and canary["analysis"].get("startingStep"):
        remarks.append("startingStep of the analysis is left out: here its alarms act from the rollout's start")
    background = _templates(canary.get("analysis") or {}, documents, names)
    steps = _steps(weights, remarks)
    full = [step for step in steps if step["weight"] == "100%"]
    if not steps:
        remarks.append(
            "there are no steps: pods are replaced one after the other; here all of the traffic moves at once"
        )
        deployed.strategy = {"type": "all_at_once"}
    elif len(full) == len(steps):
        deployed.strategy = {"type": "all_at_once"} | ({"bake": full[0]["hold"]} if full[0]["hold"] != "0 s" else {})
    else:
        last = {"bake": full[0]["hold"]} if full and full[0]["hold"] != "0 s" else {}
        rising = [step for step in steps if step["weight"] != "100%"]
        deployed.strategy = {"type": "steps", "steps": rising} | last
    if inline:
        remarks.append("an analysis in a step is judged at its end; here its alarms act from the rollout's start")
    _checks(deployed, [*background, *inline])


def _lambda_query(metric: Mapping[str, Any]) -> dict[str, Any] | None:
    """Metric, statistic and scope of a query to CloudWatch about Lambda, as `export argo` writes it; None for any other."""
    provider = metric.get("provider")
    given = provider.get("cloudWatch") if isinstance(provider, Mapping) else None
    queries = _items(given.get("metricDataQueries")) if isinstance(given, Mapping) else []
    shown = next((query for query in queries if query.get("returnData", True) is not False), None)
    stats = {str(query.get("id")): query["metricStat"] for query in queries if "metricStat" in query}
    parts = re.fullmatch(r"\s*(\w+)\s*/\s*(\w+)\s*", str(shown.get("expression"))) if shown else None
    stat = stats.get(parts[1]) if parts is not None else shown.get("metricStat") if shown else None
    if stat is None or stat["metric"].get("namespace") != "AWS/Lambda":
        return None
    name, word = stat["metric"].get("metricName"), str(stat.get("stat", "Sum"))
    names = [str(entry.get("name")) for entry in _items(stat["metric"].get("dimensions"))]
    of = "new_version" if "ExecutedVersion" in names else "alias" if "Resource" in names else "function"
    if parts is not None:
        below = stats.get(parts[2], {}).get("metric", {}).get("metricName")
        return {"metric": "error_rate", "of": of} if (name, below) == ("Errors", "Invocations") else None
    known = {shown: word for word, shown in METRICS.items()}
    return (
        {"metric": known[name], "statistic": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower(), "of": of}
        if name in known
        else None
    )


def _blue_green(deployed: Deployed, given: Mapping[str, Any], documents: list[Mapping[str, Any]]) -> None:
    names: list[str] = []
    before = _templates(given.get("prePromotionAnalysis") or {}, documents, names)
    after = _templates(given.get("postPromotionAnalysis") or {}, documents, names)
    bake = max((_length(metric) for metric in after), default=0.0)
    deployed.strategy = {"type": "blue_green", "bake": text(bake or 30.0, "duration")}
    deployed.listed = len(before)
    for metric in before:
        deployed.remarks.append(
            f"left out: {metric.get('name')}: it is asked before the switch, when no request has come"
        )
    deployed.remarks.append("what is tested before the switch is a GUESS: ten calls in 30 s")
    _checks(deployed, after)


def _templates(
    analysis: Mapping[str, Any], documents: list[Mapping[str, Any]], names: list[str]
) -> list[Mapping[str, Any]]:
    """The metrics of the AnalysisTemplates that an analysis names and the file has. Raises ValueError for one that it has not."""
    result: list[Mapping[str, Any]] = []
    for reference in _items(analysis.get("templates")):
        wanted = str(reference.get("templateName"))
        kind = "ClusterAnalysisTemplate" if reference.get("clusterScope") else "AnalysisTemplate"
        template = next(
            (document for document in documents if document.get("kind") == kind and _name(document) == wanted), None
        )
        if template is None:
            result.append({"name": wanted, "absent": kind})
        elif wanted not in names:
            names.append(wanted)
            values = {
                str(entry.get("name")): str(entry["value"])
                for entry in (*_items(template["spec"].get("args")), *_items(analysis.get("args")))
                if isinstance(entry, Mapping) and entry.get("value") is not None
            }
            metrics = [_filled(metric, values) for metric in _items(template["spec"].get("metrics"))]
            dry = [
                str(entry.get("metricName"))
                for entry in (*_items(template["spec"].get("dryRun")), *_items(analysis.get("dryRun")))
                if isinstance(entry, Mapping)
            ]
            result += [
                {**metric, "dry": any(re.fullmatch(pattern, str(metric.get("name"))) for pattern in dry)}
                for metric in metrics
                if isinstance(metric, Mapping)
            ]
    return result


def _filled(value: Any, arguments: Mapping[str, str]) -> Any:
    """A metric with its arguments, such as `{{args.limit}}`, put in; those without a value stay."""
    if isinstance(value, Mapping):
        return {key: _filled(inner, arguments) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, arguments) for inner in value]
    if not isinstance(value, str):
        return value
    return _ARGUMENT.sub(lambda match: arguments.get(match[1], match[0]), value)


def _length(metric: Mapping[str, Any]) -> float:
    """How long an analysis of a counted metric takes (s); one whose count is not known takes no time."""
    count = str(metric.get("count") or 1)
    return _seconds(metric["interval"]) * (int(count) - 1) if "interval" in metric and count.isdigit() else 0.0


def _checks(deployed: Deployed, metrics: list[Mapping[str, Any]]) -> None:
    """The metrics of Argo's analyses as alarms."""
    for metric in metrics:
        deployed.listed += 1
        name = str(metric.get("name"))
        try:
            _watch(deployed, _check_of(name, metric))
            deployed.remarks += [f"{name}: {what}" for what in _unlike(metric)]
        except MISSHAPEN as error:
            deployed.remarks.append(f"left out: {name}: {error}")


def _unlike(metric: Mapping[str, Any]) -> Iterator[str]:
    """What of a measurement is otherwise here."""
    if metric.get("failureCondition") and metric.get("successCondition"):
        yield "what neither fails nor succeeds is inconclusive and pauses the rollout in Argo; here it passes"
    if str(metric.get("failureLimit", 0)).isdigit() and int(metric.get("failureLimit", 0)) > 0:
        yield "its failures count in all in Argo; here they must come one after the other"
    for field in ("count", "initialDelay", "consecutiveSuccessLimit"):
        if field in metric and not (field == "count" and (metric.get("inline") or "interval" not in metric)):
            yield f"{field} is left out: it is measured from the rollout's start to its end"


def _check_of(name: str, metric: Mapping[str, Any]) -> Check:
    """One metric of an AnalysisTemplate. Raises ValueError."""
    if "absent" in metric:
        raise ValueError(f"the {metric['absent']} {name} is not in the file")
    if metric.get("dry"):
        raise ValueError("it is a dry run, which stops nothing")
    failure, success = metric.get("failureCondition"), metric.get("successCondition")
    if not failure and not success:
        raise ValueError("it has no condition")
    condition = _GUARD.sub("", str(failure or success))
    conditions = _CONDITION.findall(condition) or [
        ("<=" if float(value) == 0 else ">=", value)
        for value in _EXACT.findall(condition)
        if not failure and float(value) in (0, 1, 100)  # nothing is below 0, and no share above 1
    ]
    if len(conditions) != 1:
        what = "no limit" if not conditions else "several limits"
        raise ValueError(f"its condition {shorten(repr(failure or success))} has {what}")
    sign, limit = conditions[0]
    failures = int(metric.get("failureLimit") or 0) + 1
    provider = metric.get("provider")
    return Check(
        name=name, comparator=sign if failure else _MIRRORED[sign], limit=float(limit),
        interval=_seconds(metric.get("interval", "1m")), failures=failures, checks=failures, clue=_asked(provider),
        known=_lambda_query(metric), lag=LAG if isinstance(provider, Mapping) and "cloudWatch" in provider else SCRAPED,
    )  # fmt: skip


def _asked(provider: Any) -> str:
    """The query of a provider, or all that is said of it where there is none."""
    inner = next(iter(provider.values()), None) if isinstance(provider, Mapping) and len(provider) == 1 else None
    return str(inner["query"]) if isinstance(inner, Mapping) and "query" in inner else str(provider)


# --- Flagger ----------------------------------------------------------------------------------------------------------


def _flagger(deployed: Deployed, document: Mapping[str, Any], documents: list[Mapping[str, Any]]) -> None:
    """Fills in the weights and the metrics of a Canary. Raises ValueError, KeyError or TypeError."""
    spec = document["spec"]
    analysis = spec.get("analysis") or spec["canaryAnalysis"]
    interval = _seconds(analysis.get("interval", "1m"))
    remarks = deployed.remarks
    target = spec.get("targetRef")
    if isinstance(target, Mapping) and target.get("name"):
        deployed.name = str(target["name"])
    if spec.get("skipAnalysis") is True:
        remarks.append("skipAnalysis: the canary is promoted at once, and nothing watches it")
        deployed.strategy = {"type": "all_at_once"}
        return
    if analysis.get("stepWeights"):
        weights = [float(weight) for weight in analysis["stepWeights"]]
    elif analysis.get("stepWeight"):
        step, most = float(analysis["stepWeight"]), float(analysis.get("maxWeight") or 100)
        if step <= 0:
            raise ValueError(f"stepWeight: got {step:g}; allowed more than 0")
        weights = [min(most, step * k) for k in range(1, min(1000, int(-(-most // step))) + 1)]
    else:
        weights = []
    if weights:
        deployed.strategy = {
            "type": "steps",
            "steps": _steps([(weight, interval) for weight in weights if weight < 100], remarks),
        }
        if not deployed.strategy["steps"]:
            deployed.strategy = {"type": "all_at_once"}
    else:
        iterations = int(analysis.get("iterations") or 1)
        remarks.append(
            f"{iterations} iterations without weights: blue/green; what Flagger tests before the switch is a GUESS"
        )
        deployed.strategy = {"type": "blue_green", "bake": text(interval * iterations, "duration")}
    remarks += [f"{name} is left out: {what}" for name, what in _NOT_READ.items() if analysis.get(name)]
    if analysis.get("webhooks") or spec.get("webhooks"):
        remarks.append("webhooks are left out")
    threshold = max(1, int(analysis.get("threshold") or 1))
    if _items(analysis.get("metrics")):
        remarks.append("a check that finds no data fails in Flagger; here it passes")
    deployed.hold = {"every": text(interval, "duration"), "failures": threshold}
    for metric in _items(analysis.get("metrics")):
        deployed.listed += 1
        name = str(metric.get("name"))
        try:
            for comparator, limit in _ranges(metric):
                window = _seconds(metric.get("interval", "1m"))
                analysis = Check(
                    name=name, comparator=comparator, limit=limit, interval=window, failures=1, checks=1,
                    clue=_query(metric, documents), lag=SCRAPED,
                )  # fmt: skip
                _watch(deployed, analysis)
        except MISSHAPEN as error:
            remarks.append(f"left out: {name}: {error}")


def _ranges(metric: Mapping[str, Any]) -> list[tuple[str, float]]:
    """How a metric fails: below its least, above its most. Raises ValueError where there is no limit."""
    given = metric.get("thresholdRange")
    if isinstance(given, Mapping):
        result = [(sign, float(given[end])) for end, sign in (("min", "<"), ("max", ">")) if given.get(end) is not None]
    elif metric.get("threshold") is not None:
        result = [("<" if metric.get("name") == "request-success-rate" else ">", float(metric["threshold"]))]
    else:
        result = []
    if not result:
        raise ValueError("it has no thresholdRange")
    return result


def _query(metric: Mapping[str, Any], documents: list[Mapping[str, Any]]) -> str:
    """The query of a metric or of its template, as a clue to what it is about."""
    reference = metric.get("templateRef")
    if isinstance(reference, Mapping):
        for document in documents:
            if document.get("kind") == "MetricTemplate" and _name(document) == reference.get("name"):
                return str(document.get("spec", {}).get("query"))
    return str(metric.get("query") or "")


# --- what a check is about --------------------------------------------------------------------------------------------


def _watch(deployed: Deployed, analysis: Check) -> None:
    """Adds a check as an alarm on the new version. Raises ValueError where nothing tells what it is about."""
    period = _period(analysis)
    m, n = (max(1, math.ceil(count * analysis.interval / period)) for count in (analysis.failures, analysis.checks))
    fields = {"of": "new_version", "period": text(period, "duration"), **_meaning(analysis)}
    fields |= {"datapoints": f"{m} of {min(n, max(m, 1000))}", "missing": "not_breaching", "lag": analysis.lag}
    check(fields)
    name = numbered(dashed(analysis.name), deployed.alarms)
    deployed.alarms[name] = fields
    deployed.acting.append(name)
    if analysis.known is None and analysis.name not in ("request-success-rate", "request-duration"):
        what = f"the new version's {str(fields['metric']).replace('_', ' ')}"
        deployed.remarks.append(f"{analysis.name}: its query is not read: that it measures {what} is a GUESS")


def _period(analysis: Check) -> float:
    """The period (s) of the alarm that a check becomes: whole minutes, and as long as its query counts over."""
    over = _RANGE.search(analysis.clue) if _counts(analysis) is not None else None
    longest = _seconds(over[1]) if over is not None else 0.0
    return max(60.0, -(-max(analysis.interval, longest) // 60) * 60)


def _kind(analysis: Check) -> str | None:
    """What a check is about by the words in its name, else in its query; None where none tells."""
    sources = (analysis.name, f"{analysis.name} {analysis.clue}")
    return next((kind for source in sources for kind, sign in _KINDS.items() if sign.search(source)), None)


def _counts(analysis: Check) -> re.Match[str] | None:
    """Where a query counts errors, or errors a second, and divides by nothing; None elsewhere. A path in quotes divides nothing."""
    counted = _COUNTED.search(analysis.clue) if analysis.known is None and _kind(analysis) == "errors" else None
    query = analysis.clue if analysis.clue.startswith("{") else re.sub(r"\"[^\"]*\"|'[^']*'", "", analysis.clue)
    return None if counted is None or "/" in query else counted


def _statistic(about: str) -> str:
    """The statistic of durations by the words of a name and a query; p99 where they tell none."""
    match = _QUANTILE.search(about)
    if match is None:
        return "average" if _AVERAGE.search(about) else "p99"
    digits = match[1] or match[2].ljust(2, "0")
    if digits == "100":
        return "maximum"
    share = digits if "." in digits else f"{digits[:2]}.{digits[2:] or 0}"
    return f"p{float(share):.10g}"


def _meaning(analysis: Check) -> dict[str, Any]:
    """The metric and the threshold of an analysis. Raises ValueError."""
    if analysis.known is not None:
        if analysis.known["metric"] == "duration":
            limit = text(round(analysis.limit / 1000, 9), "duration")
        else:
            limit = (
                text(analysis.limit, "share") if analysis.known["metric"] == "error_rate" else f"{analysis.limit:.12g}"
            )
        return {**analysis.known, "threshold": f"{analysis.comparator} {limit}"}
    about = f"{analysis.name} {analysis.clue}"
    kind = _kind(analysis)
    if kind == "duration":
        fast = analysis.name == "request-duration" or _INTO_MS.search(analysis.clue)
        slow = _INTO_SECONDS.search(analysis.clue)
        seconds = not fast and (slow is not None or in_seconds(analysis.clue, analysis.limit))
        slowest = text(round(analysis.limit if seconds else analysis.limit / 1000, 9), "duration")
        return {
            "metric": "duration", "statistic": _statistic(about), "threshold": f"{analysis.comparator} {slowest}",
        }  # fmt: skip
    counted = _counts(analysis)
    if counted is not None:
        most = analysis.limit if counted[1] else analysis.limit * _period(analysis)
        if analysis.comparator in (">", ">="):
            return {"metric": "errors", "threshold": f"{analysis.comparator} {most:.12g}"}
    # No share is above 100%, so that a limit of 1 is one percent; and a query that multiplies by 100 counts in percent.
    percent = (
        analysis.limit > 1
        or (analysis.limit == 1 and kind != "success")  # nobody asks for a success of one percent
        or analysis.name == "request-success-rate"
        or _PERCENT.search(analysis.clue) is not None
    )
    share = analysis.limit / 100 if percent else analysis.limit
    if kind == "success":
        if analysis.comparator not in ("<", "<="):
            raise ValueError(f"a success rate that must not exceed {analysis.limit:g} is nothing to watch")
        sign = ">" if analysis.comparator == "<" else ">="
        return {"metric": "error_rate", "threshold": f"{sign} {text(round(1 - share, 12), 'share')}"}
    if kind == "errors":
        if analysis.comparator not in (">", ">="):
            raise ValueError(f"an error rate that must exceed {analysis.limit:g} is nothing to watch")
        if analysis.limit > _PROMOTION:
            return {"metric": "errors", "threshold": f"{analysis.comparator} {analysis.limit:.12g}"}
        return {"metric": "error_rate", "threshold": f"{analysis.comparator} {text(round(share, 12), 'share')}"}
    raise ValueError(f"nothing tells what it measures; its limit is {analysis.comparator} {analysis.limit:g}")
