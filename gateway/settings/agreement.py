"""What keys must have of each other: each rule gives the key that is wrong and why.

Values that were not right by themselves are absent from `values`; a rule that would need
one says nothing, as it has been reported already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from gateway.environments import ADDRESSES
from gateway.errors import ConfigurationError
from gateway.settings.rules import MAIL
from gateway.translate.loading import load_profile

Values = Mapping[str, Any]


def disagreements(values: Values) -> Iterator[str]:
    """Everything that does not fit together, as ``section.key: why``."""
    yield from _archive(values, "")
    yield from _on_behalf_of(values)
    yield from _network(values)
    yield from _passwords(values)
    yield from _alerts(values)
    yield from _sizes(values)
    yield from _switches(values)


def _missing(values: Values, name: str, why: str) -> Iterator[str]:
    """`name` is not given, although `why`. A key that is wrong is not missing."""
    if name in values and not values[name]:
        yield f"{name}: missing, but {why}"


def _archive(values: Values, whose: str) -> Iterator[str]:
    """The archive in the table `whose`, which is empty or ends with a dot."""
    archive = f"{whose}archive"
    if f"{archive}.dialect" in values:
        if values[f"{archive}.dialect"].strip().lower() == MAIL:
            if not any(name.startswith(f"{whose}mail.") for name in values):
                yield f"{whose}mail: missing, but {archive}.dialect is mail"
        else:
            yield from _missing(values, f"{archive}.url", "it is where letters go")
    auth = values.get(f"{archive}.auth")
    login = f"{archive}.username", f"{archive}.password"
    if auth == "basic":
        for key in login:
            yield from _missing(values, key, f"{archive}.auth is basic")
    if auth in ("ntlm", "negotiate") and values.get(login[1]):
        yield from _missing(values, login[0], f"{login[1]} is given")
    if auth == "none":
        for key in login:
            if values.get(key):
                yield f"{key}: given, but {archive}.auth is none; say basic, ntlm or negotiate"


def _on_behalf_of(values: Values) -> Iterator[str]:
    seen = {values.get("organisation.orgnr"): "organisation.orgnr"}
    for name, value in values.items():
        if not re.fullmatch(r"on_behalf_of\[\d+\]\.orgnr", name):
            continue
        if value in seen:
            yield f"{name}: the same as {seen[value]}"
        seen[value] = name
        yield from _archive(values, name.removesuffix("orgnr"))


def _network(values: Values) -> Iterator[str]:
    transport = values.get("network.transport")
    if transport == "directory":
        yield from _missing(values, "network.directory", "network.transport is directory")
    needed: dict[str, str] = {}
    if "network.addresses" in values and values["network.addresses"] is None:
        asked = "the registry is asked"
        needed = dict.fromkeys(("registry_url", "token_url", "token_audience", "client_id"), asked)
    if transport == "altinn3":
        names = ("broker_url", "exchange_url", "token_url", "token_audience", "client_id")
        needed |= dict.fromkeys(names, "network.transport is altinn3")
    known = ADDRESSES.get(values.get("network.environment") or "", {})
    for name, why in needed.items():
        if name not in known:
            yield from _missing(values, f"network.{name}", why)


def _passwords(values: Values) -> Iterator[str]:
    """A name and its password go together, and neither in the clear."""
    for section, name, password in (
        ("listen", "username", "password"),
        ("web", "username", "password"),
        ("mail", "username", "password"),
        ("alerts", "mail_username", "mail_password"),
    ):
        both = f"{section}.{name}", f"{section}.{password}"
        for one, other in (both, both[::-1]):
            if values.get(other):
                yield from _missing(values, one, f"{other} is given")
    for security, password in (
        ("mail.security", "mail.password"),
        ("alerts.mail_security", "alerts.mail_password"),
    ):
        if values.get(security) == "none" and values.get(password):
            yield f"{security}: none would send the password in the clear"


def _alerts(values: Values) -> Iterator[str]:
    if values.get("alerts.mail_host"):
        for key in ("alerts.mail_sender", "alerts.mail_receivers"):
            yield from _missing(values, key, "alerts.mail_host is given")
    if values.get("alerts.webhook_token"):
        yield from _missing(values, "alerts.webhook_url", "alerts.webhook_token is given")


def _sizes(values: Values) -> Iterator[str]:
    letter, request = (
        values.get("messages.max_letter_bytes"),
        values.get("listen.max_request_bytes"),
    )
    if letter is not None and request is not None and request < letter * 4 // 3:
        yield (
            "listen.max_request_bytes: a letter of messages.max_letter_bytes does not fit; as "
            f"base64 it has {letter * 4 // 3} bytes"
        )


def _switches(values: Values) -> Iterator[str]:
    chosen = values.get("messages.switches")
    if not chosen or "messages.profile" not in values:
        return
    profile = values["messages.profile"]
    known = list(load_profile(profile).switches)
    for name, value in chosen.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"is it {near[0]}?" if near else f"there are {', '.join(known)}"
            yield f"messages.switches.{name}: no switch of profile {profile}; {hint}"
            continue
        try:
            load_profile(profile, switches={name: value})
        except ConfigurationError as error:
            yield f"messages.switches.{name}: {error.detail}"
