"""Registries of user-defined classes, which a scenario file uses by name: each has the field `type` for its name.

They come by decorator, or from installed packages by entry point. `extensions` is the public door.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import marshal
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

from rollout_sim.errors import ScenarioError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


Class = TypeVar("Class")


class Registry:
    """The classes of one kind, and the decorator that adds one.

    A class is a frozen dataclass whose field `type` has its name as the default. Each entry of `needs` names members of
    which the class has at least one, as field, property or method.
    Installed packages offer theirs under the entry point group `rollout_sim.<kind>`, under the same name.
    """

    def __init__(self, kind: str, *needs: tuple[str, ...]) -> None:
        self.kind = kind
        self.group = f"rollout_sim.{kind}"
        self.needs = needs
        self.taken: set[str] = set()
        self._classes: dict[str, type[Any]] = {}
        self._searched = False

    def __call__(self, cls: Class) -> Class:
        """Registers `cls`; the same name again takes the place of the first, as when a notebook's cell is run again.

        Raises TypeError for a class that cannot be used, ValueError for a name that is taken.
        """
        where = f"{self.group}: {getattr(cls, '__name__', cls)}"
        if not isinstance(cls, type) or not getattr(getattr(cls, "__dataclass_params__", None), "frozen", False):
            raise TypeError(f"{where} must be a frozen dataclass: put @dataclass(frozen=True, kw_only=True) under it")
        given: Any = cls
        fields = {field.name: field.default for field in dataclasses.fields(given)}
        name = fields.get("type")
        if not isinstance(name, str):
            raise TypeError(f'{where} needs its name as a field, such as type: Literal["my_name"] = "my_name"')
        for need in self.needs:
            if not any(member in fields or hasattr(cls, member) for member in need):
                raise TypeError(f"{where} needs {' or '.join(need)}")
        try:
            get_type_hints(given, include_extras=True)
        except NameError as error:
            raise TypeError(f"{where} has an annotation that is not known at its module's top level: {error}") from None
        if name in self.taken:
            raise ValueError(f"{where}: the name {name!r} is taken; choose another")
        if "__pydantic_config__" not in cls.__dict__:
            given.__pydantic_config__ = {"extra": "forbid"}  # a misspelt field is an error, as everywhere
        self._classes[name] = given
        return cls

    def classes(self) -> Mapping[str, type[Any]]:
        """The classes by name. Raises ScenarioError for an entry point that cannot be loaded."""
        if not self._searched:
            for point in entry_points(group=self.group):
                if point.name in self._classes:
                    continue
                try:
                    cls = point.load()
                    if self._classes.get(point.name) is not cls:
                        self(cls)
                except (ImportError, AttributeError, TypeError, ValueError) as error:
                    what = f"the entry point {point.name} = {point.value} cannot be used: {error}"
                    raise ScenarioError([f"{self.group}: {what}"]) from error
                if point.name not in self._classes:
                    raise ScenarioError(
                        [f"{self.group}: the entry point {point.name} = {point.value} has another type"]
                    )
            self._searched = True
        return self._classes

    def forget(self, name: str) -> None:
        """Takes the class called `name` out again. Raises KeyError where there is none."""
        del self._classes[name]


STRATEGIES: Final = Registry("strategies", ("plan",))
ARRIVALS: Final = Registry("arrivals", ("mean_rate",), ("expected", "times"))
FAULTS: Final = Registry("faults", ("step",), ("at",))


def registered() -> tuple[type[Any], ...]:
    """All classes that are registered now: what was made for others is out of date."""
    return tuple(cls for registry in (STRATEGIES, ARRIVALS, FAULTS) for cls in registry.classes().values())


class ByType:
    """Marks a field whose `type` chooses the class: one of `fixed` (built in), or of the registry's."""

    def __init__(self, registry: Registry, fixed: Mapping[str, type[Any]] | None = None) -> None:
        self.registry = registry
        self.fixed = fixed or {}
        registry.taken.update(self.fixed)

    def _types(self) -> dict[str, type[Any]]:
        return {**self.fixed, **self.registry.classes()}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A tagged union, which writes the `type` back although it is the class's default."""
        from pydantic_core import core_schema

        types = self._types()
        if not types:
            return core_schema.no_info_plain_validator_function(self._refuse)
        schemas = {cls: handler.generate_schema(cls) for cls in set(types.values())}
        return core_schema.tagged_union_schema(
            {name: schemas[cls] for name, cls in types.items()},
            discriminator="type",
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda value, write: None if value is None else {"type": value.type, **write(value)}
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        if self._types():
            return handler(schema)
        # Somebody else may have registered what the file names, so an editor only sees that it is a mapping with a type.
        return {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}

    def _refuse(self, value: object) -> None:
        name = value.get("type") if isinstance(value, dict) else value
        raise ValueError(
            f"is not known, got {name!r}; no {self.registry.kind} of your own are registered (see rollout_sim.extensions)"
        )


def fingerprint(objects: Iterable[object]) -> list[str]:
    """A hash of the code of each registered class among those of `objects`, so that results of other code are not reused.

    It is that of the module's source, or, where that cannot be read (in a notebook), of the compiled methods and plain
    values.
    """
    hashes = []
    for cls in dict.fromkeys(type(instance) for instance in objects):
        if cls not in registered():
            continue
        module = sys.modules[cls.__module__]
        if cls.__module__ != "__main__" and getattr(module, "__file__", None):
            hashes.append(hashlib.sha256(inspect.getsource(module).encode()).hexdigest())
        else:
            parts = [f"{name}{_content(member)!r}" for name, member in sorted(vars(cls).items())]
            hashes.append(hashlib.sha256("\n".join(parts).encode()).hexdigest())
    return hashes


def _content(member: object) -> object:
    """The compiled code of a method or property, or a plain value; None for anything else."""
    function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    code: CodeType | None = getattr(function, "__code__", None)
    if code is not None:
        return marshal.dumps(code)
    return member if isinstance(member, str | int | float | tuple) else None
