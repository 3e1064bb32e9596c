"""Reads the predecessor's ``integrasjonspunkt-local.properties`` into our settings.

Nothing is dropped in silence: every key of the file ends up as taken over, as a question,
or as ignored with the reason (users-and-ecosystem 1.3, bestedu-soap 6).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.legacy_keys import DEFAULTS, IGNORED, OTHER_CHANNELS, PREFIXES, TAKEN

# --- the file -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Property:
    """One line: the key as written, the value after escapes, where it stood."""

    key: str
    value: str
    line: int


_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def read_properties(data: bytes) -> tuple[list[Property], list[str]]:
    """The properties of a file as Java reads them, and remarks on what looks wrong.

    ISO-8859-1 with ``\\uXXXX``; white space at the end of values is taken away, which
    Java does not do: it is Digdir's first known error.
    """
    remarks: list[str] = []
    text = data.removeprefix(b"\xef\xbb\xbf").decode("iso-8859-1")
    if _looks_like_utf8(data):
        remarks.append(
            "the file is UTF-8, but the predecessor read it as ISO-8859-1: look at æ, ø and å"
        )
    found: list[Property] = []
    number = 0
    lines = iter(re.split(r"\r\n|\r|\n", text))
    for line in lines:
        number += 1
        start = number
        line = line.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while _continues(line):
            number += 1
            line = line[:-1] + next(lines, "").lstrip(" \t\f")
        raw_key, raw_value = _split(line)
        key, value = _unescape(raw_key), _unescape(raw_value)
        if value != value.rstrip():
            remarks.append(f"line {start}: {key}: white space at the end was taken away")
        if any(character in value for character in "\t\f\r\n\b"):
            remarks.append(
                f"line {start}: {key}: a backslash was read as a control character; "
                "write paths with / or \\\\"
            )
        found.append(Property(key, value.rstrip(), start))
    return found, remarks


def _looks_like_utf8(data: bytes) -> bool:
    try:
        return not data.decode("utf-8").isascii()
    except UnicodeDecodeError:
        return False


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split(line: str) -> tuple[str, str]:
    at = 0
    while at < len(line) and line[at] not in "=: \t\f":
        at += 2 if line[at] == "\\" else 1
    rest = line[at:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return line[:at], rest


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        escaped = match[1]
        if len(escaped) == 5:
            return chr(int(escaped[1:], 16))
        return _ESCAPES.get(escaped, escaped)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", one, text)


def canonical(key: str) -> str:
    """The one name of a key that Spring accepts in many spellings."""
    if "." not in key and key.isupper():
        key = key.replace("_", ".")  # as an environment variable
    return re.sub(r"[-_]", "", key).lower()


# --- the import -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """`key` is None for what follows from something else than one line."""

    key: str | None
    setting: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that only the operator knows, for the setting `setting`."""

    setting: str
    text: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    key: str
    reason: str


Value = str | int | float | bool


@dataclass(slots=True)
class Import:
    """What became of the file. `values` are settings by ``section.key``; the passwords
    are in `secrets` alone, and never in a note or a question."""

    values: dict[str, Value] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    taken: list[Taken] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


_PLACEHOLDER = re.compile(r"\$\{([^${}:]+)(?::([^${}]*))?\}")
_SIZE = re.compile(r"(\d+)\s*([KMGT]?)B?", re.IGNORECASE)
_JKS = ("jks", "keystore")
_PKCS12 = ("p12", "pfx", "pem")


def import_properties(data: bytes, answers: Mapping[str, str] | None = None) -> Import:
    """Turn the file into settings; `answers` by ``section.key`` settle questions.

    Raises ValueError for an answer to a setting that is not one of ours.
    """
    properties, remarks = read_properties(data)
    result = Import(remarks=remarks)
    known: dict[str, Property] = {}
    for one in properties:
        name = canonical(one.key)
        if name in known:
            result.remarks.append(
                f"line {known[name].line}: {known[name].key}: line {one.line} counts instead"
            )
        known[name] = one
    work = _Importer(known, dict(answers or {}), result)
    work.run()
    return result


