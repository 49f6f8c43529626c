"""Mutations: plain data and text, changed the way that mistakes and malice change them."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

UNITS = ("us", "ms", "s", "min", "h", "d", "m", "%", "x", "/s", "/min", "/h", "MB", "", "S", "sec", "‰")
NUMBERS = (
    "0", "-0", "1", "-1", "0.5", "1e-9", "1e-300", "1e308", "1e309", "1e400", "9" * 70, "0." + "3" * 70, "3.14159", "100",
    "99.999", "1e6", "1000001", "1_000", "0x10", "٣", "nan", "inf", "-inf", "+5", " 7 ", "1,5", "1e", ".", "½",
)  # fmt: skip
PLAUSIBLE = ("0", "0.1", "0.5", "1", "2", "3", "5", "10", "20", "30", "45", "60", "90", "100", "600")
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.1, -0.0, 1e308, "", " ", "\n", "a\nb", "\x00", "a\x00b", "\x1b[31mred",
    "\x7f", "\x85", "\u2028", "\u202e", "\ud7ff", "💥" * 40, "A" * 3000, "é" * 700, "../../../etc/passwd", "/nowhere/at/all",
    ".", "/", "CON", "=1+1", "@SUM(A1)", "[red]x[/red]", "$x$", r"$\frac{", "<script>", "&amp;", "%s%n", "{0}", "{{x}}", "${x}",
    "!!python/object/apply:os.system [id]", "*a", "&a", "<<", "~", "null", "yes", "on", "12:30:45", "2024-13-45", "2024-01-01",
    "> 0", ">= 1e6", "> 1000001", "< -1", "0 of 0", "1 of 999999", "999999 of 999999", "2 of 1", "1 of 1", "p0", "p100", "p99.99",
    "prod", "1", "2", "$LATEST", "no rollout", "_x", "-x", "canary", "breaching", "100%", "0%", "101%", "-5%", "1e9/s", "0/s",
    "36500 d", "36501 d", "1 us", "0.1 us", "-2 min", "1e-30 s", "0 s", [], {}, [[]], [None], {"": None}, {"a": 1},
    {"exponential": {"mean": "0 s"}}, {"lognormal": {"median": "1 us", "p99": "36500 d"}}, {"gamma": {"mean": "1 s", "sd": "1 us"}},
    {"uniform": {"low": "2 s", "high": "1 s"}}, {"empirical": {"file": "nowhere.csv"}}, {"empirical": {"file": "."}},
    {"poisson": "1e9/s"}, {"fixed": "1 us"}, {"type": "canary"}, {"type": "steps", "steps": []}, {"like": "1"}, {"like": "2"},
)  # fmt: skip


def places(data: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values inside plain data."""
    result: list[tuple[Any, ...]] = []
    if isinstance(data, dict):
        children = list(data.items())
    elif isinstance(data, list):
        children = list(enumerate(data))
    else:
        children = []
    for key, value in children:
        result.append((*way, key))
        result += places(value, (*way, key))
    return result


