"""The page of all keys, made from what they say of themselves.

``python -m gateway.settings.page`` prints it; `docs/settings.md` is its output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.settings.description import Key, Table, describe
from gateway.settings.keys import Settings
from gateway.settings.values import allowed_range

EXAMPLE = """\
folder = "data"                     # database and documents

[organisation]
orgnr = "910077473"
keystore = "virksomhet.p12"
keystore_password_file = "keystore.password"

[archive]
dialect = "p360"                    # p360, ephorte, websak
url = "http://archive.example/SI.WS.Core/Integration/EDUImport.svc/EDUImportService"

[network]                           # Altinn's and Digdir's addresses for your environment
token_url = "https://test.maskinporten.no/token"
token_audience = "https://test.maskinporten.no/"
exchange_url = "https://platform.tt02.altinn.no/authentication/api/v1/exchange/maskinporten"
broker_url = "https://platform.tt02.altinn.no/broker/api/v1"
registry_url = "https://test.eformidling.no/adressetjeneste"
client_id = "MOVE_IP_910077473"
system_user = "910077473_integrasjonspunkt_systembruker_910077473"
"""

_HEAD = f"""\
# Settings

This page is made from `gateway/settings/keys.py` by `edu-gateway config page`; a test
keeps it true.

One file, `gateway.toml`, for `edu-gateway run --config gateway.toml`:

```toml
{EXAMPLE}```

* Relative paths are under the file's folder. An empty text counts as not given.
* The environment is over the file: `EDU_GATEWAY_<SECTION>_<KEY>` for every key, such as
  `EDU_GATEWAY_LISTEN_PORT=8080`, and `EDU_GATEWAY_FOLDER`. An empty variable counts as
  not set.
* A **secret** may be given in a file of its own: `password_file = "archive.secret"`, or
  `EDU_GATEWAY_ARCHIVE_PASSWORD_FILE`. White space around it does not count. No secret is
  shown in an error, a log or a page.
* Everything that is wrong is reported at once: keys that are unknown (with the nearest
  known one), missing, of the wrong type, out of range, or at odds with another; files
  that are not there.
"""

_TYPES = {
    str: "text",
    Path: "path",
    int: "whole number",
    float: "number",
    bool: "`true`, `false`",
    Mapping: "table of `true`, `false`",
}


def settings_page() -> str:
    """The page as Markdown."""
    root = describe(Settings)
    parts = [_HEAD, "## At the top of the file\n\n" + "\n".join(_rows(root.keys, "")) + "\n"]
    parts += _sections(root, "")
    return "\n".join(parts)


def _sections(above: Table, path: str) -> Iterator[str]:
    for table in above.tables:
        name = f"{path}{table.name}"
        title = f"[[{name}]]" if table.many else f"[{name}]"
        if path and any(table.cls is one.cls for one in describe(Settings).tables):
            yield f"## `{title}`\n\nThe same keys as in `[{table.name}]`.\n"
            continue
        rows = "\n".join(_rows(table.keys, f"{name}."))
        yield f"## `{title}`\n\n{_paragraphs(table.meaning)}\n\n{rows}\n"
        yield from _sections(table, f"{name}.")


def _paragraphs(docstring: str) -> str:
    return "\n".join(line.strip() for line in docstring.strip().splitlines())


def _rows(keys: tuple[Key, ...], path: str) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key in keys:
        yield f"| `{path}{key.name}` | {_type(key)} | {_default(key)} | {key.about.meaning} |"


def _type(key: Key) -> str:
    if key.choices:
        return ", ".join(f"`{one}`" for one in key.choices)
    parts = [_TYPES[key.type], key.about.unit, allowed_range(key)]
    text = ", ".join(one for one in parts if one)
    return f"{text}, **secret**" if key.about.secret else text


def _default(key: Key) -> str:
    default = key.default
    if key.required:
        return "must be given"
    if default is None or default in ("", {}):
        return key.about.unset or "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, int):
        return _count(default)
    return f"`{default.as_posix() if isinstance(default, Path) else default}`"


def _count(number: int) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2)):
        if number >= size and number % size == 0:
            return f"{number} ({number // size} {unit})"
    return str(number)


if __name__ == "__main__":
    print(settings_page(), end="")
