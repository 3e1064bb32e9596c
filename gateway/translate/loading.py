"""Reads mapping files and checks them completely; errors say file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError
from gateway.record import Schema, read_schema
from gateway.resources import data_folder
from gateway.translate.codes import CodeList, FileTypes
from gateway.translate.profile import Group, Line, Profile, Rules, type_at

_DIRECTIONS = {"<>": (True, True), ">": (True, False), "<": (False, True)}
_EMPTY = ("keep", "default", "omit", "omit blank")
_ZERO = "omit zero back"
_KINDS = ("text", "integer", "date", "file")
_LINE_KEYS = {
    "edu", "am", "type", "dir", "value", "else", "when", "join", "split", "always",
    "wrapper", "empty", "truth", "switch", "unless",
}  # fmt: skip
_GROUP_KEYS = {
    "edu", "each", "am", "xsi_type", "when", "omit_empty", "pair", "fields",
}  # fmt: skip
_TOP_KEYS = {"rest", "rules", "switches", "codes", "melding", "group", "unknown_file"}


class _File:
    """One TOML file with the places of its tables and lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
            self.content: dict[str, Any] = tomllib.loads(text)
        except FileNotFoundError as error:
            raise ConfigurationError(f"{path}: there is no such mapping file") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: {error}") from error
        self._lines = text.splitlines()

    def at(self, table: str, number: int = 0, row: int | None = None) -> str:
        """``file:line`` of the table's heading, or of its row (each on its own line)."""
        heading = re.compile(rf"\s*\[+\s*{re.escape(table)}\s*\]+")
        seen = -1
        for index, line in enumerate(self._lines):
            if heading.match(line):
                seen += 1
                if seen == number:
                    return f"{self.path.name}:{self._row(index, row) + 1}"
        return f"{self.path.name}:1"

    def _row(self, heading: int, row: int | None) -> int:
        if row is None:
            return heading
        seen = -1
        for index in range(heading + 1, len(self._lines)):
            line = self._lines[index].lstrip()
            if re.match(r"\[+\s*\w+[\w.]*\s*\]+\s*(#.*)?$", line):
                break
            if line.startswith(("{", '["', "[ ", "['")):
                seen += 1
                if seen == row:
                    return index
        return heading

    def key(self, table: str, key: str) -> str:
        """``file:line`` of a key in a table; of its heading when it is not found."""
        start = int(self.at(table).rpartition(":")[2]) if table else 0
        for index in range(start, len(self._lines)):
            if re.match(rf'\s*"?{re.escape(key)}"?\s*=', self._lines[index]):
                return f"{self.path.name}:{index + 1}"
        return f"{self.path.name}:{max(start, 1)}"


def _fail(at: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"{at}: {message}")


def load_profile(
    name: str,
    folder: Path | None = None,
    switches: Mapping[str, bool] | None = None,
    *,
    lenient_switches: bool = False,
) -> Profile:
    """The profile `name` from `folder`, with `switches` set over its own defaults.

    Raises `ConfigurationError` naming file and line for anything that is not understood,
    does not exist in the schemas, or contradicts itself (mapping 9.3).
    `lenient_switches` ignores the ones that the profile does not have.
    """
    folder = folder if folder is not None else data_folder("mappings")
    edu_schema, am_schema = schemas()
    file = _File(folder / f"{name}.toml")
    content = file.content
    for key in content:
        if key not in _TOP_KEYS:
            raise _fail(file.key("", key), f"unknown key {key!r}")
    shared = _File(folder / "kodelister.toml")
    lists = dict(_code_lists(shared, shared.content, "", am_schema))
    own = dict(_code_lists(file, content.get("codes", {}), "codes.", am_schema))
    set_switches = _switches(file, content, switches or {}, lenient_switches)
    profile = Profile(
        name,
        _rules(file, content.get("rules", {}), set_switches),
        _rest(file, content.get("rest", "drop")),
        tuple(_melding(file, content, am_schema)),
        tuple(
            _group(file, table, number, set_switches)
            for number, table in enumerate(content.get("group", []))
        ),
        {**lists, **own},
        _file_types(_File(folder / "mimetyper.toml"), content.get("unknown_file")),
        set_switches,
        edu_schema,
        am_schema,
    )
    _check_names(profile)
    if profile.carry_rest:
        _check_required(profile, file)
    return profile


