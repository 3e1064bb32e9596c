"""The predecessor's properties become a gateway.toml that loads."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.config import command, toml_text
from gateway.legacy import import_properties
from gateway.legacy.properties import canonical, read_properties
from gateway.settings import GIB, load_settings

# In the shape of a 2.x installation on Windows; everything in it is invented.
_FILE = r"""# Integrasjonspunkt for Fjellbygda kommune
server.port=9093
spring.profiles.active = production

difi.move.org.number=991825827
difi.move.org.keystore.path=file:C:/integrasjonspunkt/fjellbygda.jks
difi.move.org.keystore.alias: fjellbygda
difi.move.org.keystore.password=hemmelig\u00e5{blanks}
difi.move.org.keystore.type=JKS

! arkivet
difi.move.noarksystem.type=ePhorte
difi.move.noark-system.endpointURL=http://${arkiv.vert}/ephorte/EDUImport.svc
arkiv.vert=arkiv.fjellbygda.example
difi.move.noarkSystem.username=svc-best
difi.move.noarkSystem.password=ogsåhemmelig
difi.move.noarkSystem.domain=FJELLBYGDA

difi.move.feature.enableDPO=true
difi.move.feature.enableDPV=true
difi.move.feature.returnOkOnEmptyPayload=true
difi.move.feature.mailErrorStatus=true
difi.move.mail.smtpHost=smtp.fjellbygda.example
difi.move.mail.smtpPort=25
DIFI_MOVE_DPO_MESSAGECHANNEL=sak
difi.move.dpo.username=1234
difi.move.dpo.password=altinnhemmelig
difi.move.dpo.upload_size_limit=2GB
difi.move.nextmove.default-ttl-hours=96
difi.move.serviceregistryEndpoint=https://meldingsutveksling.difi.no/serviceregistry
difi.move.dpv.username=4321
difi.move.fiks.inn.enable=false
difi.datasource.url=jdbc:h2:file:./integrasjonspunkt
difi.activemq.broker-url=vm://localhost
difi.security.enable=true
difi.security.user.name=arkiv
difi.security.user.password=porthemmelig
management.endpoints.web.exposure.include=health,\
    info
