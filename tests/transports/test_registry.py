"""The address registry's client against the simulated registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import jwt
import pytest
from network_side import ARKIVVERKET, KARTVERKET, Wiring

from gateway.errors import ReceiverUnknown, RegistryRefused, RegistryUnavailable, TokenUnavailable
from gateway.model import Recipient
from gateway.registry import ADMINISTRASJON, Registry
from gateway.simulators.network import AVTALT, PLAN, RESPONSE, Network

NATURMANGFOLD = "urn:no:difi:profile:arkivmelding:naturOgMiljoe:ver1.0"


def lookups(network: Network) -> list[str]:
    registry = ("identifier", "process", "info", "virksert")
    return [line.call for line in network.requests if line.call in registry]


def test_organisation_on_the_network_is_found_with_its_certificate(
    sender: Wiring, network: Network
) -> None:
    found = sender.registry.find(ARKIVVERKET)
    assert (found.service, found.process, found.name) == ("DPO", ADMINISTRASJON, "Eksempel etat")
    assert found.certificate_pem == network.organisations[ARKIVVERKET].certificate_pem


@pytest.mark.parametrize("process", [ADMINISTRASJON, PLAN, RESPONSE])
def test_process_is_looked_up_by_itself(sender: Wiring, network: Network, process: str) -> None:
    assert sender.registry.find(ARKIVVERKET, process).process == process
    assert lookups(network) == ["process"]


@pytest.mark.parametrize("process", [AVTALT, NATURMANGFOLD])
def test_process_that_is_not_taken_is_unknown(sender: Wiring, process: str) -> None:
    with pytest.raises(ReceiverUnknown):
        sender.registry.find(ARKIVVERKET, process)


def test_receivers_beside_the_network_say_how_they_are_reached(
    sender: Wiring, network: Network
) -> None:
    network.add_addressee("910075918", "Eksempel forening")
    network.add_addressee("910076787", "Eksempel fylke", svarut_level=4)
    assert sender.registry.find("910075918").service == "DPV"
    fylke = sender.registry.find("910076787")
    assert (fylke.service, fylke.security_level) == ("DPF", 4)


@pytest.mark.parametrize("orgnr", ["999999999", "", "01010112345", "../jwk", "99182582٧"])
def test_unknown_organisation(sender: Wiring, orgnr: str) -> None:
    with pytest.raises(ReceiverUnknown):
        sender.registry.find(orgnr)


def test_answers_are_kept_for_five_minutes_and_errors_are_not(
    network: Network, sender: Wiring
) -> None:
    moment = [0.0]
    tokens = sender.tokens.access(["eformidling:dpo"], exchanged=False)
    registry = Registry(
        network.environment.registry, tokens, http=sender.client, clock=lambda: moment[0]
    )
    first = registry.find(ARKIVVERKET)
    moment[0] = 299.0
    assert registry.find(ARKIVVERKET) == first
    assert registry.name(ARKIVVERKET) == "Eksempel etat"
    assert lookups(network) == ["identifier"]
    moment[0] = 301.0
    registry.find(ARKIVVERKET)
    for _ in range(2):
        with pytest.raises(ReceiverUnknown):
            registry.find("999999999")
    assert lookups(network) == ["identifier"] * 4


def test_name_never_raises(sender: Wiring, network: Network) -> None:
    assert sender.registry.name(KARTVERKET) == "Eksempel kommune"
    assert sender.registry.name("999999999") is None
    assert sender.registry.name("") is None
    network.stop()
    assert sender.registry.name(ARKIVVERKET) is None


def test_published_certificate_can_be_compared_with_ones_own(
    sender: Wiring, network: Network
) -> None:
    own = network.organisations[KARTVERKET]
    assert sender.registry.published_certificate(KARTVERKET) == own.certificate_pem
    with pytest.raises(ReceiverUnknown):
        sender.registry.published_certificate("999999999")


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"status": 500}, RegistryUnavailable),
        ({"status": 503}, RegistryUnavailable),
        ({"status": 429}, RegistryUnavailable),
        ({"drop": "before", "times": 2}, RegistryUnavailable),
        ({"status": 401, "times": 2}, RegistryRefused),
        ({"status": 403}, RegistryRefused),
        ({"status": 400}, RegistryRefused),
        ({"status": 404}, ReceiverUnknown),
        ({"status": 200, "body": '{"serviceRecords": []}'}, RegistryRefused),
        ({"status": 200, "body": "a.b.c", "content_type": "application/jose"}, RegistryRefused),
    ],
)
def test_troubles_are_told_apart(
    sender: Wiring, network: Network, rule: dict[str, object], error: type[Exception]
) -> None:
    """Our own trouble is never "receiver unknown", and an unsigned answer is none."""
    network.fault("identifier", **rule)
    with pytest.raises(error) as caught:
        sender.registry.find(ARKIVVERKET)
    assert type(caught.value) is error


def test_token_trouble_is_no_answer_about_the_receiver(sender: Wiring, network: Network) -> None:
    network.fault("token", status=500)
    with pytest.raises(TokenUnavailable):
        sender.registry.find(ARKIVVERKET)


def test_expired_token_is_replaced(sender: Wiring, network: Network) -> None:
    sender.registry.find(ARKIVVERKET)
    network.maskinporten.expire_tokens()
    assert sender.registry.find(KARTVERKET).service == "DPO"


# --- signatures ---------------------------------------------------------------------------------


def test_keys_are_fetched_once(sender: Wiring, network: Network) -> None:
    sender.registry.find(ARKIVVERKET)
    sender.registry.find(KARTVERKET)
    assert [line.call for line in network.requests].count("jwk") == 1


def forged(document: object, network: Network, **header: object) -> str:
    key = network.organisations[KARTVERKET].private_key
    return jwt.api_jws.PyJWS().encode(
        json.dumps(document).encode(), key, "RS256", headers=dict(header)
    )


def test_answer_signed_by_somebody_else_is_refused(
    sender: Wiring, network: Network, client: httpx.Client
) -> None:
    published = client.get(f"{network.environment.registry}/jwk").json()["keys"][0]["kid"]
    for kid in (published, "unknown"):
        body = forged({"serviceRecords": []}, network, kid=kid)
        network.fault("identifier", status=200, body=body, content_type="application/jose")
        with pytest.raises(RegistryRefused):
            sender.registry.find(ARKIVVERKET)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_weak_algorithms_are_refused(
    sender: Wiring, network: Network, client: httpx.Client, algorithm: str
) -> None:
    kid = client.get(f"{network.environment.registry}/jwk").json()["keys"][0]["kid"]
    key = "" if algorithm == "none" else "k" * 64
    body = jwt.api_jws.PyJWS().encode(b"{}", key, algorithm, headers={"kid": kid})
    network.fault("identifier", status=200, body=body, content_type="application/jose")
    with pytest.raises(RegistryRefused):
        sender.registry.find(ARKIVVERKET)


def test_altered_answer_is_refused(sender: Wiring, network: Network) -> None:
    sender.registry.find(KARTVERKET)
    network.fault("identifier", flip_byte=300)
    with pytest.raises(RegistryRefused):
        sender.registry.find(ARKIVVERKET)


def test_unsigned_answers_are_for_mocks(sender: Wiring, network: Network) -> None:
    network.registry.sign = False
    tokens = sender.tokens.access(["eformidling:dpo"], exchanged=False)
    mock = Registry(network.environment.registry, tokens, http=sender.client, sign=False)
    assert mock.find(ARKIVVERKET).service == "DPO"
    with pytest.raises(RegistryRefused):
        sender.registry.find(ARKIVVERKET)


# --- odd records --------------------------------------------------------------------------------


def record(service: str, process: str, **more: object) -> dict[str, object]:
    return {"process": process, "service": {"identifier": service}, "documentTypes": [], **more}


@pytest.fixture
def answers(sender: Wiring, network: Network) -> Callable[[object], Callable[..., Recipient]]:
    """A registry without signatures that gives one answer."""

    def make(document: object) -> Callable[..., Recipient]:
        body = document if isinstance(document, str) else json.dumps(document)
        network.faults.remove()
        for call in ("identifier", "process"):
            network.fault(call, status=200, body=body, times=None)
        tokens = sender.tokens.access(["eformidling:dpo"], exchanged=False)
        return Registry(network.environment.registry, tokens, http=sender.client, sign=False).find

    return make


Answers = Callable[[object], Callable[..., Recipient]]


def test_choice_is_dpi_then_the_default_process_then_dpe(answers: Answers) -> None:
    dpe, plan = record("DPE", "urn:e"), record("DPO", PLAN)
    administrasjon, dpi = record("DPV", ADMINISTRASJON), record("DPI", "urn:i")
    for records, service in (
        ([dpe, plan, administrasjon, dpi], "DPI"),
        ([dpe, plan, administrasjon], "DPV"),
        ([plan, dpe], "DPE"),
    ):
        assert answers({"serviceRecords": records})(ARKIVVERKET).service == service


def test_no_record_that_fits_is_unknown(answers: Answers) -> None:
    with pytest.raises(ReceiverUnknown):
        answers({"serviceRecords": [record("DPO", PLAN)]})(ARKIVVERKET)


def test_document_type_must_be_taken_by_the_record(answers: Answers) -> None:
    with pytest.raises(ReceiverUnknown):
        answers({"serviceRecords": [record("DPO", PLAN)]})(ARKIVVERKET, PLAN)


def test_status_need_not_be_listed_to_answer(answers: Answers) -> None:
    found = answers({"serviceRecords": [record("DPO", RESPONSE)]})(ARKIVVERKET, RESPONSE)
    assert found.process == RESPONSE


def test_control_characters_and_indented_certificate_are_read(answers: Answers) -> None:
    text = json.dumps(
        {"serviceRecords": [record("DPO", ADMINISTRASJON, pemCertificate="PEM")]}
    ).replace("PEM", "-----BEGIN CERTIFICATE-----\n   MIIC\n  -----END CERTIFICATE-----")
    assert answers(text)(ARKIVVERKET).certificate_pem == (
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
    )


def test_certificate_without_its_lines_gets_them(answers: Answers) -> None:
    document = {"serviceRecords": [record("DPO", ADMINISTRASJON, pemCertificate="MIIC")]}
    found = answers(document)(ARKIVVERKET)
    assert found.certificate_pem is not None
    assert found.certificate_pem.startswith("-----BEGIN CERTIFICATE-----\nMIIC\n")


@pytest.mark.parametrize(
    "document",
    [[], {"serviceRecords": 3}, "<html></html>", {"serviceRecords": [{"service": {}}]}],
)
def test_answers_that_make_no_sense_raise_a_known_error(answers: Answers, document: object) -> None:
    with pytest.raises((RegistryUnavailable, ReceiverUnknown)):
        answers(document)(ARKIVVERKET)


def test_published_samples_are_read(answers: Answers, shared_samples: Path) -> None:
    folder = shared_samples / "registry"
    text = (folder / "identifier-org-all.response.json").read_text("utf-8")
    assert answers(text)(ARKIVVERKET).service in ("DPO", "DPV", "DPF", "DPI", "DPE")


def test_published_signed_sample_is_verified(shared_samples: Path) -> None:
    folder = shared_samples / "registry"
    signed = (folder / "synthetic-signed-identifier.response.jose").read_bytes()
    keys = (folder / "synthetic-jwks.json").read_bytes()
    bodies = {"/jwk": keys, f"/identifier/{ARKIVVERKET}": signed}
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, content=bodies[request.url.path])
    )
    with httpx.Client(transport=transport) as client:
        registry = Registry("http://registry", lambda: "token", http=client)
        assert registry.find(ARKIVVERKET).service
        bodies[f"/identifier/{ARKIVVERKET}"] = signed[:-4] + b"AAAA"
        with pytest.raises(RegistryRefused):
            Registry("http://registry", lambda: "token", http=client).find(ARKIVVERKET)
