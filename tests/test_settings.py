"""A settings file is checked as a whole, the environment is over it, and its page is true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.errors import ConfigurationError, SettingsWrong
from gateway.settings import Settings, load_settings
from gateway.settings.description import REQUIRED, describe, key
from gateway.settings.loading import read_settings
from gateway.settings.page import EXAMPLE

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

GOOD = """
folder = "store"
[organisation]
orgnr = "910077473"
keystore = "own.p12"
keystore_password_file = "secret"
[archive]
dialect = "p360"
url = "http://archive.example/edu"
timeout = 60
[network]
token_url = "https://a"
token_audience = "https://a/"
exchange_url = "https://b"
broker_url = "https://c"
registry_url = "https://d"
client_id = "x"
[messages.switches]
pair_avskrivning = true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a settings file lies, with what it points at."""
    (tmp_path / "own.p12").touch()
    (tmp_path / "secret").write_text("hemmelig\n")
    return tmp_path


def load(folder: Path, text: str = GOOD, **environment: str) -> Settings:
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    return load_settings(folder / "gateway.toml", environment)


def problems(folder: Path, text: str, **environment: str) -> dict[str, str]:
    """What is wrong with a file, by key."""
    with pytest.raises(SettingsWrong) as caught:
        load(folder, text, **environment)
    for one in caught.value.problems:
        assert one in caught.value.detail
    return dict(one.split(": ", 1) for one in caught.value.problems)


def test_a_good_file_is_read_with_paths_under_its_folder(folder: Path) -> None:
    settings = load(folder)
    assert settings.organisation.keystore == folder / "own.p12"
    assert settings.organisation.keystore_password == "hemmelig"
    assert settings.archive.timeout == 60.0
    assert settings.folder == folder / "store"
    assert settings.messages.switches == {"pair_avskrivning": True}


def test_no_secret_is_in_the_settings_shown(folder: Path) -> None:
    secrets = {
        "EDU_GATEWAY_LISTEN_USERNAME": "arkiv",
        "EDU_GATEWAY_LISTEN_PASSWORD": "hemmelig1",
        "EDU_GATEWAY_DATABASE_URL": "postgresql+psycopg://gateway:hemmelig2@host/db",
        "EDU_GATEWAY_ALERTS_WEBHOOK_URL": "https://hooks.example/hemmelig3",
        "EDU_GATEWAY_ARCHIVE_PROXY": "http://me:hemmelig4@proxy.example",
    }
    settings = load(folder, **secrets)
    assert settings.database.url == secrets["EDU_GATEWAY_DATABASE_URL"]
    assert "hemmelig" not in repr(settings)


def test_the_environment_wins(folder: Path) -> None:
    (folder / "elsewhere").write_text("\ufeffi en fil\r\n", encoding="utf-8")
    settings = load(
        folder,
        GOOD.replace('"secret"', '"not there"'),
        EDU_GATEWAY_ORGANISATION_KEYSTORE_PASSWORD="miljø ",
        EDU_GATEWAY_LISTEN_PORT="8080",
        EDU_GATEWAY_LISTEN_USERNAME="arkiv",
        EDU_GATEWAY_LISTEN_PASSWORD_FILE="elsewhere",
        EDU_GATEWAY_ARCHIVE_TIMEOUT="1.5",
        EDU_GATEWAY_NETWORK_RATE_LIMITS="False",
        EDU_GATEWAY_MESSAGES_SWITCHES="no_empty_wrappers=true, pair_avskrivning=false",
        EDU_GATEWAY_FOLDER="other",
        EDU_GATEWAY_ARCHIVE_URL="",
    )
    assert settings.organisation.keystore_password == "miljø"
    assert settings.listen.port == 8080
    assert settings.listen.password == "i en fil"
    assert settings.archive.timeout == 1.5
    assert settings.network.rate_limits is False
    assert settings.messages.switches == {"no_empty_wrappers": True, "pair_avskrivning": False}
    assert settings.folder == folder / "other"
    assert settings.archive.url == "http://archive.example/edu"


def test_the_environment_alone_can_make_a_table(folder: Path) -> None:
    mail = {"HOST": "smtp.example", "SENDER": "a@example", "RECEIVERS": "b@example, c@example"}
    settings = load(
        folder,
        GOOD.replace('"p360"', '"mail"'),
        **{f"EDU_GATEWAY_MAIL_{name}": value for name, value in mail.items()},
    )
    assert settings.mail is not None
    assert settings.mail.host == "smtp.example"


def test_a_file_saved_by_notepad_is_read(folder: Path) -> None:
    assert load(folder, "\ufeff" + GOOD.replace("\n", "\r\n")).archive.dialect == "p360"


def test_everything_wrong_is_reported_at_once(folder: Path) -> None:
    found = problems(
        folder,
        """
