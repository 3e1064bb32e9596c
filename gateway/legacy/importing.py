"""Reads the predecessor's ``integrasjonspunkt-local.properties`` into our settings.

Nothing is dropped in silence: every key of the file ends up as taken over, as a question,
or as ignored with the reason (users-and-ecosystem 1.3, bestedu-soap 6).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gateway.legacy.keys import DEFAULTS, IGNORED, OTHER_CHANNELS, PREFIXES, TAKEN
from gateway.legacy.properties import Property, canonical, read_properties
from gateway.legacy.values import CONVERT, TRUE, Value

PASSWORDS = frozenset(
    {
        "organisation.keystore_password",
        "archive.password",
        "mail.password",
        "alerts.mail_password",
        "listen.password",
    }
)
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
_REPORTEE = re.compile(r"difi\.move\.dpo\.reportees(?:\[(\d+)\])?(?:\.(orgid|name))?")
_LARGEST_REQUEST = 2 * 1024**3
"""The default of ``listen.max_request_bytes``."""
_LARGEST_PACKAGE = 1024**3
"""The default of ``network.max_package_bytes``."""
_JKS = ("jks", "keystore")
_PKCS12 = ("p12", "pfx", "pem")


def import_properties(
    data: bytes,
    answers: Mapping[str, Value] | None = None,
    secrets: Collection[str] = PASSWORDS,
) -> Import:
    """Turn the file into settings; `answers` by ``section.key`` settle questions.

    `secrets` are the settings that go to files of their own.
    """
    properties, remarks = read_properties(data)
    result = Import(remarks=remarks)
    known: dict[str, Property] = {}
    for one in properties:
        name = canonical(one.key)
        if name in known:
            reason = f"line {one.line}, {one.key}, is the same key and counts instead"
            result.ignored.append(Ignored(known[name].key, reason))
        known[name] = one
    _Importer(known, dict(answers or {}), result, secrets).run()
    return result


class _Importer:
    def __init__(
        self,
        known: dict[str, Property],
        answers: dict[str, Value],
        result: Import,
        secrets: Collection[str],
    ) -> None:
        self._known = known
        self._answers = answers
        self._result = result
        self._secrets = secrets
        self._overridden = len(result.ignored)
        self._used: set[str] = set()

    def run(self) -> None:
        for setting, answer in self._answers.items():
            self._put(setting, answer)
        for name, setting, kind in TAKEN:
            self._take(name, setting, kind)
        self._archive()
        self._mail_security()
        self._keystore()
        self._network()
        self._reportees()
        self._access()
        self._sizes()
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
            converted, note = CONVERT[kind](value)
        except ValueError as error:
            self._ask(setting, f"{value!r} {error}" if kind != "secret" else str(error), key)
            return
        self._put(setting, converted)
        self._result.taken.append(Taken(key, setting, note))

    def _put(self, setting: str, value: Value) -> None:
        if setting in self._secrets:
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
        if (self._value("difi.move.mail.enableAuth") or "false").lower() not in TRUE:
            for setting in ("mail.username", "mail.password"):
                self._drop(setting, "mail.enableAuth is not true, so it had no effect")
        if values.get("archive.dialect") != "mail":
            if (self._value("difi.move.feature.mailErrorStatus") or "").lower() in TRUE:
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

    def _mail_security(self) -> None:
        if {"mail.host", "alerts.mail_host"} & self._result.values.keys():
            self._result.remarks.append(
                "mail: the predecessor sent without TLS where the server offered none; we do so "
                "only with mail.security (alerts.mail_security) none, and then without password"
            )

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

    def _reportees(self) -> None:
        """Those that we act on behalf of: numbers in version 2, rows of keys in version 4."""
        rows: dict[str, dict[str, Property]] = {}
        for name, one in self._known.items():
            if found := _REPORTEE.fullmatch(name):
                for place, text in enumerate(one.value.split(",")):
                    row = rows.setdefault(found[1] or str(place), {})
                    row[found[2] or "orgid"] = replace(one, value=text.strip())
        number = 0
        for row in rows.values():
            orgid, name = row.get("orgid"), row.get("name")
            try:
                orgnr = CONVERT["orgnr"](self._filled(orgid.value, 0))[0] if orgid else ""
            except ValueError as error:
                assert orgid is not None
                self._ask("on_behalf_of.orgnr", f"{orgid.value!r} {error}", orgid.key)
                continue
            if orgid is None or orgnr == self._result.values.get("organisation.orgnr"):
                continue
            number += 1
            table = f"on_behalf_of[{number}]"
            self._put(f"{table}.orgnr", orgnr)
            shares = "its letters go to our archive unless it gets an archive of its own"
            self._result.taken.append(Taken(orgid.key, f"{table}.orgnr", shares))
            if self._has(f"{table}.system_user"):
                continue
            if name is not None:
                self._put(f"{table}.system_user", self._filled(name.value, 0))
                self._result.taken.append(Taken(name.key, f"{table}.system_user"))
            else:
                self._ask(
                    f"{table}.system_user",
                    f"the external reference of the system user that {orgnr} has approved in "
                    "Altinn",
                )

    def _access(self) -> None:
        switches = ("difi.security.enable", "difi.move.feature.enable-auth")
        values = [(self._value(switch) or "").lower() for switch in switches]
        if not any(value in TRUE for value in values):
            for setting in ("listen.username", "listen.password"):
                self._drop(setting, "difi.security.enable is not true, so it had no effect")
        if (self._value("difi.ssl.enabled") or "").lower() in TRUE:
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

    def _sizes(self) -> None:
        """A letter is a third larger as base64, and must get through the door."""
        letter = self._result.values.get("messages.max_letter_bytes")
        if isinstance(letter, int) and letter * 3 // 2 > _LARGEST_REQUEST:
            note = "room for the largest letter as base64"
            self._derive("listen.max_request_bytes", letter * 3 // 2, note)
        if isinstance(letter, int) and letter > _LARGEST_PACKAGE:
            note = "room for the largest letter as a package; Altinn's resource must allow it too"
            self._derive("network.max_package_bytes", letter + letter // 512, note)

    def _rest(self) -> None:
        """Every key that stands in no list yet: nothing is dropped in silence."""
        result = self._result
        told = (*result.taken, *result.questions, *result.ignored[self._overridden :])
        listed = {it.key for it in told}
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
    "difi.move.feature.enableauth": "listen.username",
    "difi.move.mail.enableauth": "mail.username",
    "difi.ssl.enabled": "listen.public_url",
}
"""Keys that we look at without having one setting for them, and what they decide."""
