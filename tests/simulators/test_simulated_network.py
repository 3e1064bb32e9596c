"""Tokens, registry, faults and control of the simulated network."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from network_caller import ANNE, BERIT, Caller, code

from gateway.simulators.network import ADMINISTRASJON, RESPONSE, Network

# --- Maskinporten and the exchange ------------------------------------------------------


def mp(answer: httpx.Response) -> str:
    return str(answer.json()["error_description"])[-7:-1]


def test_token_tells_who_it_acts_for(anne: Caller) -> None:
    answer = anne.grant(anne.claims()).json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 120)
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["consumer"]["ID"] == f"0192:{ANNE}"
    assert claims["authorization_details"][0]["systemuser_org"]["ID"] == f"0192:{ANNE}"
    assert claims["exp"] - claims["iat"] == 120


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"iss": "unknown"}, "MP-100"),
        ({"aud": "http://elsewhere/"}, "MP-110"),
        ({"iat": -30}, "MP-130"),
        ({"exp": 300}, "MP-130"),
        ({"exp": -60}, "MP-130"),
        ({"jti": None}, "MP-124"),
        ({"extra": 1}, "MP-124"),
        ({"scope": None}, "MP-200"),
        ({"scope": "altinn:serviceowner"}, "MP-201"),
        ({"authorization_details": []}, "MP-301"),
        ({"authorization_details": [{"type": "other"}]}, "MP-301"),
        ({"authorization_details": "x"}, "MP-301"),
    ],
)
def test_grants_are_checked(anne: Caller, change: dict[str, Any], expected: str) -> None:
    """Times are given in seconds from now."""
    now = int(time.time())
    change = {name: now + it if name in ("iat", "exp") else it for name, it in change.items()}
    answer = anne.grant(anne.claims(**change))
    assert answer.status_code in (400, 401)
    assert mp(answer) == expected


def test_grant_is_accepted_once(anne: Caller) -> None:
    claims = anne.claims()
    assert anne.grant(claims).status_code == 200
    assert mp(anne.grant(claims)) == "MP-012"


def test_external_reference_must_be_the_registered_one(anne: Caller) -> None:
    details = anne.claims()["authorization_details"]
    del details[0]["externalRef"]
    assert mp(anne.grant(anne.claims(authorization_details=details))) == "MP-301"


def test_keys_by_id_and_by_certificate(network: Network, anne: Caller, berit: Caller) -> None:
    assert anne.grant(anne.claims(), kid=anne.organisation.key_id).status_code == 200
    assert mp(anne.grant(anne.claims(), kid=berit.organisation.key_id)) == "MP-121"
    assert mp(anne.grant(anne.claims(), kid="x", x5c=["y"])) == "MP-123"
    assert mp(anne.grant(anne.claims(), typ="JWT")) == "MP-123"
    assert mp(anne.grant(anne.claims(), x5c="not an array")) == "MP-123"
    assert mp(anne.grant(anne.claims(), x5c=["bm90IGEgY2VydGlmaWNhdGU="])) == "MP-123"
    assert mp(berit.grant(berit.claims(iss=anne.organisation.client_id))) == "MP-122"


def test_certificate_of_another_authority_is_refused(anne: Caller, tmp_path: Path) -> None:
    with Network(tmp_path) as elsewhere:
        stranger = elsewhere.add_organisation(ANNE, "Anne")
        anne.organisation = stranger
        assert mp(anne.grant(anne.claims())) == "MP-120"


def test_exchange_gives_plain_or_quoted_tokens_and_needs_a_maskinporten_token(
    network: Network, anne: Caller
) -> None:
    def exchange(token: str, **headers: str) -> httpx.Response:
        return anne.http.get(
            network.environment.exchange, headers={"Authorization": f"Bearer {token}", **headers}
        )

    token = anne.maskinporten_token()
    assert exchange(token).text.startswith("ey")
    assert exchange(token, Accept="application/json").text.startswith('"ey')
    claims = jwt.decode(exchange(token).text, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 1800
    assert claims["urn:altinn:orgNumber"] == ANNE
    assert "client_amr" not in claims
    assert exchange(anne.token).status_code == 401
    assert exchange("x").status_code == 401


def test_metadata_and_keys(network: Network, anne: Caller) -> None:
    metadata = anne.http.get(f"{network.url}/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == network.environment.audience
    assert metadata["token_endpoint"] == network.environment.token_endpoint
    (key,) = anne.http.get(metadata["jwks_uri"]).json()["keys"]
    assert jwt.decode(
        anne.token, jwt.PyJWK(key), algorithms=["RS256"], options={"verify_aud": False}
    )


# --- the registry -----------------------------------------------------------------------


def lookup(caller: Caller, path: str, accept: str = "application/json") -> httpx.Response:
    token = caller.maskinporten_token(scope="eformidling:dpo", authorization_details=None)
    return caller.http.get(
        f"{caller.network.environment.registry}/{path}",
        headers={"Authorization": f"Bearer {token}", "Accept": accept},
    )


def test_registry_needs_a_token_except_for_its_keys(network: Network, anne: Caller) -> None:
    base = network.environment.registry
    for path in ("identifier/1", "info/1", "virksert/1", f"identifier/{BERIT}/process/x"):
        assert anne.http.get(f"{base}/{path}").status_code == 401
    assert anne.http.get(f"{base}/jwk").status_code == 200


def test_registry_signs_when_asked_to(network: Network, anne: Caller) -> None:
    signed = lookup(anne, f"identifier/{BERIT}", "application/jose, application/json")
    assert signed.headers["Content-Type"] == "application/jose"
    (key,) = anne.http.get(f"{network.environment.registry}/jwk").json()["keys"]
    complete = jwt.api_jws.decode_complete(signed.text, jwt.PyJWK(key), algorithms=["RS256"])
    assert complete["header"]["kid"] == key["kid"]
    assert len(complete["header"]["x5c"]) == 1
    assert json.loads(complete["payload"]) == lookup(anne, f"identifier/{BERIT}").json()
    assert "typ" not in complete["header"] or complete["header"]["typ"] == "JWT"


def test_registry_decides_per_process(network: Network, anne: Caller) -> None:
    network.add_addressee("910075918", "Utenfor")
    network.add_addressee("910076787", "SvarUt", svarut_level=3)

    def services(orgnr: str) -> dict[str, str]:
        records = lookup(anne, f"identifier/{orgnr}").json()["serviceRecords"]
        return {r["process"].split(":")[-2]: r["service"]["identifier"] for r in records}

    assert services(BERIT) == {
        "administrasjon": "DPO",
        "planByggOgGeodata": "DPO",
        "response": "DPO",
    }
    assert set(services("910075918").values()) == {"DPV"}
    assert set(services("910076787").values()) == {"DPF"}
    one = lookup(anne, f"identifier/{BERIT}/process/{RESPONSE}").json()["serviceRecords"]
    assert [record["process"] for record in one] == [RESPONSE]
    raw = ADMINISTRASJON.replace(":", "%3A")
    assert lookup(anne, f"identifier/{BERIT}/process/{raw}").status_code == 200
    assert lookup(anne, "info/0192:910075918").json()["serviceRecords"] == []


def test_registry_errors_explain_themselves(anne: Caller) -> None:
    unknown = lookup(anne, "identifier/999999999", "application/jose, application/json")
    assert unknown.status_code == 404
    assert "999999999" in unknown.json()["error_description"]
    assert lookup(anne, f"identifier/{BERIT}/process/urn:other").status_code == 404
    assert lookup(anne, "virksert/999999999").status_code == 404


def test_renewed_certificate_is_published_and_the_old_keystore_kept(
    network: Network, anne: Caller
) -> None:
    before = lookup(anne, f"virksert/{BERIT}").text
    renewed = network.renew_certificate(BERIT)
    assert lookup(anne, f"virksert/{BERIT}").text == renewed.certificate_pem != before
    previous = renewed.keystore.with_suffix(".previous.p12")
    for path, expected in ((previous, before), (renewed.keystore, renewed.certificate_pem)):
        _, certificate, chain = pkcs12.load_key_and_certificates(
            path.read_bytes(), renewed.keystore_password.encode()
        )
        assert certificate is not None
        assert len(chain) == 1
        assert (certificate == renewed.certificate) == (expected == renewed.certificate_pem)


# --- faults -----------------------------------------------------------------------------


def test_fault_acts_on_the_nth_matching_call_only(network: Network, anne: Caller) -> None:
    network.fault("list", after_calls=1, status=500)
    network.fault("list", caller=BERIT, status=418, times=None)
    query = {"resourceId": network.environment.resource}
    assert [anne.call("GET", params=query).status_code for _ in range(3)] == [200, 500, 200]


def test_drop_before_does_nothing_and_drop_after_does_it(network: Network, anne: Caller) -> None:
    for drop in ("before", "after"):
        network.fault("initialize", drop=drop)
        with pytest.raises(httpx.TransportError):
            anne.initialize()
    assert len(network.transfers) == 1


def test_delays_and_injected_problems(network: Network, anne: Caller) -> None:
    network.fault("list", delay_before=0.2)
    started = time.monotonic()
    anne.list()
    assert time.monotonic() - started >= 0.2
    network.fault("list", status=503, code="BRO-00021", headers={"Retry-After": "5"})
    answer = anne.call("GET")
    assert code(answer) == (503, "BRO-00021")
    assert answer.headers["Retry-After"] == "5"


def test_request_log_has_sizes_and_sums_and_no_secrets(network: Network, anne: Caller) -> None:
    anne.send(b"data")
    upload = network.requests[-1]
    assert (upload.call, upload.caller, upload.status, upload.request_bytes) == (
        "upload",
        ANNE,
        200,
        4,
    )
    assert upload.request_md5 == "8d777f385d3dfec8815d20f7496026dc"
    assert anne.token not in repr(network.requests)
    assert "eyJ" not in repr(network.requests)


# --- control ----------------------------------------------------------------------------


@pytest.fixture
def control(network: Network) -> Iterator[httpx.Client]:
    """A client of the control paths."""
    with httpx.Client(base_url=f"{network.url}/_sim/", trust_env=False) as client:
        yield client


def test_control_does_what_the_network_does_in_process(
    network: Network, anne: Caller, control: httpx.Client
) -> None:
    made = control.post("organisations", json={"orgnr": "910077473", "name": "Ny"}).json()
    assert Path(made["keystore"]).is_file()
    control.post("addressees", json={"orgnr": "910075918", "name": "Utenfor"})
    reference = control.post("system-users", json={"client": ANNE, "orgnr": "910077473"})
    assert reference.json()["externalRef"] == "910077473"
    assert {o["orgnr"] for o in control.get("organisations").json()} == {ANNE, BERIT, "910077473"}
    assert control.get("environment").json()["broker"] == network.environment.broker

    control.post("scan", json={"delay": 60})
    identifier = anne.send()
    assert control.get("transfers").json()[0]["status"] == "UploadProcessing"
    control.post("clock", json={"advance": 60})
    assert control.get("transfers").json()[0]["status"] == "Published"
    control.post(f"transfers/{identifier}/purge")
    assert control.get("transfers").json()[0]["status"] == "Purged"
    control.post(f"transfers/{identifier}/status", json={"status": "Failed", "text": "Oops"})
    assert anne.overview(identifier)["fileTransferStatusText"] == "Oops"

    rule = control.post("faults", json={"call": "list", "status": 500, "times": None}).json()
    assert anne.call("GET").status_code == 500
    assert control.get("faults").json()[0]["acted"] == 1
    assert control.delete(f"faults/{rule['id']}").status_code == 204
    assert anne.call("GET").status_code == 400

    control.post("rate-limits", json={"limits": {"list": 0}})
    assert anne.call("GET").status_code == 429
    control.post("rate-limits", json={"limits": None})
    control.post("expire-tokens")
    assert anne.call("GET").status_code == 401
    control.post("withdraw", json={"orgnr": ANNE})
    assert mp(anne.grant(anne.claims())) == "MP-302"

    assert [r["call"] for r in control.get("requests").json()].count("upload") == 1
    assert control.get("events").json()[0]["resourceinstance"] == identifier
    control.post("resources", json={"id": "other", "max_size": 5})
    assert network.broker.resources["other"].max_size == 5
    control.post("reset")
    assert control.get("transfers").json() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"unknown": 1}),
        ("faults", {"drop": "sideways"}),
        ("faults", []),
        ("clock", {}),
        ("clock", {"advance": "much"}),
        ("organisations", {"orgnr": "../../x", "name": "x"}),
        ("system-users", {"client": "1", "orgnr": "2"}),
    ],
)
def test_control_refuses_what_it_does_not_understand(
    control: httpx.Client, path: str, body: object
) -> None:
    assert control.post(path, json=body).status_code == 400


def test_unknown_paths_and_methods(network: Network, anne: Caller) -> None:
    assert anne.http.get(f"{network.url}/other").status_code == 404
    assert anne.http.get(f"{network.environment.broker}/_sim/reset").status_code == 404
    assert anne.call("DELETE").status_code == 405


# --- beside recorded answers


def members(path: Path) -> set[str]:
    return set(json.loads(path.read_text("utf-8")))


def test_answers_have_the_members_of_recorded_ones(
    anne: Caller, berit: Caller, shared_samples: Path
) -> None:
    folder = shared_samples / "altinn" / "altinn3"
    identifier = anne.send()
    overview = anne.overview(identifier)
    assert set(overview) == members(folder / "broker" / "overview-response.published.json")
    recorded = json.loads((folder / "broker" / "overview-response.published.json").read_text())
    assert set(overview["recipients"][0]) == set(recorded["recipients"][0])
    details = anne.call("GET", f"/{identifier}/details").json()
    assert set(details) == members(folder / "broker" / "details-response.allconfirmed.json")
    unknown = anne.call("GET", "/00000000-0000-0000-0000-000000000000").json()
    assert set(unknown) == members(folder / "broker" / "problem.404.BRO-00001.json")
    invalid = anne.call("POST", json={}).json()
    assert set(invalid) == members(folder / "broker" / "problem.400.validation.json")
    token = anne.grant(anne.claims()).json()
    assert set(token) == members(folder / "auth" / "maskinporten-token-response.json")
    full = json.loads((folder / "broker" / "initialize-request.full.json").read_text())
    full |= {"sender": f"0192:{ANNE}", "recipients": [f"0192:{BERIT}"], "disableVirusScan": None}
    assert anne.call("POST", json=full).status_code == 200


# --- alone ------------------------------------------------------------------------------


def test_simulate_network_runs_alone_and_keeps_keys(tmp_path: Path) -> None:
    clients = []
    for _ in range(2):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway", "simulate", "network", "--port", "0"),
                *("--folder", str(tmp_path), "--org", f"{ANNE}:Åse kommune"),
            ],
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            assert process.stdout is not None
            environment = json.loads(process.stdout.readline())
            organisation = json.loads(process.stdout.readline())
            url = environment["url"]
            assert (
                httpx.get(f"{url}/_sim/environment", trust_env=False).json()["broker"]
                == (environment["broker"])
            )
            clients.append(organisation["keyId"])
            assert organisation["name"] == "Åse kommune"
        finally:
            process.terminate()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()
    assert clients[0] == clients[1]


def test_packages_survive_a_restart(tmp_path: Path) -> None:
    def start() -> Network:
        network = Network(tmp_path, keep_transfers=True, scan_delay=60).start()
        for orgnr in (ANNE, BERIT):
            network.add_organisation(orgnr, orgnr)
        return network

    network = start()
    with Caller(network, ANNE) as anne:
        waiting, announced = anne.send(b"first"), anne.initialize()
        before = anne.overview(waiting)
    network.stop()
    network = start()
    try:
        with Caller(network, ANNE) as anne, Caller(network, BERIT) as berit:
            assert anne.overview(waiting) == before
            assert anne.upload(announced, b"second").status_code == 200
            network.clock.advance(60)
            assert berit.list(status="Published", orderAscending="true") == [waiting, announced]
            assert berit.download(waiting).content == b"first"
            assert berit.confirm(waiting).status_code == 204
    finally:
        network.stop()


def test_start_is_quick(tmp_path: Path) -> None:
    with Network(tmp_path):
        pass  # makes the keys
    started = time.monotonic()
    with Network(tmp_path):
        assert time.monotonic() - started < 1.0
