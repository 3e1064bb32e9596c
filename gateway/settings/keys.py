"""Every key of a ``gateway.toml``: its type, its default and what it is for.

`docs/settings.md` is made from this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.settings import rules
from gateway.settings.description import REQUIRED, key

DEFAULT_PROCESS = "urn:no:difi:profile:arkivmelding:administrasjon:ver1.0"
GIB = 1024**3

MailSecurity = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class OldKeystore:
    """A keystore from before the certificate was renewed.

    What was sent to us with its certificate is still opened. Keep it for as long as others
    may use the old certificate.
    """

    keystore: Path = key(REQUIRED, "PKCS#12 or PEM file", rule=rules.existing_file)
    keystore_password: str = key(REQUIRED, "its password", secret=True)
    keystore_alias: str | None = key(
        None, "which entry of it, when there are several", unset="its only entry"
    )


@dataclass(frozen=True, slots=True)
class Organisation:
    """Whom the gateway speaks for, and the key that proves it."""

    orgnr: str = key(REQUIRED, "organisation number, nine digits", rule=rules.orgnr)
    keystore: Path = key(
        REQUIRED,
        "PKCS#12 or PEM file with key, certificate and chain",
        rule=rules.existing_file,
    )
    keystore_password: str = key(REQUIRED, "the keystore's password", secret=True)
    keystore_alias: str | None = key(
        None, "which entry of the keystore, when there are several", unset="its only entry"
    )
    old_keystores: tuple[OldKeystore, ...] = ()


@dataclass(frozen=True, slots=True)
class Listen:
    """The address that the archive calls."""

    host: str = key("127.0.0.1", "address of this machine that is bound; 0.0.0.0 for all")
    port: int = key(9093, "port; 0 for any that is free", least=0, most=65535)
    public_url: str | None = key(
        None,
        "address in the WSDL, behind a proxy",
        rule=rules.web_address,
        unset="as in the request",
    )
    username: str | None = key(None, "HTTP Basic on the SOAP endpoint", unset="no password asked")
    password: str | None = key(None, "HTTP Basic on the SOAP endpoint", secret=True)
    max_request_bytes: int = key(2 * GIB, "largest request body", unit="bytes", least=1024)
    patience: float = key(
        30.0,
        "how long the headers of a request may take; so long its body's speed does not count",
        unit="seconds",
        least=1,
        most=3600,
    )
    least_rate: int = key(
        1024,
        "bytes a second, on average; a body that comes more slowly is answered 408",
        least=1,
    )


@dataclass(frozen=True, slots=True)
class ArchiveSystem:
    """The archive that gets the letters; dialect `mail` needs `[mail]` instead of `url`."""

    dialect: str = key(REQUIRED, "a file of `mappings/dialects`, or `mail`", rule=rules.dialect)
    url: str = key(
        "",
        "the archive's own BEST/EDU address",
        rule=rules.web_address,
        unset="must be given, but not for `mail`",
    )
    auth: Literal["none", "basic", "ntlm", "negotiate"] = key("none", "how we log in there")
    username: str | None = key(
        None, "for `auth`", unset="with `negotiate`, the account of the process"
    )
    password: str | None = key(None, "for `auth`", secret=True)
    domain: str | None = key(None, "Windows domain, for `ntlm` and `negotiate`")
    soap_action: str | None = key(
        None,
        "another SOAPAction for PutMessage; it may be empty",
        rule=rules.soap_action,
        unset="as the dialect says",
        may_be_empty=True,
    )
    timeout: float = key(
        300.0, "how long the archive may take to answer", unit="seconds", least=0.1, most=86400
    )
    connect_timeout: float = key(
        10.0, "how long a connection may take", unit="seconds", least=0.1, most=3600
    )
    ca_file: Path | None = key(
        None,
        "PEM certificates that are trusted",
        rule=rules.existing_file,
        unset="those of the machine",
    )
    proxy: str | None = key(
        None, "address of a proxy", rule=rules.secret_address, secret=True, unset="no proxy"
    )
    appreceipt_parties: Literal["original", "reply"] | None = key(
        None, "whose parties stand in its AppReceipts", unset="as the dialect says"
    )
    return_ok_on_empty_payload: bool = key(False, "answer OK to an empty payload")


@dataclass(frozen=True, slots=True)
class Mail:
    """The mailbox of dialect `mail`; the table is not needed for others."""

    host: str = key(REQUIRED, "SMTP server")
    sender: str = key(REQUIRED, "address that mails are from", rule=rules.mail_addresses)
    receivers: str = key(
        REQUIRED, "addresses, several with commas between", rule=rules.mail_addresses
    )
    port: int = key(587, "its port", least=1, most=65535)
    security: MailSecurity = key("starttls", "how the connection is protected")
    username: str | None = key(None, "login at the server", unset="no login")
    password: str | None = key(None, "login at the server", secret=True)
    ca_file: Path | None = key(
        None,
        "PEM certificates that are trusted",
        rule=rules.existing_file,
        unset="those of the machine",
    )
    timeout: float = key(60.0, "how long the server may take", unit="seconds", least=0.1, most=3600)
    max_size: int | None = key(
        None,
        "largest mail; larger letters are split",
        unit="bytes",
        least=80000,
        unset="the server's own limit",
    )
    overflow_folder: Path | None = key(
        None,
        "takes documents that no mail can carry",
        rule=rules.folder,
        unset="such letters are refused",
    )


@dataclass(frozen=True, slots=True)
class Network:
    """eFormidling: where it is and who we are there.

    Transport `directory` needs no Altinn but a folder, and with a file of `addresses` no
    registry and no tokens either.
    """

    environment: Literal["production", "test"] | None = key(
        None,
        "Digdir's and Altinn's environment; its addresses count where no other is given",
        unset="every address must be given",
    )
    token_url: str = key(
        "",
        "Maskinporten's token endpoint",
        rule=rules.web_address,
        unset="the environment's; needed for `altinn3` and the registry",
    )
    token_audience: str = key("", "Maskinporten's audience", unset="the environment's")
    exchange_url: str = key(
        "", "Altinn's token exchange", rule=rules.web_address, unset="the environment's"
    )
    broker_url: str = key("", "Altinn 3 Broker", rule=rules.web_address, unset="the environment's")
    registry_url: str = key(
        "",
        "the address registry",
        rule=rules.web_address,
        unset="the environment's",
    )
    client_id: str = key(
        "",
        "our client at Maskinporten",
        unset="must be given where `altinn3` or the registry is used",
    )
    resource: str = key("eformidling-dpo-meldingsutveksling", "Altinn's name of the service")
    system_user: str | None = key(
        None, "external reference of the system user in Altinn", unset="a token without one"
    )
    registry_scopes: str = key("eformidling:dpo", "scopes for the registry, with blanks between")
    registry_signed: bool = key(True, "ask for signed answers and check them")
    poll_seconds: float = key(
        15.0, "pause between two polls", unit="seconds", least=0.1, most=86400
    )
    channel: str | None = key(
        None,
        "message channel of this installation, when the organisation has several",
        rule=rules.channel,
    )
    accept_any_reference: bool = key(
        False,
        "take packages for every message channel; only where no other installation of the "
        "organisation receives",
    )
    rate_limits: bool = key(True, "keep to Altinn's limits")
    searches_per_minute: int = key(
        10, "Altinn's limit for lists; all organisations share it", least=2, most=10000
    )
    calls_per_minute: int = key(
        120, "Altinn's limit for each other kind of call", least=2, most=100000
    )
    max_package_bytes: int = key(
        GIB,
        "largest package that Altinn takes for `resource`, as its owner has set it. A letter "
        "whose package might be larger, about a thousandth more than its documents, is refused "
        "at once; for `altinn3`",
        unit="bytes",
        least=1024**2,
    )
    transport: Literal["altinn3", "directory"] = key(
        "altinn3", "the way of packages; `directory` is a folder that both ends share"
    )
    directory: Path | None = key(
        None,
        "the shared folder, for `directory`; each organisation has an inbox in it, "
        "named by its number",
        rule=rules.folder,
        unset="must be given for `directory`",
    )
    addresses: Path | None = key(
        None,
        "TOML file used instead of the registry. Each `[[organisation]]` has `orgnr`, `name`, "
        "`certificate_file` (or `certificate`, the PEM text), and `processes` when it takes "
        "only some; list your own organisation too",
        rule=rules.existing_file,
        unset="the registry is asked",
    )


@dataclass(frozen=True, slots=True)
class OnBehalfOf:
    """Another organisation that we send and receive for, with our certificate and client.

    Its archive calls the same address as ours and names itself as sender. Without
    `[on_behalf_of.archive]` its letters go to our archive.
    """

    orgnr: str = key(REQUIRED, "its organisation number, nine digits", rule=rules.orgnr)
    system_user: str | None = key(
        None,
        "external reference of the system user in Altinn that it has approved",
        unset="a token without one",
    )
    archive: ArchiveSystem | None = None
    mail: Mail | None = None


@dataclass(frozen=True, slots=True)
class TrustedSigners:
    """Whose certificates are accepted: of those who sign what comes, and of those whom we
    encrypt for. `mappings/tillit.toml` lists the CAs that count.
    """

    certificates: Path | None = key(
        None,
        "folder or file with the CAs' root and intermediate certificates",
        rule=rules.existing,
        unset="signatures are verified, but not the chains of anybody's certificates",
    )
    environment: Literal["prod", "test"] = key("prod", "which list")
    authorities: Path | None = key(
        None,
        "a list of your own, in the form of `mappings/tillit.toml`, when that is outdated",
        rule=rules.existing_file,
        unset="the list that comes with the gateway",
    )
    chain: Literal["warn", "reject"] = key(
        "warn",
        "`warn` notes an untrusted chain or a revoked certificate with the message; `reject` "
        "quarantines what such a signer sends, and sends nothing to such a receiver",
    )
    revocation: Literal["off", "when_reachable", "required"] = key(
        "when_reachable",
        "whether the authorities' revocation lists are asked; `required`: somebody of whom "
        "no list could tell is not trusted",
    )


@dataclass(frozen=True, slots=True)
class Messages:
    """What happens to letters."""

    profile: Literal["faithful", "rich"] = key("faithful", "mapping profile")
    switches: Mapping[str, bool] = key(
        {}, "switches of the profile, such as `file_type_from_extension = true`"
    )
    process: str = key(DEFAULT_PROCESS, "process of outgoing letters", rule=rules.process)
    ttl_hours: float = key(24.0, "deadline of what we send", unit="hours", least=0.01, most=8760)
    max_letter_bytes: int = key(
        GIB,
        "sum of a letter's documents; `network.max_package_bytes` may allow less",
        unit="bytes",
        least=1024,
    )
    fallback_sender: str = key(
        "999999999", "receipts to it are answered OK and dropped", rule=rules.orgnr
    )
    retry_seconds: float = key(
        20.0,
        "first retry; then three times longer each, at most an hour",
        unit="seconds",
        least=0.1,
        most=3600,
    )
    unclear_seconds: float = key(
        600.0,
        "how long the archive's own AppReceipt is waited for when its answer was lost, before "
        "the letter is handed over again",
        unit="seconds",
        least=0.1,
        most=86400,
    )
    receipt_hours: float = key(
        24.0,
        "how long the AppReceipt of an archive that took a letter is waited for; then its "
        "sender gets kvittering by what the archive answered. 0: for ever",
        unit="hours",
        least=0,
        most=8760,
    )
    keep_documents_days: int = key(
        90,
        "content is deleted so long after its message was over, never while it needs a person; "
        "the record stays. 0: kept for ever",
        unit="days",
        least=0,
        most=36500,
    )


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """Where the rows lie, and whether documents are encrypted."""

    url: str | None = key(
        None,
        "`postgresql+psycopg://user@host/name`, when several nodes share the work; they also "
        "share `folder`",
        rule=rules.database_url,
        secret=True,
        unset="a file in `folder`",
    )
    lease_seconds: float = key(
        60.0,
        "how long the work of a node that died lies still; the nodes' clocks must agree much "
        "better than that",
        unit="seconds",
        least=1,
        most=3600,
    )
    document_key: str | None = key(
        None,
        "64 hexadecimal digits (`openssl rand -hex 32`): documents are encrypted at rest with "
        "it. Those from before stay readable; without it, sealed ones do not. Metadata in the "
        "database is not encrypted",
        rule=rules.document_key,
        secret=True,
        unset="documents lie as they are",
    )


@dataclass(frozen=True, slots=True)
class Web:
    """Who may see the pages, the API and the figures.

    Without any name and password, they answer on this machine alone.
    """

    username: str | None = key(None, "HTTP Basic on the pages", unset="that of `[listen]`")
    password: str | None = key(
        None, "HTTP Basic on the pages", secret=True, unset="that of `[listen]`"
    )


@dataclass(frozen=True, slots=True)
class Alerts:
    """Who is called when something needs a person, and when; nobody by default."""

    mail_host: str | None = key(None, "mail server for alerts", unset="no mail is sent")
    mail_port: int = key(587, "its port", least=1, most=65535)
    mail_security: MailSecurity = key("starttls", "how the connection is protected")
    mail_username: str | None = key(None, "login at the server", unset="no login")
    mail_password: str | None = key(None, "login at the server", secret=True)
    mail_sender: str = key(
        "",
        "address that alerts are from",
        rule=rules.mail_addresses,
        unset="must be given with `mail_host`",
    )
    mail_receivers: str = key(
        "",
        "addresses, several with commas between",
        rule=rules.mail_addresses,
        unset="must be given with `mail_host`",
    )
    mail_ca_file: Path | None = key(
        None,
        "PEM certificates that are trusted",
        rule=rules.existing_file,
        unset="those of the machine",
    )
    webhook_url: str | None = key(
        None,
        "gets a POST with JSON for every alert",
        rule=rules.secret_address,
        secret=True,
        unset="no webhook",
    )
    webhook_token: str | None = key(None, "sent to it as `Authorization: Bearer`", secret=True)
    check_seconds: float = key(
        60.0, "pause between two examinations", unit="seconds", least=0.1, most=86400
    )
    reminder_hours: float = key(
        24.0,
        "a cause that lasts is told again after this time",
        unit="hours",
        least=0.01,
        most=8760,
    )
    waiting_minutes: float = key(
        30.0,
        "age of the oldest waiting message that needs a person",
        unit="minutes",
        least=0.1,
        most=525600,
    )
    certificate_days: int = key(
        30, "how long before our certificate expires", unit="days", least=0, most=3650
    )
    min_free_bytes: int = key(
        2 * GIB, "less free space for documents needs a person", unit="bytes", least=0
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything."""

    organisation: Organisation
    archive: ArchiveSystem
    network: Network
    folder: Path = key(
        Path("data"),
        "where the documents lie, and the database unless it has a server",
        rule=rules.folder,
    )
    listen: Listen = Listen()
    messages: Messages = Messages()
    database: DatabaseServer = DatabaseServer()
    on_behalf_of: tuple[OnBehalfOf, ...] = ()
    mail: Mail | None = None
    trust: TrustedSigners = TrustedSigners()
    web: Web = Web()
    alerts: Alerts = Alerts()
