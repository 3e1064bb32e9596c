"""``edu-gateway check`` of keystores, certificates and revocation lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from world import FAIL, OK, ORGNR, WARN, World, line, not_well

from gateway.checks import Grade

FIXTURES = Path(__file__).parents[1] / "package" / "fixtures"


# --- keystore and certificate ---------------------------------------------------------


def test_wrong_keystore_password(world: World) -> None:
    world.set(organisation={"keystore_password": "et-annet-passord"})
    findings = world.check()
    assert not_well(findings) == {"keystore": FAIL}
    assert "wrong password" in line(findings, "keystore").seen
    assert line(findings, "transport").seen == "not tried because keystore failed"
    assert line(findings, "archive-service").grade is Grade.OK


def test_wrong_alias_and_the_ones_there_are(world: World) -> None:
    world.set(organisation={"keystore_alias": "fjordvik"})
    findings = world.check()
    assert not_well(findings) == {"keystore-alias": FAIL}
    assert f"its only key is named '{ORGNR}'" in line(findings, "keystore-alias").seen


@pytest.mark.parametrize(
    ("alias", "grade", "seen"),
    [
        ("virksomhet", OK, "the key is called 'virksomhet'"),
        ("ny", FAIL, "no key is named 'ny'; it holds 'virksomhet-gammel', 'virksomhet'"),
        (None, FAIL, "set the alias to one of 'virksomhet-gammel', 'virksomhet'"),
    ],
)
def test_a_keystore_with_two_keys(world: World, alias: str | None, grade: Grade, seen: str) -> None:
    chosen = {} if alias is None else {"keystore_alias": alias}
    store = str(FIXTURES / "two-keys.p12")
    world.set(organisation={"keystore": store, "keystore_password": "changeit", **chosen})
    findings = world.check()
    assert line(findings, "keystore").grade is OK
    assert line(findings, "keystore-alias").grade is grade
    assert seen in line(findings, "keystore-alias").seen


def test_expired_certificate(world: World) -> None:
    world.use_certificate(since_days=800, for_days=-3)
    findings = world.check()
    assert not_well(findings) == {"certificate": FAIL}
    assert "expired on" in line(findings, "certificate").seen
    assert line(findings, "token-broker").seen == "not tried because certificate failed"


def test_certificate_that_is_not_valid_yet(world: World) -> None:
    world.use_certificate(since_days=-2, for_days=100)
    assert not_well(world.check()) == {"certificate": FAIL}


def test_certificate_that_expires_soon(world: World) -> None:
    certificate = world.use_certificate(since_days=700, for_days=30)
    world.network.registry.entries[ORGNR].certificate = certificate
    findings = world.check()
    assert not_well(findings) == {"certificate": WARN}
    assert "30 days" in line(findings, "certificate").seen


def test_another_certificate_is_published(world: World) -> None:
    other = world.network.add_organisation("910075918", "Skogland fylkeskommune")
    world.network.registry.entries[ORGNR].certificate = other.certificate
    assert not_well(world.check()) == {"certificate-published": FAIL}


@pytest.mark.parametrize(("policy", "grade"), [("warn", WARN), ("reject", FAIL)])
def test_certificate_of_an_unknown_authority(world: World, policy: str, grade: Grade) -> None:
    world.set(
        trust={"certificates": str(world.network.ca_file), "chain": policy, "revocation": "off"}
    )
    assert not_well(world.check()) == {"certificate-chain": grade}


# --- old keystores --------------------------------------------------------------------


def test_an_old_keystore_opens_or_has_a_line(world: World) -> None:
    before = world.own
    world.network.renew_certificate(ORGNR)
    previous = before.keystore.with_suffix(".previous.p12")
    old = {"keystore": str(previous), "keystore_password": before.keystore_password}
    world.set(organisation={"old_keystores": [old]})
    findings = world.check()
    assert not_well(findings) == {}
    assert f"{previous.name}: opened" in line(findings, "old-keystore-1").seen
    world.set(organisation={"old_keystores": [old, {**old, "keystore_password": "feil-passord"}]})
    findings = world.check()
    assert not_well(findings) == {"old-keystore-2": FAIL}
    assert "wrong password" in line(findings, "old-keystore-2").seen
    assert "feil-passord" not in repr(findings)


def test_the_old_certificate_is_still_published(world: World) -> None:
    before = world.own
    world.network.renew_certificate(ORGNR, publish=False)
    assert not_well(world.check()) == {"certificate-published": FAIL}
    old = {
        "keystore": str(before.keystore.with_suffix(".previous.p12")),
        "keystore_password": before.keystore_password,
    }
    world.set(organisation={"old_keystores": [old]})
    findings = world.check()
    assert not_well(findings) == {"certificate-published": WARN}
    assert "old keystore" in line(findings, "certificate-published").seen


# --- revocation lists -----------------------------------------------------------------


@pytest.fixture
def trusting(world: World) -> World:
    """Trusts the simulated authority, as the real ones are trusted."""
    world.network.renew_certificate(ORGNR)  # names the list where this network has it
    mark = world.own.chain[0].fingerprint(hashes.SHA256()).hex()
    authorities = world.folder / "tillit.toml"
    authorities.write_text(
        f'[test]\npolicies = []\nroots = {{simulated = "{mark}"}}\nintermediates = {{}}\n'
    )
    world.set(
        trust={
            "certificates": str(world.network.ca_file),
            "environment": "test",
            "authorities": str(authorities),
        }
    )
    return world


def test_revocation_list_of_our_authority(trusting: World) -> None:
    assert not_well(trusting.check()) == {}
    trusting.network.fault("crl", status=503, times=None)
    findings = trusting.check()
    assert not_well(findings) == {"revocation-list": WARN}
    assert "/crl: HTTP 503" in line(findings, "revocation-list").seen
    trusting.set(trust={"revocation": "off"})
    findings = trusting.check()
    assert not_well(findings) == {}
    assert "revocation-list" not in {one.name for one in findings}


def test_our_certificate_is_revoked(trusting: World) -> None:
    trusting.network.revoke(ORGNR)
    assert not_well(trusting.check()) == {"revocation-list": FAIL}
