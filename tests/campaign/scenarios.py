"""Random scenarios as plain data: small ones that run in a fraction of a second, with everything that the twin knows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

MOST = 2500
"""Requests of one run, about."""


def distribution(rng: random.Random, low: float, high: float) -> Any:
    """A duration whose typical value lies between `low` and `high` (ms)."""
    middle = round(rng.uniform(low, high))
    kind = rng.choice(["constant", "exponential", "lognormal", "gamma", "uniform"])
    if kind == "constant":
        return f"{middle} ms"
    if kind == "exponential":
        return {"exponential": {"mean": f"{middle} ms"}}
    if kind == "lognormal":
        return {"lognormal": {"median": f"{middle} ms", "p99": f"{middle * rng.choice([2, 4, 8])} ms"}}
    if kind == "gamma":
        return {"gamma": {"mean": f"{middle} ms", "sd": f"{max(middle // rng.choice([2, 4]), 1)} ms"}}
    return {"uniform": {"low": f"{middle // 2} ms", "high": f"{middle * 2} ms"}}


def fault(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(["errors", "errors", "errors", "latency", "crash", "hang", "responses", "init", "leak", "load"])
    share = rng.choice(["0.5%", "2%", "5%", "20%", "60%"])
    slow = rng.choice(["2x", "3x", "0.5x", "250 ms", "1.5 s"])
    value: Any = share
    if kind == "latency":
        value = slow
    elif kind == "init":
        value = rng.choice([share, "500 ms", "2x"])
    elif kind == "leak":
        value = {"per": rng.choice(["2 min", "10 min"]), "errors": share}
        if rng.random() < 0.5:
            value["latency"] = rng.choice(["20 ms", "1.5x"])
    elif kind == "load":
        value = {"above": rng.randint(0, 3), "errors": share}
        if rng.random() < 0.5:
            value["latency"] = slow
    data: dict[str, Any] = {kind: value}
    if kind == "latency" and rng.random() < 0.4:
        data["share"] = rng.choice(["10%", "50%"])
    if rng.random() < 0.4:
        data["onset"] = rng.choice(["-2 min", "90 s", "4 min"])
    if rng.random() < 0.25:
        data["ramp"] = rng.choice(["1 min", "5 min"])
    if rng.random() < 0.2:
        data["until"] = rng.choice(["6 min", "13 min"])
    return data


def alarm(rng: random.Random, rate: float) -> dict[str, Any]:
    """An alarm whose threshold lies where this much traffic decides it now and then."""
    metric = rng.choice(
        ["errors", "errors", "errors", "error_rate", "error_rate", "duration", "throttles", "invocations"]
    )
    of = rng.choice(["alias", "new_version", "new_version", "old_version"])
    period = rng.choice([10, 20, 30, 60, 60, 60, 60, 120, 180])
    n = rng.choice([1, 1, 2, 3, 3, 5])
    data: dict[str, Any] = {
        "metric": metric, "of": of, "period": f"{period} s", "datapoints": f"{rng.randint(1, n)} of {n}",
        "missing": rng.choice(["missing", "ignore", "breaching", "not_breaching", "not_breaching"]),
        "lag": rng.choice(["0 s", "0 s", "45 s", "60 s", "2 min"]), "history": "new",
    }  # fmt: skip
    if metric == "errors":
        data["threshold"] = (
            f"{rng.choice(['>', '>='])} {rng.randint(0, 2) + int(rate * period * rng.choice([0, 0.01, 0.05]))}"
        )
    elif metric == "error_rate":
        data["threshold"] = f"> {rng.choice(['0.5%', '2%', '5%', '20%'])}"
    elif metric == "duration":
        data["statistic"] = rng.choice(["average", "p50", "p90", "p99"])
        data["threshold"] = f"> {rng.choice(['150 ms', '300 ms', '700 ms'])}"
    elif metric == "throttles":
        data["threshold"] = f"> {rng.choice([0, 1, 5])}"
    else:
        data["threshold"] = f"{rng.choice(['<', '>'])} {int(rate * period * rng.uniform(0.05, 0.9))}"
    return data


def hook(rng: random.Random) -> dict[str, Any]:
    count = rng.choice([3, 5, 8])
    # The last test begins at least 3.75 s before the end, and takes less.
    return {"invocations": count, "over": "60 s", "max_failures": rng.choice([0, 0, 1])}


def strategy(rng: random.Random) -> tuple[str, dict[str, Any], float]:
    """A name, a strategy and how long it takes at most (s)."""
    kind = rng.choice(["all_at_once", "blue_green", "canary", "canary", "linear", "steps", "Canary10Percent5Minutes"])
    data: dict[str, Any] = {"type": kind}
    length = 0.0
    if kind == "canary":
        minutes = rng.choice([2, 5, 8])
        data |= {"percent": rng.choice([1, 5, 10, 30, 50]), "interval": f"{minutes} min"}
        length = minutes * 60
    elif kind == "linear":
        percent, seconds = rng.choice([10, 20, 30, 45]), rng.choice([60, 90, 120])
        data |= {"percent": percent, "interval": f"{seconds} s"}
        length = seconds * (-(-100 // percent) - 1)
    elif kind == "steps":
        data["steps"] = [{"weight": "5%", "hold": "2 min"}, {"weight": "35%", "hold": "90 s"}]
        length = 210
    elif kind == "Canary10Percent5Minutes":
        length = 300
    hooks = {}
    if kind == "blue_green" or rng.random() < 0.15:
        hooks["before_allow_traffic"] = hook(rng)
        length += 60
    if rng.random() < 0.1:
        hooks["after_allow_traffic"] = hook(rng)
        length += 60
    if hooks:
        data["hooks"] = hooks
    if kind == "blue_green" and rng.random() < 0.3:
        data |= {"provisioned": rng.randint(1, 2), "allocation": "60 s"}
        length += 60
    bake = rng.choice([0, 0, 130, 305])
    if bake:
        data["bake"] = f"{bake} s"
    return kind, data, length + bake


def arrivals(rng: random.Random, rate: float, horizon: float, folder: Path, name: str) -> dict[str, Any]:
    kind = rng.choice(["poisson", "poisson", "poisson", "fixed", "bursty", "diurnal", "trace"])
    if kind == "poisson":
        return {"poisson": f"{rate}/s"}
    if kind == "fixed":
        return {"fixed": f"{1 / rate:.3f} s", "offset": rng.choice(["0 s", "0.7 s"])}
    if kind == "bursty":
        stays = {"stay_low": rng.choice(["40 s", "3 min"]), "stay_high": rng.choice(["20 s", "1 min"])}
        return {"bursty": {"low": f"{rate / 4:.3f}/s", "high": f"{rate * 2:.3f}/s", **stays}}
    if kind == "diurnal":
        return {
            "diurnal": {
                "mean": f"{rate}/s",
                "amplitude": rng.choice(["30%", "90%"]),
                "period": "15 min",
                "peak": "4 min",
            }
        }
    speed = rng.choice([1, 1, 2, 0.5])
    minutes = int(horizon / 60 * speed) + 2
    counts = [rng.choice([0, 0.5, 1, 1, 2]) * rate * 60 / speed for _ in range(minutes)]
    (folder / name).write_text("".join(f"{int(count)}\n" for count in counts), encoding="utf-8")
    return {
        "trace": {
            "file": name,
            "layout": "counts",
            "speed": f"{speed}x",
            "scale": rng.choice(["1x", "1x", "0.6x", "1.5x"]),
        }
    }


def scenario(rng: random.Random, folder: Path, *, stateless: bool = False) -> dict[str, Any]:
    """A valid scenario; `stateless` ones leave out what links one invocation to the next."""
    strategies = {}
    longest = 0.0
    for _ in range(rng.choice([1, 1, 2])):
        name, data, length = strategy(rng)
        strategies[name] = data
        longest = max(longest, length)
    start = rng.choice([0, 60, 150, 240, 300])
    # Off every beat, so that nothing is due at the very end.
    horizon = int(start + longest) // 60 * 60 + rng.choice([120, 240, 420]) + 37
    rate = min(rng.choice([0.05, 0.3, 1, 2, 4]), MOST / horizon)
    versions = {"1": {"duration": distribution(rng, 20, 250), "error_rate": rng.choice(["0%", "0.2%", "1%", "4%"])}}
    if rng.random() < 0.7:
        versions["1"]["cold_start"] = distribution(rng, 80, 400)
    versions["2"] = dict(versions["1"])
    faults = [fault(rng) for _ in range(rng.choice([0, 1, 1, 1, 2]))]
    while stateless and any({"init", "leak", "load"} & set(wrong) for wrong in faults):
        faults = [fault(rng) for _ in faults]
    if sum("latency" in wrong for wrong in faults) > 1:
        faults.pop()  # which of two slow shares hits whom is nowhere said
    if faults:
        versions["2"]["faults"] = faults
    function: dict[str, Any] = {
        "name": "f", "versions": versions, "aliases": {"prod": "1"},
        "timeout": rng.choice(["1 s", "2 s", "3 s"]), "keep_alive": rng.choice(["15 s", "2 min", "10 min"]),
        "reuse": rng.choice(["newest", "most_recent"]),
    }  # fmt: skip
    if not stateless:
        if rng.random() < 0.5:
            function["reserved_concurrency"] = rng.randint(1, 5) + strategies.get("blue_green", {}).get(
                "provisioned", 0
            )
        if rng.random() < 0.15:
            function["propagation"] = "20 s"
        if rng.random() < 0.15 and "reserved_concurrency" not in function:
            versions["2"]["provisioned"] = 1
    source: dict[str, Any] = {
        "source": "http", "alias": "prod", "arrivals": arrivals(rng, rate, horizon, folder, "trace.csv"),
    }  # fmt: skip
    kind = rng.random()
    if not stateless and kind < 0.25:
        source["retry"] = {
            "attempts": rng.choice([2, 3, 5]), "on": rng.choice([["throttle"], ["error"], ["throttle", "error"]]),
            "base": rng.choice(["0.5 s", "3 s"]), "factor": rng.choice(["2x", "3x"]), "cap": "20 s",
            "jitter": rng.choice(["full", "none"]),
        }  # fmt: skip
    elif not stateless and kind < 0.5:
        source |= {"source": rng.choice(["data", "schedule"]), "async_retries": rng.randint(0, 2)}
        if rng.random() < 0.4:
            source["max_event_age"] = rng.choice(["80 s", "10 min"])
    traffic = [source]
    if rng.random() < 0.15:
        function["aliases"]["test"] = rng.choice(["1", "2"])
        traffic.append({"source": "http", "alias": "test", "arrivals": {"poisson": "0.2/s"}})
    slos = [{"name": "availability", "objective": rng.choice(["99%", "99.9%"]), "window": rng.choice(["7 d", "30 d"])}]
    if rng.random() < 0.3 and not (stateless and "cold_start" in versions["1"]):
        slos.append({"name": "fast", "sli": {"latency": rng.choice(["200 ms", "600 ms"])}, "objective": "95%"})
    alarms = {f"a{k}": alarm(rng, rate) for k in range(rng.choice([1, 1, 2]))}
    data = {
        "name": "random", "seed": rng.randint(0, 10**6), "horizon": f"{horizon} s", "function": function,
        "traffic": traffic, "slos": slos, "alarms": alarms,
        "rollout": {
            "alias": "prod", "to": "2", "start": f"{start} s", "alarms": list(alarms),
            "revert": rng.choice(["0 s", "0 s", "20 s", "70 s"]),
        },
        "strategies": strategies,
    }  # fmt: skip
    if rng.random() < 0.1:
        data["incident"] = [{"errors": "30%", "onset": "2 min", "until": "5 min"}]
    return data


def edge(rng: random.Random, folder: Path) -> dict[str, Any]:
    """A scenario on whose limits it depends whether counting whole periods is exact: what may be counted, and what not."""
    kind = rng.choice(["provisioned", "speed", "hook", "periods"])
    version: dict[str, Any] = {"duration": "300 ms", "error_rate": "1%"}
    function: dict[str, Any] = {"name": "f", "versions": {"1": version, "2": dict(version)}, "aliases": {"prod": "1"}}
    watch = {
        "metric": "errors",
        "of": "new_version",
        "threshold": "> 8",
        "period": "60 s",
        "missing": "not_breaching",
    }
    times: dict[str, Any] = {"poisson": f"{rng.choice([1, 3])}/s"}
    plan = {"type": "canary", "percent": 20, "interval": "3 min", "bake": "2 min"}
    if kind == "provisioned":
        left = rng.randint(1, 3)
        function["reserved_concurrency"] = 30
        version["provisioned"] = 30 - left
    elif kind == "speed":
        (folder / "trace.csv").write_text(
            "".join(f"{count}\n" for count in [0, 0, 0, 0, 0, 0, 0, rng.choice([200, 300])] * 8), encoding="utf-8"
        )
        function["reserved_concurrency"] = rng.choice([8, 12, 14])
        times = {"trace": {"file": "trace.csv", "layout": "counts", "speed": rng.choice(["4x", "8x"])}}
    elif kind == "hook":
        times = {"poisson": "0.05/s"}
        function["reserved_concurrency"] = rng.choice([6, 7, 40])
        for spec in function["versions"].values():
            spec["duration"] = "2500 ms"
        tests = {"invocations": 100, "over": "30 s", "max_failures": 20}
        plan["hooks"] = {"before_allow_traffic": tests}
    else:
        (folder / "trace.csv").write_text("".join(f"{count}\n" for count in [150, 300, 100] * 3), encoding="utf-8")
        times = {"trace": {"file": "trace.csv", "layout": "counts"}}
        watch["period"] = rng.choice(["10 s", "20 s"])
    return {
        "name": "edge", "horizon": "637 s", "function": function,
        "traffic": [{"source": "http", "alias": "prod", "arrivals": times}],
        "slos": [{"name": "availability", "objective": "99%"}], "alarms": {"errors": watch},
        "rollout": {"alias": "prod", "to": "2", "start": "120 s", "alarms": ["errors"]},
        "strategies": {"canary": plan},
    }  # fmt: skip
