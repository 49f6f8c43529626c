"""Document: a YAML file as plain data, with the line of every field.

Nothing here knows what a scenario means. YAML is read as YAML 1.2 reads it: `on`, `yes`, `10:30` and dates are
text, only `true`, `false`, `null` and decimal numbers are not. Every refusal is a ScenarioError whose problems
look like `FILE:LINE: where: what is wrong, got X; allowed Y`.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import yaml

from rollout_sim.core.files import FileReader, read_regular
from rollout_sim.errors import ScenarioError

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 50
MAX_NODES: Final = 30_000
"""Values in a file, its aliases written out: what is read in less than a second, and a hundred times what anybody writes."""
Where = tuple[str | int, ...]
"""The way to a value: `("function", "versions", "1", "faults", 0, "errors")`."""
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final[Mapping[type, str]] = {yaml.MappingNode: f"{_TAG}map", yaml.SequenceNode: f"{_TAG}seq"}
_SCALARS: Final = tuple(f"{_TAG}{name}" for name in ("str", "null", "bool", "int", "float"))
_SHOWN: Final = 60
_NAMES: Final = 100
"""Names that a message lists, and among which it looks for the one that was meant."""
_TOO_DEEP: Final = f"is nested too deeply; allowed {MAX_DEPTH} levels"
_TOO_MANY: Final = f"holds too many values, aliases written out; allowed {MAX_NODES}"


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """A file's plain data (all keys are text), and the line (from 1) on which each key or list item stands."""

    data: dict[str, Any]
    lines: Mapping[Where, int]
    path: Path
    files: FileReader = field(default_factory=FileReader, repr=False, compare=False)
    """Reads the files that the data names; documents made from this one by `dataclasses.replace` share it."""


class _LimitError(Exception):
    """The file breaks a limit in this line."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line = line
        self.what = what


class _Loader(yaml.SafeLoader):
    """PyYAML's composer with YAML 1.2's idea of what is not text, and the limits on nesting and size."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own form
    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # Composing is recursive: without the limit a row of brackets would exhaust Python's stack.
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH or self.nodes > MAX_NODES:
            line = int(self.peek_event().start_mark.line) + 1  # type: ignore[no-untyped-call]
            raise _LimitError(line, _TOO_DEEP if self.depth > MAX_DEPTH else _TOO_MANY)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


RESOLVERS: Final = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
)
"""What is not text: YAML's name for it, its pattern, the letters that it starts with."""


def add_resolvers(kind: type[yaml.SafeLoader | yaml.SafeDumper]) -> None:
    """Makes a loader or dumper of PyYAML's tell text from the rest by `RESOLVERS`."""
    for name, pattern, first in RESOLVERS:
        kind.add_implicit_resolver(f"{_TAG}{name}", re.compile(rf"(?:{pattern})\Z"), first)


add_resolvers(_Loader)


def read_yaml(path: Path) -> YamlDocument:
    """The document in the YAML file `path`.

    Raises ScenarioError for a file that cannot be read, is not UTF-8, is larger than `MAX_BYTES`, or holds
    anything but one mapping of plain values; nested deeper than `MAX_DEPTH`, with a key twice, or with aliases
    that contain themselves or come to more than `MAX_NODES` values.
    """
    empty = "the file is empty; a scenario is a mapping of fields"
    return _Reader(path=path).document(_text_of(path), "a scenario", empty)


def read_documents(path: Path) -> list[Any]:
    """The plain data of each document in a YAML file of another program, within the limits of `read_yaml`.

    Raises ScenarioError as `read_yaml` does, but the documents may be anything plain, and several.
    """
    return _Reader(path=path).values(_compose(path, _text_of(path)))


def read_tagged(path: Path, key_of: Callable[[str], str], what: str) -> YamlDocument:
    """The one mapping in a YAML or JSON file of another program whose values may have tags of their own.

    `!Ref x` becomes the mapping `{key_of("!Ref"): x}`; merge keys (`<<`) are merged. `what` is what such a file is called.
    Raises ScenarioError as `read_yaml` does.
    """
    text = _text_of(path)
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # JSON is indented with tabs, too; YAML is not, and JSON has none inside text
    return _Reader(path=path, key_of=key_of).document(text, what, f"{what} is a mapping of fields, got an empty file")


def _text_of(path: Path) -> str:
    try:
        content = read_regular(path, MAX_BYTES)
    except ValueError as error:
        raise ScenarioError([str(error)]) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ScenarioError([f"{path}:{line}: is not UTF-8 text, got the byte 0x{content[error.start]:02x}"]) from None


