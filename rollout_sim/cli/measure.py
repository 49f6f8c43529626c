"""`rollout-sim import cloudwatch`: a function's own traffic, errors, durations and deployments as a scenario."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import FILE, FOLDER, JSON, above_zero, check_alias, refuse_given

if TYPE_CHECKING:
    from rollout_sim.core.statistics import Estimate
    from rollout_sim.formats.measurements.folder import Imported
    from rollout_sim.formats.measurements.naming import Names
    from rollout_sim.formats.measurements.recording import Recording
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.study.fit.goodness import Goodness
    from rollout_sim.views.tables import Table

_DAYS: Final = 14.0
_OF_AWS: Final = ("days", "region", "profile", "endpoint_url", "group")
_OF_FILES: Final = ("timezone", "named", "period")
"""Parameters that say something of AWS alone, and of files alone."""


@click.command()
@click.argument("files", type=FILE, nargs=-1)
@click.option(
    "--data",
    type=FILE,
    multiple=True,
    help="A file to read instead of AWS; FILES are more of them.",
)
@click.option("--function", metavar="NAME", help="Name of the function. Without --data its metrics are read from AWS.")
@click.option("--alias", default="prod", show_default=True, help="The alias whose rollouts are meant.")
@click.option("--days", type=click.FloatRange(0.05, 455), default=_DAYS, show_default=True, help="How far back.")
@click.option("--region", help="AWS Region; by default that of the profile.")
@click.option("--profile", help="A profile of the AWS configuration.")
@click.option("--endpoint-url", metavar="URL", help="Another endpoint than AWS's own, for all of its services.")
@click.option(
    "--group",
    metavar="APPLICATION/GROUP",
    help="The CodeDeploy deployment group; by default the one that shifts the alias.",
)
@click.option(
    "--reports",
    type=FILE,
    multiple=True,
    help="REPORT lines that Logs Insights exported, beside what is read from AWS: they hold the cold starts.",
)
@click.option(
    "--timezone",
    metavar="ZONE",
    help="Time zone of times in files that name none, such as Europe/Berlin.  [default: UTC]",
)
@click.option(
    "--series",
    "named",
    metavar="NAME=COLUMN",
    multiple=True,
    help="Which column of minutes.csv the series with this name belongs to; one for queues and streams is `records`.",
)
@click.option(
    "--period",
    type=above_zero("duration", 86_400.0),
    metavar="DURATION",
    help="Period of series in files that do not say theirs; without it, derived from their times.",
)
@click.option(
    "--rate",
    type=click.Choice(["trace", "profile"]),
    default="trace",
    show_default=True,
    help="Replay the recorded traffic, or draw Poisson arrivals at its mean rate of each hour.",
)
@click.option(
    "--errors",
    type=click.Choice(["fit", "minutes"]),
    default="fit",
    show_default=True,
    help="The fitted error rate, or the recorded minutes of errors and throttles.",
)
@click.option(
    "--durations",
    type=click.Choice(["fit", "minutes"]),
    default="fit",
    show_default=True,
    help="The fitted durations, or those of the recorded minutes.",
)
@click.option("--print-commands", is_flag=True, help="Only print the aws commands whose output --data takes.")
@click.option("--out", type=FOLDER, help="The folder  [default: the function's name]")
@JSON
def cloudwatch(
    files: tuple[Path, ...],
    data: tuple[Path, ...],
    function: str | None,
    alias: str,
    days: float,
    print_commands: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a scenario from what CloudWatch measured of a function.

    It is read from AWS, or from files (--data): the JSON that the aws command prints, exports of Logs Insights, Prometheus,
    Grafana or Datadog. The folder gets scenario.yaml, traffic.csv, minutes.csv and a picture of the fit.
    """
    from rollout_sim.core.files import check_writable
    from rollout_sim.formats.measurements.folder import FILES, Choices, imported

    check_alias(alias)
    function = _function_name(function)
    if print_commands:
        _print_commands(function, alias, days, options["region"], options["profile"])
        return
    paths = (*data, *files)
    if not paths and function is None:
        raise click.UsageError("say which --function to read from AWS, or give files with --data; see --print-commands")
    if paths:
        refuse_given("is about what is asked of AWS, not about files", *_OF_AWS)
    elif not options["reports"]:
        refuse_given("is about files, and none is given", *_OF_FILES)
    name = function or "my-function"
    out = options["out"] or Path(name)
    check_writable(out, FILES)
    if paths:
        recording = _from_files((*paths, *options["reports"]), function, alias, options)
    else:
        reports = _from_files(options["reports"], function, alias, options)  # before AWS is asked for minutes on end
        recording = _from_aws(name, alias, days, options)
        recording.extend(reports)
    if function is None:
        recording.remark("the function's name is a GUESS; say it with --function")
    rate: Literal["trace", "profile"] = options["rate"]
    errors: Literal["fit", "minutes"] = options["errors"]
    durations: Literal["fit", "minutes"] = options["durations"]
    choices = Choices(function=name, alias=alias, rate=rate, errors=errors, durations=durations)
    result = imported(recording, choices)
    _deliver(result, out, as_json=as_json)