class _Importer:
    def __init__(self, known: dict[str, Property], answers: dict[str, str], result: Import) -> None:
        self._known = known
        self._answers = answers
        self._result = result
        self._used: set[str] = set()

    def run(self) -> None:
        for setting, answer in self._answers.items():
            self._put(setting, _typed(setting, answer))
        for name, setting, kind in TAKEN:
            self._take(name, setting, kind)
        self._archive()
        self._keystore()
        self._network()
        self._access()
        self._rest()
        for setting, question in _REQUIRED.items():
            if not self._has(setting) and not self._asked(setting):
                self._ask(setting, question)

    # --- one key ----------------------------------------------------------------------

    def _value(self, name: str) -> str | None:
        """The value of a key with its placeholders filled in; None when it is not there."""
        one = self._known.get(canonical(name))
        if one is None:
            return None
        self._used.add(canonical(name))
        return self._filled(one.value, 0)

    def _filled(self, text: str, depth: int) -> str:
        def one(match: re.Match[str]) -> str:
            other = self._known.get(canonical(match[1]))
            if other is not None and depth < 10:
                self._used.add(canonical(match[1]))
                return self._filled(other.value, depth + 1)
            return match[2] if match[2] is not None else match[0]

        before = ""
        while text != before:
            before, text = text, _PLACEHOLDER.sub(one, text)
            depth += 1
            if depth > 10:
                break
        return text

    def _take(self, name: str, setting: str, kind: str) -> None:
        value = self._value(name)
        if value is None:
            return
        key = self._known[canonical(name)].key
        if self._has(setting):
            self._result.taken.append(Taken(key, setting, "your answer counts instead"))
            return
        unfilled = _PLACEHOLDER.search(value)
        if unfilled is not None:
            where = f"its value comes from {unfilled[1]}, which is not in the file"
            self._ask(setting, where, key)
            return
        if not value:
            self._result.ignored.append(Ignored(key, "has no value"))
            return
        try:
            converted, note = _CONVERT[kind](value)
        except ValueError as error:
            self._ask(setting, f"{value!r} {error}" if kind != "secret" else str(error), key)
            return
        self._put(setting, converted)
        self._result.taken.append(Taken(key, setting, note))

    def _put(self, setting: str, value: Value) -> None:
        if setting in _SECRETS:
            self._result.secrets[setting] = str(value)
        else:
            self._result.values[setting] = value

    def _has(self, setting: str) -> bool:
        return setting in self._result.values or setting in self._result.secrets

    def _asked(self, setting: str) -> bool:
        return any(question.setting == setting for question in self._result.questions)

    def _ask(self, setting: str, text: str, key: str | None = None) -> None:
        self._result.questions.append(Question(setting, text, key))

    def _drop(self, setting: str, reason: str) -> None:
        """Take back what was taken over, and say why."""
        self._result.values.pop(setting, None)
        self._result.secrets.pop(setting, None)
        for taken in [it for it in self._result.taken if it.setting == setting]:
            self._result.taken.remove(taken)
            if taken.key is not None:
                self._result.ignored.append(Ignored(taken.key, reason))
        for question in [it for it in self._result.questions if it.setting == setting]:
            self._result.questions.remove(question)
            if question.key is not None:
                self._result.ignored.append(Ignored(question.key, reason))

    def _given(self, name: str) -> str:
        """The key as it stands in the file."""
        return self._known[canonical(name)].key

    def _derive(self, setting: str, value: Value, note: str) -> None:
        if not self._has(setting) and not self._asked(setting):
            self._put(setting, value)
            self._result.taken.append(Taken(None, setting, note))

    # --- what belongs together --------------------------------------------------------

    def _archive(self) -> None:
        values = self._result.values
        if "archive.username" in values and "archive.domain" in values:
            self._derive("archive.auth", "ntlm", "user name and domain are both set")
        elif "archive.auth" not in values:
            reason = (
                "the predecessor logged in only when both user name and domain were set; "
                "answer archive.auth=basic to log in with it"
            )
            for setting in ("archive.username", "archive.password", "archive.domain"):
                self._drop(setting, reason)
        if values.get("archive.dialect") != "mail":
            if (self._value("difi.move.feature.mailErrorStatus") or "").lower() in _TRUE:
                self._alert_by_mail()
            for _, setting, _ in TAKEN:
                if setting.startswith("mail."):
                    self._drop(
                        setting, "the archive is no mailbox; for mail on errors see [alerts]"
                    )
            if not self._has("archive.url") and not self._asked("archive.url"):
                self._ask("archive.url", "the archive's own BEST/EDU address")
            return
        for setting in ("mail.host", "mail.sender", "mail.receivers"):
            if not self._has(setting) and not self._asked(setting):
                self._ask(setting, "an archive of type mail needs it")
        reason = "certificates are checked; give mail.ca_file when the server's is your own"
        self._drop("mail.trust", reason)
        if self._value("difi.move.mail.enableAuth") not in (None, "true"):
            for setting in ("mail.username", "mail.password"):
                self._drop(setting, "mail.enableAuth is not true, so it had no effect")

    def _alert_by_mail(self) -> None:
        """Mail on errors used the mail settings; alerts have their own."""
        result = self._result
        for name in ("host", "port", "username", "password", "sender", "receivers"):
            old, new = f"mail.{name}", f"alerts.mail_{name}"
            if old in result.values:
                result.values.setdefault(new, result.values.pop(old))
            if old in result.secrets:
                result.secrets.setdefault(new, result.secrets.pop(old))
            result.taken = [
                Taken(it.key, new, it.note) if it.setting == old else it for it in result.taken
            ]
        key = self._given("difi.move.feature.mailErrorStatus")
        result.taken.append(Taken(key, "alerts.mail_host", "alerts take its place"))
        for setting in ("alerts.mail_host", "alerts.mail_sender", "alerts.mail_receivers"):
            if not self._has(setting) and not self._asked(setting):
                self._ask(setting, "alerts by mail need it, as mailErrorStatus is on")

    def _keystore(self) -> None:
        setting = "organisation.keystore"
        path = str(self._result.values.get(setting, ""))
        type_ = (self._value("difi.move.org.keystore.type") or "").lower()
        ending = path.lower().rpartition(".")[2]
        is_jks = ending in _JKS or (type_ in ("jks", "") and ending not in _PKCS12)
        if not path or not is_jks or setting in self._answers:
            return
        key = self._given("difi.move.org.keystore.path")
        self._drop(setting, "")
        self._result.ignored.pop()
        self._ask(
            setting,
            f"{path} is a Java keystore: `edu-gateway keystore convert {path} "
            "virksomhet.p12`, and give the new file",
            key,
        )

    def _network(self) -> None:
        profile = (self._value("spring.profiles.active") or "production").lower()
        orgnr = self._result.values.get("organisation.orgnr")
        broker = self._value("difi.move.dpo.brokerserviceUrl") or ""
        if re.match(r"https?://[^/]*platform\.", broker):  # version 4; 2 had Altinn II there
            self._put("network.broker_url", broker.rstrip("/"))
            key = self._given("difi.move.dpo.brokerserviceUrl")
            self._result.taken.append(Taken(key, "network.broker_url"))
        for setting, address in DEFAULTS.get(profile, {}).items():
            self._derive(setting, address, f"the address of environment {profile!r}")
        prefix = self._value("difi.move.oidc.clientIdPrefix") or "MOVE_IP_"
        if orgnr is not None:
            self._derive("network.client_id", f"{prefix}{orgnr}", "prefix and organisation number")
        if not self._has("network.system_user"):
            name = self._value("difi.move.dpo.systemUser.name")
            if name:
                self._derive("network.system_user", name, "dpo.systemUser.name")
            else:
                self._ask(
                    "network.system_user",
                    "Altinn 3 needs a system user, which Altinn II did not have: its external "
                    "reference, as you see it in Altinn",
                )

    def _access(self) -> None:
        enabled = (self._value("difi.security.enable") or "false").lower() in _TRUE
        if not enabled:
            for setting in ("listen.username", "listen.password"):
                self._drop(setting, "difi.security.enable is not true, so it had no effect")
        if self._value("difi.ssl.enabled") in _TRUE:
            self._ask(
                "listen.public_url",
                "the predecessor answered with TLS itself; we stand behind a reverse proxy "
                "that does: the https address that the archive calls",
            )
        if not self._has("listen.host"):
            self._ask(
                "listen.host",
                "the predecessor listened on every address; we listen on 127.0.0.1 unless told: "
                "0.0.0.0 when the archive is on another machine",
            )

    def _rest(self) -> None:
        """Every key that stands in no list yet: nothing is dropped in silence."""
        result = self._result
        listed = {it.key for it in result.taken}
        listed |= {it.key for it in result.questions} | {it.key for it in result.ignored}
        for name, one in self._known.items():
            if one.key in listed:
                continue
            reason = _reason(name)
            if name in self._used and reason is None:
                result.taken.append(Taken(one.key, _DECIDES.get(name, "other keys"), "looked at"))
                continue
            result.ignored.append(
                Ignored(
                    one.key,
                    reason or "not a key that we know: check its spelling; nothing was done",
                )
            )


