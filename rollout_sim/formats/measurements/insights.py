"""Logs Insights: exports of `filter @type = "REPORT"`, CSV or JSON, with the duration and the init of single invocations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from rollout_sim.core.yaml_io import shorten
from rollout_sim.formats.measurements.recording import Recording, number

FIELDS: Final = ("@duration", "@initDuration")
_LINE: Final = re.compile(
    r"REPORT .*?(?<!Init )(?<!Billed )(?<!Restore )Duration: (?P<duration>[\d.]+) ms(?:.*?Init Duration: (?P<init>[\d.]+) ms)?",
    re.DOTALL,
)
LIMIT: Final = 10_000
"""Rows of an answer of Logs Insights, by default and at most."""


def is_results(document: Any) -> bool:
    """Whether a JSON document is what Logs Insights answers or exports."""
    if isinstance(document, Mapping):
        return isinstance(document.get("results"), list)
    return isinstance(document, list) and bool(document) and all(isinstance(row, Mapping) for row in document)


def rows_of(document: Any, source: str) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The rows of an answer as mappings by field, and remarks. Raises ValueError for anything else."""
    remarks: list[str] = []
    if isinstance(document, Mapping):
        if document.get("status", "Complete") != "Complete":
            remarks.append(f"{source}: the query's status is {document['status']}: rows may be missing")
        rows = document["results"]
    else:
        rows = document
    result: list[Mapping[str, Any]] = []
    for row in rows:
        if isinstance(row, list):
            result.append({str(cell.get("field")): cell.get("value") for cell in row if isinstance(cell, Mapping)})
        elif isinstance(row, Mapping):
            result.append(row)
        else:
            raise ValueError(f"{source}: a row of Logs Insights is a list of fields, got {shorten(repr(row))}")
    return result, remarks


def read_reports(rows: Iterable[Mapping[str, Any]], source: str) -> Recording:
    """The durations and inits of REPORT lines. Raises ValueError for rows without either."""
    recording = Recording()
    durations: list[float] = []
    inits: list[float] = []
    total = 0
    for total, row in enumerate(rows, start=1):
        line = _LINE.search(str(row.get("@message", "")))
        found = {"@duration": row.get("@duration"), "@initDuration": row.get("@initDuration")}
        if line is not None and found["@duration"] in (None, ""):
            found = {"@duration": line["duration"], "@initDuration": line["init"]}
        for field, values in zip(FIELDS, (durations, inits), strict=True):
            value = number(found[field])
            if value < 0 or value > 900_000:
                raise ValueError(f"{source}: row {total}: {field} is {value:g}; allowed 0 to 900,000 ms")
            if not np.isnan(value):
                values.append(value / 1000)
    if not durations:
        query = 'fields @timestamp, @duration, @initDuration | filter @type = "REPORT"'
        raise ValueError(f"{source}: no row has @duration; ask Logs Insights for: {query}")
    if len(durations) < total:
        recording.remark(f"{source}: {total - len(durations):,} of {total:,} rows have no @duration and are left out")
    if total == LIMIT:
        recording.remark(f"{source}: holds {LIMIT:,} rows, as many as Logs Insights gives at once: it is a sample")
    recording.durations.append(np.array(durations))
    if inits:
        recording.inits.append(np.array(inits))
    return recording
