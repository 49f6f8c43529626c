"""CloudWatch's two small languages: metric maths over datapoints, and the rules of composite alarms.

Metric maths is read by Python's own parser and held to a list of what CloudWatch knows; nothing is ever executed as
Python. Source: "Using math expressions with CloudWatch metrics" and "Composite alarms" (CloudWatch user guide).
"""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.core.yaml_io import suggest

Kind = Literal["number", "series", "list"]
Value = float | FloatArray | list[FloatArray]
"""What a part of an expression is worth: a number, a series of datapoints (NaN for a missing one), or several series."""
Compute = Callable[[Mapping[str, FloatArray]], Any]
Operation = Callable[[FloatArray, FloatArray], FloatArray]
FUNCTIONS: Final = ("IF", "FILL", "MAX", "MIN", "SUM", "AVG", "ABS", "METRICS")
MAX_TEXT: Final = 1024
"""The longest expression, in characters; CloudWatch's own limit for one in an alarm."""
_ID: Final = re.compile(r"[a-z][A-Za-z0-9_]{0,254}")
_WORDS: Final = re.compile(r"\"[^\"]*\"|'[^']*'|\b(?:AND|OR)\b|&&|\|\||\^")
_PYTHON: Final = {"AND": "and", "OR": "or", "&&": " and ", "||": " or ", "^": "**"}
_ALLOWED: Final = f"+ - * / ^, == != < <= > >=, AND, OR, {', '.join(FUNCTIONS)}, numbers and the names in `metrics`"


@dataclass(frozen=True, slots=True)
class Expression:
    """Metric maths over metrics called `names`, ready to be computed."""

    text: str
    names: tuple[str, ...]
    _compute: Compute

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes read the text again."""
        return parse_expression, (self.text, self.names)

    def compute(self, series: Mapping[str, FloatArray]) -> FloatArray:
        """The datapoints, from those of each name: all of one shape, NaN where there is none."""
        result: FloatArray = np.asarray(self._compute(series), float)
        # Rounded, because 100 * 0.07 is a hair above 7.
        return np.asarray(np.round(np.where(np.isfinite(result), result, np.nan), 9), np.float64)


def parse_expression(text: str, names: Sequence[str]) -> Expression:
    """The metric maths in `text` over metrics with these names.

    Raises ValueError that says what is wrong, at which column.

    Examples:
        >>> guard = parse_expression("IF(requests >= 20, 100 * errors / requests, 0)", ["requests", "errors"])
        >>> guard.compute({"requests": np.array([10.0, 50.0]), "errors": np.array([1.0, 1.0])}).tolist()
        [0.0, 2.0]
    """
    for name in names:
        if not _ID.fullmatch(name) or keyword.iskeyword(name):
            raise ValueError(
                f"metrics: is no name for metric maths, got {name!r}; allowed letters, digits and _, a small letter first"
            )
    if len(text) > MAX_TEXT:
        raise ValueError(f"expression: got {len(text)} characters; allowed at most {MAX_TEXT}")
    python, columns = as_python(text)
    reader = _Reader(text, columns, tuple(names))
    try:
        tree = ast.parse(python, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = getattr(error, "offset", None) or 0
        at = place - 1 if place > 0 and getattr(error, "lineno", 1) == 1 else len(columns) - 1
        raise ValueError(_problem(text, columns[min(at, len(columns) - 1)], "cannot be read from here on")) from None
    try:
        kind, compute = reader.read(tree.body)
    except RecursionError:
        raise ValueError(_problem(text, 0, "is nested too deeply")) from None
    if kind != "series":
        what = "is a number" if kind == "number" else "is several series"
        raise ValueError(_problem(text, 0, f"{what}, where an alarm needs one series of datapoints"))
    return Expression(text, tuple(names), compute)


def as_python(text: str) -> tuple[str, list[int]]:
    """The text with Python's spelling of the operators, and the column in `text` of each of its characters."""
    python, done = "", 0
    columns: list[int] = []
    for match in _WORDS.finditer(text):
        python += text[done : match.start()]
        columns += range(done, match.start())
        word = _PYTHON.get(match[0], match[0])
        same = len(word) == len(match[0])
        columns += range(*match.span()) if same else [match.start()] * len(word)
        python += word
        done = match.end()
    # Line ends are spaces to CloudWatch, and to Python inside brackets only.
    python = re.sub(r"[\r\n\t]", " ", python + text[done:])
    columns += range(done, len(text) + 1)
    lead = len(python) - len(python.lstrip())
    return python[lead:], columns[lead:] or [0]