def schemas() -> tuple[Schema, Schema]:
    """Our schemas of Melding and arkivmelding."""
    folder = data_folder("wsdl")
    return (
        read_schema((folder / "noark4" / "melding.xsd").read_bytes()),
        read_schema((folder / "noark5" / "arkivmelding.xsd").read_bytes()),
    )


def _rest(file: _File, value: object) -> bool:
    if value not in ("drop", "carry"):
        raise _fail(file.key("", "rest"), f"rest is {value!r}; it may be 'drop' or 'carry'")
    return value == "carry"


def _switches(
    file: _File, content: Mapping[str, Any], chosen: Mapping[str, bool], lenient: bool
) -> dict[str, bool]:
    declared = content.get("switches", {})
    result: dict[str, bool] = {}
    for name, default in declared.items():
        if default not in (True, False, "always"):
            raise _fail(file.key("switches", name), f"{name} may be true, false or 'always'")
        result[name] = bool(default)
    for name, value in chosen.items():
        if name not in declared:
            if lenient:
                continue
            known = ", ".join(sorted(declared))
            raise ConfigurationError(f"there is no switch {name!r}; known are {known}")
        if declared[name] == "always" and not value:
            raise ConfigurationError(f"switch {name!r} cannot be off in profile {file.path.stem}")
        result[name] = value
    return result


def _code_lists(
    file: _File, tables: Mapping[str, Any], prefix: str, schema: Schema
) -> Iterator[tuple[str, CodeList]]:
    for name, table in tables.items():
        at = file.at(prefix + name)
        if not isinstance(table, dict) or set(table) - {"to_am", "to_edu", "rows", "element"}:
            raise _fail(at, f"code list {name}: only element, to_am, to_edu and rows are known")
        allowed = schema.texts.get(table.get("element", name))
        if allowed is None:
            raise _fail(at, f"code list {name}: the schema has no list of texts of that name")
        texts: dict[str, str] = {}
        codes: dict[str, str] = {}
        for number, row in enumerate(table.get("rows", [])):
            place = file.at(prefix + name, 0, number)
            if len(row) != 3 or row[1] not in _DIRECTIONS:
                raise _fail(place, f"a row is [code, '<>' or '>' or '<', text], not {row!r}")
            code, direction, text = row
            if text and text not in allowed:
                raise _fail(place, f"{text!r} is not a text of {name} in the metadatakatalog")
            out, back = _DIRECTIONS[direction]
            if out:
                if code in texts:
                    raise _fail(place, f"code {code!r} stands twice towards arkivmelding")
                texts[code] = text
            if back:
                if text in codes:
                    raise _fail(place, f"text {text!r} stands twice towards EDU")
                codes[text] = code
        to_am = table.get("to_am", "")
        if to_am and to_am not in allowed:
            raise _fail(file.at(prefix + name), f"to_am: {to_am!r} is not a text of {name}")
        yield name, CodeList(name, to_am, table.get("to_edu", ""), texts, codes)


