"""What differs between archive systems, as data in ``mappings/dialects``.

Public 360, ePhorte and WebSak are one client with three data files (bestedu-soap 1.7,
5.6). An archive that is none of them gets a file of its own.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from gateway.errors import ConfigurationError
from gateway.resources import data_folder

AppReceiptParties = Literal["original", "reply"]
AbsentResult = Literal["delivered", "unclear"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one archive system speaks BEST/EDU.

    `soap_action` is the header's value without quotes. `appreceipt_parties` says whose
    names stand in the envelope of its AppReceipts (bestedu-soap 3.6), `absent_result`
    what an answer without result means for a letter (5.6).
    """

    name: str
    title: str
    soap_action: str
    appreceipt_parties: AppReceiptParties
    absent_result: AbsentResult


def dialect_names(folder: Path | None = None) -> list[str]:
    """The dialects that there are files for."""
    return sorted(file.stem for file in _folder(folder).glob("*.toml"))


def load_dialect(name: str, folder: Path | None = None) -> Dialect:
    """The dialect `name`, compared ignoring case, from `folder` or the product's own.

    Raises `ConfigurationError` when there is none, or when its file has a key that is
    unknown, missing or of a wrong value.
    """
    key = name.strip().lower()
    known = dialect_names(folder)
    if key not in known:
        raise ConfigurationError(
            f"archive dialect {name!r} is unknown; there are: {', '.join(known)}"
        )
    file = _folder(folder) / f"{key}.toml"
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"dialects/{file.name}: {error}") from error
    return _checked(key, values, f"dialects/{file.name}")


def _folder(folder: Path | None) -> Path:
    return folder if folder is not None else data_folder("mappings") / "dialects"


_KEYS = ("title", "soap_action", "appreceipt_parties", "absent_result")
_CHOICES = {
    "appreceipt_parties": get_args(AppReceiptParties),
    "absent_result": get_args(AbsentResult),
}


def _checked(name: str, values: dict[str, object], where: str) -> Dialect:
    for key in values:
        if key not in _KEYS:
            raise ConfigurationError(f"{where}: unknown key {key!r}")
    for key in _KEYS:
        value = values.get(key)
        if not isinstance(value, str):
            raise ConfigurationError(f"{where}: {key} must be a text")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise ConfigurationError(
                f"{where}: {key} must be one of {', '.join(_CHOICES[key])}, not {value!r}"
            )
    check_soap_action(str(values["soap_action"]), f"{where}: soap_action")
    return Dialect(
        name=name,
        title=str(values["title"]),
        soap_action=str(values["soap_action"]),
        appreceipt_parties=cast(AppReceiptParties, values["appreceipt_parties"]),
        absent_result=cast(AbsentResult, values["absent_result"]),
    )


def check_soap_action(value: str, where: str) -> None:
    """Refuse what cannot stand between quotes in a header."""
    if not re.fullmatch(r"[!#-~]*", value):
        raise ConfigurationError(f"{where} must be visible ASCII without blanks and quotes")
