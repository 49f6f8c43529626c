from __future__ import annotations

import contextlib
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollout_sim.core import yaml_io as document
from rollout_sim.core.yaml_io import MAX_BYTES, YamlDocument, dotted, locate, nearest, read_yaml, suggest
from rollout_sim.errors import ScenarioError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scenario.yaml"


def read(file: Path, content: str | bytes) -> YamlDocument:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(file)


def problems(file: Path, content: str | bytes) -> list[str]:
    """The problems of a file, its name cut off: `:LINE: what`."""
    with pytest.raises(ScenarioError) as caught:
        read(file, content)
    assert all(problem.startswith(f"{file}:") for problem in caught.value.problems)
    return [problem.removeprefix(str(file)) for problem in caught.value.problems]


# --- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *[(word, word) for word in ("on", "off", "yes", "no", "y", "n", "On", "10:30", "2020-01-01", "1_000", "0x10")],
        *[(word, word) for word in ("80 ms", "50/s", "4%", ".inf", ".nan", "e5", "1.2.3", "+", ".", "$LATEST", "=")],
        *[("true", True), ("True", True), ("FALSE", False), ("~", None), ("null", None), ("", None)],
        *[("0", 0), ("-3", -3), ("+4", 4), ("007", 7), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-2.5E-1", -0.25)],
        *[('"1"', "1"), ("'true'", "true"), ("!!str 5", "5"), ("!!int '5'", 5), ("!!float 5", 5.0), ('""', "")],
    ],
)
def test_values_are_read_as_yaml_1_2_reads_them(file: Path, written: str, value: object) -> None:
    found = read(file, f"x: {written}\n").data["x"]
    assert (found, type(found)) == (value, type(value))


def test_numbers_as_keys_become_text(file: Path) -> None:
    assert read(file, "versions: {1: a, 2: b, 10: {3: c}}").data == {"versions": {"1": "a", "2": "b", "10": {"3": "c"}}}


def test_aliases_are_written_out(file: Path) -> None:
    assert read(file, "a: &a {x: [1, 2]}\nb: *a\n").data == {"a": {"x": [1, 2]}, "b": {"x": [1, 2]}}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(file: Path) -> None:
    found = read(file, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert found.data == {"a": 1, "b": 2}
    assert found.lines["b",] == 2


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e200, 1e200) | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcXYZ_-$ 12"), inner, max_size=3),
    max_leaves=12,
)