def _problem(text: str, column: int, what: str) -> str:
    return f"expression: column {column + 1} of {text!r}: {what}; allowed {_ALLOWED}"


class _Reader:
    """Turns a syntax tree into a function of the series, refusing whatever CloudWatch does not know."""

    def __init__(self, text: str, columns: list[int], names: tuple[str, ...]) -> None:
        self.text = text
        self.columns = columns
        self.names = names

    def read(self, node: ast.expr) -> tuple[Kind, Compute]:
        """What kind of value a node is, and how it is computed."""
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                number = float(value)
                if not math.isfinite(number):
                    raise self.wrong(node, "is no finite number")
                return "number", lambda _: number
            case ast.Name(id=name):
                if name not in self.names:
                    raise self.wrong(node, f"there is no metric {name!r}{suggest(name, self.names)}")
                return "series", lambda series: series[name]
            case ast.List(elts=parts) if parts:
                return "list", self.listed(parts)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                kind, inner = self.read(operand)
                sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
                return kind, lambda series: _each(lambda value: sign * value, inner(series))
            case ast.BinOp(left=left, op=op, right=right):
                operation = _ARITHMETIC.get(type(op))
                if operation is None:
                    raise self.wrong(node, "there is no such operator")
                return self.combined(operation, [left, right])
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                operation = _COMPARISONS.get(type(op))
                if operation is None:
                    raise self.wrong(node, "there is no such comparison")
                return self.combined(operation, [left, right])
            case ast.BoolOp(op=op, values=values):
                return self.combined(_BOTH if isinstance(op, ast.And) else _EITHER, values)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.called(node, name, arguments)
            case _:
                raise self.wrong(node, "is nothing that metric maths knows")

    def combined(self, operation: Operation, parts: Sequence[ast.expr]) -> tuple[Kind, Compute]:
        """An operator between two or more values, from left to right."""
        kinds, computed = zip(*(self.read(part) for part in parts), strict=True)
        kind: Kind = "list" if "list" in kinds else "series" if "series" in kinds else "number"
        return kind, lambda series: reduce(
            lambda left, right: _pairs(operation, left, right), [compute(series) for compute in computed]
        )

    def listed(self, parts: Sequence[ast.expr]) -> Compute:
        """Several series in one list, lists inside of it opened."""
        computed = []
        for part in parts:
            kind, compute = self.read(part)
            if kind == "number":
                raise self.wrong(part, "is a number in a list of series")
            computed.append(compute)

        def flat(series: Mapping[str, FloatArray]) -> list[FloatArray]:
            values = [compute(series) for compute in computed]
            return [part for value in values for part in (value if isinstance(value, list) else [value])]

        return flat

    def called(self, node: ast.expr, name: str, arguments: Sequence[ast.expr]) -> tuple[Kind, Compute]:
        """A function of CloudWatch's."""
        if name == "METRICS":
            return "list", self.metrics(node, arguments)
        if name == "IF" and len(arguments) in (2, 3):
            return self.condition(arguments)
        if name == "FILL" and len(arguments) == 2:
            return self.filled(arguments)
        if name == "ABS" and len(arguments) == 1:
            kind, inner = self.read(arguments[0])
            return kind, lambda series: _each(np.abs, inner(series))
        if name in _REDUCTIONS and arguments:
            return "series", self.reduced(node, name, arguments)
        if name in FUNCTIONS:
            raise self.wrong(node, f"{name} with {len(arguments)} arguments")
        raise self.wrong(node, f"there is no function {name!r}{suggest(name, FUNCTIONS)}")

    def metrics(self, node: ast.expr, arguments: Sequence[ast.expr]) -> Compute:
        """All the metrics, or those with a text in their names."""
        part = ""
        match arguments:
            case []:
                pass
            case [ast.Constant(value=str(part))]:
                pass
            case _:
                raise self.wrong(node, "METRICS takes nothing or a part of names in quotes")
        names = [name for name in self.names if part in name]
        if not names:
            raise self.wrong(node, f"no metric has {part!r} in its name")
        return lambda series: [series[name] for name in names]

    def condition(self, arguments: Sequence[ast.expr]) -> tuple[Kind, Compute]:
        """IF: where the condition is not 0 the second, else the third, of which a missing point is dropped."""
        read = [self.read(argument) for argument in arguments]
        for argument, (kind, _) in zip(arguments, read, strict=True):
            if kind == "list":
                raise self.wrong(argument, "is several series, where IF takes one")
        computed = [compute for _, compute in read]

        def chosen(series: Mapping[str, FloatArray]) -> FloatArray:
            condition, then, *rest = (np.asarray(compute(series), float) for compute in computed)
            otherwise = rest[0] if rest else np.array(np.nan)
            # A missing point counts as 0 where the condition holds, and is dropped where it does not.
            value = np.where(condition != 0, np.where(np.isnan(then), 0.0, then), otherwise)
            return np.where(np.isnan(condition), np.nan, value)

        return "series" if any(kind == "series" for kind, _ in read) else "number", chosen

    def filled(self, arguments: Sequence[ast.expr]) -> tuple[Kind, Compute]:
        """FILL: a number or another series where there is no point."""
        match arguments[1]:
            case ast.Name(id="REPEAT" | "LINEAR" as way):
                raise self.wrong(arguments[1], f"FILL with {way} is not modelled, only with a number or a metric")
        kind, given = self.read(arguments[0])
        filler_kind, filler = self.read(arguments[1])
        if kind == "number" or filler_kind == "list":
            raise self.wrong(arguments[0 if kind == "number" else 1], "FILL takes a series, and a number or one series")
        return kind, lambda series: _each(lambda value: np.where(np.isnan(value), filler(series), value), given(series))

    def reduced(self, node: ast.expr, name: str, arguments: Sequence[ast.expr]) -> Compute:
        """SUM, AVG, MAX or MIN over several series, point by point."""
        if len(arguments) > 1:
            inner = self.listed(arguments)
        else:
            kind, inner = self.read(arguments[0])
            if kind != "list":
                what = f"{name} of one metric is a number over the whole graph, which no alarm should rest on"
                raise self.wrong(node, f"{what}; give it a list: {name}([a, b])")
        return lambda series: _REDUCTIONS[name](np.array(inner(series)))

    def wrong(self, node: ast.expr, what: str) -> ValueError:
        """The error at the place of the node."""
        column = self.columns[min(node.col_offset, len(self.columns) - 1)]
        return ValueError(_problem(self.text, column, what))


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    return [change(part) for part in value] if isinstance(value, list) else change(value)


