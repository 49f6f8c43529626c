"""Every picture can be read: no text lies over another or is cut, for the shipped scenarios and for odd ones.

What is measured are the boxes of the renderer (`boxes`), at the resolution in which pictures are saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from boxes import drawn_texts, faults
from builders import data, scenario
from matplotlib.figure import Figure
from recorded import columns, metric_data, write_csv, write_json

mpl.use("Agg")

from rollout_sim import Scenario, compare, recommend, simulate_each, sweep
from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.formats.measurements.folder import Choices, imported
from rollout_sim.formats.measurements.naming import Names
from rollout_sim.formats.measurements.reading import read_files
from rollout_sim.views.output import pictures_of
from rollout_sim.views.plots.fit import fit
from rollout_sim.views.plots.style import drawable, styled, wrapped

SCENARIOS = sorted((Path(__file__).parents[3] / "scenarios").glob("*.yaml"))
LONG = "a name that goes on and on, so that no title, no legend and no axis has room for it on one line"
BURN: dict[str, Any] = {"metric": "burn_rate", "slo": "availability", "long": "10 min", "short": "5 min"}
LATE = {"sli": {"latency": "400 ms"}, "objective": "99%"}


def canary(percent: int) -> dict[str, Any]:
    return {"type": "canary", "percent": percent, "interval": "3 min"}


ODD: dict[str, dict[str, Any]] = {
    "long names": {
        "name": LONG,
        "strategies": {f"{LONG} {k}": canary(k) for k in range(1, 5)},
        "slos": [{"name": LONG, "objective": "99.9%"}],
    },
    "dollars, scripts and an underscore": {
        "name": "$\\alpha$ 日本 \U0001f680",
        "strategies": {"a $x$ b_2": canary(10), "_x": canary(20), "カナリア": {"type": "all_at_once"}, "x" * 90: canary(30)},
        "slos": [{"name": "可用性 $a$", "objective": "99.9%"}],
    },
    "twelve strategies": {"strategies": {f"canary {k}%": canary(k) for k in range(1, 13)}},
    "three SLOs": {"slos": [{"name": "errors", "objective": "99.9%"}, {"name": f"{LONG} $p$", **LATE}, {"name": "late", **LATE}]},
    "one strategy": {"strategies": {"canary": canary(10)}},
    "no SLO": {"slos": []},
    "nothing happens": {"function__versions__2": {"like": "1"}, "function__versions__1__error_rate": "0%"},
    "several faults": {
        "function__versions__2": {"like": "1", "faults": [{"errors": "20%", "onset": "2 min"}, {"latency": "3x"}]},
        "incident": [{"errors": "2%", "onset": "8 min", "until": "10 min"}],
    },
    "close burn rates": {f"alarms__{name}": BURN | {"threshold": f"> {at}"} for name, at in (("a", 14.4), ("b", 13), (LONG, 6))},
}  # fmt: skip


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def unreadable(result: Any) -> dict[str, list[str]]:
    """What is wrong with each picture of a result."""
    drawn = {name: draw() for name, draw in pictures_of(result).items()}
    assert any(drawn.values())
    return {name: wrong for name, figure in drawn.items() if figure is not None and (wrong := faults(figure))}


def test_faults_are_seen() -> None:
    figure = Figure(figsize=(3, 2))
    figure.text(0.5, 0.5, "one\nand two")
    figure.text(0.55, 0.5, "three")
    figure.text(0.9, 0.2, "out of the picture")
    figure.text(0.1, 0.9, "$\\mathdefault{10^{-3}}$", parse_math=False)
    told = faults(figure)
    assert [fault.split(":")[0] for fault in told] == ["cut", "raw", "overlap"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if k < 2 else pytest.mark.slow) for k, name in enumerate(ODD)]
)
@pytest.mark.slow
def test_pictures_of_odd_scenarios_can_be_read(name: str) -> None:
    given = scenario(**ODD[name])
    assert unreadable(list(simulate_each(given))) == {}
    assert unreadable(compare(given, 50)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_pictures_of_shipped_scenarios_can_be_read(path: Path) -> None:
    given = Scenario.load(path)
    few = 1 if given.polled else 4  # what is polled is simulated message by message
    compared = compare(given, 50 if len(given.slos) == 1 and path.stem == "checkout" else few)
    assert unreadable(list(simulate_each(given))) == {}
    assert unreadable(compared) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, ODD["dollars, scripts and an underscore"], ODD["long names"]], ids=["plain", "odd", "long"]
)
def test_pictures_of_a_recommendation_can_be_read(changes: dict[str, Any]) -> None:
    assert unreadable(recommend(scenario(**changes), keep_alarms=bool(changes))) == {}


@pytest.mark.parametrize(
    "axes",
    [
        ["alarms.errors.lag=0 s,30 s,60 s"],
        ["percent=" + ",".join(map(str, range(1, 31)))],
        ["alarms.errors.missing=missing,ignore,not_breaching,breaching"],
        ["severity=0%,0.5%,2%,20%"],
        ["alarms.errors.threshold=> 0,> 2,> 5", "alarms.errors.datapoints=1 of 1,2 of 2,3 of 5", "severity=0%,4%"],
        pytest.param(["percent=1,2,3,4", "severity=0%,1%,2%,4%", "interval=1m,2m,3m"], marks=pytest.mark.slow),
    ],
    ids=lambda axes: "; ".join(axes)[:40],
)  # fmt: skip
@pytest.mark.slow
def test_pictures_of_a_sweep_can_be_read(axes: list[str]) -> None:
    swept = sweep(YamlDocument(data=data(), lines={}, path=Path("test.yaml")), axes, 4)
    assert unreadable(swept) == {}


@pytest.mark.slow
@pytest.mark.parametrize("thresholds", [[0], range(50)], ids=["4 points", "200 points"])
def test_a_trade_off_can_be_read_with_few_points_and_with_many(thresholds: Sequence[int]) -> None:
    document = YamlDocument(data=data(**ODD["dollars, scripts and an underscore"]), lines={}, path=Path("test.yaml"))
    swept = sweep(document, [f"alarms.errors.threshold={','.join(f'> {least}' for least in thresholds)}"], 4)
    assert len(swept.cells) == len(thresholds)
    figure = pictures_of(swept)["trade_off"]()
    assert figure is not None
    assert faults(figure) == []


@pytest.mark.slow
@pytest.mark.parametrize("cold", [(300.0, 400.0, 500.0), (5.0, 300.0, 9000.0)])
def test_the_picture_of_a_fit_can_be_read(tmp_path: Path, cold: tuple[float, ...]) -> None:
    lines = [f"2026-11-24 14:{k:02}:00.000,{80 + k},{cold[k % 3] + k if k < 40 else ''}" for k in range(60)]
    paths = [
        write_json(tmp_path / "m.json", metric_data(columns(1, minutes=300, errors=0.02))),
        write_csv(tmp_path / "r.csv", "@timestamp,@duration,@initDuration", lines),
    ]
    recording = read_files(paths, Names(function="checkout"), UTC, zone_named=False)
    figure = fit(imported(recording, Choices(function="checkout", alias="prod")).fitted, "checkout")
    assert faults(figure) == []
    shown = [text for text, _ in drawn_texts(figure)]
    assert "measured" in shown
    for ax in figure.axes:
        low, high = ax.get_xlim()
        assert sum(low <= tick <= high for tick in ax.get_xticks()) >= 2, f"{ax.get_title()}: no figures on its axis"
        points = np.vstack([line.get_xydata() for line in ax.lines if line.get_marker() == "o"] or [np.empty((0, 2))])
        boxes = [] if ax.get_legend() is None else [ax.get_legend().get_window_extent()]
        covered = [box.contains(*ax.transData.transform(point)) for box in boxes for point in points]
        assert not any(covered), f"{ax.get_title()}: the legend hides a point"


def test_every_strategy_is_in_the_legend_under_its_own_name() -> None:
    given = scenario(**ODD["dollars, scripts and an underscore"])
    for result in (list(simulate_each(given)), compare(given, 4)):
        drawn = {name: draw() for name, draw in pictures_of(result).items()}
        for name in ("error_budget", "burn_rate", "comparison"):
            if (figure := drawn.get(name)) is not None:
                entries = "\n".join(text.get_text() for legend in figure.legends for text in legend.get_texts())
                assert all(drawable(strategy).strip() in entries.replace("\n", "") for strategy in given.strategies), (
                    name
                )


def test_what_the_font_lacks_is_written_out_and_names_stay_apart() -> None:
    with styled():
        assert drawable("日本 $x$\n") == "\\u65e5\\u672c $x$\\n"
        assert drawable("_x") == "\u200a_x"
        assert wrapped("one two three", 7) == "one two\nthree"
        ends = wrapped("a" + "b" * 200 + "c", 20).replace("\n", "")
        assert (ends[0], ends[-1], ends.count("\N{HORIZONTAL ELLIPSIS}")) == ("a", "c", 1)
    with styled({"svg.fonttype": "none"}):  # the reader's browser has other fonts
        assert drawable("日本") == "日本"


def test_no_settings_but_our_own_reach_a_picture() -> None:
    result = list(simulate_each(scenario()))

    def drawn() -> bytes:
        figure = pictures_of(result)["burn_rate"]()
        assert figure is not None
        figure.canvas.draw()
        return bytes(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]

    before = drawn()
    with mpl.rc_context({"font.family": "serif", "lines.marker": "x", "axes.facecolor": "pink", "text.usetex": True}):
        assert drawn() == before
