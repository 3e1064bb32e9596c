"""The parts of a gateway, each made from the settings: store, keys, network, archives.

Also for the commands that need one of them without the whole (`gateway.app`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import httpx
from cryptography import x509

from gateway.address_book import AddressBook
from gateway.archives.dialects import load_dialect
from gateway.archives.opening import is_mailbox, open_archive
from gateway.certificates import load_keystore, load_trust, published_problem
from gateway.engine.clock import Clock
from gateway.engine.context import Books, Context, Policy, Served
from gateway.errors import ConfigurationError, RegistryUnavailable
from gateway.package import Identity
from gateway.ports import Archive, Transport
from gateway.registry import Registry
from gateway.revocation import Revocation, over_http
from gateway.settings import ArchiveSystem, Settings, TrustedSigners
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.store.sealing import Sealer
from gateway.tokens import TokenSource
from gateway.translate import load_mapping
from gateway.transports.altinn3 import Altinn3
from gateway.transports.directory import Directory
from gateway.transports.pace import Pace, limits
from gateway.vetting import Vetting


def open_books(settings: Settings) -> Books:
    """The store of a gateway, which may be running meanwhile, for the command line."""
    database, blobs = open_store(settings)
    return Books(database=database, blobs=blobs, policy=_policy(settings))


def open_store(settings: Settings) -> tuple[Database, BlobStore]:
    """Rows and documents; what is missing is made. Raises `ConfigurationError`."""
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        blobs = BlobStore(
            settings.folder / "blobs",
            Sealer.from_hex(settings.database.document_key)
            if settings.database.document_key
            else None,
        )
    except OSError as error:
        raise ConfigurationError(f"folder: {error.filename}: {error.strerror}") from error
    return Database(database_url(settings)), blobs


def database_url(settings: Settings) -> str:
    """The server's, or that of a file beside the documents. It may hold a password."""
    return settings.database.url or f"sqlite:///{settings.folder / 'gateway.db'}"


def new_context(
    settings: Settings,
    database: Database,
    blobs: BlobStore,
    clock: Clock,
    http: httpx.Client,
    vetting: Vetting | None,
) -> Context:
    """The store with all its neighbours. Raises `ConfigurationError` for a bad keystore."""
    organisation = settings.organisation
    identities = [
        load_keystore(one.keystore, one.keystore_password, one.keystore_alias)
        for one in (organisation, *organisation.old_keystores)
    ]
    tokens = new_tokens(settings, identities[0], http, lambda: clock.now().timestamp())
    return Context(
        database=database,
        blobs=blobs,
        transport=new_transport(settings, tokens, http),
        addresses=new_addresses(settings, tokens, http),
        archives=_archives(settings),
        identities=identities,
        mapping=load_mapping(settings.messages.profile, switches=settings.messages.switches),
        policy=_policy(settings),
        now=clock.now,
        clock=clock,
        vet_signer=vetting.signer if vetting is not None else lambda opened: (),
        vet_receiver=vetting.receiver if vetting is not None else lambda certificate: (),
    )


def new_tokens(
    settings: Settings,
    identity: Identity,
    http: httpx.Client,
    clock: Callable[[], float] = time.time,
) -> TokenSource:
    """Where the network's tokens come from; `clock` gives Unix time."""
    network = settings.network
    return TokenSource(
        token_endpoint=network.token_url,
        audience=network.token_audience,
        exchange=network.exchange_url,
        client_id=network.client_id,
        identity=identity,
        http=http,
        clock=clock,
    )


def new_transport(settings: Settings, tokens: TokenSource, http: httpx.Client) -> Transport:
    """The network that the settings chose."""
    network = settings.network
    if network.transport == "directory":
        assert network.directory is not None, "settings without it are refused"
        return Directory(
            network.directory,
            channel=network.channel,
            accept_any_reference=network.accept_any_reference,
        )
    return Altinn3(
        network.broker_url,
        network.resource,
        tokens,
        parties={
            settings.organisation.orgnr: network.system_user,
            **{one.orgnr: one.system_user for one in settings.on_behalf_of},
        },
        http=http,
        channel=network.channel,
        accept_any_reference=network.accept_any_reference,
        pace=Pace(
            limits(network.searches_per_minute, network.calls_per_minute)
            if network.rate_limits
            else None
        ),
        largest=network.max_package_bytes,
    )


def new_addresses(
    settings: Settings, tokens: TokenSource, http: httpx.Client
) -> Registry | AddressBook:
    """The registry, or the file that stands in for it."""
    network = settings.network
    if network.addresses is not None:
        return AddressBook(network.addresses, settings.messages.process)
    return Registry(
        network.registry_url,
        tokens.access(network.registry_scopes.split(), exchanged=False),
        http=http,
        default_process=settings.messages.process,
        sign=network.registry_signed,
    )


def compare_published(
    addresses: Registry | AddressBook, orgnr: str, identities: Iterable[Identity], now: datetime
) -> str | None:
    """What is wrong with the certificate that is published for us; None when it is ours.

    Raises as `Registry.published_certificate` does.
    """
    pem = addresses.published_certificate(orgnr)
    try:
        published = x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise RegistryUnavailable("our published certificate cannot be read") from error
    problems = [published_problem(it.certificate, published, now) for it in identities]
    return None if None in problems else problems[0]


def new_vetting(trusted: TrustedSigners, http: httpx.Client) -> Vetting | None:
    """None when the operator gave no certificates to hold others' against."""
    if trusted.certificates is None:
        return None
    asks = trusted.revocation != "off"
    return Vetting(
        load_trust(trusted.environment, [trusted.certificates], trusted.authorities),
        reject=trusted.chain == "reject",
        revocation=Revocation(over_http(http)) if asks else None,
        required=trusted.revocation == "required",
    )


def _policy(settings: Settings) -> Policy:
    archives = {settings.organisation.orgnr: settings.archive}
    archives |= {one.orgnr: one.archive or settings.archive for one in settings.on_behalf_of}
    return Policy(
        served=tuple(_served(orgnr, archive) for orgnr, archive in archives.items()),
        process=settings.messages.process,
        fallback_sender=settings.messages.fallback_sender,
        max_letter_bytes=settings.messages.max_letter_bytes,
        time_to_live=timedelta(hours=settings.messages.ttl_hours),
        channel=settings.network.channel,
        first_retry=timedelta(seconds=settings.messages.retry_seconds),
        unclear_wait=timedelta(seconds=settings.messages.unclear_seconds),
        receipt_wait=timedelta(hours=hours) if (hours := settings.messages.receipt_hours) else None,
    )


def _served(orgnr: str, archive: ArchiveSystem) -> Served:
    by_mail = is_mailbox(archive)
    parties = archive.appreceipt_parties
    if parties is None and not by_mail:
        parties = load_dialect(archive.dialect).appreceipt_parties
    return Served(
        orgnr=orgnr,
        system=archive.dialect,
        parties_original=parties == "original",
        archive_sends_receipts=not by_mail,
        ok_on_empty_payload=archive.return_ok_on_empty_payload,
    )


def _archives(settings: Settings) -> dict[str, Archive]:
    """The archive of each organisation; those without one of their own share ours."""
    ours = open_archive(settings.archive, settings.mail)
    archives = {settings.organisation.orgnr: ours}
    for one in settings.on_behalf_of:
        archives[one.orgnr] = ours if one.archive is None else open_archive(one.archive, one.mail)
    return archives
