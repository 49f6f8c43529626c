"""Ranges: which values metric maths can come to at all, given those of its metrics, by interval arithmetic.

Counts are related: of the invocations of a version some are errors, so that `errors / invocations` is a share. So besides
its interval each part of an expression has the names of which it is at most so many times, point by point.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rollout_sim.control.expressions import Expression, as_python


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The values from `low` to `high`; infinite where nothing is known."""

    low: float
    high: float
    at_most: Mapping[str, float] = field(default_factory=dict)
    """By the name of a metric: never more than so many times its datapoint."""
    equals: tuple[str, float] | None = None
    """The metric and the factor by which it is this one, where it is nothing else."""
    number: bool = False
    """Whether it is a number, which is never missing."""

    @property
    def or_zero(self) -> Range:
        """This range with 0 in it, which is what a missing datapoint counts as beside one that is there; a number is never missing."""
        return self if self.number else Range(low=min(self.low, 0.0), high=max(self.high, 0.0), at_most=self.at_most)


ANYTHING = Range(low=-math.inf, high=math.inf)
TRUTH = Range(low=0.0, high=1.0)
Part = Range | list[Range]


def range_of(expression: Expression, metrics: Mapping[str, Range]) -> Range:
    """The values that `expression` can come to where its metrics come to those of `metrics`, by name.

    Examples:
        >>> from rollout_sim.control.expressions import parse_expression
        >>> counts = {"calls": Range(low=0, high=math.inf), "errors": Range(low=0, high=math.inf, at_most={"calls": 1.0})}
        >>> values = range_of(parse_expression("100 * (1 - errors / calls)", list(counts)), counts)
        >>> values.low, values.high
        (0.0, 100.0)
    """
    named = {
        name: Range(low=given.low, high=given.high, at_most={**given.at_most, name: 1.0}, equals=(name, 1.0))
        for name, given in metrics.items()
    }
    python, _ = as_python(expression.text)
    result = _Ranges(named).of(ast.parse(python, mode="eval").body)
    return ANYTHING if isinstance(result, list) else result


class _Ranges:
    """Walks a syntax tree that `parse_expression` has accepted."""

    def __init__(self, metrics: Mapping[str, Range]) -> None:
        self.metrics = metrics

    def of(self, node: ast.expr) -> Part:
        """The range of a node, or of each series of a list."""
        match node:
            case ast.Constant(value=int() | float() as value):
                return Range(low=float(value), high=float(value), number=True)
            case ast.Name(id=name):
                return self.metrics[name]
            case ast.List(elts=parts):
                return self.listed(parts)
            case ast.UnaryOp(op=op, operand=operand):
                inner = self.of(operand)
                return inner if isinstance(op, ast.UAdd) else _each(lambda part: times(part, _number(-1.0)), inner)
            case ast.BinOp(left=left, op=op, right=right):
                return _pairs(_OPERATIONS.get(type(op), _unknown), self.of(left), self.of(right))
            case ast.Compare() | ast.BoolOp():
                return TRUTH
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.called(name, arguments)
        return ANYTHING

    def listed(self, parts: Sequence[ast.expr]) -> list[Range]:
        """The ranges of several series, lists inside of the list opened."""
        ranges = [self.of(part) for part in parts]
        return [inner for part in ranges for inner in (part if isinstance(part, list) else [part])]

    def called(self, name: str, arguments: Sequence[ast.expr]) -> Part:
        """The range of a function of CloudWatch's."""
        if name == "METRICS":
            wanted = str(arguments[0].value) if arguments and isinstance(arguments[0], ast.Constant) else ""
            return [part for metric, part in self.metrics.items() if wanted in metric]
        if name in ("MAX", "MIN", "SUM", "AVG"):
            return _REDUCTIONS[name](self.listed(arguments))
        first, *rest = (self.of(argument) for argument in arguments)
        if name == "ABS":
            return _each(_absolute, first)
        if name == "FILL" and isinstance(rest[0], Range):
            filler = rest[0]
            return _each(lambda part: _filled(part, filler), first)
        if name == "IF" and all(isinstance(part, Range) for part in rest):
            then, *otherwise = (part for part in rest if isinstance(part, Range))
            return either([then.or_zero, *otherwise])
        return ANYTHING


