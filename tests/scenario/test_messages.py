from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from rollout_sim.core.fields import Seconds, Share
from rollout_sim.core.yaml_io import read_yaml
from rollout_sim.scenario.messages import problems_of

STRICT: dict[str, str] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    errors: Share | None = None
    latency: Seconds | None = None

    def __post_init__(self) -> None:
        if self.errors is None and self.latency is None:
            raise ValueError("a fault is one of errors, latency, got none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    duration: Seconds
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    latency: Seconds
    share: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    type: Literal["instant"] = "instant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    type: Literal["steps"] = "steps"
    # As in the package: the field has the name of the tag.
    steps: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: str
    count: int = 1
    watch: bool = True
    versions: dict[str, Version] = field(default_factory=dict)
    sli: Literal["errors", "throttles"] | Slow | Broken = "errors"
    strategies: dict[str, Annotated[Instant | Steps, Field(discriminator="type")]] = field(default_factory=dict)
    incident: tuple[Fault, ...] = ()
    main: Fault | None = None


def problems(folder: Path, text: str, **options: Any) -> list[str]:
    """What is wrong with `text` as a Root: `LINE: where: what`. Siblings named by `like` are copied in before."""
    file = folder / "x.yaml"
    file.write_text(text)
    document = read_yaml(file)
    data = dict(document.data)
    if isinstance(data.get("incident"), dict):
        data["incident"] = [data["incident"]]
    versions = data.get("versions", {})
    if isinstance(versions, dict):
        data["versions"] = {
            name: {**versions[str(spec["like"])], **{k: v for k, v in spec.items() if k != "like"}}
            if isinstance(spec, dict) and "like" in spec
            else spec
            for name, spec in versions.items()
        }
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Root).validate_python(data)
    return [message.removeprefix(f"{file}:") for message in problems_of(caught.value, document, Root, **options)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count: 2", "1: name: is missing"),
        ("name: 3", "1: name: needs text (in quotes, where it looks like a number), got 3"),
        ("name: a\ncount: x", "2: count: needs a whole number, got 'x'"),
        ("name: a\ncount:", "2: count: needs a whole number, got nothing"),
        ("name: a\nwatch: [1]", "2: watch: needs true or false, got a list"),
        ("name: a\nversions: []", "2: versions: needs a mapping, got a list"),
        ("name: a\nversions: {1: 5}", "2: versions.1: needs a mapping of fields, got 5"),
        ("name: a\nincident: x", "2: incident: needs a list, got 'x'"),
        ("name: a\nmain: 5 s", "2: main: needs a mapping of fields, got '5 s'"),
        (
            "name: a\nversions:\n  2:\n    duration: 1 s\n    faults:\n      - {errors: 1%}\n      - {erors: 1%}",
            "7: versions.2.faults[1].erors: unknown field; did you mean 'errors'? allowed errors, latency",
        ),
        (
            "name: a\nversions:\n  2:\n    duration: 1 s\n    colour: red",
            "5: versions.2.colour: unknown field; allowed duration, faults",
        ),
        (
            "name: a\nversions: {1: {duration: 1 s, faults: [{}]}}",
            "2: versions.1.faults[0]: a fault is one of errors, latency, got none",
        ),
        ("name: a\nmain: {errors: 150%}", "2: main.errors: must be at most 100%, got '150%'"),
        (
            "name: a\nincident:\n  errors: 5",
            "3: incident.errors: a share needs a unit: % (for example 4%), got the bare number 5",
        ),
        ("name: a\nsli: error", "2: sli: is not known, got 'error'; did you mean 'errors'? allowed errors, throttles"),
        (
            "name: a\nsli:\n  latncy: 1 s",
            "3: sli.latncy: unknown field; did you mean 'latency'? allowed latency, share",
        ),
        ("name: a\nsli:\n  cdes: [1]", "3: sli.cdes: unknown field; did you mean 'codes'? allowed codes"),
        ("name: a\nsli:\n  codes: [1, x]", "3: sli.codes[1]: needs a whole number, got 'x'"),
        ("name: a\nsli:\n  share: 3%", "2: sli.latency: is missing"),
        (
            "name: a\nstrategies:\n  s: {type: stepz}",
            "3: strategies.s.type: is not known, got 'stepz'; did you mean 'steps'? allowed instant, steps",
        ),
        ("name: a\nstrategies:\n  s: {}", "3: strategies.s: `type` is missing; allowed instant, steps"),
        ("name: a\nstrategies:\n  s: 3", "3: strategies.s: needs a mapping of fields, got 3"),
        (
            "name: a\nstrategies:\n  steps: {type: steps, steps: [], foo: 1}",
            "3: strategies.steps.foo: unknown field; allowed type, steps",
        ),
        (
            "name: a\nstrategies:\n  steps:\n    type: steps\n    steps:\n    - {errors: x}",
            "6: strategies.steps.steps[0].errors: a share needs a unit: % (for example 4%), got 'x'",
        ),
    ],
)
def test_one_mistake_one_message(tmp_path: Path, text: str, expected: str) -> None:
    assert problems(tmp_path, text) == [expected]


def test_all_mistakes_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(tmp_path, "extra: 1\nmain: 5\ncount: x\nversions:\n  1: {}\n")
    assert [message.split(": ")[:2] for message in found] == [
        ["1", "extra"],
        ["1", "name"],
        ["2", "main"],
        ["3", "count"],
        ["5", "versions.1.duration"],
    ]


def test_what_is_inherited_is_reported_once_where_it_stands(tmp_path: Path) -> None:
    text = "name: a\nversions:\n  1:\n    duration: 80\n  2: {like: 1}\n  3: {like: 1, faults: [{errors: 2}]}\n"
    assert [message.split(" needs")[0] for message in problems(tmp_path, text)] == [
        "4: versions.1.duration: a duration",
        "6: versions.3.faults[0].errors: a share",
    ]


def test_fields_that_only_the_file_knows_are_allowed_and_suggested(tmp_path: Path) -> None:
    (message,) = problems(tmp_path, "name: a\nversions: {1: {duration: 1 s, lke: 1}}", also={Version: ("like",)})
    assert message == "2: versions.1.lke: unknown field; did you mean 'like'? allowed like, duration, faults"
