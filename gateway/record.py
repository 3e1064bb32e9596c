"""XML objects as plain fields, and the schemas that say what they may hold.

Both formats of the house, Melding and arkivmelding, are trees of named objects whose
leaves are texts. Translation works on `Record`; only reading and writing know lxml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Mapping

_XS = "{http://www.w3.org/2001/XMLSchema}"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSI_TYPE = f"{{{XSI}}}type"
XSI_NIL = f"{{{XSI}}}nil"

STRAY_TEXT = "text()"
"""Name under which text between the elements of an object is kept."""


class Record:
    """One object: leaves in `values`, objects inside it in `groups`.

    `repeats` holds all occurrences of a leaf that came more than once; `values` then has
    the one that counts (the last, or the first where the schema allows several).
    `type` is the local name of ``xsi:type``.
    """

    __slots__ = ("groups", "repeats", "type", "values")

    def __init__(self, type: str | None = None) -> None:
        self.values: dict[str, str] = {}
        self.groups: dict[str, list[Record]] = {}
        self.repeats: dict[str, list[str]] = {}
        self.type = type

    def group(self, name: str) -> Record | None:
        """The first object called `name`."""
        found = self.groups.get(name)
        return found[0] if found else None

    @property
    def empty(self) -> bool:
        """Nothing inside, not even an empty element."""
        return not (self.values or self.groups)

    def leaves(self, path: str = "") -> Iterator[tuple[str, str]]:
        """Every leaf with its path; positions are counted for groups that repeat."""
        for name, value in self.values.items():
            for one in self.repeats.get(name) or (value,):
                yield f"{path}{name}", one
        for name, records in self.groups.items():
            for number, record in enumerate(records, 1):
                position = f"[{number}]" if len(records) > 1 else ""
                yield from record.leaves(f"{path}{name}{position}/")


class Written(Record):
    """An object whose inside is XML already."""

    __slots__ = ("xml",)

    def __init__(self, xml: str) -> None:
        super().__init__()
        self.xml = xml


@dataclass(frozen=True, slots=True)
class Child:
    """One element that a type may hold."""

    name: str
    type: str
    required: bool
    repeated: bool
    rank: int
    """Place in the order of the type's elements."""


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """What a schema file says, as far as translation needs it."""

    namespace: str
    root: str
    types: Mapping[str, Mapping[str, Child]]
    """Complex types: element name to `Child`, in order."""
    extensions: Mapping[str, str]
    """Type to the type it extends."""
    texts: Mapping[str, tuple[str, ...]]
    """Simple types with a fixed list of texts."""

    def is_object(self, child: Child) -> bool:
        """Whether the element holds elements rather than text."""
        return child.type in self.types

    def extends(self, type: str, other: str) -> bool:
        """Whether `type` is `other` or built on it."""
        while type != other:
            if type not in self.extensions:
                return False
            type = self.extensions[type]
        return True


def read_schema(xsd: bytes) -> Schema:
    """Read one XSD: global element, complex types with sequences, choices, extensions."""
    root = etree.fromstring(xsd, _parser())
    namespace = root.get("targetNamespace") or ""
    element = root.find(f"{_XS}element")
    if element is None:
        raise ValueError("the schema declares no root element")
    declared = {str(type_.get("name")): type_ for type_ in root.iterfind(f"{_XS}complexType")}
    types: dict[str, dict[str, Child]] = {}
    extensions: dict[str, str] = {}

    def resolve(name: str) -> dict[str, Child]:
        if name in types:
            return types[name]
        children: dict[str, Child] = {}
        extension = declared[name].find(f".//{_XS}extension")
        if extension is not None:
            extensions[name] = str(extension.get("base"))
            children.update(resolve(extensions[name]))
        for node in declared[name].iter(f"{_XS}element"):
            child = str(node.get("name"))
            parents = [parent for parent in node.iterancestors() if parent.tag != f"{_XS}schema"]
            optional = any(
                parent.get("minOccurs") == "0" or parent.tag == f"{_XS}choice"
                for parent in [node, *parents]
            )
            repeated = any(parent.get("maxOccurs") == "unbounded" for parent in [node, *parents])
            children[child] = Child(
                child, str(node.get("type")), not optional, repeated, len(children)
            )
        types[name] = children
        return children

    for name in declared:
        resolve(name)
    texts = {
        str(simple.get("name")): values
        for simple in root.iterfind(f"{_XS}simpleType")
        if (values := tuple(str(v.get("value")) for v in simple.iter(f"{_XS}enumeration")))
    }
    return Schema(namespace, str(element.get("type")), types, extensions, texts)


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)


# --- writing --------------------------------------------------------------------------

_SPECIAL = re.compile("[&<>\r]")


def write_object(
    name: str, record: Record, parts: list[str], schema: Schema, type: str, attributes: str = ""
) -> None:
    """Append the XML of `record` to `parts`, elements in the schema's order.

    Text is several times faster than building a tree. Names that the schema does not
    know come last.
    """
    if record.type is not None:
        type = record.type
        attributes += f' xsi:type="{type}"'
    values, groups = record.values, record.groups
    if isinstance(record, Written):
        parts.append(f"<{name}{attributes}>{record.xml}</{name}>")
        return
    if not values and not groups:
        parts.append(f"<{name}{attributes}/>")
        return
    parts.append(f"<{name}{attributes}>")
    order = _order(schema, type)
    names = [*values, *groups]
    names.sort(key=order.__getitem__)
    plain = not record.repeats and _SPECIAL.search("".join(values.values())) is None
    for inside in names:
        if inside in groups:
            child = schema.types.get(type, {}).get(inside)
            for inner in groups[inside]:
                write_object(inside, inner, parts, schema, child.type if child else "")
        elif plain and inside != STRAY_TEXT:
            text = values[inside]
            parts.append(f"<{inside}>{text}</{inside}>" if text else f"<{inside}/>")
        else:
            _write_leaf(inside, record.repeats.get(inside) or (values[inside],), parts)
    parts.append(f"</{name}>")


def _write_leaf(name: str, texts: Iterable[str], parts: list[str]) -> None:
    for text in texts:
        text = escaped(text)
        if name == STRAY_TEXT:
            parts.append(text)
        else:
            parts.append(f"<{name}>{text}</{name}>" if text else f"<{name}/>")


def escaped(text: str) -> str:
    """`text` as it stands between tags."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\r", "&#13;")


def unescaped(text: str) -> str:
    """The text that `escaped` was given."""
    text = text.replace("&#13;", "\r").replace("&gt;", ">").replace("&lt;", "<")
    return text.replace("&amp;", "&")


class _Order(dict[str, int]):
    def __missing__(self, name: str) -> int:
        return len(self)


@lru_cache(maxsize=64)
def _order(schema: Schema, type: str) -> _Order:
    """Place of each element; unknown ones come last."""
    return _Order((child.name, child.rank) for child in schema.types.get(type, {}).values())
