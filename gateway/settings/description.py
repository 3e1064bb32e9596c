"""What a settings key says about itself, and the tables that the keys stand in.

A key is a dataclass field made with `key`; its type is the field's annotation. Reading
the file, checking values and the page of all keys follow from that alone.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

PREFIX = "EDU_GATEWAY"
REQUIRED = MISSING
"""The default of a key that has none."""


@dataclass(frozen=True, slots=True)
class About:
    """`unset` is what holds while the key is not given; `rule` raises ValueError."""

    meaning: str
    unit: str | None = None
    least: float | None = None
    most: float | None = None
    rule: Callable[[Any], None] | None = None
    secret: bool = False
    unset: str | None = None
    may_be_empty: bool = False


def key(
    default: Any,
    meaning: str,
    *,
    unit: str | None = None,
    least: float | None = None,
    most: float | None = None,
    rule: Callable[[Any], None] | None = None,
    secret: bool = False,
    unset: str | None = None,
    may_be_empty: bool = False,
) -> Any:
    """A key of a settings table: a dataclass field that knows what it is for.

    `default` is REQUIRED when the key must be given. A number lies between `least` and
    `most`. A secret is never shown, and may be given as a file. An empty text counts as
    not given unless it `may_be_empty`.
    """
    about = About(meaning, unit, least, most, rule, secret, unset, may_be_empty)
    metadata = {"about": about}
    if default == {}:
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `type` is str, Path, int, float, bool, Mapping or a Literal."""

    name: str
    type: Any
    default: Any
    about: About

    @property
    def required(self) -> bool:
        """Whether the key must be given."""
        return self.default is REQUIRED

    @property
    def choices(self) -> tuple[str, ...]:
        """The closed set that the value is from; empty when it is not."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the file. `many`: a list of them, as ``[[name]]``."""

    name: str
    cls: Any
    keys: tuple[Key, ...]
    tables: tuple[Table, ...]
    optional: bool = False
    many: bool = False

    @property
    def meaning(self) -> str:
        """What the table is for: the docstring of its class."""
        return str(self.cls.__doc__)

    def environment(self, above: str = PREFIX) -> Iterator[str]:
        """The environment variables that are read; N stands for a number in a list."""
        for one in self.keys:
            yield f"{above}_{one.name}".upper()
            if one.about.secret:
                yield f"{above}_{one.name}_FILE".upper()
        for table in self.tables:
            number = "_N" if table.many else ""
            yield from table.environment(f"{above}_{table.name}{number}".upper())


def describe(cls: Any, name: str = "", *, optional: bool = False, many: bool = False) -> Table:
    """The table that a settings class stands for, with those in it."""
    hints = get_type_hints(cls)
    keys: list[Key] = []
    tables: list[Table] = []
    for one in fields(cls):
        hint, may_be_none = _without_none(hints[one.name])
        if is_dataclass(hint):
            tables.append(describe(hint, one.name, optional=may_be_none))
        elif get_origin(hint) is tuple:
            tables.append(describe(get_args(hint)[0], one.name, many=True))
        else:
            default = one.default if one.default_factory is MISSING else one.default_factory()
            kind = Mapping if get_origin(hint) is Mapping else hint
            keys.append(Key(one.name, kind, default, one.metadata["about"]))
    return Table(name, cls, tuple(keys), tuple(tables), optional, many)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        left = [one for one in get_args(hint) if one is not type(None)]
        return left[0], len(left) < len(get_args(hint))
    return hint, False