@given(data=st.dictionaries(st.text("abcXYZ_-$ 12", min_size=1), plain, max_size=4))
def test_what_yaml_writes_is_read_back(data: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    assert read(file, yaml.safe_dump(data)).data == data


# --- lines ----------------------------------------------------------------------------------------------------

NESTED = """\
# a comment
name: x

function:
  versions:
    1: {error_rate: 1%}
    2:
      like: 1
      faults:
        - errors: 4%
          onset: 2 min
        - {crash: 1%,
           onset: 3 min}
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ((), 2),
        (("name",), 2),
        (("function",), 4),
        (("function", "versions", "1", "error_rate"), 6),
        (("function", "versions", "2"), 7),
        (("function", "versions", "2", "faults"), 9),
        (("function", "versions", "2", "faults", 0), 10),
        (("function", "versions", "2", "faults", 0, "onset"), 11),
        (("function", "versions", "2", "faults", 1), 12),
        (("function", "versions", "2", "faults", 1, "onset"), 13),
        (("function", "versions", "2", "duration", "lognormal"), 7),
        (("function", "versions", "2", "faults", 7, "x"), 9),
        (("horizon",), 2),
    ],
)
def test_each_place_has_its_line_and_what_is_absent_the_nearest(
    file: Path, where: tuple[str | int, ...], line: int
) -> None:
    assert locate(read(file, NESTED), where) == line


def test_a_place_is_written_with_dots_and_brackets() -> None:
    assert dotted(("function", "versions", "2", "faults", 0, "errors")) == "function.versions.2.faults[0].errors"
    assert dotted(()) == ""


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", [":1: the file is empty; a scenario is a mapping of fields"]),
        ("# only a comment\n", [":1: the file is empty; a scenario is a mapping of fields"]),
        ("\n- a\n", [":2: a scenario is a mapping of fields, got a list"]),
        ("hello", [":1: a scenario is a mapping of fields, got a single value"]),
        (
            "a: 1\nb: [1\nc: 2",
            [":3:2: not valid YAML: while parsing a flow sequence, expected ',' or ']', but got ':'"],
        ),
        (
            "a: 1\n---\nb: 2",
            [":2:1: not valid YAML: expected a single document in the stream, but found another document"],
        ),
        ("a: *b", [":1:4: not valid YAML: found undefined alias 'b'"]),
        ("a: 1\nb: 2\na: 3", [":3: a: the key stands here twice, first in line 1"]),
        ("v:\n  1: a\n  '1': b", [":3: v.1: the key stands here twice, first in line 2"]),
        ("a: {1.5: x}", [":1: a: a key must be text or a whole number, got 1.5; put it into quotes"]),
        ("true: x", [":1: a key must be text or a whole number, got true; put it into quotes"]),
        ("? [a]\n: x", [":1: a key must be text or a whole number, got a list; put it into quotes"]),
        ("b: &b {}\na:\n  <<: *b", [":3: a.<<: merge keys are not taken; write the fields out"]),
        (
            "a:\n - !!python/name:os.system x",
            [":2: a[0]: tags are not allowed, got !!python/name:os.system; write plain values"],
        ),
        ("a: !mine {}", [":1: a: tags are not allowed, got !mine; write plain values"]),
        ("a: !!int x", [":1: a: is not a number that can be used, got x"]),
        ("a: !!bool x", [":1: a: is not a number that can be used, got x"]),
        ("a: 1e999", [":1: a: is not a number that can be used, got 1e999"]),
        (f"a: {'9' * 5000}", [f":1: a: is not a number that can be used, got {'9' * 60}..."]),
        ("a: 1\nb: \x07", [":2: the character '\\x07' is not allowed in YAML"]),
        (b"a: 1\nb: \xff", [":2: is not UTF-8 text, got the byte 0xff"]),
        ("a: 1".encode("utf-16"), [":1: is not UTF-8 text, got the byte 0xff"]),
        ("a: &a [*a]", [":1: an alias stands inside its own anchor"]),
        ("a: &a {b: {c: *a}}", [":1: an alias stands inside its own anchor"]),
        ("a: 1\nb: " + "[" * 60, [":2: is nested too deeply; allowed 50 levels"]),
        ("{a: " * 100_000, [":1: is nested too deeply; allowed 50 levels"]),
        (b"#" * (MAX_BYTES + 1), [": the file is too large; allowed 1 MiB"]),
    ],
)
def test_refusals(file: Path, content: str | bytes, expected: list[str]) -> None:
    assert problems(file, content) == expected


def test_all_problems_are_told_together(file: Path) -> None:
    assert len(problems(file, "a: 1\na: 2\nb: !x 1\n1.5: 3\nc: 1e999")) == 4


def test_unquoted_thresholds_get_a_hint(file: Path) -> None:
    (problem,) = problems(file, "threshold: > 5\n")
    assert problem.endswith('put text that starts with > or | into quotes, such as "> 5"')


def test_an_alias_bomb_is_refused_without_being_expanded(file: Path) -> None:
    letters = "abcdefghijklmnop"
    bomb = f"{letters[0]}: &{letters[0]} [x]\n"
    for before, letter in pairwise(letters):
        bomb += f"{letter}: &{letter} [{', '.join([f'*{before}'] * 10)}]\n"
    start = time.process_time()
    assert problems(file, bomb) == [":1: holds too many values, aliases written out; allowed 30000"]
    assert time.process_time() - start < 2


def test_too_many_values_are_refused_before_the_rest_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 100)
    # The mapping, the key, the list and 97 items are 100 values.
    assert problems(file, "a:\n" + "- x\n" * 200) == [":99: holds too many values, aliases written out; allowed 30000"]


def test_aliases_cannot_get_around_the_limit_on_nesting(file: Path) -> None:
    tower = "a0: &a0 [" + "[" * 30 + "]" * 30 + "]\n"
    tower += "".join(f"a{i}: &a{i} [{'[' * 30}*a{i - 1}{']' * 30}]\n" for i in range(1, 50))
    assert problems(file, tower) == [":1: is nested too deeply; allowed 50 levels"]


def test_the_limits_themselves_are_allowed(file: Path) -> None:
    assert read(file, "a: " + "[" * 49 + "]" * 49).data
    assert read(file, "a: 1\n#" + "x" * (MAX_BYTES - 6)).data == {"a": 1}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.yaml", "No such file"),
        (Path("a\0b"), "null"),
    ):
        with pytest.raises(ScenarioError, match="cannot be read: ") as caught:
            read_yaml(path)
        assert reason in str(caught.value)


@given(content=st.binary(max_size=60) | st.text("ab:-[]{}&*!|>%@`'\"#,? \n\t1.~", max_size=60).map(str.encode))
def test_whatever_stands_in_a_file_the_only_error_is_a_scenario_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with contextlib.suppress(ScenarioError):
        read(tmp_path_factory.getbasetemp() / "any.yaml", content)


# --- suggestions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [("erors", "errors"), ("keep-alive", "keep_alive"), ("canarypercentage", "CanaryPercentage"), ("bananas", None)],
)
def test_near_misses_are_suggested(name: str, near: str | None) -> None:
    allowed = ["errors", "latency", "keep_alive", "CanaryPercentage"]
    assert nearest(name, allowed) == near
    assert suggest(name, allowed) == (f"; did you mean '{near}'?" if near else "")


# --- files of other programs ---------------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghi")
)


def test_documents_are_read_as_one_scenario_is(file: Path) -> None:
    file.write_text("---\n- 2026-01-01\n- on\n---\na: 1\n---\n")
    assert document.read_documents(file) == [["2026-01-01", "on"], {"a": 1}, None]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (BOMB, "holds too many values"),
        ("---\n".join([BOMB[: BOMB.index("e:")]] * 30), "holds too many values"),
        ("[" * 5000, "is nested too deeply"),
        ("a: &a [*a]", "an alias stands inside its own anchor"),
        ("a: !!python/object:os.system x", "tags are not allowed"),
        ("a: " + "9" * 5000, "is not a number that can be used"),
        (b"a: \xff", "is not UTF-8 text"),
        (b"x" * (MAX_BYTES + 1), "the file is too large; allowed 1 MiB"),
    ],
)
def test_documents_keep_the_limits(text: str | bytes, what: str, file: Path) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    began = time.process_time()
    with pytest.raises(ScenarioError, match=what):
        document.read_documents(file)
    assert time.process_time() - began < 3


def test_tags_and_merge_keys_of_another_program_are_read_with_the_lines_of_what_they_hold(file: Path) -> None:
    file.write_text("""\
base: &base {a: 1, b: [x]}
one: {<<: *base, b: 2}
two:
  <<: [{a: 9}, *base]
three: !Sub
  - "${a}:live"
  - {a: !Ref Orders}
four: !GetAtt Orders.Arn
date: 2010-09-09
""")
    read = document.read_tagged(file, lambda tag: tag.removeprefix("!"), "a template")
    assert read.data["one"] == {"a": 1, "b": 2}
    assert read.data["two"] == {"a": 9, "b": ["x"]}
    assert read.data["three"] == {"Sub": ["${a}:live", {"a": {"Ref": "Orders"}}]}
    assert read.data["four"] == {"GetAtt": "Orders.Arn"}
    assert read.data["date"] == "2010-09-09"
    assert read.lines["three", "Sub", 1, "a"] == 7


def test_json_with_tabs_and_rare_letters_is_read_as_another_programs_file(file: Path) -> None:
    file.write_text('{\n\t"a": "\\ud83d\\ude80",\n\t"b": "x\\/y"\n}')
    assert document.read_tagged(file, str, "a template").data == {"a": "\U0001f680", "b": "x/y"}


@pytest.mark.parametrize(
    ("text", "what"),
    [(BOMB, "too many"), ("[" * 5000, "too deeply"), ("- 1", "a template is a mapping of fields, got a list"), ("", "an empty file"),
     ("a: &a {<<: *a}", "inside its own anchor"), ("a: !!python/none x", "tags are not allowed"), ("{a: 1, a: 2}", "twice")],
)  # fmt: skip
def test_files_of_other_programs_keep_the_limits(text: str, what: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(ScenarioError, match=what):
        document.read_tagged(file, str, "a template")