def _reason(name: str) -> str | None:
    for key, text in IGNORED.items():
        if canonical(key) == name:
            return text
    if name in _DECIDES:
        return None
    for key, text in PREFIXES.items():
        if name.startswith(canonical(key)):
            return text
    if any(name.startswith(channel) for channel in OTHER_CHANNELS):
        return "another channel; it stays in Integrasjonspunkt"
    return None


_DECIDES = {
    "spring.profiles.active": "network",
    "difi.move.org.keystore.type": "organisation.keystore",
    "difi.move.oidc.clientidprefix": "network.client_id",
    "difi.move.dpo.systemuser.name": "network.system_user",
    "difi.security.enable": "listen.username",
    "difi.move.mail.enableauth": "mail.username",
    "difi.ssl.enabled": "listen.public_url",
}
"""Keys that we look at without having one setting for them, and what they decide."""


# --- values ---------------------------------------------------------------------------

_TRUE = ("true", "on", "yes", "1")
_FALSE = ("false", "off", "no", "0")
_SECRETS = {
    "organisation.keystore_password",
    "archive.password",
    "mail.password",
    "alerts.mail_password",
    "listen.password",
}
_NUMBERS: Mapping[str, Callable[[str], Value]] = {
    "listen.port": int,
    "mail.port": int,
    "alerts.mail_port": int,
    "mail.max_size": int,
    "messages.ttl_hours": float,
    "messages.max_letter_bytes": int,
}
_REQUIRED = {
    "organisation.orgnr": "our organisation number, nine digits",
    "organisation.keystore": "the PKCS#12 file with the virksomhetssertifikat",
    "organisation.keystore_password": "the keystore's password",
    "archive.dialect": "p360, ephorte, websak or mail",
    "network.token_url": "Maskinporten's token address",
    "network.token_audience": "Maskinporten's audience",
    "network.exchange_url": "Altinn's token exchange",
    "network.broker_url": "Altinn 3 Broker's address",
    "network.registry_url": "the address registry",
    "network.client_id": "the Maskinporten client",
}