def _function_name(given: str | None) -> str | None:
    """The name of a function, also out of its ARN. Raises click's error for what is no name."""
    if given is None:
        return None
    name = given.partition(":function:")[2].partition(":")[0] if given.startswith("arn:") else given
    if re.fullmatch(r"[A-Za-z0-9_-]{1,140}", name) is None:
        what = f"got {given!r}; allowed a function's name (letters, digits, - and _) or its ARN"
        raise click.BadParameter(what, param_hint="--function")
    return name


def _print_commands(function: str | None, alias: str, days: float, region: str | None, profile: str | None) -> None:
    from rollout_sim.formats.measurements.commands import command_lines

    for line in command_lines(function or "FUNCTION", alias, days, int(time.time()), region, profile):
        console.echo(line)


def _from_files(paths: tuple[Path, ...], function: str | None, alias: str, options: dict[str, Any]) -> Recording:
    from rollout_sim.formats.measurements.clock import zone_of
    from rollout_sim.formats.measurements.reading import read_files

    try:
        zone = zone_of(options["timezone"] or "UTC")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timezone") from None
    return read_files(
        paths,
        _names(function, alias, options["named"], options["period"]),
        zone,
        zone_named=options["timezone"] is not None,
    )


def _names(function: str | None, alias: str, named: tuple[str, ...], period: float | None) -> Names:
    from rollout_sim.core.minutes import COLUMNS
    from rollout_sim.formats.measurements.naming import Names
    from rollout_sim.formats.measurements.recording import RECORDS

    given = []
    for pair in named:
        name, _, column = pair.rpartition("=")
        if not name or column not in (*COLUMNS, RECORDS):
            raise click.BadParameter(
                f"got {pair!r}; allowed NAME=COLUMN with one of {', '.join((*COLUMNS, RECORDS))}", param_hint="--series"
            )
        given.append((name, column))
    return Names(function=function, alias=alias, given=tuple(given), period=None if period is None else round(period))


def _from_aws(function: str, alias: str, days: float, options: dict[str, Any]) -> Recording:
    from rollout_sim.formats.measurements.live import Wanted, read_live

    group = options["group"]
    if group is not None and not all(group.partition("/")):
        raise click.BadParameter(f"got {group!r}; allowed APPLICATION/GROUP", param_hint="--group")
    wanted = Wanted(
        function=function, alias=alias, days=days, region=options["region"], profile=options["profile"],
        endpoint=options["endpoint_url"], group=group,
    )  # fmt: skip
    with console.progress(f"reading {function} from AWS") as report:
        return read_live(wanted, report)


