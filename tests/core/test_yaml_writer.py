"""The YAML that we write: what `read_yaml` reads back is what was written, whatever the values look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import data
from hypothesis import example, given
from hypothesis import strategies as st

from rollout_sim.core.yaml_io import WIDTH, commented, read_yaml, to_yaml
from rollout_sim.formats.snippet import GetAtt, Ref, Sub, as_yaml
from rollout_sim.scenario.scenario import Scenario


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
    assert read_back(to_yaml({"a": value, value or "b": [value]}), tmp_path) == {"a": value, value or "b": [value]}


def test_what_is_used_twice_is_written_twice(tmp_path) -> None:
    shared = {"poisson": "5/s"}
    text = to_yaml({"a": shared, "b": shared})
    assert text == "a: {poisson: 5/s}\nb: {poisson: 5/s}\n"


NASTY = [
    "1e5", "-1.5E3", "yes", "on", "null", "~", "", "0x1", "0o7", "1_000", "10:30", "2026-01-01", "#x", "a #b", "a: b",
    ": ", ":", "- a", "-", "? x", "<<", "=", "!x", "&a", "*a", "|", ">", "> 5", "%x", "@x", "`x", "{", "[a]", "a, b", "'", '"',
    " leading", "trailing ", "\tt", "two\nlines", "\n\nlate", "  two\n indented\n", "end\n\n", "a\r\nb", "---", "...",
    "caf\u00e9", "\u2603", "\U0001f680", "\u0085", "\u2028", "\ufeffx", "\x07", "x" * 300, "word " * 60, "\U0010ffff",
]  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]))
"""Names as people and programs make them; half a surrogate pair is the only text that no UTF-8 file can hold."""
values = st.recursive(
    texts | st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(-1e250, 1e250),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(texts, values, min_size=1, max_size=4)


@given(written=mappings, layout=st.sampled_from(["compact", "block", "line"]))
def test_every_layout_is_read_back(written: dict[str, Any], layout: Any, tmp_path_factory) -> None:
    assert read_back(to_yaml(written, layout=layout), tmp_path_factory.getbasetemp()) == written


@example(sections=[("", "first", ["end\n\n"]), ("", "second", "\n"), ("", "third", "a\nb\n")])
@given(sections=st.lists(st.tuples(texts, texts, values), min_size=1, max_size=3, unique_by=lambda entry: entry[1]))
def test_a_commented_file_is_read_back(sections: list[tuple[str, str, Any]], tmp_path_factory) -> None:
    text = commented([(comment, {key: value}) for comment, key, value in sections])
    assert read_back(text, tmp_path_factory.getbasetemp()) == {key: value for _, key, value in sections}


@given(written=st.lists(mappings, min_size=1, max_size=3), remarks=st.lists(texts, max_size=2))
def test_documents_for_other_programs_are_read_back(written: Any, remarks: list[str], tmp_path_factory) -> None:
    text = as_yaml(*written, remarks=tuple(remarks))
    assert read_back(as_yaml(written[0], remarks=tuple(remarks)), tmp_path_factory.getbasetemp()) == written[0]
    assert len(list(yaml.compose_all(text))) == len(written)


@given(text=texts, kind=st.sampled_from([Ref, GetAtt, Sub]))
def test_tagged_text_keeps_its_tag(text: str, kind: type[Ref]) -> None:
    for layout in ("compact", "block", "line"):
        ((_, node),) = yaml.compose(to_yaml({"x": kind(text)}, layout=layout)).value
        assert (node.tag, node.value) == (f"!{kind.__name__}", text)


@pytest.mark.parametrize("name", NASTY)
def test_a_scenario_of_any_name_is_written_and_loaded(name: str, tmp_path: Path) -> None:
    strategies = {name: {"type": "canary", "percent": 10, "interval": "5 min"}}
    named = Scenario.from_dict(data(name=name, description=name, strategies=strategies))
    (tmp_path / "s.yaml").write_text(to_yaml(named.dump()), encoding="utf-8")
    assert Scenario.load(tmp_path / "s.yaml") == named


def test_long_and_nested_values_stand_on_lines_of_their_own() -> None:
    long = [f"alarm {k}" for k in range(12)]
    text = to_yaml({"name": "a", "rollout": {"alarms": long, "to": "2"}, "empty": {}, "traffic": ({"a": 1},)})
    assert text == (
        "name: a\nrollout:\n  alarms:\n" + "".join(f"  - {name}\n" for name in long) + "  to: '2'\nempty: {}\ntraffic:\n- {a: 1}\n"
    )  # fmt: skip


def test_layouts() -> None:
    written = {"a": {"b": ["x", "two\nlines"]}, "c": 1.5}
    assert to_yaml(written, layout="block") == "a:\n  b:\n    - x\n    - |-\n      two\n      lines\nc: 1.5\n"
    assert to_yaml(written, layout="line") == '{a: {b: [x, "two\\nlines"]}, c: 1.5}'
    assert to_yaml("1", layout="line") == "'1'"
    assert to_yaml(1, layout="line") == "1"
    assert (
        as_yaml({"f": Ref("f"), "v": GetAtt("f.v")}, remarks=("one\ntwo",))
        == "# one\n# two\nf: !Ref f\nv: !GetAtt f.v\n"
    )


@given(comment=st.text(), value=st.text(st.characters(exclude_categories=["C"])))
def test_no_comment_becomes_data(comment, value, tmp_path_factory) -> None:
    text = commented([(comment, {"name": value}), (comment, {"seed": 7})])
    assert read_back(text, tmp_path_factory.mktemp("text")) == {"name": value, "seed": 7}


def test_comments_are_wrapped_but_never_inside_a_word() -> None:
    word = "x" * 150
    lines = commented([(f"{'some words ' * 30}\n{word}", {"seed": 7})]).splitlines()
    assert f"# {word}" in lines
    assert all(len(line) <= WIDTH for line in lines if word not in line)