colour = "blue"
orgnr = "910077473"
[organisation]
orgnr = "910077474"
keystore = "absent.p12"
keystore_password = "hemmelig"
keystore_password_file = "secret"
[archive]
url = "archive.example/edu"
auth = "NTLM"
timeout = "soon"
connect_timeout = -1
return_ok_on_empty_payload = "False"
pasword = "hemmelig"
[network]
token_url = "https://me:hemmelig@a"
token_audience = "https://a/"
broker_url = "https://c"
registry_url = "https://d"
poll_seconds = inf
transport = "pigeon"
channel = "a.b"
[listen]
port = 70000
max_request_bytes = true
username = "arkiv"
[messages]
profile = "faithfull"
[database]
url = "mysql://me:hemmelig@host/db"
document_key = "hemmelig"
[[trust]]
chain = "warn"
[alerts]
mail_host = "smtp.example"
mail_security = "none"
mail_username = "u"
mail_password = "hemmelig"
mail_receivers = "nobody"
""",
        EDU_GATEWAY_LISTEN_PROT="1",
        EDU_GATEWAY_LISTN_HOST="x",
        EDU_GATEWAY_KEYSTORE_PASSWORD="of another command",
        EDU_GATEWAY_SERVICE_PORT="set by Kubernetes",
    )
    said = {
        "colour": "not a known key",
        "orgnr": "is it organisation.orgnr?",
        "organisation.orgnr": "its last digit does not fit",
        "organisation.keystore": "absent.p12 is not a file",
        "organisation.keystore_password": "given twice",
        "archive.dialect": "missing",
        "archive.url": "http or https",
        "archive.auth": "one of none, basic, ntlm, negotiate",
        "archive.timeout": "a number, without quotes",
        "archive.connect_timeout": "0.1 to 3600",
        "archive.return_ok_on_empty_payload": "true or false, without quotes",
        "archive.pasword": "is it archive.password?",
        "network.token_url": "must not hold a user name or password",
        "network.client_id": "missing, but the registry is asked",
        "network.poll_seconds": "not infinite",
        "network.transport": "one of altinn3, directory",
        "network.channel": "1 to 25",
        "listen.port": "0 to 65535",
        "listen.max_request_bytes": "a whole number",
        "listen.password": "missing, but listen.username is given",
        "messages.profile": "one of faithful, rich",
        "database.url": "must be postgresql+psycopg://",
        "database.document_key": "64 hexadecimal digits",
        "trust": "must be a table, [trust]",
        "alerts.mail_receivers": "'nobody' is not a mail address",
        "alerts.mail_sender": "missing, but alerts.mail_host is given",
        "alerts.mail_security": "in the clear",
        "EDU_GATEWAY_LISTEN_PROT": "is it EDU_GATEWAY_LISTEN_PORT?",
        "EDU_GATEWAY_LISTN_HOST": "is it EDU_GATEWAY_LISTEN_HOST?",
    }
    assert set(found) == set(said)
    for name, text in said.items():
        assert text in found[name], name
    assert "hemmelig" not in str(found)


@pytest.mark.parametrize(
    ("old", "new", "key", "text"),
    [
        ('"p360"', '"p361"', "archive.dialect", "ephorte, p360, websak, mail"),
        ('"p360"', '"mail"', "mail", "missing, but archive.dialect is mail"),
        ('url = "http://archive.example/edu"', "", "archive.url", "missing"),
        (
            "timeout = 60",
            'auth = "basic"\nusername = "u"',
            "archive.password",
            "archive.auth is basic",
        ),
        ("timeout = 60", 'password = "x"', "archive.password", "archive.auth is none"),
        ("pair_avskrivning", "pair_avskriving", "messages.switches.pair_avskriving", "is it pair"),
        ("= true", '= "true"', "messages.switches", "a table of true and false"),
        (
            "[messages.switches]\npair_avskrivning = true",
            '[messages]\nprofile = "rich"\nswitches = { pair_avskrivning = false }',
            "messages.switches.pair_avskrivning",
            "cannot be off",
        ),
        ('"secret"', '"."', "organisation.keystore_password", "its file .:"),
        ('"secret"', "7", "organisation.keystore_password", "text in quotes"),
        ('"910077473"', "910077473", "organisation.orgnr", "text in quotes"),
        ('"910077473"', '""', "organisation.orgnr", "missing"),
        ("timeout = 60", "timeout = true", "archive.timeout", "a number"),
        ("timeout = 60", "timeout = nan", "archive.timeout", "not infinite"),
        ('"store"', '"own.p12"', "folder", "is not a folder"),
        ("timeout = 60", 'soap_action = "a b"', "archive.soap_action", "visible ASCII"),
    ],
)
def test_each_kind_of_mistake_names_its_key(
    folder: Path, old: str, new: str, key: str, text: str
) -> None:
    assert old in GOOD
    found = problems(folder, GOOD.replace(old, new))
    assert set(found) == {key}
    assert text in found[key]


def test_an_empty_soap_action_is_one(folder: Path) -> None:
    assert load(folder, GOOD.replace("timeout = 60", 'soap_action = ""')).archive.soap_action == ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "No such file"),
        (b"folder = ", "is not TOML"),
        (b"folder = 'bl\xe5'", "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, text: str
) -> None:
    path = tmp_path / "gateway.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"gateway\.toml(?s:.*){text}"):
        load_settings(path, {})


# --- a list of tables -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Door:
    """A door."""

    colour: str = key(REQUIRED, "its colour")
    code: str | None = key(None, "opens it", secret=True)


@dataclass(frozen=True, slots=True)
class House:
    """With doors."""

    doors: tuple[Door, ...] = ()


def test_an_environment_has_addresses_and_others_may_be_given(folder: Path) -> None:
    lines = GOOD.splitlines()
    addresses = ("token_url", "token_audience", "exchange_url", "broker_url")
    text = "\n".join(line for line in lines if not line.startswith(addresses))
    settings = load(folder, text, EDU_GATEWAY_NETWORK_ENVIRONMENT="test")
    assert settings.network.token_url == "https://test.maskinporten.no/token"
    assert settings.network.broker_url == "https://platform.tt02.altinn.no/broker/api/v1"
    assert settings.network.registry_url == "https://d"
    assert set(problems(folder, text)) == {f"network.{one}" for one in addresses}


SEVERAL = (
    GOOD
    + """
