"""Reads a ``gateway.toml`` and the environment, and says everything that is wrong at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gateway.environments import ADDRESSES
from gateway.errors import SettingsWrong
from gateway.settings.agreement import disagreements
from gateway.settings.description import PREFIX, Key, Table, describe
from gateway.settings.keys import Network, Settings
from gateway.settings.values import checked, from_environment


def load_settings(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a ``gateway.toml``, with the environment's ``EDU_GATEWAY_<SECTION>_<KEY>`` over it.

    Relative paths are under the file's folder. Raises `SettingsWrong` with every key that
    is unknown, missing, of the wrong type, out of its range, or at odds with another.
    """
    settings, problems = read_settings(Settings, _read(path), path.parent, environment)
    if problems:
        raise SettingsWrong(str(path), problems)
    assert isinstance(settings, Settings)
    return replace(settings, network=_addressed(settings.network))


def _addressed(network: Network) -> Network:
    """With its environment's addresses where none are given."""
    if network.environment is None:
        return network
    known = ADDRESSES[network.environment]
    missing: dict[str, Any] = {key: url for key, url in known.items() if not getattr(network, key)}
    return replace(network, **missing)


def read_settings(
    cls: Any, raw: dict[str, Any], base: Path, environment: Mapping[str, str]
) -> tuple[Any, list[str]]:
    """An instance of the settings class `cls`, None when it cannot be made, and problems."""
    reading = _Reading(describe(cls), base, environment)
    settings = reading.read(raw)
    return settings, [*reading.problems, *disagreements(reading.values)]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsWrong(str(path), [error.strerror or "cannot be read"]) from error
    except UnicodeDecodeError as error:
        raise SettingsWrong(str(path), ["is not UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsWrong(str(path), [f"is not TOML: {error}"]) from error


class _Reading:
    """One pass over the tables. `values` are those that are right, by ``section.key``."""

    def __init__(self, root: Table, base: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._base = base
        self._environment = {
            name: text.strip()
            for name, text in environment.items()
            if name.startswith(f"{PREFIX}_") and text.strip()
        }
        # What is on its own, and near the top, is meant before what is in a list.
        self._names = sorted(_names(root, ""), key=lambda it: ("[" in it, it.count("."), it))
        self.values: dict[str, Any] = {}
        self.problems: list[str] = []

    def read(self, raw: dict[str, Any]) -> Any:
        made = self._table(self._root, raw, "", PREFIX)
        self.problems += self._unknown_variables()
        return made

    def _table(self, table: Table, raw: dict[str, Any], path: str, variable: str) -> Any:
        """The instance of one table; None, with the problems noted, when it is not right."""
        before = len(self.problems)
        left = dict(raw)
        made: dict[str, Any] = {}
        for key in table.keys:
            name = path + key.name
            value = self._key(key, left, name, f"{variable}_{key.name}".upper())
            if value is not None:
                made[key.name] = value
        for inner in table.tables:
            name, inner_variable = path + inner.name, f"{variable}_{inner.name}".upper()
            given = left.pop(inner.name, None)
            if inner.many:
                made[inner.name] = self._list(inner, given, name, inner_variable)
            elif not inner.optional or given is not None or self._mentions(inner_variable):
                made[inner.name] = self._one(inner, given, name, inner_variable)
        self.problems += [self._unknown(path + key) for key in left]
        return table.cls(**made) if len(self.problems) == before else None

    def _one(self, table: Table, given: object, name: str, variable: str) -> Any:
        if given is not None and not isinstance(given, dict):
            self.problems.append(f"{name}: must be a table, [{name}]")
            return None
        return self._table(table, given or {}, f"{name}.", variable)

    def _list(self, table: Table, given: object, name: str, variable: str) -> tuple[Any, ...]:
        if given is None:
            return ()
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            self.problems.append(f"{name}: must be a list of tables, [[{name}]]")
            return ()
        return tuple(
            self._table(table, one, f"{name}[{number}].", f"{variable}_{number}")
            for number, one in enumerate(given, 1)
        )

    # --- one key ----------------------------------------------------------------------

    def _key(self, key: Key, left: dict[str, Any], name: str, variable: str) -> Any:
        """The value of a key, taken out of `left`; None when it has to be left out."""
        try:
            given = self._given(key, left, variable)
            if given is None:
                return self._default(key, name)
            value = checked(key, given, self._base)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return None
        self.values[name] = value
        return value

    def _default(self, key: Key, name: str) -> Any:
        if key.required:
            raise ValueError("missing")
        default = self._base / key.default if isinstance(key.default, Path) else key.default
        self.values[name] = default
        return default

    def _given(self, key: Key, left: dict[str, Any], variable: str) -> object:
        """The environment's variable or file, else the settings' value or file."""
        in_file = left.pop(key.name, None)
        file = left.pop(f"{key.name}_file", None) if key.about.secret else None
        text = self._environment.get(variable)
        text_file = self._environment.get(f"{variable}_FILE") if key.about.secret else None
        if text is not None and text_file is not None:
            raise ValueError(f"is given twice: as {variable} and {variable}_FILE")
        if text is not None:
            return from_environment(key, text)
        if text_file is not None:
            return _secret(self._base, text_file)
        if in_file is not None and file is not None:
            raise ValueError(f"is given twice: here and as {key.name}_file")
        if file is not None:
            return _secret(self._base, file)
        return None if in_file == "" and not key.about.may_be_empty else in_file

    # --- names that are not ours ------------------------------------------------------

    def _unknown(self, name: str) -> str:
        known = [re.sub(r"\[\d+\]", "[N]", one) for one in self._names]
        key = name.rpartition(".")[2]
        elsewhere = [one for one in known if one.rpartition(".")[2] == key]
        near = elsewhere or get_close_matches(re.sub(r"\[\d+\]", "[N]", name), known, n=1)
        return f"{name}: not a known key" + (f"; is it {near[0]}?" if near else "")

    def _mentions(self, variable: str) -> bool:
        return any(name.startswith(f"{variable}_") for name in self._environment)

    def _unknown_variables(self) -> Iterator[str]:
        """Variables that name a section of ours, or nearly, but no key in it."""
        known = set(self._root.environment())
        sections = [table.name.upper() for table in self._root.tables]
        for name in self._environment:
            section = name.removeprefix(f"{PREFIX}_").partition("_")[0]
            if re.sub(r"_\d+_", "_N_", name) in known:
                continue
            # Others are not ours to judge: Kubernetes sets EDU_GATEWAY_SERVICE_HOST for
            # a service of that name, and other commands have variables of their own.
            if get_close_matches(section, sections, n=1, cutoff=0.8):
                near = get_close_matches(name, sorted(known), n=1)
                yield f"{name}: not a known variable" + (f"; is it {near[0]}?" if near else "")


def _names(table: Table, path: str) -> Iterator[str]:
    for key in table.keys:
        yield path + key.name
        if key.about.secret:
            yield f"{path}{key.name}_file"
    for inner in table.tables:
        name = f"{path}{inner.name}" + ("[N]" if inner.many else "")
        yield name
        yield from _names(inner, f"{name}.")


def _secret(base: Path, file: object) -> str:
    if not isinstance(file, str):
        raise ValueError("its file must be text in quotes")
    try:
        text = (base / file).read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise ValueError(f"its file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"its file {file} is not UTF-8 text") from error
    if not text:
        raise ValueError(f"its file {file} is empty")
    return text
