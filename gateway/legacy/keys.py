"""The predecessor's configuration keys and their fate, as tables (bestedu-soap 6)."""

from __future__ import annotations

from gateway.environments import ADDRESSES

TAKEN: tuple[tuple[str, str, str], ...] = (
    ("server.port", "listen.port", "integer"),
    ("difi.move.org.number", "organisation.orgnr", "orgnr"),
    ("difi.move.org.keystore.path", "organisation.keystore", "file"),
    ("difi.move.org.keystore.alias", "organisation.keystore_alias", "text"),
    ("difi.move.org.keystore.password", "organisation.keystore_password", "secret"),
    ("difi.move.noarkSystem.type", "archive.dialect", "dialect"),
    ("difi.move.noarkSystem.endpointURL", "archive.url", "text"),
    ("difi.move.noarkSystem.username", "archive.username", "text"),
    ("difi.move.noarkSystem.password", "archive.password", "secret"),
    ("difi.move.noarkSystem.domain", "archive.domain", "text"),
    (
        "difi.move.feature.returnOkOnEmptyPayload",
        "archive.return_ok_on_empty_payload",
        "boolean",
    ),
    ("difi.move.mail.smtpHost", "mail.host", "text"),
    ("difi.move.mail.smtpPort", "mail.port", "integer"),
    ("difi.move.mail.senderAddress", "mail.sender", "text"),
    ("difi.move.mail.receiverAddress", "mail.receivers", "text"),
    ("difi.move.mail.username", "mail.username", "text"),
    ("difi.move.mail.password", "mail.password", "secret"),
    ("difi.move.mail.trust", "mail.trust", "text"),
    ("difi.move.mail.maxSize", "mail.max_size", "size"),
    ("difi.move.arkivmelding.default-process", "messages.process", "text"),
    ("difi.move.nextmove.default-ttl-hours", "messages.ttl_hours", "hours"),
    ("difi.move.dpo.upload-size-limit", "messages.max_letter_bytes", "size"),
    ("difi.move.fiks.inn.fallbackSenderOrgNr", "messages.fallback_sender", "orgnr"),
    ("fiks.inn.fallback-sender-org-nr", "messages.fallback_sender", "orgnr"),
    ("difi.move.dpo.message-channel", "network.channel", "channel"),
    ("difi.move.serviceregistryEndpoint", "network.registry_url", "registry"),
    ("difi.move.sign.enable", "network.registry_signed", "boolean"),
    ("difi.move.oidc.url", "network.token_url", "text"),
    ("difi.move.oidc.audience", "network.token_audience", "text"),
    ("difi.move.oidc.clientId", "network.client_id", "text"),
    ("difi.move.dpo.altinnTokenExchangeUrl", "network.exchange_url", "text"),
    ("difi.move.dpo.resource", "network.resource", "text"),
    ("difi.security.user.name", "listen.username", "text"),
    ("difi.security.user.password", "listen.password", "secret"),
)
"""Key, our setting, and how its value is read."""

DEFAULTS = {
    profile: {f"network.{key}": address for key, address in ADDRESSES[environment].items()}
    for profile, environment in (("production", "production"), ("staging", "test"))
}
"""Addresses by the predecessor's profile, ``spring.profiles.active``."""

_ALTINN_II = (
    "Altinn II closed on 19 June 2026: user name and password are no longer of use; "
    "a system user in Altinn 3 takes their place"
)
_ALWAYS = "we always do this"
_DEAD = "no longer used, and had no effect"
_STORAGE = "we have one database and a folder of documents: nothing to set here"