def _typed(setting: str, answer: str) -> Value:
    if setting.count(".") != 1:
        raise ValueError(f"{setting!r}: an answer is given as section.key=value")
    if answer in ("true", "false"):
        return answer == "true"
    return _NUMBERS.get(setting, str)(answer)


def _text(value: str) -> tuple[Value, str]:
    return value, ""


def _secret(value: str) -> tuple[Value, str]:
    if value.startswith("vault:"):
        raise ValueError("is kept in a vault, which we do not read")
    return value, "written to a file of its own"


def _file(value: str) -> tuple[Value, str]:
    if value.startswith(("classpath:", "vault:")):
        raise ValueError("is not a file; give a path")
    if any(character in value for character in "\t\f\r\n\b"):
        raise ValueError("has a control character: a backslash that was not doubled")
    return value.removeprefix("file:"), ""


def _orgnr(value: str) -> tuple[Value, str]:
    digits = value.removeprefix("0192:").replace(" ", "")
    if not re.fullmatch(r"[0-9]{9}", digits):
        raise ValueError("is not nine digits")
    return digits, ""


def _integer(value: str) -> tuple[Value, str]:
    if not value.isdigit():
        raise ValueError("is not a whole number")
    return int(value), ""


def _hours(value: str) -> tuple[Value, str]:
    return float(_integer(value)[0]), "hours"


def _size(value: str) -> tuple[Value, str]:
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError("is not a size such as 1GB")
    factor = 1024 ** " KMGT".index(found[2].upper() or " ")
    return int(found[1]) * factor, "bytes"


def _boolean(value: str) -> tuple[Value, str]:
    if value.lower() in _TRUE:
        return True, ""
    if value.lower() in _FALSE:
        return False, ""
    raise ValueError("is neither true nor false")


def _dialect(value: str) -> tuple[Value, str]:
    name = value.lower()
    if name not in ("p360", "ephorte", "websak", "mail"):
        raise ValueError("is none of p360, ephorte, websak, mail")
    return name, ""


def _registry(value: str) -> tuple[Value, str]:
    address = value.rstrip("/")
    moved = {
        "https://meldingsutveksling.difi.no/serviceregistry": "https://eformidling.no/adressetjeneste",
        "https://beta-meldingsutveksling.difi.no/serviceregistry": (
            "https://test.eformidling.no/adressetjeneste"
        ),
    }
    if address in moved:
        return moved[address], "the old host is gone; its new address was written"
    return address, ""


def _channel(value: str) -> tuple[Value, str]:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,25}", value):
        raise ValueError("is not 1 to 25 of A-Z, a-z, 0-9, - and _")
    return value, ""


_CONVERT: Mapping[str, Callable[[str], tuple[Value, str]]] = {
    "text": _text,
    "secret": _secret,
    "file": _file,
    "orgnr": _orgnr,
    "integer": _integer,
    "hours": _hours,
    "size": _size,
    "boolean": _boolean,
    "dialect": _dialect,
    "registry": _registry,
    "channel": _channel,
}
