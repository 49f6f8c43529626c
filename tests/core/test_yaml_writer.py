"""The YAML that we write: what `document` reads back is what was written, whatever the values look like."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sim.core.yaml_io import WIDTH, commented, plain, read_yaml


def read_back(text: str, folder: Path) -> dict:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path).data


def test_sections_become_one_document_with_comments_above(tmp_path) -> None:
    text = commented(
        [
            ("What it is about.", {"name": "checkout"}),
            ("", {"seed": 7}),
            ("The rate is a guess.\nReplace it.", {"traffic": [{"source": "http", "arrivals": {"poisson": "5/s"}}]}),
            ("At the end.", {}),
        ]
    )
    assert text == (
        "# What it is about.\nname: checkout\n\nseed: 7\n\n"
        "# The rate is a guess.\n# Replace it.\ntraffic:\n- source: http\n  arrivals: {poisson: 5/s}\n\n# At the end.\n"
    )
    assert list(read_back(text, tmp_path)) == ["name", "seed", "traffic"]


def test_a_key_in_two_sections_is_refused() -> None:
    with pytest.raises(ValueError, match="the key 'name' stands in two sections"):
        commented([("", {"name": "a"}), ("", {"name": "b"})])


@pytest.mark.parametrize(
    "value",
    ["1e5", "08", "on", "yes", "null", "~", "true", "> 0", "1_000", "10:30", "2026-01-01", "$LATEST", "# no", ""],
)
def test_text_stays_text(value, tmp_path) -> None:
    assert read_back(plain({"a": value, value or "b": [value]}), tmp_path) == {"a": value, value or "b": [value]}


def test_what_is_used_twice_is_written_twice(tmp_path) -> None:
    shared = {"poisson": "5/s"}
    text = plain({"a": shared, "b": shared})
    assert text == "a: {poisson: 5/s}\nb: {poisson: 5/s}\n"


@given(comment=st.text(), value=st.text(st.characters(exclude_categories=["C"])))
def test_no_comment_becomes_data(comment, value, tmp_path_factory) -> None:
    text = commented([(comment, {"name": value}), (comment, {"seed": 7})])
    assert read_back(text, tmp_path_factory.mktemp("text")) == {"name": value, "seed": 7}


def test_comments_are_wrapped_but_never_inside_a_word() -> None:
    word = "x" * 150
    lines = commented([(f"{'some words ' * 30}\n{word}", {"seed": 7})]).splitlines()
    assert f"# {word}" in lines
    assert all(len(line) <= WIDTH for line in lines if word not in line)