IGNORED = {
    "difi.move.dpo.username": _ALTINN_II,
    "difi.move.dpo.password": _ALTINN_II,
    "difi.move.dpo.streamingserviceUrl": _ALTINN_II,
    "difi.move.dpo.serviceCode": _ALTINN_II,
    "difi.move.dpo.serviceEditionCode": _ALTINN_II,
    "difi.move.dpo.brokerserviceUrl": (
        "in version 2 this was Altinn II, which is closed; the Altinn 3 address is set "
        "from the environment"
    ),
    "difi.move.dpo.connectTimeout": "our own time limits are measured for Altinn 3",
    "difi.move.dpo.requestTimeout": "our own time limits are measured for Altinn 3",
    "difi.move.dpo.systemName": "the system user's reference is enough",
    "difi.move.dpo.systemUser.orgId": "the system user's reference is enough",
    "difi.move.dpo.systemRegisterUrl": "the gateway does not register systems",
    "difi.move.dpo.default-ttl-hours": "had no effect on BEST/EDU; messages.ttl_hours counts",
    "difi.move.feature.enableDPO": _ALWAYS,
    "difi.move.feature.forwardReceivedAppReceipts": f"{_ALWAYS}; false had no effect since 2.0",
    "difi.move.feature.mailErrorStatus": "alerts take its place: see [alerts] in docs/settings.md",
    "difi.move.feature.enableReceipts": "concerned other channels than DPO",
    "difi.move.feature.enableQueue": _DEAD,
    "difi.move.feature.dumpDlqMessages": _DEAD,
    "difi.move.feature.retryOnDeadLock": _STORAGE,
    "difi.move.feature.cryptoMessagePersister": (
        "give database.document_key to have documents encrypted at rest"
    ),
    "difi.move.feature.statusQueueIncludes": "there is no status queue; statuses are kept",
    "difi.move.arkivmelding.receipt-process": "the network's own value is used",
    "difi.move.arkivmelding.receipt-document-type": "the network's own value is used",
    "difi.move.arkivmelding.default-document-type": "the network's own value is used",
    "difi.move.arkivmelding.dpv-default-process": "another channel; it stays in Integrasjonspunkt",
    "difi.move.arkivmelding.generate-receipts": "the archive's own receipt is passed on",
    "difi.move.nextmove.status-document-type": "the network's own value is used",
    "difi.move.nextmove.status-services": "statuses are always sent for DPO",
    "difi.move.nextmove.filedir": _STORAGE,
    "difi.move.nextmove.useDbPersistence": _STORAGE,
    "difi.move.nextmove.ttlPollingrate": "deadlines are kept to the minute without polling",
    "difi.move.nextmove.statusPollingCron": "network.poll_seconds takes its place",
    "difi.move.nextmove.apply-zip-header-patch": "such packages are read anyway",
    "difi.move.noarkSystem.enable": _DEAD,
    "difi.move.sign.jwkUrl": "the key's address follows from the registry's",
    "difi.move.oidc.enable": "the network needs it always",
    "difi.move.queue.maximum-retry-hours": "retries follow messages.retry_seconds and the deadline",
    "difi.move.queue.concurrency": "the number of workers is ours to choose",
    "server.connection-timeout": "a quiet connection is closed by itself",
}
"""Keys that are understood, and not taken over. A key may be looked at and stand here."""

PREFIXES = {
    "difi.datasource": (
        "we keep our own database; old messages stay where they are (let the queues empty first)"
    ),
    "spring.datasource": (
        "we keep our own database; old messages stay where they are (let the queues empty first)"
    ),
    "difi.activemq": "there is no broker",
    "spring.activemq": "there is no broker",
    "difi.move.queue": "there are no queues to name",
    "difi.move.deadlock": _STORAGE,
    "difi.move.dpo.reportees": "is our own organisation, which needs no table of its own",
    "difi.move.oidc.keystore": "the organisation's keystore is used for Maskinporten too",
    "difi.move.org.keystore": "not needed to read the keystore",
    "difi.ssl": "TLS is the reverse proxy's work",
    "difi.move.ntp": "the clock is checked against the answers of those we talk to",
    "management": "/manage/health and /manage/prometheus answer as before",
    "logging.level": "`edu-gateway run --log-level` takes its place",
    "logging": "the log goes to standard error",
    "app.logger": "logs are not shipped to Digdir",
    "vault": "secrets come from files or the environment",
    "spring.cloud": "secrets come from files or the environment",
    "spring": "belongs to the predecessor's machinery",
    "http.proxy": "set HTTP_PROXY for the network, archive.proxy for the archive",
    "https.proxy": "set HTTPS_PROXY for the network, archive.proxy for the archive",
    "msh": _DEAD,
    "elma": _DEAD,
    "difi.move.msh": _DEAD,
    "difi.move.elma": _DEAD,
    "difi.move.status": _DEAD,
    "difi.move.varslingsplikt": _DEAD,
}
"""Beginnings of keys, likewise; the first that fits counts."""

OTHER_CHANNELS = (
    *(
        f"difi.move.{name}"
        for name in (
            "dpv", "dpi", "dpf", "dpe", "dpfio", "dph", "fiks", "ks", "svarinn", "svarut", "krr",
            "einnsyn", "nextmove.servicebus", "nextbest", "feature.enabledpv",
            "feature.enabledpi", "feature.enabledpf", "feature.enabledpe", "feature.enabledpfio",
            "feature.enabledsf", "feature.enabledph", "postvirksomhet", "digitalpost",
        )
    ),
    "fiks",
)  # fmt: skip
