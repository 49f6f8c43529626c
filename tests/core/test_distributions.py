"""Distributions: inverse transforms agree with their own cdf and mean, read and write the scenario's text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from rollout_sim.core.distributions import Constant, Distribution, DurationDistribution, SizeDistribution
from rollout_sim.core.files import FileReader

CASES = [
    Constant(2.0),
    Distribution("exponential", (2.0,)),
    Distribution("lognormal", (0.08, 0.6)),
    Distribution("gamma", (2.0, 0.5)),
    Distribution("gamma", (2.0, 3.0)),
    Distribution("uniform", (1.0, 4.0)),
    Distribution("empirical", (), (1.0, 2.0, 2.0, 5.0)),
]


@pytest.mark.parametrize("distribution", CASES)
def test_ppf_rises_and_inverts_the_cdf(distribution: Distribution) -> None:
    u = np.linspace(0.0005, 0.9995, 1000)
    x = distribution.ppf(u)
    assert (np.diff(x) >= 0).all()
    assert (distribution.cdf(x) >= u - 1e-9).all()
    if distribution.kind not in ("constant", "empirical"):
        np.testing.assert_allclose(distribution.cdf(x), u, atol=1e-9)


@pytest.mark.parametrize("distribution", CASES)
def test_mean_is_the_integral_of_the_ppf(distribution: Distribution) -> None:
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    assert distribution.ppf(u).mean() == pytest.approx(distribution.mean, rel=1e-3)


def test_lognormal_meets_its_percentiles() -> None:
    np.testing.assert_allclose(Distribution("lognormal", (0.08, 0.6)).ppf(np.array([0.5, 0.99])), [0.08, 0.6])


def test_gamma_meets_its_standard_deviation() -> None:
    x = Distribution("gamma", (2.0, 0.5)).ppf((np.arange(1_000_000) + 0.5) / 1_000_000)
    assert x.std() == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(
    "data",
    ["350 ms", {"exponential": {"mean": "2 s"}}, {"lognormal": {"median": "80 ms", "p99": "600 ms"}},
     {"gamma": {"mean": "2 s", "sd": "500 ms"}}, {"uniform": {"low": "0 s", "high": "1 s"}},
     {"empirical": {"file": "x.csv", "column": "ms", "unit": "ms"}}],
)  # fmt: skip
def test_text_round_trips(data: Any) -> None:
    adapter = TypeAdapter(DurationDistribution)
    read = adapter.validate_python(data)
    assert adapter.validate_python(adapter.dump_python(read)) == read
    assert read.kind == (next(iter(data)) if isinstance(data, dict) else "constant")
    adapter.json_schema()


def test_sizes_are_megabytes() -> None:
    assert TypeAdapter(SizeDistribution).validate_python("2 GB").mean == 2000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "needs a unit"),
        ({"normal": {}}, "exactly one of exponential"),
        ({"lognormal": {"median": "1 s"}}, "takes median and p99, got median"),
        ({"lognormal": {"median": "1 s", "p99": "1 s"}}, "must lie above `median`"),
        ({"lognormal": "1 s"}, "takes named values"),
        ({"gamma": {"mean": "0 s", "sd": "1 s"}}, "`mean` must be above zero"),
        ({"gamma": {"mean": "1 s", "sd": "0 s"}}, "`sd` must be above zero"),
        ({"uniform": {"low": "2 s", "high": "1 s"}}, "`high` must lie above"),
        ({"exponential": {"mean": 2}}, "`exponential.mean`: a duration needs a unit"),
        ({"empirical": {"column": "x"}}, "takes file, column and unit"),
    ],
)
def test_refusals(data: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(DurationDistribution).validate_python(data)


def test_samples_come_from_a_column_in_its_unit(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id,ms\na,300\nb,100\n")
    read = Distribution("empirical", file=("s.csv", "ms", "ms")).with_files(tmp_path, "s", FileReader())
    assert read.samples == (0.1, 0.3)
    assert read.with_files(Path("elsewhere"), "s", FileReader()) is read


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [("", "", "holds no samples"), ("1\n-2\n", "", "s.csv:2: a sample is a number from 0, got '-2'"), ("1\nnan\n", "", "got 'nan'"),
     ("a,b\n1,2\n", "c", "s.csv:1: no column 'c'"), ("1\nx\n", "", "s.csv:2")],
)  # fmt: skip
def test_bad_samples_are_refused_with_their_line(tmp_path: Path, text: str, column: str, message: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        Distribution("empirical", file=("s.csv", column, "")).with_files(tmp_path, "s", FileReader())
    with pytest.raises(ValueError, match="cannot be read"):
        Distribution("empirical", file=("none.csv", "", "")).with_files(tmp_path, "s", FileReader())