def _compose(path: Path, text: str, *, single: bool = False) -> list[yaml.Node]:
    """The documents in a file's text; with `single` at most one is allowed. Raises ScenarioError."""
    try:
        loader = _Loader(text)
        roots: list[yaml.Node | None] = [loader.get_single_node()] if single else []
        while not single and loader.check_node():
            roots.append(loader.get_node())
        return [root for root in roots if root is not None]
    except _LimitError as error:
        raise ScenarioError([problem(path, error.line, (), error.what)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ScenarioError([f"{path}:{line}: the character {chr(error.character)!r} is not allowed in YAML"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else f"{path}"
        what = ", ".join(part for part in (error.context, error.problem) if part)
        # `threshold: > 5` is the mistake that this format invites.
        hint = '; put text that starts with > or | into quotes, such as "> 5"' if "block scalar" in what else ""
        raise ScenarioError([f"{position}: not valid YAML: {what}{hint}"]) from None


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Turns composed nodes into plain data; collects the lines and the problems on the way."""

    path: Path
    key_of: Callable[[str], str] | None = None
    """Makes the key of a mapping of a value's tag, where a file may have tags of its own; merge keys are taken there."""
    lines: dict[Where, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def document(self, text: str, what: str, empty: str) -> YamlDocument:
        """The one mapping in a file's text; `what` is what such a file is called, `empty` is said of one without anything."""
        roots = _compose(self.path, text, single=True)
        if not roots:
            raise ScenarioError([f"{self.path}:1: {empty}"])
        if not isinstance(roots[0], yaml.MappingNode):
            self.check_size(roots[0])
            where = f"{self.path}:{_line(roots[0])}"
            raise ScenarioError([f"{where}: {what} is a mapping of fields, got {_kind(roots[0])}"])
        (data,) = self.values(roots, single=True)
        return YamlDocument(data=data, lines=self.lines, path=self.path)

    def values(self, roots: Sequence[yaml.Node], *, single: bool = False) -> list[Any]:
        """The plain data of each document; the places in several begin with their numbers. Raises ScenarioError."""
        self.check_size(*roots)
        data = [self.value(root, () if single else (number,)) for number, root in enumerate(roots)]
        if self.problems:
            raise ScenarioError(self.problems)
        return data

    def refuse(self, node: yaml.Node, where: Where, what: str) -> None:
        self.problems.append(problem(self.path, _line(node), where, what))

    def check_size(self, *roots: yaml.Node) -> None:
        """Raises ScenarioError unless the nodes of all documents, with aliases written out, are few and not nested too deeply.

        An alias shares its anchor's node, so each node is measured once, however often it is used.
        """
        measured: dict[int, tuple[int, int] | None] = {}

        def measure(node: yaml.Node) -> tuple[int, int]:
            known = measured.get(id(node), (0, 0))
            if known is None:
                raise ScenarioError([f"{self.path}:{_line(node)}: an alias stands inside its own anchor"])
            if known != (0, 0):
                return known
            measured[id(node)] = None
            size, depth = 1, 0
            for child in _children(node):
                inner = measure(child)
                size, depth = size + inner[0], max(depth, inner[1])
            measured[id(node)] = (size, depth + 1)
            return size, depth + 1

        measures = [measure(root) for root in roots]
        size, depth = sum(size for size, _ in measures), max((depth for _, depth in measures), default=0)
        if size > MAX_NODES or depth > MAX_DEPTH:
            raise ScenarioError([problem(self.path, 1, (), _TOO_DEEP if depth > MAX_DEPTH else _TOO_MANY)])

    def value(self, node: yaml.Node, where: Where) -> Any:
        self.lines.setdefault(where, _line(node))
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self.scalar(node, where)
        if node.tag == _PLAIN_TAGS.get(type(node)):
            return self.content(node, where)
        if self.key_of is not None and node.tag.startswith("!"):  # the mapping of the tag's key to what it is put to
            key = self.key_of(node.tag)
            self.lines.setdefault((*where, key), _line(node))
            return {key: self.content(node, (*where, key))}
        self.refuse(node, where, f"tags are not allowed, got {node.tag.replace(_TAG, '!!')}; write plain values")
        return None

    def content(self, node: yaml.Node, where: Where) -> Any:
        """A value, whatever its tag; a single one as text."""
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*where, i)) for i, child in enumerate(node.value)]
        return node.value

    def merged(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        """The pairs of a mapping, those of its merge keys first and without the keys that it has itself."""
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if not _is_merge(key):
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(source, yaml.MappingNode):
                    taken = {str(own.value) for own, _ in [*pairs, *node.value]}
                    pairs += [(own, inner) for own, inner in self.merged(source) if str(own.value) not in taken]
        return pairs + [(key, value) for key, value in node.value if not _is_merge(key)]

    def mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value if self.key_of is None else self.merged(node):
            if key_node.tag not in (f"{_TAG}str", f"{_TAG}int") or not isinstance(key_node.value, str):
                shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else _kind(key_node)
                self.refuse(
                    key_node,
                    where,
                    f"a key must be text or a whole number, got {shown or 'nothing'}; put it into quotes",
                )
                continue
            key = key_node.value
            at = (*where, key)
            if _is_merge(key_node):
                self.refuse(key_node, at, "merge keys are not taken; write the fields out")
            elif key in data:
                self.refuse(key_node, at, f"the key stands here twice, first in line {self.lines[at]}")
            else:
                self.lines[at] = _line(key_node)
                data[key] = self.value(value_node, at)
        return data

    def scalar(self, node: yaml.ScalarNode, where: Where) -> str | int | float | bool | None:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
                with suppress(UnicodeDecodeError):  # JSON writes rare letters as two halves
                    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
                self.refuse(node, where, f"holds half of a surrogate pair, got {shorten(ascii(text))}")
                return ascii(text)
            return text
        if kind == "null" and text in ("", "~", "null", "Null", "NULL"):
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            number = int(text) if kind == "int" else float(text) if kind == "float" else math.nan
        except ValueError:
            number = math.nan
        if not -1e300 < number < 1e300:
            self.refuse(node, where, f"is not a number that can be used, got {shorten(text)}")
        return number


def locate(document: YamlDocument, loc: Where) -> int:
    """The line of `loc`, or of the nearest thing around it that stands in the file."""
    while loc and loc not in document.lines:
        loc = loc[:-1]
    return document.lines.get(loc, 1)


def dotted(where: Where) -> str:
    """`where` as people write it: `function.versions.2.faults[0].errors`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The one of `allowed` (the first hundred of them) that `name` was probably meant to be, if any."""
    plain = {_plain(candidate): candidate for candidate in itertools.islice(allowed, _NAMES)}
    near = difflib.get_close_matches(_plain(name), plain, n=1)
    return plain[near[0]] if near else None


def listed(names: Iterable[str]) -> str:
    """Names one after the other, the first of them where there are many; `none` without any.

    Examples:
        >>> listed(["prod", "test"]), listed([])
        ('prod, test', 'none')
    """
    names = list(names)
    more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
    return (", ".join(names[:_NAMES]) or "none") + more


def suggest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'errors'?` when `name` is nearly one of `allowed`, else nothing."""
    near = nearest(name, allowed)
    return "" if near is None else f"; did you mean {near!r}?"


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def problem(path: Path, line: int, where: Where, what: str) -> str:
    """The message `FILE:LINE: where: what`."""
    return f"{path}:{line}: {dotted(where)}: {what}" if where else f"{path}:{line}: {what}"


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and key.style is None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _kind(node: yaml.Node) -> str:
    kinds: dict[type, str] = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}
    return kinds.get(type(node), "a single value")


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]+", "_", name).lower()


MISSHAPEN: Final = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""The errors that come of plain data in another form than the one that is expected."""


def what_is_wrong(error: Exception, missing: str = ": missing") -> str:
    """What one of these errors says; that of a key which is not there is the key and `missing`."""
    return f"{error.args[0]}{missing}" if isinstance(error, KeyError) else str(error)


def shorten(text: str) -> str:
    """`text`, cut where it would drown the message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


WIDTH: Final = 100
"""Columns of the comments, and of text in the layout `block`."""
FLOW: Final = 84
"""Columns of a mapping or list that stands on one line in the layout `compact`."""
_RARE_LINE_ENDS: Final = "\r\x85\u2028\u2029"
Layout = Literal["compact", "block", "line"]


class Tagged(str):
    """Text with a tag of its own, such as CloudFormation's `!Ref`; a subclass says which."""

    __slots__ = ()
    tag: ClassVar[str]


class _Dumper(yaml.SafeDumper):
    """Writes what `read_yaml` reads back as the same, each value where it stands: no anchors.

    Text that YAML 1.1 or YAML 1.2 would take for something else (`1e5`, `yes`, `0x1`) is quoted; text of several
    lines is written as such where it does not stand inside a line.
    """

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML asks for each value; the answer is the same
        return True

    def choose_scalar_style(self) -> str:
        """PyYAML's choice, except that tagged text is plain and that rare line ends are escaped.

        A tag says already that the text is no number, so quotes are not needed; and PyYAML would read the rarer line
        ends back as a line feed.
        """
        style, event, analysis = str(super().choose_scalar_style()), self.event, self.analysis
        assert isinstance(event, yaml.ScalarEvent)
        if any(end in event.value for end in _RARE_LINE_ENDS):
            return '"'
        tagged = event.tag is not None and event.tag.startswith("!") and event.value != ""
        return "" if tagged and analysis and analysis.allow_block_plain and not self.flow_level else style


add_resolvers(_Dumper)
_Dumper.add_multi_representer(Tagged, lambda dumper, value: dumper.represent_scalar(value.tag, str(value)))
_Dumper.add_representer(
    str, lambda dumper, value: dumper.represent_scalar(f"{_TAG}str", value, style="|" if _fits_a_block(value) else None)
)


def _fits_a_block(text: str) -> bool:
    r"""Whether text is written line by line: several lines, but no empty ones at the end, after which nothing may follow."""
    return "\n" in text and text != "\n" and not text.endswith("\n\n")


class _CompactDumper(_Dumper):
    """The whole document has one field a line; mappings and lists of single values stand on one line where they fit."""

    def serialize(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            node.flow_style = not node.value
        super().serialize(node)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        parts = [part.value for pair in node.value for part in pair]
        node.flow_style = bool(node.flow_style) and sum(len(part) + 2 for part in parts) <= FLOW
        return node

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = bool(node.flow_style) and sum(len(item.value) + 2 for item in node.value) <= FLOW
        return node


class _BlockDumper(_Dumper):
    """Each value on a line of its own, lists indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's own form
        super().increase_indent(flow, False)


_LAYOUTS: Final[Mapping[Layout, tuple[type[_Dumper], bool | None, float]]] = {
    "compact": (_CompactDumper, None, math.inf),
    "block": (_BlockDumper, False, WIDTH),
    "line": (_Dumper, True, math.inf),
}
"""The dumper of each layout, PyYAML's `default_flow_style`, and the columns at which long text is folded."""


def to_yaml(*documents: Any, layout: Layout = "compact") -> str:
    r"""Plain values as YAML, one or several documents: the counterpart of `read_yaml`, which reads them back.

    `compact` is for scenario files: one field a line, the innermost mappings and lists on one line. `block` is for
    files of other programs: each value on its own line. `line` puts everything on one line, without its end.

    Examples:
        >>> to_yaml({"name": "1e5", "rollout": {"to": "2", "alarms": ["errors"]}})
        "name: '1e5'\nrollout:\n  to: '2'\n  alarms: [errors]\n"
        >>> to_yaml({"to": "2", "alarms": ["errors"]}, layout="line")
        "{to: '2', alarms: [errors]}"
    """
    dumper, flow, width = _LAYOUTS[layout]
    text: str = yaml.dump_all(
        documents, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width
    )
    return text.removesuffix("\n").removesuffix("\n...") if layout == "line" else text


def commented(sections: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A file of sections, each a comment and below it the mapping that it is about, as YAML.

    A comment is any text; its lines are kept, long ones wrapped. Either part may be empty. The mappings make up one
    document together: raises ValueError for a key in two of them.
    """
    seen: set[str] = set()
    parts = []
    for comment, data in sections:
        if twice := seen.intersection(data):
            raise ValueError(f"the key {min(twice)!r} stands in two sections")
        seen.update(data)
        parts.append(comment_lines(comment) + (to_yaml(data) if data else ""))
    return "\n".join(part for part in parts if part)


def comment_lines(text: str, width: float = WIDTH) -> str:
    """`text` as lines behind `#`, wrapped between words at `width` columns.

    Whatever would end the line early, or is not allowed in YAML, becomes a line's end or a space.
    """
    lines = ["".join(c if c.isprintable() else " " for c in line).rstrip() for line in text.splitlines()]
    wrapped = lines if width == math.inf else [piece for line in lines for piece in _wrapped(line, int(width))]
    return "".join(f"# {piece}".rstrip() + "\n" for piece in wrapped)


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width - 2, break_long_words=False, break_on_hyphens=False) or [""]
