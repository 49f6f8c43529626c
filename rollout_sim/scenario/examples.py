"""Examples: what each part of a scenario file looks like, for messages, for `rollout-sim explain` and for the reference."""

from __future__ import annotations

from typing import Any, Final

from rollout_sim.control import strategies
from rollout_sim.control.alarms import Alarm
from rollout_sim.control.readings import MetricQuery, OwnMetric
from rollout_sim.control.slo import AgeSli, LatencySli, Objective, Slices
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.function import error_rates, faults, managed, recorded
from rollout_sim.function.spec import AliasProvisioned, FunctionSpec, VersionSpec
from rollout_sim.scenario import goals, sections
from rollout_sim.traffic import delivery, polling, source

_DURATION: Final = {"lognormal": {"median": "80 ms", "p99": "600 ms"}}
_FUNCTION: Final = {
    "name": "checkout", "timeout": "10 s", "versions": {1: {"duration": "80 ms"}, 2: {"like": 1}}, "aliases": {"prod": 1},
}  # fmt: skip
_SOURCE: Final = {"source": "http", "alias": "prod", "arrivals": {"poisson": "50/s"}, "retry": "standard"}
EXAMPLES: Final[dict[type, dict[str, Any]]] = {
    sections.Sections: {"name": "checkout", "horizon": "60 min", "function": _FUNCTION, "traffic": [_SOURCE]},
    AliasProvisioned: {"environments": 15, "allocation": "2 min"},
    Alarm: {
        "metric": "errors", "of": "new_version", "threshold": "> 2", "datapoints": "2 of 3", "missing": "not_breaching",
    },
    strategies.AllAtOnce: {"type": "all_at_once", "bake": "10 min"},
    source.Arrivals: {"poisson": "50/s"},
    goals.AtMost: {"at_most": "1%"},
    goals.AtMostTime: {"at_most": "45 min"},
    strategies.BlueGreen: {"type": "blue_green", "bake": "10 min"},
    source.Bursty: {"low": "10/s", "high": "80/s", "stay_low": "5 min", "stay_high": "30 s"},
    strategies.Canary: {"type": "canary", "percent": 10, "interval": "10 min"},
    sections.Check: {"ignore": {"RS103": "the alarm is being replaced, see the runbook"}},
    goals.Catch: {"of": {"error_rate": "1%"}, "at_least": "95%"},
    source.ClientRetry: {"attempts": 3, "on": ["throttle", "error"], "base": "100 ms", "cap": "20 s"},
    delivery.Delivery: {"retries": 185, "max_age": "24 h", "outage": {"share": "30%", "onset": "2 min", "until": "12 min"}},
    delivery.Outage: {"share": "30%", "onset": "2 min", "until": "12 min"},
    source.CronArrivals: {"expression": "0/5 8-17 ? * MON-FRI *", "zone": "Europe/Berlin", "begin": "2026-11-24 07:30"},
    source.Diurnal: {"mean": "30/s", "amplitude": "40%", "peak": "14 h"},
    error_rates.Dispersed: {"mean": "0.1%", "dispersion": 0.002, "every": "1 min"},
    faults.Fault: {"errors": "4%", "onset": "2 min"},
    managed.EnvironmentLimits: {"minimum": 3, "maximum": 100},
    FunctionSpec: _FUNCTION,
    goals.Goal: {"catch": {"of": {"error_rate": "1%"}}, "false_rollback": {"at_most": "1%"}},
    strategies.Hold: {"every": "15 s", "failures": 10},
    strategies.Hook: {"invocations": 10, "over": "30 s", "max_failures": 0},
    strategies.Hooks: {"before_allow_traffic": {"invocations": 10, "over": "30 s"}},
    LatencySli: {"latency": "500 ms"},
    AgeSli: {"age": "30 s"},
    faults.Leak: {"per": "10 min", "errors": "1%"},
    strategies.Linear: {"type": "linear", "percent": 10, "interval": "1 min"},
    faults.Load: {"above": 20, "latency": "2x"},
    managed.ManagedInstances: {"concurrency": 16, "environments": {"minimum": 3, "maximum": 100}},
    MetricQuery: {"metric": "errors", "statistic": "sum", "of": "new_version"},
    OwnMetric: {"counts": "bad_requests", "share": "80%", "of": "alias"},
    Objective: {"name": "availability", "sli": "errors", "objective": "99.9%", "window": "30 d"},
    sections.OnCall: {"alarms": ["page"], "response": {"lognormal": {"median": "8 min", "p99": "30 min"}}},
    strategies.Predefined: {"type": "Canary10Percent5Minutes"},
    goals.Prices: {"bad_request": 0.02, "minute_of_delay": 1, "false_rollback": 500},
    sections.Promotion: {"at": "30 min", "alias": "test", "to": 2},
    goals.Risk: {"p_bad": "15%", "severity": {"error_rate": {"loguniform": ["0.2%", "50%"]}}},
    recorded.RecordedErrors: {"minutes": "minutes.csv", "of": "alias:prod", "draw": "blocks"},
    recorded.RecordedThrottles: {"minutes": "minutes.csv", "of": "alias:prod"},
    sections.Rollout: {"alias": "prod", "to": 2, "start": "10 min", "phase": "random", "alarms": ["new-version-errors"]},
    goals.Severity: {"error_rate": "1%"},
    Slices: {"every": "5 min", "target": "99%"},
    source.Source: _SOURCE,
    error_rates.Spells: {"calm": "0.05%", "spells": "3%", "spell": "10 min", "every": "6 h"},
    strategies.Step: {"weight": "10%", "hold": "5 min"},
    strategies.Steps: {
        "type": "steps", "steps": [{"weight": "1%", "hold": "5 min"}, {"weight": "10%", "hold": "10 min"}],
    },
    faults.Subset: {"users": "5%", "errors": "100%"},
    strategies.TimeBasedCanary: {"type": "TimeBasedCanary", "CanaryPercentage": 5, "CanaryInterval": 20},
    strategies.TimeBasedLinear: {"type": "TimeBasedLinear", "LinearPercentage": 20, "LinearInterval": 3},
    source.TraceFile: {"file": "minutes.csv", "layout": "counts", "scale": "2x"},
    source.Keys: {"count": 1000, "zipf": 1.1},
    polling.Batch: {"size": 10, "window": "1 s", "partial_failures": True},
    polling.Fifo: {"groups": 200},
    polling.MaximumConcurrency: {"maximum": 50},
    polling.ProvisionedPollers: {"minimum": 2, "maximum": 200},
    polling.StreamRetries: {"attempts": 10, "max_age": "1 h"},
    source.Users: {"count": 20_000, "zipf": 1.1},
    VersionSpec: {"duration": _DURATION, "cold_start": "350 ms", "error_rate": "0.1%"},
}  # fmt: skip
"""Plain data, as a file holds it, for each class of which a scenario consists."""


def example_of(part: type, field: str | None = None) -> str:
    """A part of the file on one line, or one of its fields with its name; empty where there is no example."""
    example = next((EXAMPLES[base] for base in part.__mro__ if base in EXAMPLES), {})
    if field is None:
        return to_yaml(example, layout="line") if example else ""
    return f"{field}: {to_yaml(example[field], layout='line')}" if field in example else ""