def _file_types(file: _File, own_unknown: Mapping[str, str] | None) -> FileTypes:
    content = file.content
    if set(content) - {"rows", "unknown"} or set(content.get("unknown", {})) != {
        "extension",
        "mimetype",
    }:
        raise _fail(f"{file.path.name}:1", "rows and [unknown] extension, mimetype are expected")
    types: dict[str, str] = {}
    for number, row in enumerate(content.get("rows", [])):
        if len(row) != 2 or row[0] != row[0].lower() or row[0] in types:
            raise _fail(
                f"{file.path.name}: row {number + 1}",
                f"a row is [extension in lower case and once, mime type], not {row!r}",
            )
        types[row[0]] = row[1]
    unknown = {**content["unknown"], **(own_unknown or {})}
    if set(unknown) != {"extension", "mimetype"}:
        raise _fail(f"{file.path.name}:1", "unknown files have an extension and a mimetype")
    return FileTypes(types, unknown["extension"], unknown["mimetype"])


def _rules(file: _File, table: Mapping[str, Any], switches: Mapping[str, bool]) -> Rules:
    known = {"text": {"empty"}, "code": {"empty"}, "date": {"zone", "missing", "plain_back"}}
    for kind, rules in table.items():
        if kind not in known or set(rules) - known[kind]:
            raise _fail(file.key("rules", kind), f"unknown rule for {kind}: {sorted(rules)}")
    for kind in ("text", "code"):
        if table.get(kind, {}).get("empty", "keep") not in _EMPTY:
            raise _fail(file.key("rules", kind), f"empty may be {' or '.join(_EMPTY)}")
    dates = table.get("date", {})
    if dates.get("zone", "Europe/Oslo") != "Europe/Oslo":
        raise _fail(file.key("rules", "date"), "zone may only be Europe/Oslo")
    missing = {
        day
        for day, on in dates.get("missing", {}).items()
        if _flag(on, switches, file.key("rules", "date"))
    }
    return Rules(
        table.get("text", {}).get("empty", "keep"),
        table.get("code", {}).get("empty", "default"),
        "zone" in dates,
        frozenset(missing),
        _flag(dates.get("plain_back", False), switches, file.key("rules", "date")),
    )


