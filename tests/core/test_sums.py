"""Sums: the same bytes on every Python.

`sum` of floats is compensated since Python 3.12 and was not before; `math.fsum` and NumPy are the same everywhere. In the
data planes there are only sums of NumPy's numbers, of whole numbers, and of what decides about no draw.
"""

from __future__ import annotations

import ast
from pathlib import Path

import rollout_sim

PACKAGE = Path(rollout_sim.__file__).parent
WHOLE = {
    "column.names and not", "self.widths", "widths[: self.names]", "least", "k < self.names", "wrapped(name, _NAME).count(",
    'label.count("\\n")', "box.overlaps(", "math.comb(", "spec.provisioned for", "len(part) + 2",
    "len(item.value) + 2", "1 for hypothesis", "batch.count for", "part.size for part",
    "size for size, _ in measures", "source.users.count for", "remark.startswith(", "hook.invocations for",
    "widths[k] + _BETWEEN for", "source.bad for", "source.lost for", "source.arrived for",
    "counted.values(", "count for _, count in self._launching", "provisioned.environments for", "not np.isnan(",
    "source.fates[fate] for", "lost.values(", "finding.meant is None or",
    "source.owners.count for", "part.replications for",
    "rank for rank, _", "rows.size for rows", "map(_watched_by, value", "release.bad for", "map(box.overlaps, ",
}  # fmt: skip
"""What whole numbers are summed of."""


def _counts(summed: ast.expr) -> bool:
    """Whether what is summed up is whether something holds, or how many parts something has."""
    element = summed.elt if isinstance(summed, ast.GeneratorExp | ast.ListComp) else summed
    if isinstance(element, ast.BoolOp):
        return all(_counts(value) for value in element.values)
    called = element.func if isinstance(element, ast.Call) else None
    return isinstance(element, ast.Compare) or (isinstance(called, ast.Name) and called.id == "len")


def test_no_floats_are_summed_by_sum() -> None:
    summed = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "planes" in path.parts:
            continue
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sum":
                what = ast.get_source_segment(source, node.args[0]) or ""
                what = what.removeprefix("(").removesuffix(")")
                if (
                    len(node.args) == 1 and not _counts(node.args[0]) and not what.startswith(tuple(WHOLE))
                ):  # others begin with an array
                    summed.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: sum({what})")
    assert summed == [], "math.fsum, or a sum of whole numbers that WHOLE does not know"