def _pairs(operation: Operation, left: Any, right: Any) -> Any:
    """An operation between two values, a list taken apart."""
    if isinstance(left, list) and isinstance(right, list):
        return [operation(a, b) for a, b in zip(left, right, strict=False)]
    if isinstance(left, list):
        return [operation(a, right) for a in left]
    if isinstance(right, list):
        return [operation(left, b) for b in right]
    return operation(left, right)


def _meeting(operation: Callable[[Any, Any], Any]) -> Operation:
    """The operation on two series: a missing operand counts as 0 where the other one has a point; numbers have none."""

    def applied(left: FloatArray, right: FloatArray) -> FloatArray:
        gaps = [np.isnan(side) for side in (left, right)]
        gone: Any = False
        if any(gap.any() for gap in gaps):
            series = [gap for gap in gaps if np.ndim(gap)]
            # A number that is none (1 / 0) leaves nothing of the other side.
            gone = any(bool(gap) for gap in gaps if not np.ndim(gap)) or (np.all(series, axis=0) if series else False)
            left, right = (np.where(gap, 0.0, side) for gap, side in zip(gaps, (left, right), strict=True))
        with np.errstate(all="ignore"):
            value = np.asarray(operation(left, right), np.float64)
        return np.where(gone | ~np.isfinite(value), np.nan, value)

    return applied