def _flag(value: object, switches: Mapping[str, bool], at: str) -> bool:
    """A yes/no key is true, false or the name of a switch."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in switches:
        return switches[value]
    raise _fail(at, f"{value!r} is neither true, false nor a switch")


def _melding(file: _File, content: Mapping[str, Any], schema: Schema) -> Iterator[Line]:
    for name, value in content.get("melding", {}).items():
        at = file.key("melding", name)
        if name not in schema.types[schema.root]:
            raise _fail(at, f"arkivmelding has no element {name!r}")
        yield Line(at, None, name, True, False, value=value)


def _group(
    file: _File, table: Mapping[str, Any], number: int, switches: Mapping[str, bool]
) -> Group:
    at = file.at("group", number)
    unknown = set(table) - _GROUP_KEYS
    if unknown:
        raise _fail(at, f"unknown key {sorted(unknown)[0]!r} in group")
    if ("edu" in table) == ("each" in table) or "am" not in table:
        raise _fail(at, "a group has am, and either edu or each")
    lines = []
    for row, fields in enumerate(table.get("fields", [])):
        place = file.at("group", number, row)
        line = _line(fields, place, switches)
        if line is not None:
            lines.append(line)
    return Group(
        at,
        table.get("edu") or table["each"],
        table["am"],
        "each" in table,
        table.get("xsi_type"),
        table.get("when"),
        _flag(table.get("omit_empty", False), switches, at),
        _flag(table.get("pair", False), switches, at),
        tuple(lines),
    )


def _line(fields: Mapping[str, Any], at: str, switches: Mapping[str, bool]) -> Line | None:
    unknown = set(fields) - _LINE_KEYS
    if unknown:
        raise _fail(at, f"unknown key {sorted(unknown)[0]!r}")
    for key, value in fields.items():
        if not isinstance(value, str):
            raise _fail(at, f"{key} must be text in quotes, not {value!r}")
    for key in ("switch", "unless"):
        if key in fields and fields[key] not in switches:
            raise _fail(at, f"there is no switch {fields[key]!r} in [switches]")
    direction = fields.get("dir", "<>")
    if direction not in _DIRECTIONS:
        raise _fail(at, f"dir is {direction!r}; it may be '>' or '<'")
    kind, _, codes = fields.get("type", "text").partition(":")
    if (kind != "code" and (kind not in _KINDS or codes)) or (kind == "code" and not codes):
        raise _fail(at, f"unknown type {fields.get('type')!r}")
    if "value" in fields and direction == "<>":
        raise _fail(at, "a line with value works one way: say dir = '>' or '<'")
    if "value" not in fields and not ("edu" in fields and "am" in fields):
        raise _fail(at, "a line names edu and am, or has a value")
    if fields.get("wrapper", "always") != "always":
        raise _fail(at, "wrapper may only be 'always'")
    if fields.get("empty", "omit") not in (*_EMPTY, *((_ZERO,) if kind == "integer" else ())):
        raise _fail(at, f"empty may be {' or '.join(_EMPTY)}")
    if "switch" in fields and not switches[fields["switch"]]:
        return None
    if "unless" in fields and switches[fields["unless"]]:
        return None
    out, back = _DIRECTIONS[direction]
    if out and fields.get("am") is None:
        raise _fail(at, "the line gives no am element to fill")
    if back and fields.get("edu") is None:
        raise _fail(at, "the line gives no edu element to fill")
    return Line(
        at,
        fields.get("edu"),
        fields.get("am"),
        out,
        back,
        kind,
        codes or None,
        fields.get("value"),
        fields.get("else"),
        fields.get("when"),
        fields.get("join"),
        fields.get("split"),
        fields.get("always"),
        "wrapper" in fields,
        fields.get("empty"),
        fields.get("truth"),
    )


# --- checks against the schemas -------------------------------------------------------


def _check_names(profile: Profile) -> None:
    xsi_types = {group.am: group.xsi_type for group in profile.groups if group.xsi_type}
    edu, am = profile.edu_schema, profile.am_schema
    for group in profile.groups:
        if type_at(edu, edu.root, group.edu) not in edu.types:
            raise _fail(group.at, f"Melding has no object {group.edu!r}")
        if type_at(am, am.root, group.am, xsi_types) not in am.types:
            raise _fail(group.at, f"arkivmelding has no object {group.am!r}")
        if group.xsi_type is not None and group.xsi_type not in am.types:
            raise _fail(group.at, f"the schema has no type {group.xsi_type!r}")
        for line in group.lines:
            for name, own, schema, types in (
                (line.edu, group.edu, edu, None),
                (line.am, group.am, am, xsi_types),
            ):
                if name is None:
                    continue
                path = name[1:] if name.startswith("/") else f"{own}/{name}"
                found = type_at(schema, schema.root, path, types)
                if found is None or found in schema.types:
                    raise _fail(line.at, f"there is no field {path!r} in the schema")
            if line.codes is not None and line.codes not in profile.lists:
                raise _fail(line.at, f"there is no code list {line.codes!r}")


def _check_required(profile: Profile, file: _File) -> None:
    """A profile that promises valid output fills everything that must be there."""
    for group in profile.groups:
        filled = {
            (line.am or "").rpartition("/")[2] if "/" in (line.am or "") else line.am
            for line in group.lines
            if line.otherwise is not None or line.value is not None or line.always is not None
        }
        type_ = profile.am_types[group.am]
        for child in profile.am_schema.types[type_].values():
            if not child.required or child.type in profile.am_schema.types:
                continue
            if child.name not in filled and not _guarded(group, child.name):
                raise _fail(group.at, f"{group.am}/{child.name} is required, but nothing fills it")


def _guarded(group: Group, name: str) -> bool:
    """The condition of the group promises the field's source."""
    if group.when is None:
        return False
    sources = [line.edu for line in group.lines if line.am == name and line.edu]
    return any(
        re.search(rf"\b{re.escape(source)} (in|is|present)", group.when) for source in sources
    )