app.logger.enableLogging=true
difi.move.tullball=1
""".replace("{blanks}", "   ").encode("iso-8859-1")

_SECRETS = ("hemmelig", "ogsåhemmelig", "altinnhemmelig", "porthemmelig")
_ANSWERS = {
    "organisation.keystore": "virksomhet.p12",
    "network.system_user": "991825827_integrasjonspunkt_systembruker",
    "listen.host": "0.0.0.0",
    "alerts.mail_sender": "gateway@fjellbygda.example",
    "alerts.mail_receivers": "drift@fjellbygda.example",
}


def test_every_key_stands_in_exactly_one_list() -> None:
    keys = {one.key for one in read_properties(_FILE)[0]}
    result = import_properties(_FILE)
    listed = [
        it.key for it in (*result.taken, *result.questions, *result.ignored) if it.key is not None
    ]
    assert sorted(listed) == sorted(keys)


def test_what_is_taken_over() -> None:
    result = import_properties(_FILE)
    assert result.values == {
        "listen.port": 9093,
        "organisation.orgnr": "991825827",
        "organisation.keystore_alias": "fjellbygda",
        "archive.dialect": "ephorte",
        "archive.url": "http://arkiv.fjellbygda.example/ephorte/EDUImport.svc",
        "archive.username": "svc-best",
        "archive.domain": "FJELLBYGDA",
        "archive.auth": "ntlm",
        "archive.return_ok_on_empty_payload": True,
        "messages.ttl_hours": 96.0,
        "messages.max_letter_bytes": 2 * GIB,
        "network.max_package_bytes": 2 * GIB + 4 * 1024**2,
        "network.channel": "sak",
        "network.registry_url": "https://eformidling.no/adressetjeneste",
        "network.token_url": "https://maskinporten.no/token",
        "network.token_audience": "https://maskinporten.no/",
        "network.exchange_url": (
            "https://platform.altinn.no/authentication/api/v1/exchange/maskinporten"
        ),
        "network.broker_url": "https://platform.altinn.no/broker/api/v1",
        "network.client_id": "MOVE_IP_991825827",
        "listen.username": "arkiv",
        "listen.max_request_bytes": 3 * GIB,
        "alerts.mail_host": "smtp.fjellbygda.example",
        "alerts.mail_port": 25,
    }
    assert result.secrets == {
        "organisation.keystore_password": "hemmeligå",
        "archive.password": "ogsåhemmelig",
        "listen.password": "porthemmelig",
    }


def test_what_is_asked_and_why() -> None:
    asked = {it.setting: it.text for it in import_properties(_FILE).questions}
    assert set(asked) == set(_ANSWERS)
    assert "keystore convert C:/integrasjonspunkt/fjellbygda.jks" in asked["organisation.keystore"]
    assert "Altinn II" in asked["network.system_user"]


def test_reasons_for_what_is_ignored() -> None:
    reasons = {it.key: it.reason for it in import_properties(_FILE).ignored}
    assert "Altinn II closed" in reasons["difi.move.dpo.username"]
    assert "stays in Integrasjonspunkt" in reasons["difi.move.dpv.username"]
    assert "stays in Integrasjonspunkt" in reasons["difi.move.feature.enableDPV"]
    assert "stays in Integrasjonspunkt" in reasons["difi.move.fiks.inn.enable"]
    assert "no broker" in reasons["difi.activemq.broker-url"]
    assert "not a key that we know" in reasons["difi.move.tullball"]


def test_command_asks_then_writes_settings_that_load(tmp_path: Path) -> None:
    file = tmp_path / "integrasjonspunkt-local.properties"
    file.write_bytes(_FILE)
    out = tmp_path / "ny" / "gateway.toml"
    first = CliRunner().invoke(command, ["import", str(file), "--out", str(out)])
    assert first.exit_code == 1
    assert "5 need your answer" in first.output
    assert "# SVAR: " in out.read_text(encoding="utf-8")
    for secret in _SECRETS:
        assert secret not in first.output
        assert secret not in out.read_text(encoding="utf-8")

    again = CliRunner().invoke(command, ["import", str(file), "--out", str(out)])
    assert again.exit_code == 2
    assert "--force" in again.output

    arguments = ["import", str(file), "--out", str(out), "--force"]
    for setting, answer in _ANSWERS.items():
        arguments += ["--answer", f"{setting}={answer}"]
    early = CliRunner().invoke(command, arguments)
    assert early.exit_code == 1
    assert "organisation.keystore: " in early.output.partition("Not right yet")[2]
    (out.parent / "virksomhet.p12").touch()
    second = CliRunner().invoke(command, arguments)
    assert second.exit_code == 0, second.output
    settings = load_settings(out, {})
    assert settings.organisation.keystore == out.parent / "virksomhet.p12"
    assert settings.organisation.keystore_password == "hemmeligå"
    assert settings.archive.auth == "ntlm"
    assert settings.archive.password == "ogsåhemmelig"
    assert settings.network.system_user == _ANSWERS["network.system_user"]
    assert settings.listen.host == "0.0.0.0"
    assert settings.messages.ttl_hours == 96
    assert settings.alerts.mail_host == "smtp.fjellbygda.example"


def test_answers_written_into_the_file_by_hand_load_too(tmp_path: Path) -> None:
    file = tmp_path / "integrasjonspunkt-local.properties"
    file.write_bytes(_FILE)
    out = tmp_path / "gateway.toml"
    CliRunner().invoke(command, ["import", str(file), "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    for setting, answer in _ANSWERS.items():
        key = setting.partition(".")[2]
        assert f'# {key} = ""' in text
        text = text.replace(f'# {key} = ""', f'{key} = "{answer}"')
    out.write_text(text, encoding="utf-8")
    (tmp_path / "virksomhet.p12").touch()
    assert load_settings(out, {}).network.system_user == _ANSWERS["network.system_user"]


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")
def test_passwords_lie_in_files_that_only_the_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "a.properties"
    file.write_bytes(_FILE)
    CliRunner().invoke(command, ["import", str(file), "--out", str(tmp_path / "gateway.toml")])
    secrets = list(tmp_path.glob("*.secret"))
    assert len(secrets) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


def test_user_name_without_domain_was_never_used() -> None:
    result = import_properties(
        b"difi.move.noarkSystem.type=p360\ndifi.move.noarkSystem.username=svc\n"
        b"difi.move.noarkSystem.password=x\n"
    )
    assert "archive.username" not in result.values
    assert "archive.password" not in result.secrets
    reasons = {it.key: it.reason for it in result.ignored}
    assert "archive.auth=basic" in reasons["difi.move.noarkSystem.username"]


def test_mail_settings_without_mail_are_told() -> None:
    result = import_properties(
        b"difi.move.noarkSystem.type=p360\ndifi.move.mail.smtpHost=smtp.example\n"
        b"difi.move.feature.mailErrorStatus=false\n"
    )
    reasons = {it.key: it.reason for it in result.ignored}
    assert "no mailbox" in reasons["difi.move.mail.smtpHost"]
    assert "alerts" in reasons["difi.move.feature.mailErrorStatus"]


def test_a_mailbox_as_archive() -> None:
    result = import_properties(
        b"difi.move.noarkSystem.type=mail\ndifi.move.mail.smtpHost=smtp.example\n"
        b"difi.move.mail.senderAddress=a@example\ndifi.move.mail.maxSize=10MB\n"
        b"difi.move.mail.trust=*\ndifi.move.mail.enableAuth=false\ndifi.move.mail.username=u\n"
    )
    assert result.values["mail.host"] == "smtp.example"
    assert result.values["mail.max_size"] == 10 * 1024**2
    assert "mail.username" not in result.values
    assert "mail.receivers" in {it.setting for it in result.questions}
    assert "archive.url" not in {it.setting for it in result.questions}


def test_version_4_keys() -> None:
    result = import_properties(
        b"spring.profiles.active=staging\ndifi.move.org.keystore.path=/etc/ip/key.p12\n"
        b"difi.move.dpo.brokerserviceUrl=https://platform.tt02.altinn.no/broker/api/v1\n"
        b"difi.move.dpo.systemUser.name=991825827_ip_su\n"
        b"difi.move.dpo.reportees[0].orgId=0192:974760673\n"
        b"difi.move.dpo.reportees[0].name=havna\n"
    )
    assert result.values["on_behalf_of[1].orgnr"] == "974760673"
    assert result.values["on_behalf_of[1].system_user"] == "havna"
    assert result.values["network.broker_url"] == "https://platform.tt02.altinn.no/broker/api/v1"
    assert result.values["network.system_user"] == "991825827_ip_su"
    assert result.values["network.token_url"] == "https://test.maskinporten.no/token"
    assert result.values["organisation.keystore"] == "/etc/ip/key.p12"


def test_those_that_we_act_on_behalf_of_come_along(tmp_path: Path) -> None:
    """Version 2 lists numbers, ours among them; their system users are new."""
    (tmp_path / "key.p12").write_bytes(b"")
    properties = tmp_path / "ip.properties"
    properties.write_text(
        "difi.move.org.number=910077473\ndifi.move.org.keystore.path=key.p12\n"
        "difi.move.dpo.reportees=910077473, 974760673,889640782\n"
    )
    result = import_properties(
        properties.read_bytes(),
        {
            "on_behalf_of[2].system_user": "kirken",
            "network.system_user": "vi",
            "organisation.keystore_password": "x",
            "archive.dialect": "p360",
            "archive.url": "http://archive.example/",
            "listen.host": "127.0.0.1",
        },
    )
    (question,) = result.questions
    assert question.setting == "on_behalf_of[1].system_user"
    assert "974760673" in question.text
    secret = tmp_path / "secret"
    secret.write_text("x")
    text = toml_text(result, {"organisation.keystore_password": "secret"}, "ip.properties")
    (tmp_path / "gateway.toml").write_text(text)
    settings = load_settings(tmp_path / "gateway.toml", {})
    assert [(one.orgnr, one.system_user) for one in settings.on_behalf_of] == [
        ("974760673", None),
        ("889640782", "kirken"),
    ]


def test_wrong_values_are_questions_not_guesses() -> None:
    result = import_properties(
        rb"difi.move.org.number=12345"
        + b"\n"
        + rb"difi.move.org.keystore.path=C:\temp\key.p12"
        + b"\ndifi.move.dpo.message-channel=altfor/langt\nserver.port=${PORT}\n"
    )
    asked = {it.setting: it.text for it in result.questions}
    assert "nine digits" in asked["organisation.orgnr"]
    assert "backslash" in asked["organisation.keystore"]
    assert "network.channel" in asked
    assert "PORT" in asked["listen.port"]


def test_the_last_of_two_counts_and_is_told() -> None:
    result = import_properties(b"difi.move.org.number=111111111\ndifi.move.ORG_NUMBER=1\n"
                               b"difi.move.org.number=991825827\n")  # fmt: skip
    assert result.values["organisation.orgnr"] == "991825827"
    assert [it.key for it in result.ignored] == ["difi.move.org.number", "difi.move.ORG_NUMBER"]
    assert "line 3, difi.move.org.number," in result.ignored[0].reason


@pytest.mark.parametrize(
    "spelling",
    [
        "difi.move.noarkSystem.endpointURL",
        "difi.move.noark-system.endpoint-url",
        "difi.move.noark_system.endpoint_url",
        "difi.move.NOARKSYSTEM.ENDPOINTURL",
        "DIFI_MOVE_NOARKSYSTEM_ENDPOINTURL",
    ],
)
def test_relaxed_names(spelling: str) -> None:
    assert canonical(spelling) == "difi.move.noarksystem.endpointurl"


def test_properties_syntax() -> None:
    found, remarks = read_properties(
        b"a = 1\r\nb:2\nc 3\n  d\\ e = \\u00e6\\=\n! no\n# no\nf = x\\\n    y\ng=h   \ni\n"
        b"j=C\\:\\\\temp\nk=C:\\temp\n"
    )
    assert [(it.key, it.value) for it in found] == [
        ("a", "1"), ("b", "2"), ("c", "3"), ("d e", "æ="), ("f", "xy"), ("g", "h"), ("i", ""),
        ("j", "C:\\temp"), ("k", "C:\temp"),
    ]  # fmt: skip
    assert any("white space" in remark for remark in remarks)
    assert any("control character" in remark for remark in remarks)


def test_placeholders_in_a_circle_end() -> None:
    result = import_properties(b"a=${b}\nb=${a}\ndifi.move.org.number=${a}\n")
    assert "organisation.orgnr" in {it.setting for it in result.questions}


@given(st.binary(max_size=400))
def test_any_bytes_are_read(data: bytes) -> None:
    import_properties(data)