_ARITHMETIC: Final[dict[type, Operation]] = {
    ast.Add: _meeting(np.add),
    ast.Sub: _meeting(np.subtract),
    ast.Mult: _meeting(np.multiply),
    ast.Div: _meeting(np.true_divide),
    ast.Pow: _meeting(np.float_power),
}
_COMPARISONS: Final[dict[type, Operation]] = {
    ast.Eq: _meeting(np.equal),
    ast.NotEq: _meeting(np.not_equal),
    ast.Lt: _meeting(np.less),
    ast.LtE: _meeting(np.less_equal),
    ast.Gt: _meeting(np.greater),
    ast.GtE: _meeting(np.greater_equal),
}
_BOTH: Final = _meeting(np.logical_and)
_EITHER: Final = _meeting(np.logical_or)


def _over(reduction: Callable[[Any], Any]) -> Callable[[Any], FloatArray]:
    """A reduction over the first axis that leaves out what is missing; missing where all of it is."""

    def reduced(values: FloatArray) -> FloatArray:
        gone = np.isnan(values).all(axis=0)
        return np.where(gone, np.nan, reduction(np.where(gone, 0.0, values)))

    return reduced


_REDUCTIONS: Final[dict[str, Callable[[Any], FloatArray]]] = {
    "SUM": _over(lambda values: np.nansum(values, axis=0)),
    "AVG": _over(lambda values: np.nan_to_num(values).mean(axis=0)),  # a missing value counts as 0
    "MAX": _over(lambda values: np.nanmax(values, axis=0)),
    "MIN": _over(lambda values: np.nanmin(values, axis=0)),
}

# --- composite alarms -------------------------------------------------------------------------------------------------

CODES: Final = {"OK": 0, "ALARM": 1, "INSUFFICIENT_DATA": 2}
"""The codes of an alarm's states."""
States = NDArray[np.int8]
Holds = Callable[[Mapping[str, States]], BoolArray]
_TOKEN: Final = re.compile(r'\s*(?:"([^"]*)"|([(),])|([^\s(),"]+))')


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of a composite alarm: `names` are the alarms whose states it reads."""

    text: str
    names: tuple[str, ...]
    _holds: Holds

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes read the text again."""
        return parse_rule, (self.text,)

    def holds(self, states: Mapping[str, States]) -> BoolArray:
        """Whether it holds, given the states (codes of `CODES`) of each alarm."""
        return self._holds(states)


def parse_rule(text: str) -> Rule:
    """The rule in `text`: AND, OR, NOT, ALARM(), OK(), INSUFFICIENT_DATA(), AT_LEAST(), TRUE, FALSE.

    Raises ValueError that says what is wrong, at which column.

    Examples:
        >>> rule = parse_rule('ALARM(errors) AND NOT OK("slow")')
        >>> rule.names
        ('errors', 'slow')
    """
    return _RuleReader(text).rule()


def _always(value: bool) -> Holds:
    return lambda states: np.full(next(iter(states.values())).shape, value)


def _at_least(least: int, names: Sequence[str], code: int, *, negated: bool) -> Holds:
    """Whether so many of the alarms called `names` are in the state, or `negated` are not."""
    return lambda states: np.sum([(states[name] == code) != negated for name in names], axis=0) >= least


