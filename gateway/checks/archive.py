"""The archive, step by step: the first that fails is where the trouble is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx

from gateway.archives.connection import offered_schemes
from gateway.archives.mail import MailArchive
from gateway.archives.opening import archive_settings, is_mailbox, open_archive
from gateway.archives.probe import ArchiveProbe, Reply, is_soap
from gateway.checks.clock import Clock
from gateway.checks.connection import connect, look_up, shake_hands
from gateway.checks.finding import Check, Verdict, fail, ok
from gateway.errors import ArchiveFault
from gateway.settings import ArchiveSystem, Mail

_SETTINGS = "Correct the setting that is named; docs/settings.md has them all."
_DNS = "See that the name is right and that this machine's DNS knows it."
_TCP = "See that the archive is running, and that no firewall stands between."
_TLS = (
    "Give the CA of the archive's certificate as archive.ca_file, and see that the name in "
    "archive.url is the one in the certificate."
)
_HTTP = "See archive.url, and what stands between: a proxy, a load balancer, a web server."
_LOGIN = (
    "See archive.auth, username, password and domain; the account may be locked, or not "
    "allowed to use the service."
)
_SERVICE = "See archive.url: it must be the BEST/EDU service itself, as in the archive's manual."
_SMTP = "See the [mail] settings: security, username, password, ca_file."


def archive_checks(
    orgnr: str, archive: ArchiveSystem, mail: Mail | None, clock: Clock, timeout: float
) -> Iterator[Check]:
    """Checks of the archive of organisation `orgnr`; no letter is handed over."""
    if is_mailbox(archive):
        assert mail is not None, "settings without it are refused"
        return _mail_checks(archive, mail, timeout)
    return _Soap(orgnr, archive, clock, timeout).checks()


class _Soap:
    def __init__(self, orgnr: str, archive: ArchiveSystem, clock: Clock, timeout: float) -> None:
        self._orgnr = orgnr
        self._archive = archive
        self._clock = clock
        self._timeout = timeout
        self._probe: ArchiveProbe | None = None
        self._greeting: httpx.Response | None = None
        self._reply: Reply | None = None
        url = httpx.URL(archive.url)
        # With a proxy, the way to it is all that we can see of the way.
        place = httpx.URL(archive.proxy) if archive.proxy else url
        self._host = place.host
        self._port = place.port or (443 if place.scheme == "https" else 80)
        self._via = " (the proxy)" if archive.proxy else ""
        self._secure = place.scheme == "https"

    def checks(self) -> Iterator[Check]:
        yield Check("archive-settings", self._make_probe, _SETTINGS)
        yield Check("archive-dns", self._dns, _DNS, ("archive-settings",))
        yield Check("archive-tcp", self._tcp, _TCP, ("archive-dns",))
        reached = "archive-tcp"
        if self._secure:
            reached = "archive-tls"
            yield Check("archive-tls", self._tls, _TLS, ("archive-tcp",))
        yield Check("archive-http", self._http, _HTTP, (reached,))
        yield Check("archive-login", self._login, _LOGIN, ("archive-http",))
        yield Check("archive-service", self._service, _SERVICE, ("archive-login",))

    def _make_probe(self) -> Verdict:
        archive = open_archive(self._archive, None)
        self._probe = ArchiveProbe(archive_settings(self._archive), self._timeout)
        return ok(f"dialect {archive.name}, authentication {self._archive.auth}")

    def _dns(self) -> Verdict:
        return ok(f"{self._host}{self._via}: {', '.join(look_up(self._host, self._port))}")

    def _tcp(self) -> Verdict:
        connect(self._host, self._port, self._timeout)
        return ok(f"{self._host}:{self._port}{self._via}: connected")

    def _tls(self) -> Verdict:
        assert self._probe is not None, "there are settings"
        return ok(shake_hands(self._host, self._port, self._probe.tls, self._timeout))

    def _http(self) -> Verdict:
        assert self._probe is not None, "there are settings"
        asked = time.time()
        greeting = self._greeting = self._probe.greet()
        date = greeting.headers.get("Date")
        self._clock.heard(
            f"the archive at {self._host}", date, asked, time.time(), is_network=False
        )
        seen = f"a GET is answered {_status(greeting)}"
        if greeting.is_redirect:
            return fail(f"{seen}, moved to {greeting.headers.get('Location')}", _HTTP)
        return fail(seen, _HTTP) if greeting.status_code in (502, 503, 504) else ok(seen)

    def _login(self) -> Verdict:
        assert self._probe is not None, "there are settings"
        assert self._greeting is not None, "it was reached"
        auth = self._archive.auth
        self._reply = reply = self._probe.ask(self._orgnr)
        offered = ", ".join(offered_schemes(reply.response)) or "nothing"
        way = f"{auth}, answers {' → '.join(reply.handshake)}"
        if reply.response.status_code == 401:
            if auth == "none":
                text = f"it wants a login, and archive.auth is none; it offers {offered}"
                return fail(text, f"Set archive.auth to what it offers. {_LOGIN}")
            if auth.lower() not in offered.lower():
                return fail(f"{way}: it offers {offered}, not {auth}", _LOGIN)
            return fail(f"{way}: username or password is refused", _LOGIN)
        if reply.response.status_code == 403:
            return fail(f"{way}: known, but not allowed", _LOGIN)
        if self._greeting.status_code != 401 and len(reply.handshake) == 1:
            return ok("none is asked for" if auth == "none" else f"{way}: it asks for none")
        return ok(f"{way}: accepted")

    def _service(self) -> Verdict:
        assert self._reply is not None, "it was asked"
        response = self._reply.response
        if is_soap(response):
            return ok(f"GetCanReceiveMessage is answered with SOAP ({_status(response)})")
        kind = response.headers.get("Content-Type", "no content").partition(";")[0]
        return fail(
            f"GetCanReceiveMessage is answered {_status(response)} with {kind}, not SOAP", _SERVICE
        )


def _status(response: httpx.Response) -> str:
    offers = ", ".join(offered_schemes(response))
    text = f"HTTP {response.status_code}"
    return f"{text}, which offers {offers}" if offers else text


def _mail_checks(archive: ArchiveSystem, mail: Mail, timeout: float) -> Iterator[Check]:
    opened: list[MailArchive] = []

    def make() -> Verdict:
        made = open_archive(archive, replace(mail, timeout=timeout))
        assert isinstance(made, MailArchive)
        opened.append(made)
        return ok(f"by mail to {mail.receivers}")

    def tcp() -> Verdict:
        connect(mail.host, mail.port, timeout)
        return ok(f"{mail.host}:{mail.port}: connected")

    def login() -> Verdict:
        try:
            return ok(opened[0].check())
        except ArchiveFault as error:
            return fail(f"{error.fault_code} {error.detail}", _SMTP)

    yield Check("archive-settings", make, _SETTINGS)
    yield Check(
        "archive-dns",
        lambda: ok(f"{mail.host}: {', '.join(look_up(mail.host, mail.port))}"),
        _DNS,
        ("archive-settings",),
    )
    yield Check("archive-tcp", tcp, _TCP, ("archive-dns",))
    yield Check("archive-login", login, _SMTP, ("archive-tcp",))
