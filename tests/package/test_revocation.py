"""Revocation lists: believed when they are their authority's, current and whole."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from packing import NOW, certificate, key_usage

from gateway.certificates import Trust, issuer_of
from gateway.errors import NetworkUnavailable
from gateway.http import new_client
from gateway.revocation import Revocation, Standing, over_http
from gateway.simulators.network import Network

URL = "http://crl.example/liste.crl"
DAY = timedelta(days=1)

Authority = tuple[x509.Certificate, rsa.RSAPrivateKey]


@pytest.fixture(scope="module")
def authority() -> Authority:
    key = rsa.generate_private_key(65537, 2048)
    extensions = (
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (key_usage(authority=True), True),
    )
    return certificate(key, subject="CA", extensions=extensions), key


@pytest.fixture(scope="module")
def leaf(authority: Authority) -> x509.Certificate:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(URL)], None, None, None)
    return certificate(
        rsa.generate_private_key(65537, 2048),
        issuer=authority,
        extensions=((x509.CRLDistributionPoints([point]), False),),
    )


def crl(
    authority: Authority,
    *revoked: x509.Certificate,
    at: datetime = NOW,
    scope: x509.IssuingDistributionPoint | None = None,
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority[0].subject)
        .last_update(at)
        .next_update(at + DAY)
    )
    for one in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(one.serial_number)
            .revocation_date(at)
            .build()
        )
    if scope is not None:
        builder = builder.add_extension(scope, critical=True)
    return builder.sign(authority[1], hashes.SHA256()).public_bytes(Encoding.DER)


class Shelf:
    """What lies at the URL; None when nobody answers."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data
        self.asked = 0

    def __call__(self, url: str) -> bytes:
        assert url == URL
        self.asked += 1
        if self.data is None:
            raise NetworkUnavailable("no route")
        return self.data


def test_a_list_is_used_until_it_names_the_next(
    authority: Authority, leaf: x509.Certificate
) -> None:
    shelf = Shelf(crl(authority))
    revocation = Revocation(shelf)
    assert revocation.ask(leaf, authority[0], NOW) == Standing()
    shelf.data = crl(authority, leaf, at=NOW + DAY)
    assert revocation.ask(leaf, authority[0], NOW + DAY / 2) == Standing()
    assert shelf.asked == 1
    assert "revoked" in str(revocation.ask(leaf, authority[0], NOW + DAY).revoked)
    assert shelf.asked == 2


def test_a_list_that_cannot_be_had_accuses_nobody_and_is_not_asked_for_each_time(
    authority: Authority, leaf: x509.Certificate
) -> None:
    shelf = Shelf(None)
    revocation = Revocation(shelf, pause=timedelta(minutes=10))
    for _ in range(3):
        standing = revocation.ask(leaf, authority[0], NOW)
        assert standing.revoked is None
        assert "no route" in str(standing.unknown)
    assert shelf.asked == 1
    assert revocation.troubles(NOW) == [f"{URL}: no route"]
    shelf.data = crl(authority)
    assert revocation.ask(leaf, authority[0], NOW + timedelta(minutes=10)) == Standing()
    assert revocation.troubles(NOW) == []


def test_what_was_on_the_last_list_stays_revoked_when_the_next_cannot_be_had(
    authority: Authority, leaf: x509.Certificate
) -> None:
    shelf = Shelf(crl(authority, leaf))
    revocation = Revocation(shelf)
    assert revocation.ask(leaf, authority[0], NOW).revoked
    shelf.data = None
    assert revocation.ask(leaf, authority[0], NOW + 2 * DAY).revoked


PART = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)


@pytest.mark.parametrize("what", ["forged", "another's", "a part", "expired", "a page", "older"])
def test_a_list_that_cannot_be_believed_accuses_nobody(
    authority: Authority, leaf: x509.Certificate, what: str
) -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    data = {
        "forged": crl((authority[0], stranger), leaf),
        "another's": crl((certificate(stranger, subject="Annen"), authority[1]), leaf),
        "a part": crl(authority, leaf, scope=PART),
        "expired": crl(authority, at=NOW - 2 * DAY),
        "a page": b"<html>",
        "older": crl(authority, leaf, at=NOW - DAY / 2),
    }[what]
    shelf = Shelf(data)
    revocation = Revocation(shelf)
    moment = NOW
    if what == "older":
        shelf.data = crl(authority)
        assert revocation.ask(leaf, authority[0], NOW) == Standing()
        shelf.data, moment = data, NOW + DAY
    standing = revocation.ask(leaf, authority[0], moment)
    assert standing.revoked is None
    assert standing.unknown is not None


def test_a_slow_list_is_waited_for_shortly_and_is_there_for_the_next_letter(
    authority: Authority, leaf: x509.Certificate
) -> None:
    answer, answered = threading.Event(), threading.Event()

    def slow(url: str) -> bytes:
        assert answer.wait(30)
        answered.set()
        return crl(authority, leaf)

    revocation = Revocation(slow, seconds=0.2)
    assert "no answer yet" in str(revocation.ask(leaf, authority[0], NOW).unknown)
    answer.set()
    assert answered.wait(30)
    assert Revocation.ask(revocation, leaf, authority[0], NOW).revoked


def test_the_simulated_authoritys_list_comes_over_http() -> None:
    with Network() as network, new_client() as client:
        honest = network.add_organisation("910077473", "Fjordvik")
        revoked = network.add_organisation("910075918", "Skogland")
        network.revoke(revoked.orgnr)
        revocation = Revocation(over_http(client))
        now = datetime.now(honest.certificate.not_valid_after_utc.tzinfo)
        issuer = issuer_of(honest.certificate, Trust(honest.chain))
        assert issuer is not None
        assert revocation.ask(honest.certificate, issuer, now) == Standing()
        assert revocation.ask(revoked.certificate, issuer, now).revoked
        gone = Revocation(over_http(client))
        network.fault("crl", status=404)
        assert "HTTP 404" in str(gone.ask(honest.certificate, issuer, now).unknown)


def test_an_endless_list_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.revocation._LARGEST", 100)
    with Network() as network, new_client() as client:
        one = network.add_organisation("910077473", "Fjordvik")
        standing = Revocation(over_http(client)).ask(
            one.certificate, one.chain[0], one.certificate.not_valid_before_utc + DAY
        )
        assert "more than 100 bytes" in str(standing.unknown)


def test_a_certificate_without_lists_is_unknown(authority: Authority) -> None:
    silent = certificate(rsa.generate_private_key(65537, 2048), issuer=authority)
    standing = Revocation(Shelf(None)).ask(silent, authority[0], NOW)
    assert "names no list" in str(standing.unknown)


def test_the_issuer_is_the_one_whose_key_signed(
    authority: Authority, leaf: x509.Certificate
) -> None:
    namesake = certificate(rsa.generate_private_key(65537, 2048), subject="CA")
    assert issuer_of(leaf, Trust((namesake, authority[0]))) == authority[0]
    assert issuer_of(leaf, Trust((namesake,))) is None
    assert issuer_of(leaf, Trust(()), [authority[0]]) == authority[0]