class _RuleReader:
    """Reads a rule from left to right; NOT binds tighter than AND, AND tighter than OR."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, int, bool]] = []
        self.names: dict[str, None] = {}
        self.place = 0
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"rule: column {at + 1} of {text!r}: a quote is not closed")
            quoted = match[1] is not None
            word = next(group for group in match.groups() if group is not None)
            self.tokens.append((word, match.end() - len(match[0].lstrip()), quoted))
            at = match.end()

    def rule(self) -> Rule:
        """The whole text."""
        try:
            holds = self.either()
        except RecursionError:
            raise self.wrong("is nested too deeply") from None
        if self.place < len(self.tokens):
            raise self.wrong("nothing may follow here")
        if not self.names:
            raise self.wrong("reads no alarm")
        return Rule(self.text, tuple(self.names), holds)

    def either(self) -> Holds:
        parts = [self.both()]
        while self.next_is("OR"):
            parts.append(self.both())
        return lambda states: reduce(np.logical_or, [part(states) for part in parts])

    def both(self) -> Holds:
        parts = [self.single()]
        while self.next_is("AND"):
            parts.append(self.single())
        return lambda states: reduce(np.logical_and, [part(states) for part in parts])

    def single(self) -> Holds:
        if self.next_is("NOT"):
            inner = self.single()
            return lambda states: np.logical_not(inner(states))
        if self.next_is("("):
            inside = self.either()
            self.expect(")")
            return inside
        for word, holds in (("TRUE", True), ("FALSE", False)):
            if self.next_is(word):
                return _always(holds)
        if self.next_is("AT_LEAST"):
            return self.at_least()
        for word, code in CODES.items():
            if self.next_is(word):
                self.expect("(")
                name = self.name()
                self.expect(")")
                return _at_least(1, [name], code, negated=False)
        raise self.wrong("needs ALARM(), OK(), INSUFFICIENT_DATA(), AT_LEAST(), NOT, TRUE, FALSE or ( here")

    def at_least(self) -> Holds:
        self.expect("(")
        count = self.word()
        self.expect(",")
        negated = self.next_is("NOT")
        state = self.word()
        if state not in CODES:
            raise self.wrong(f"AT_LEAST takes a state, allowed {', '.join(CODES)}", back=1)
        self.expect(",")
        self.expect("(")
        names = [self.name()]
        while self.next_is(","):
            names.append(self.name())
        self.expect(")")
        self.expect(")")
        match = re.fullmatch(r"(\d{1,3})(%?)", count)
        least = 0 if match is None else int(match[1])
        if match is not None and match[2]:
            least = math.ceil(least / 100 * len(names) - 1e-9)
        if not 1 <= least <= len(names):
            raise self.wrong(f"AT_LEAST takes 1 to {len(names)} or a share such as 50%, got {count!r}", back=1)
        return _at_least(least, names, CODES[state], negated=negated)

    def name(self) -> str:
        name = self.word()
        self.names[name] = None
        return name

    def word(self) -> str:
        if self.place >= len(self.tokens) or (self.tokens[self.place][0] in "()," and not self.tokens[self.place][2]):
            raise self.wrong("needs a word here")
        self.place += 1
        return self.tokens[self.place - 1][0]

    def next_is(self, word: str) -> bool:
        if self.place < len(self.tokens) and self.tokens[self.place][0] == word and not self.tokens[self.place][2]:
            self.place += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.next_is(word):
            raise self.wrong(f"needs {word} here")

    def wrong(self, what: str, back: int = 0) -> ValueError:
        """The error at the next word, or so many words before it."""
        place = min(self.place - back, len(self.tokens) - 1)
        beyond = self.place - back >= len(self.tokens)
        column = len(self.text) if beyond or place < 0 else self.tokens[place][1]
        return ValueError(f"rule: column {column + 1} of {self.text!r}: {what}")


_NAMED: Final = re.compile(r'"([^"]*)"|([^\s(),"]+)')


def renamed(rule: str, names: Mapping[str, str]) -> str:
    """A rule in which other names stand for those of `names`, in quotes or not."""
    return _NAMED.sub(lambda match: names.get(match[2] if match[1] is None else match[1], match[0]), rule)


def in_order(rules: Mapping[str, Iterable[str]]) -> list[str]:
    """The names of `rules`, each after those that it reads. Raises ValueError for a rule that reads itself."""
    done: list[str] = []
    left = dict(rules)
    while left:
        ready = [name for name, reads in left.items() if not any(other in left for other in reads)]
        if not ready:
            what = "reads itself" if len(left) == 1 else "read one another in a circle"
            raise ValueError(f"rule: {', '.join(left)} {what}")
        for name in ready:
            done.append(name)
            del left[name]
    return done