def _deliver(result: Imported, out: Path, *, as_json: bool) -> None:
    """Writes the folder, and says what is in it."""
    from rollout_sim.formats.measurements.folder import PICTURE, write

    console.import_pictures()

    def picture(folder: Path) -> None:
        from rollout_sim.views.plots import fit
        from rollout_sim.views.plots.style import save

        save(fit.fit(result.fitted, result.choices.function), folder / f"{PICTURE}.png")

    scenario = write(result, out, picture)
    for remark in result.remarks:
        console.tell(remark if remark.startswith("warning: ") else f"note: {remark}")
    if as_json:
        console.echo_json(_summary(result, out, scenario), indent=2)
        return
    console.show(
        _table(result),
        f"wrote {out}: scenario.yaml, traffic.csv, minutes.csv, {PICTURE}.png; next: rollout-sim compare {out / 'scenario.yaml'}",
    )


def parts_of(result: Imported) -> list[tuple[str, str, Goodness | None, dict[str, Estimate]]]:
    """Each part: its name, what describes it, how well, and its figures."""
    fitted = result.fitted
    parts: list[tuple[str, str, Goodness | None, dict[str, Estimate]]] = []
    rate = {"rate_per_s": fitted.arrivals.rate}
    dispersions = {
        f"dispersion_{span * fitted.arrivals.period}s": value for span, value in fitted.arrivals.dispersions.items()
    }
    described = "replayed" if result.choices.rate == "trace" else f"Poisson by the hour of the {fitted.arrivals.cycle}"
    how_well = fitted.arrivals.goodness if result.choices.rate == "profile" else None
    parts.append(("traffic", described, how_well, rate | dispersions))
    if fitted.errors is not None and result.measured("errors"):
        replayed = result.choices.errors == "minutes"
        described, how_well = ("recorded minutes", None) if replayed else (fitted.errors.kind, fitted.errors.goodness)
        parts.append(("errors", described, how_well, dict(fitted.errors.parameters)))
    for name, part in (("durations", fitted.durations), ("cold starts", fitted.cold_starts)):
        if part is not None:
            replayed = name == "durations" and result.choices.durations == "minutes"
            described, how_well = (
                ("recorded minutes", None) if replayed else (f"lognormal by {part.source}", part.goodness)
            )
            parts.append((name, described, how_well, dict(part.parameters)))
    if fitted.releases is not None:
        parts.append(("deployments", "", None, {"p_bad": fitted.releases.p_bad}))
    return parts


_SHARES: Final = ("mean", "calm", "bad", "p_bad")
_TIMES: Final = ("median", "p99", "spell", "every")


def _table(result: Imported) -> Table:
    """What was fitted, with intervals, and how well."""
    from rollout_sim.core.formatting import number_with_interval, share_with_interval, show_duration
    from rollout_sim.views.tables import words_table

    def shown(name: str, value: Estimate) -> str:
        if name in _SHARES:
            return share_with_interval(value)
        if name in _TIMES:
            return f"{show_duration(value.mean)} [{show_duration(value.low)}, {show_duration(value.high)}]"
        return number_with_interval(value)

    rows = []
    for part, described, goodness, figures in parts_of(result):
        title = f"{part}, {described}" if len(figures) == 1 and described else part
        fit = "-" if goodness is None else goodness.verdict
        for number, (name, value) in enumerate(figures.items()):
            first, last = (title if number == 0 else described if number == 1 else "", fit if number == 0 else "")
            rows.append((first, name.replace("_", " "), shown(name, value), last))
    return words_table(("part", "figure", "measured [95%]", "fit"), rows)


def _summary(result: Imported, out: Path, scenario: Scenario) -> dict[str, Any]:
    """The table of `_table`, with the span and the counts of what was used, as the document that `--json` prints."""
    from rollout_sim.formats.measurements.recording import stamp

    used = result.used
    parts = {
        part: {
            "described_by": described or None,
            "goodness": None if goodness is None else asdict(goodness),
            **{name: value.to_json() for name, value in figures.items()},
        }
        for part, described, goodness, figures in parts_of(result)
    }
    return {
        "folder": str(out), "scenario": scenario.name, "of": used.of, "period_s": used.period,
        "from": stamp(int(used.times[0])), "to": stamp(used.end),
        "invocations": int(result.fitted.observed.invocations.sum()), "errors": int(result.fitted.observed.errors.sum()),
        "fit": parts, "notes": list(result.remarks),
    }  # fmt: skip
