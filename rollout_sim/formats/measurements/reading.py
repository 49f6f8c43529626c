"""Reading: files of any of the known forms as one recording."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from rollout_sim.core.files import no_text, read_regular
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.measurements.amazon import is_answer, read_answer
from rollout_sim.formats.measurements.clock import Clock
from rollout_sim.formats.measurements.insights import is_results, read_reports, rows_of
from rollout_sim.formats.measurements.naming import Names
from rollout_sim.formats.measurements.prometheus import is_matrix, read_matrix
from rollout_sim.formats.measurements.recording import Recording
from rollout_sim.formats.measurements.tables import read_table

MAX_BYTES: Final = 256 << 20
_FORMS: Final = (
    "the JSON of aws cloudwatch get-metric-data or get-metric-statistics, of aws lambda, deploy and cloudwatch describe calls, of "
    "Logs Insights or of Prometheus' query_range; CSV of Logs Insights, Grafana or Datadog"
)


def read_files(paths: Sequence[Path], names: Names, zone: tzinfo, *, zone_named: bool) -> Recording:
    """What all the files hold together. Raises ScenarioError with what is wrong with each of them.

    `zone` is that of time stamps that name none; with `zone_named` the user said it.
    """
    recording, problems = Recording(), []
    for path in paths:
        clock = Clock(zone=zone, named=zone_named, remarks=[], source=path.name)
        try:
            recording.extend(_read(path, names, clock))
        except ValueError as error:
            message = str(error)
            problems.append(
                message if message.startswith(str(path)) else f"{path}: {message.removeprefix(f'{path.name}: ')}"
            )
        for remark in clock.remarks:
            recording.remark(remark)
    if problems:
        raise ScenarioError(problems)
    return recording


def _read(path: Path, names: Names, clock: Clock) -> Recording:
    content = read_regular(path, MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: {no_text(content)}; allowed {_FORMS}") from None
    if not text.strip():
        return _nothing(path)
    if text.lstrip()[0] not in "{[":
        try:
            return read_table(text, path.name, names, clock)
        except csv.Error as error:
            raise ValueError(f"{path}: is no CSV: {error}") from None
    recording = Recording()
    for document in _documents(text, path):
        if (
            isinstance(document, list)
            and document
            and all(isinstance(part, dict) and is_answer(part) for part in document)
        ):
            for part in document:
                recording.extend(_of_json(part, path, names, clock))
            continue
        recording.extend(_of_json(document, path, names, clock))
    return recording


def _nothing(path: Path) -> Recording:
    """What an empty file holds: the `aws` command prints nothing where there is nothing to tell, such as no reserved concurrency."""
    return Recording(remarks=[f"{path.name}: is empty: nothing is read of it"])


def _documents(text: str, path: Path) -> Iterator[Any]:
    """The JSON documents of a file, one after the other, as pages that were appended to each other are."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        while place < len(text) and text[place].isspace():
            place += 1
        if place == len(text):
            return
        try:
            document, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, getattr(error, "pos", place)) + 1
            cut = getattr(error, "pos", 0) >= len(text.rstrip()) or "Unterminated" in str(error)
            what = "is cut off: the JSON ends too early" if cut else f"is no JSON: {getattr(error, 'msg', error)}"
            raise ValueError(f"{path}:{line}: {what}") from None
        yield document


def _of_json(document: Any, path: Path, names: Names, clock: Clock) -> Recording:
    if document in ({}, []):
        return _nothing(path)
    if isinstance(document, dict) and is_answer(document):
        return read_answer(document, path.name, names, clock)
    if is_matrix(document):
        return read_matrix(document, path.name, names, clock)
    if is_results(document):
        rows, remarks = rows_of(document, path.name)
        recording = read_reports(rows, path.name)
        recording.remarks[:0] = remarks
        return recording
    keys = ", ".join(map(str, list(document)[:8])) if isinstance(document, dict) else type(document).__name__
    raise ValueError(f"{path}: is none of the forms that are read, got {keys or 'nothing'}; allowed {_FORMS}")