[[organisation.old_keystores]]
keystore = "own.p12"
keystore_password_file = "secret"
[[on_behalf_of]]
orgnr = "974760673"
system_user = "havna"
[on_behalf_of.archive]
dialect = "mail"
[on_behalf_of.mail]
host = "smtp.example"
sender = "a@example.no"
receivers = "b@example.no"
[[on_behalf_of]]
orgnr = "889640782"
"""
)


def test_other_organisations_and_old_keystores_are_tables_in_a_list(folder: Path) -> None:
    settings = load(folder, SEVERAL, EDU_GATEWAY_ON_BEHALF_OF_2_SYSTEM_USER="kirken")
    (old,) = settings.organisation.old_keystores
    assert (old.keystore, old.keystore_password) == (folder / "own.p12", "hemmelig")
    havna, kirken = settings.on_behalf_of
    assert (havna.orgnr, havna.system_user, kirken.system_user) == ("974760673", "havna", "kirken")
    assert havna.archive is not None
    assert havna.mail is not None
    assert kirken.archive is None
    assert "hemmelig" not in repr(settings)


def test_mistakes_about_other_organisations_name_their_key(folder: Path) -> None:
    text = SEVERAL.replace("889640782", "974760673").replace("[on_behalf_of.mail]", "[[x]]")
    text = text.replace("974760673", "910077473", 1)
    found = problems(folder, text)
    assert "the same as organisation.orgnr" in found["on_behalf_of[1].orgnr"]
    assert "missing, but on_behalf_of[1].archive.dialect" in found["on_behalf_of[1].mail"]
    found = problems(folder, SEVERAL.replace("889640782", "974760673"))
    assert found == {"on_behalf_of[2].orgnr": "the same as on_behalf_of[1].orgnr"}


def test_tables_may_be_in_a_list(tmp_path: Path) -> None:
    raw = {"doors": [{"colour": "red"}, {"colour": "blue", "code_file": "code"}]}
    (tmp_path / "code").write_text("1234")
    environment = {"EDU_GATEWAY_DOORS_1_CODE": "99"}
    house, wrong = read_settings(House, raw, tmp_path, environment)
    assert wrong == []
    assert house == House((Door("red", "99"), Door("blue", "1234")))
    _, wrong = read_settings(House, {"doors": [{}, {"color": "x"}]}, tmp_path, {})
    assert wrong == [
        "doors[1].colour: missing",
        "doors[2].colour: missing",
        "doors[2].color: not a known key; is it doors[N].colour?",
    ]
    assert "EDU_GATEWAY_DOORS_N_CODE_FILE" in set(describe(House).environment())


# --- the page -------------------------------------------------------------------------


def test_the_page_in_docs_is_what_the_command_prints() -> None:
    result = CliRunner().invoke(main, ["config", "page"])
    assert result.output == PAGE.read_text(encoding="utf-8")


def test_the_example_of_the_page_loads(folder: Path) -> None:
    (folder / "virksomhet.p12").touch()
    (folder / "keystore.password").write_text("x")
    assert EXAMPLE in PAGE.read_text(encoding="utf-8")
    assert load(folder, EXAMPLE).archive.dialect == "p360"
