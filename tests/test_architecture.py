"""The shape of the package: floors, file sizes, and what may be imported where."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rollout_sim

PACKAGE = Path(rollout_sim.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path
    for path in FILES
    if path.parent != PACKAGE or path.name != "__init__.py"
}
"""All but the package's own `__init__`, which holds the floor map."""
MAX_LINES = 400

AT_MODULE_LEVEL = {
    "simpy": {"clock", "planes/simpy_plane"},
    "pydantic": set(),
    "numba": {"planes/compiler"},
    "matplotlib": {
        "plots",
        "plots_style",
        "plots_traffic",
        "comparison_plots",
        "sweep_plots",
        "recommendation_plots",
        "report_figures",
        "explorer",
        "plots_inside",
    },
}
"""The modules that are about a library; all others import it inside a function, if at all."""


def floors() -> dict[str, int]:
    """The floor map in the package's docstring: module to floor."""
    found: dict[str, int] = {}
    for line in (rollout_sim.__doc__ or "").splitlines():
        match = re.match(r"^\s+(\d+)\s+([\w/, ]+)$", line)
        if match:
            for module in match[2].split(","):
                assert module.strip() not in found, f"{module.strip()} stands on two floors"
                found[module.strip()] = int(match[1])
    return found


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(node: ast.AST, path: Path) -> Iterator[str]:
    """The full names of the modules that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path}:{node.lineno}: a relative import"
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            yield name if own(name) in MODULES else str(node.module)


def own(name: str) -> str:
    """The module of ours that `rollout_sim.x.y` is, as the floor map writes it."""
    path = name.removeprefix("rollout_sim.").replace(".", "/")
    return path if path in MODULES else f"{path}/__init__"


def at_module_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run at import: not those in functions or for type checkers only."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from at_module_level(node.orelse)
            continue
        yield node
        for name in ("body", "orelse", "finalbody"):
            yield from at_module_level(getattr(node, name, []))
        for handler in getattr(node, "handlers", []):
            yield from at_module_level(handler.body)


def test_every_module_has_a_floor_and_every_floor_its_modules() -> None:
    assert set(floors()) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_lower_floors(module: str) -> None:
    floor = floors()
    code = tree(MODULES[module])
    for_types_only = {
        id(node)
        for block in ast.walk(code)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(code):
        if id(node) in for_types_only:
            continue
        for name in imported(node, MODULES[module]):
            if name.split(".")[0] != "rollout_sim":
                continue
            other = own(name)
            place = f"{module}:{getattr(node, 'lineno', 0)}"
            assert other in floor, f"{place} imports {name}, which has no floor"
            assert floor[other] < floor[module], (
                f"{place} (floor {floor[module]}) imports {other} (floor {floor[other]})"
            )


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(PACKAGE).as_posix() for path in FILES])
def test_files_stay_small(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: split it along a domain noun"


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(PACKAGE).as_posix() for path in FILES])
def test_no_bare_except_and_no_print(path: Path) -> None:
    for node in ast.walk(tree(path)):
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"{path}:{node.lineno}: bare except"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{path}:{node.lineno}: print"


@pytest.mark.parametrize("module", MODULES)
def test_libraries_are_imported_where_they_belong(module: str) -> None:
    for node in at_module_level(tree(MODULES[module]).body):
        for name in imported(node, MODULES[module]):
            library = name.split(".")[0]
            assert module in AT_MODULE_LEVEL.get(library, {module}), f"{module}:{node.lineno} imports {library}"


def test_the_command_line_starts_without_heavy_libraries() -> None:
    heavy = ("pandas", "matplotlib", "pydantic", "simpy", "scipy", "numba")
    script = f"import sys, rollout_sim.cli; print(*(name for name in {heavy} if name in sys.modules))"
    # In a folder of its own, and as in an installation: `-P` keeps the current folder off the path.
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