def at(data: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        data = data[key]
    return data


def scalar(rng: random.Random, old: Any) -> Any:
    """Another value in place of `old`: near it, of another unit, or hostile."""
    text = str(old)
    if (
        rng.random() < 0.4
        and not isinstance(old, bool)
        and re.search(r"\d", text)
        and isinstance(old, str | int | float)
    ):
        near = re.sub(r"\d+(\.\d+)?", lambda _: rng.choice(PLAUSIBLE), text, count=1)
        return near if isinstance(old, str) else float(near) if "." in near else int(near)
    choice = rng.random()
    if choice < 0.3 and isinstance(old, str) and re.search(r"\d", text):
        return re.sub(r"\d+(\.\d+)?", lambda _: rng.choice(NUMBERS), text, count=1)
    if choice < 0.45 and isinstance(old, str) and re.search(r"\d", text):
        return re.sub(r"(?<=[\d.])\s*[a-zA-Z%/]*$", f"{rng.choice(['', ' '])}{rng.choice(UNITS)}", text)
    if choice < 0.55:
        return f"{rng.choice(NUMBERS)}{rng.choice(['', ' '])}{rng.choice(UNITS)}"
    if choice < 0.62 and isinstance(old, int | float) and isinstance(old, str | int | float):
        return rng.choice([old + 1, old - 1, -old, old * 1000, old / 7, str(old), [old]])
    if choice < 0.7 and text:
        k = rng.randrange(len(text))
        return text[:k] + rng.choice(["", "\x00", "\x1b", "é", " ", "%", "9", text[k] * 2]) + text[k + 1 :]
    return copy.deepcopy(rng.choice(HOSTILE))


def structure(rng: random.Random, data: Any, others: list[Any]) -> Any:
    """One change of the structure: a value, a key, a part gone, doubled, moved, or taken from another document."""
    data = copy.deepcopy(data)
    ways = places(data)
    if not ways:
        return scalar(rng, data)
    way = rng.choice(ways)
    parent, key = at(data, way[:-1]), way[-1]
    choice = rng.random()
    if choice < 0.45:
        leaves = [w for w in ways if not isinstance(at(data, w), dict | list)] or ways
        way = rng.choice(leaves)
        parent, key = at(data, way[:-1]), way[-1]
        parent[key] = scalar(rng, parent[key])
    elif choice < 0.57:
        del parent[key]
    elif choice < 0.67:
        other = rng.choice(others)
        source = rng.choice(places(other) or [()])
        parent[key] = copy.deepcopy(at(other, source))
    elif choice < 0.77 and isinstance(parent, dict):
        value = parent.pop(key)
        names = [str(w[-1]) for w in ways]
        parent[rng.choice([*names, f"{key}x", str(key)[:-1], str(key).upper(), scalar_key(rng)])] = value
    elif choice < 0.85:
        parent[key] = copy.deepcopy(at(data, rng.choice(ways)))
    elif choice < 0.9:
        parent[key] = [copy.deepcopy(parent[key])] * rng.choice([1, 2, 40])
    elif choice < 0.94:
        value = parent[key]
        for _ in range(rng.choice([1, 3, 60])):
            value = rng.choice([[value], {"a": value}])
        parent[key] = value
    else:
        parent[key] = scalar(rng, parent[key])
    return data


def scalar_key(rng: random.Random) -> Any:
    return rng.choice([value for value in HOSTILE if isinstance(value, str | int | float | None)])


BOMB = "x0: &x0 [x, x]\n" + "".join(f"x{k}: &x{k} [{', '.join([f'*x{k - 1}'] * 9)}]\n" for k in range(1, 9))
"""Aliases of aliases: some forty million values once they are written out."""
SNIPPETS = (
    BOMB, BOMB.replace("\n", ", "), "&a [*a, *a]", "*nowhere", "&x {a: *x}", "{a: ", "[" * 60, "- - - - ", "? ", "!!binary aGk=",
    "!Ref X", "!Sub '${X}'", "!Foo x", "%YAML 9.9\n---\n", "---\n", "...\n", "\t", "\ufeff", "\r", "\x00", "\x1b[2J", "\u202e",
    "\udce9", '"', "'", "|", "> 5", ": ", " #", "<<: *a\n", "{a: 1, b: 2}, " * 300, "x: " * 40, "- {}\n" * 2000, "2024-02-30",
    "0o17",
)  # fmt: skip


def text(rng: random.Random, source: str, others: list[str]) -> str:
    """A few changes of the text, at any character."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        k = rng.randrange(len(source) + 1)
        end = min(len(source), k + rng.choice([1, 1, 5, 40, 400]))
        choice = rng.random()
        if choice < 0.2:
            source = source[:k] + source[end:]
        elif choice < 0.4:
            source = source[:k] + rng.choice(SNIPPETS) + source[k:]
        elif choice < 0.5:
            source = source[:k] + source[k:end] * rng.choice([2, 3, 50]) + source[end:]
        elif choice < 0.58:
            source = source[:k]
        elif choice < 0.66:
            other = rng.choice(others)
            source = source[:k] + other[rng.randrange(len(other) + 1) :]
        elif choice < 0.74:
            lines = source.split("\n")
            rng.shuffle(lines) if rng.random() < 0.2 else lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            source = "\n".join(lines)
        elif choice < 0.82:
            source = re.sub(r"\d+", lambda match: rng.choice([match[0], match[0], rng.choice(NUMBERS)]), source)
        elif choice < 0.9:
            source = (
                source[:k] + chr(rng.choice([0, 7, 9, 27, 34, 39, 58, 123, 127, 233, 0x2028, 0x1F4A5])) + source[k:]
            )
        else:
            source = source[:k] + source[k:end].swapcase() + source[end:]
    return source[:400_000]


def from_schema(rng: random.Random, schema: dict[str, Any], definitions: dict[str, Any], depth: int = 0) -> Any:
    """A value that the JSON Schema describes, now and then one that it does not."""
    if rng.random() < 0.003:
        return copy.deepcopy(rng.choice(HOSTILE))
    if "$ref" in schema:
        return from_schema(rng, definitions[schema["$ref"].rpartition("/")[2]], definitions, depth + 1)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return from_schema(rng, rng.choice(schema[several]), definitions, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        result = {}
        required = schema.get("required", ())
        for name, inner in schema.get("properties", {}).items():
            if depth < 9 and rng.random() < (0.99 if name in required else 0.2 if depth else 0.5):
                result[name] = from_schema(rng, inner, definitions, depth + 1)
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            for name in rng.sample(["1", "2", "3", "prod", "test", "a", "b c", "é"], rng.randint(0, 3)):
                result[name] = from_schema(rng, more, definitions, depth + 1)
        return result
    if kind == "array":
        return [from_schema(rng, schema.get("items", {}), definitions, depth + 1) for _ in range(rng.randint(0, 3))]
    if kind == "integer":
        return rng.choice([1, 1, 2, 3, 7, 20] if rng.random() < 0.97 else [0, 1000, 10**6, -1, 2**40])
    if kind == "number":
        return rng.choice([0, 0.5, 1.1, 10, 99, -1, 1e9])
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "null":
        return None
    examples = schema.get("examples")
    if examples or "pattern" in schema:
        example = rng.choice(examples or ["1 s"])
        numbers = NUMBERS if rng.random() < 0.02 else PLAUSIBLE[3:]
        return re.sub(r"\d+", lambda _: rng.choice(numbers), example)
    return rng.choice(
        ["prod", "1", "2", "test", "a", "errors", "> 0", "> 1%", "> 300 ms", "2 of 3", "1 of 1", "sum", "p99", "x"]
    )
