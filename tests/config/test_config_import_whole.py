"""A file with every key that an Integrasjonspunkt 2.x knows, in its many spellings.

`fixtures/integrasjonspunkt-local.properties` is ours, in the shape of an installation: ISO-8859-1,
CRLF, escapes, placeholders, blanks at line ends, continued lines, keys given twice.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.config import command
from gateway.legacy import Import, import_properties
from gateway.legacy.properties import read_properties
from gateway.settings import GIB, load_settings

FILE = Path(__file__).parent / "fixtures" / "integrasjonspunkt-local.properties"

SECRETS = (
    "påske=2026", "dobbel\\skråstrek", "posthemmelig", "altinnhemmelig", "oidchemmelig",
    "tlshemmelig", "porthemmelig", "dbhemmelig", "mqhemmelig", "vaulthemmelig", "svarinnhemmelig",
)  # fmt: skip

TAKEN = {
    "difi.move.dpo.reportees": "on_behalf_of[2].orgnr",  # the last of its numbers
    "server.port": "listen.port",
    "difi.move.org.number": "organisation.orgnr",
    "difi.move.org.keystore.alias": "organisation.keystore_alias",
    "difi.move.org.keystore.password": "organisation.keystore_password",
    "difi.move.noark-system.type": "archive.dialect",
    "difi.move.noark_system.endpointURL": "archive.url",
    "difi.move.noarkSystem.userName": "archive.username",
    "difi.move.noarkSystem.password": "archive.password",
    "difi.move.noarkSystem.domain": "archive.domain",
    "difi.move.feature.returnOkOnEmptyPayload": "archive.return_ok_on_empty_payload",
    "difi.move.feature.mailErrorStatus": "alerts.mail_host",
    "difi.move.mail.smtpHost": "alerts.mail_host",
    "difi.move.mail.smtpPort": "alerts.mail_port",
    "difi.move.mail.senderAddress": "alerts.mail_sender",
    "difi.move.mail.receiverAddress": "alerts.mail_receivers",
    "difi.move.mail.username": "alerts.mail_username",
    "difi.move.mail.password": "alerts.mail_password",
    "difi.move.arkivmelding.default-process": "messages.process",
    "DIFI_MOVE_NEXTMOVE_DEFAULTTTLHOURS": "messages.ttl_hours",
    "difi.move.dpo.upload-size-limit": "messages.max_letter_bytes",
    "difi.move.fiks.inn.fallbackSenderOrgNr": "messages.fallback_sender",
    "difi.move.dpo.message_channel": "network.channel",
    "difi.move.serviceregistryEndpoint": "network.registry_url",
    "difi.move.sign.enable": "network.registry_signed",
    "difi.move.oidc.url": "network.token_url",
    "difi.move.oidc.audience": "network.token_audience",
    "difi.move.oidc.clientId": "network.client_id",
    "difi.security.user.name": "listen.username",
    "difi.security.user.password": "listen.password",
}
LOOKED_AT = {
    "spring.profiles.active", "difi.move.org.keystore.type", "mappe", "arkiv.vert",
    "difi.move.oidc.clientIdPrefix", "difi.move.mail.enableAuth", "difi.ssl.enabled",
    "difi.security.enable", "difi.move.feature.enable-auth",
}  # fmt: skip
MISTAKES = {"difi.move.noarkSystem.endpointUri", "skogland.driftstelefon"}
REASONS = {
    "difi.move.NOARKSYSTEM.USERNAME": "counts instead",
    "difi.move.dpo.username": "Altinn II closed",
    "difi.move.dpo.password": "Altinn II closed",
    "difi.move.dpo.brokerserviceUrl": "Altinn II",
    "difi.move.dpo.streamingserviceUrl": "Altinn II closed",
    "difi.move.dpo.serviceCode": "Altinn II closed",
    "difi.move.dpo.serviceEditionCode": "Altinn II closed",
    "difi.move.feature.enableDPF": "stays in Integrasjonspunkt",
    "difi.move.dpv.username": "stays in Integrasjonspunkt",
    "difi.move.fiks.inn.password": "stays in Integrasjonspunkt",
    "difi.move.feature.cryptoMessagePersister": "database.document_key",
    "difi.datasource.url": "our own database",
    "difi.activemq.broker-url": "no broker",
    "logging.level.no.difi": "--log-level",
    "app.logger.enableLogging": "not shipped to Digdir",
    "https.proxyHost": "HTTPS_PROXY",
    "difi.move.mail.trust": "alerts",
}
ANSWERS = {
    "on_behalf_of[1].system_user": "havna",
    "on_behalf_of[2].system_user": "kirken",
    "organisation.keystore": "virksomhet.p12",
    "network.system_user": "910075918_integrasjonspunkt",
    "listen.host": "0.0.0.0",
}


@pytest.fixture(scope="module")
def result() -> Import:
    return import_properties(FILE.read_bytes())


def test_no_key_is_lost_and_none_is_in_two_lists(result: Import) -> None:
    keys = {one.key for one in read_properties(FILE.read_bytes())[0]}
    assert len(keys) > 130
    lists = (result.taken, result.questions, result.ignored)
    told = Counter(key for one in lists for key in {it.key for it in one if it.key is not None})
    assert told == Counter(keys)


def test_what_matters_is_taken_over(result: Import) -> None:
    taken = {it.key: it.setting for it in result.taken if it.key is not None}
    assert {key: taken.get(key) for key in TAKEN} == TAKEN
    assert taken.keys() - TAKEN.keys() == LOOKED_AT


def test_what_is_not_taken_over_has_its_reason(result: Import) -> None:
    reasons = {it.key: it.reason for it in result.ignored}
    for key, part in REASONS.items():
        assert part in reasons[key], key
    assert {key for key, reason in reasons.items() if "not a key that we know" in reason} == (
        MISTAKES
    )


def test_the_values_are_those_that_java_read(result: Import) -> None:
    assert result.values["archive.url"] == (
        "http://arkiv.skogland.example:8080/websak/services/NoarkExchange"
    )
    assert result.values["organisation.keystore_alias"] == "skogland kommune"
    assert result.secrets["organisation.keystore_password"] == "påske=2026"
    assert result.secrets["archive.password"] == "dobbel\\skråstrek"
    assert result.remarks[:2] == [
        "line 11: difi.move.org.keystore.password: white space at the end was taken away",
        "line 18: difi.move.noark_system.endpointURL: white space at the end was taken away",
    ]


def test_with_the_answers_it_becomes_settings_that_load(tmp_path: Path) -> None:
    out = tmp_path / "gateway.toml"
    first = CliRunner().invoke(command, ["import", str(FILE), "--out", str(out)])
    assert first.exit_code == 1
    assert f"{len(ANSWERS)} need your answer" in first.output
    (tmp_path / "virksomhet.p12").touch()
    arguments = ["import", str(FILE), "--out", str(out), "--force"]
    for setting, answer in ANSWERS.items():
        arguments += ["--answer", f"{setting}={answer}"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    for secret in SECRETS:
        assert secret not in first.output + done.output + out.read_text(encoding="utf-8")
    settings = load_settings(out, {})
    assert settings.archive.dialect == "websak"
    assert (settings.archive.auth, settings.archive.username) == ("ntlm", "svc-edu")
    assert settings.archive.password == "dobbel\\skråstrek"
    assert settings.messages.ttl_hours == 72
    assert settings.messages.max_letter_bytes == 2 * GIB
    assert settings.listen.max_request_bytes == 3 * GIB
    assert settings.network.channel == "websak-2"
    assert [one.system_user for one in settings.on_behalf_of] == ["havna", "kirken"]
    assert settings.alerts.mail_password == "posthemmelig"


def test_answers_are_read_as_what_they_must_be(tmp_path: Path) -> None:
    out = tmp_path / "gateway.toml"
    answers = ["network.poll_seconds=5", "network.rate_limits=False", "archive.proxy=http://u:p@h"]
    arguments = ["import", str(FILE), "--out", str(out)]
    CliRunner().invoke(command, arguments + [f"--answer={one}" for one in answers])
    text = out.read_text(encoding="utf-8")
    assert "poll_seconds = 5.0" in text
    assert "rate_limits = false" in text
    assert "u:p@h" not in text
    assert (tmp_path / "archive-proxy.secret").read_text() == "http://u:p@h\n"
    wrong = CliRunner().invoke(command, [*arguments, "--force", "--answer", "network.chanel=x"])
    assert wrong.exit_code == 2
    assert "is it network.channel?" in wrong.output