def either(parts: Sequence[Range]) -> Range:
    """One of the ranges, nobody knows which."""
    shared = {
        name: max(part.at_most.get(name, 0.0) for part in parts)
        for name in {name for part in parts for name in part.at_most}
        if all(name in part.at_most or part.high <= 0 for part in parts)
    }
    return Range(low=min(part.low for part in parts), high=max(part.high for part in parts), at_most=shared)


def plus(left: Range, right: Range) -> Range:
    """The sum; a missing side counts as 0."""
    if not (left.number or right.number):
        left, right = left.or_zero, right.or_zero
    names = set(left.at_most) & set(right.at_most)
    bounded = {name: left.at_most[name] + right.at_most[name] for name in names}
    return Range(
        low=left.low + right.low, high=left.high + right.high, at_most=bounded, number=left.number and right.number
    )


def times(left: Range, right: Range) -> Range:
    """The product; a missing side counts as 0."""
    if left.number:
        left, right = right, left
    ends = [_product(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    low, high = min(ends), max(ends)
    if not right.number:
        return Range(low=min(low, 0.0), high=max(high, 0.0))
    factor = right.low
    bounded = {name: most * factor for name, most in left.at_most.items()} if factor >= 0 else {}
    equals = None if left.equals is None else (left.equals[0], left.equals[1] * factor)
    return Range(low=low, high=high, at_most=bounded, equals=equals, number=left.number)


def divided(left: Range, right: Range) -> Range:
    """The quotient; there is none where the right side is 0 or missing."""
    left = left if right.number else left.or_zero
    if right.low < 0:
        return ANYTHING
    if right.equals is not None and left.low >= 0 and right.equals[0] in left.at_most and right.equals[1] > 0:
        return Range(low=0.0, high=left.at_most[right.equals[0]] / right.equals[1])
    if right.number and right.low > 0:
        return times(left, _number(1.0 / right.low))
    low = 0.0 if left.low >= 0 else -math.inf
    return Range(low=low, high=0.0 if left.high <= 0 else math.inf)


def _unknown(left: Range, right: Range) -> Range:
    del left, right
    return ANYTHING


def _number(value: float) -> Range:
    return Range(low=value, high=value, number=True)


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _absolute(part: Range) -> Range:
    low = 0.0 if part.low <= 0 <= part.high else min(abs(part.low), abs(part.high))
    return Range(low=low, high=max(abs(part.low), abs(part.high)), at_most=part.at_most if part.low >= 0 else {})


def _filled(part: Range, filler: Range) -> Range:
    """A series whose missing datapoints are filled; one of counts stays that many of them beside others that are missing."""
    filled = either([part, filler])
    equals = part.equals if filler.number and filler.low >= 0 else None
    return Range(low=filled.low, high=filled.high, at_most=filled.at_most, equals=equals)


def _sum(parts: Sequence[Range]) -> Range:
    total = parts[0]
    for part in parts[1:]:
        total = plus(total, part)
    return total


def _greatest(parts: Sequence[Range]) -> Range:
    return either(parts)


def _mean(parts: Sequence[Range]) -> Range:
    total = _sum([part.or_zero for part in parts])
    return times(total, _number(1.0 / len(parts)))


_OPERATIONS: dict[type, Callable[[Range, Range], Range]] = {
    ast.Add: plus,
    ast.Sub: lambda left, right: plus(left, times(right, _number(-1.0))),
    ast.Mult: times,
    ast.Div: divided,
}
_REDUCTIONS: dict[str, Callable[[Sequence[Range]], Range]] = {
    "MAX": _greatest, "MIN": _greatest, "SUM": _sum, "AVG": _mean,
}  # fmt: skip


def _each(change: Callable[[Range], Range], part: Part) -> Part:
    return [change(inner) for inner in part] if isinstance(part, list) else change(part)


def _pairs(operation: Callable[[Range, Range], Range], left: Part, right: Part) -> Part:
    """An operation between two values, a list taken apart."""
    if isinstance(left, list) and isinstance(right, list):
        return [operation(a, b) for a, b in zip(left, right, strict=False)]
    if isinstance(left, list):
        return [operation(a, right) for a in left] if isinstance(right, Range) else left
    if isinstance(right, list):
        return [operation(left, b) for b in right]
    return operation(left, right)
