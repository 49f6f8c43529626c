"""History: deployments and what alarms did, from AWS's answers, as releases with their endings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rollout_sim.errors import ScenarioError
from rollout_sim.formats.measurements.amazon import entries, inside
from rollout_sim.formats.measurements.clock import Clock
from rollout_sim.formats.measurements.recording import Recording, stamp
from rollout_sim.study.fit.releases import AFTERWARDS, Ending, Release

_STOPPED: Final = ("ALARM_ACTIVE", "ALARM_ISSUES")
"""What CodeDeploy says where an alarm stopped a deployment."""


def alarm_times(recording: Recording) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """When each alarm went into ALARM, and when it was in another state (s since 1970, rising), from its history."""
    clock = Clock(zone=UTC, named=True, remarks=recording.remarks, source="alarm history")
    entered: dict[str, list[int]] = {}
    left: dict[str, list[int]] = {}
    for entry in entries(recording, "alarm history", "AlarmHistoryItems"):
        if entry.get("HistoryItemType", "StateUpdate") == "StateUpdate":
            into = entered if _state(entry) == "ALARM" else left
            into.setdefault(str(entry.get("AlarmName")), []).append(_time(entry.get("Timestamp"), clock))
    for times in (entered, left):
        for when in times.values():
            when.sort()
    return entered, left


def _state(entry: Mapping[str, Any]) -> str:
    """The new state of an item of an alarm's history: in its data, or in words in its summary."""
    try:
        data = json.loads(str(entry.get("HistoryData") or "{}"))
    except ValueError:
        data = {}
    state = inside(data, "newState").get("stateValue") if isinstance(data, Mapping) else None
    return str(state or str(entry.get("HistorySummary", "")).rpartition(" to ")[2]).strip()


def releases(recording: Recording, watching: frozenset[str] | None = None) -> tuple[Release, ...]:
    """The deployments, the oldest first, with how they ended.

    One is bad that an alarm stopped, that was rolled back, or that one of the alarms followed within a day, before the next
    deployment began; the alarms are those `watching`, where they are known. Roll backs that CodeDeploy made are no deployments
    of anybody's; ones that somebody stopped by hand have an ending that nothing tells.
    """
    clock = Clock(zone=UTC, named=True, remarks=recording.remarks, source="deployments")
    into, left = alarm_times(recording)
    entered = sorted(
        (time, name) for name, times in into.items() for time in times if watching is None or name in watching
    )
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries(recording, "deployments", "deploymentsInfo", "deploymentInfo"):
        if entry.get("creator") != "codeDeployRollback" and not inside(entry, "rollbackInfo").get(
            "rollbackTriggeringDeploymentId"
        ):
            found[str(entry.get("deploymentId"))] = entry
    begun = sorted(
        (_time(entry.get("startTime") or entry.get("createTime"), clock), name)
        for name, entry in found.items()
        if entry.get("createTime")
    )
    result = []
    for number, (start, name) in enumerate(begun):
        entry = found[name]
        end = _time(entry["completeTime"], clock) if entry.get("completeTime") else start
        following = begun[number + 1][0] if number + 1 < len(begun) else None
        until = end + AFTERWARDS if following is None else min(end + AFTERWARDS, following)
        result.append(_release(name, entry, (start, end, until), entered, left))
    silent = sum(release.ending in ("unknown", "failed") for release in result)
    if silent:
        recording.remark(
            f"{silent} deployments were stopped by hand, failed without a roll back or are not over: they tell nothing of the risk"
        )
    if found and not recording.documents.get("alarm history"):
        recording.remark("the history of the alarms is not known: whether one followed a deployment is not told")
    return tuple(result)


def _release(
    name: str,
    entry: Mapping[str, Any],
    moments: tuple[int, int, int],
    entered: list[tuple[int, str]],
    left: Mapping[str, list[int]],
) -> Release:
    """One deployment; `moments` are its start, its end and until when an alarm is put down to it."""
    start, end, until = moments
    status = str(entry.get("status"))
    code = str(inside(entry, "errorInformation").get("code", ""))
    ending: Ending = "unknown"
    noticed, alarm = None, ""
    rolled_back = bool(inside(entry, "rollbackInfo").get("rollbackDeploymentId"))
    if code in _STOPPED or "ALARM" in code or (status in ("Failed", "Stopped") and rolled_back):
        ending = "rolled back"
        noticed, alarm = next(((time, who) for time, who in entered if start <= time <= end), (end, ""))
    elif status == "Failed":
        ending = "failed"
    elif status == "Succeeded":
        ending = "good"
        first = next(((time, who) for time, who in entered if start <= time < until), None)
        if first is not None:
            ending = "alarm afterwards"
            noticed, alarm = first
    over = None
    if noticed is not None:
        over = next((time for time in left.get(alarm, []) if time > noticed), None)
    return Release(name=name, start=start, end=end, ending=ending, noticed=noticed, alarm=alarm, over=over)


def _time(value: object, clock: Clock) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp())
    try:
        return clock.read([value])[0]
    except ValueError as error:
        raise ScenarioError([f"{clock.source}: {error}"]) from None


def described(release: Release) -> str:
    """A bad deployment in a line."""
    when = stamp(release.start)[:16]
    return f"{release.name} {when}Z: {release.ending}" + (f" ({release.alarm})" if release.alarm else "")
