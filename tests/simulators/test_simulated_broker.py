"""The simulated broker does what altinn-transport 5.3 asks: F1-F25."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import tracemalloc
import uuid
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from network_caller import ANNE, BERIT, Caller, code

from gateway.simulators.network import EICAR, Network, Resource

NOBODY = "910077473"


# --- F1, F2, F3: who may ---------------------------------------------------------------------


def test_f1_both_kinds_of_token_speak_for_the_system_users_organisation(
    network: Network, anne: Caller
) -> None:
    anne.token = anne.maskinporten_token()
    assert anne.initialize()
    network.add_system_user(anne.organisation, NOBODY, "ref")
    details = anne.claims()["authorization_details"]
    details[0]["systemuser_org"]["ID"] = f"0192:{NOBODY}"
    details[0]["externalRef"] = "ref"
    anne.token = anne.altinn_token(authorization_details=details)
    assert anne.initialize(sender=f"0192:{NOBODY}")
    assert code(anne.call("POST", json=anne.body())) == (401, "BRO-00006")


def test_f1_no_skew_on_expiry(network: Network, anne: Caller) -> None:
    network.maskinporten.altinn_token_seconds = 0
    anne.token = anne.altinn_token()
    assert code(anne.call("GET", f"/{uuid.uuid4()}")) == (401, None)


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_f1_no_valid_token_is_401_without_a_body(anne: Caller, token: str) -> None:
    anne.token = token or "x"
    answer = anne.call("GET", f"/{uuid.uuid4()}")
    assert (answer.status_code, answer.content) == (401, b"")


def test_f2_missing_scope_is_403_without_code(anne: Caller, berit: Caller) -> None:
    identifier = anne.send()
    anne.token = anne.altinn_token(scope="altinn:broker.read")
    assert code(anne.call("POST", json={})) == (403, None)
    assert code(anne.upload(identifier)) == (403, None)
    assert anne.overview(identifier)
    berit.token = berit.altinn_token(scope="altinn:broker.write")
    assert code(berit.download(identifier)) == (403, None)
    assert code(berit.confirm(identifier)) == (403, None)
    assert berit.list() == [identifier]


def test_f3_policy_decides_per_action(network: Network, anne: Caller, berit: Caller) -> None:
    resource = network.environment.resource
    identifier = anne.send()
    network.broker.denied.add((BERIT, resource, "write"))
    query = {"resourceId": resource}
    assert code(berit.call("GET", params=query)) == (401, "BRO-00006")
    assert berit.download(identifier).status_code == 200
    network.broker.denied.add((BERIT, resource, "read"))
    assert code(berit.download(identifier)) == (401, "BRO-00006")
    network.maskinporten.withdraw(ANNE)
    assert code(anne.call("GET", f"/{identifier}")) == (401, "BRO-00006")


# --- F4, F5, F6, F7: what is checked, in which order -----------------------------------------


def test_f4_unknown_id_is_404_before_rights_and_foreign_is_401(
    network: Network, anne: Caller
) -> None:
    network.add_organisation(NOBODY, "Ingen")
    with Caller(network, NOBODY) as nobody:
        assert code(nobody.call("GET", f"/{uuid.uuid4()}")) == (404, "BRO-00001")
        identifier = anne.send()
        for answer in (
            nobody.call("GET", f"/{identifier}"),
            nobody.call("GET", f"/{identifier}/details"),
            nobody.download(identifier),
            nobody.confirm(identifier),
            nobody.upload(identifier),
        ):
            assert code(answer) == (401, "BRO-00006")


def test_f4_unknown_resource_is_401_after_validation(anne: Caller) -> None:
    assert code(anne.call("POST", json=anne.body(resourceId="other"))) == (401, "BRO-00006")
    assert code(anne.call("POST", json=anne.body(resourceId="other", fileName=""))) == (400, None)
    assert code(anne.call("GET", params={"resourceId": "other"})) == (401, "BRO-00006")


def test_f4_rules_of_the_resource(network: Network, anne: Caller) -> None:
    resource = network.broker.resources[network.environment.resource]
    assert code(anne.call("POST", json=anne.body(disableVirusScan=True))) == (400, "BRO-00020")
    resource.access_list = frozenset({NOBODY})
    assert code(anne.call("POST", json=anne.body())) == (400, "BRO-00028")
    resource.registered = False
    assert code(anne.call("POST", json=anne.body())) == (403, "BRO-00005")
    resource.storage_ready = False
    assert code(anne.call("POST", json=anne.body())) == (503, "BRO-00021")
    resource.configured = False
    assert code(anne.call("POST", json=anne.body())) == (400, "BRO-00025")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"fileName": ""}, "fileName"),
        ({"fileName": "x" * 256}, "fileName"),
        ({"fileName": ...}, "fileName"),
        ({"sendersFileTransferReference": ...}, "sendersFileTransferReference"),
        ({"sendersFileTransferReference": "x" * 4097}, "sendersFileTransferReference"),
        ({"resourceId": "urn:other:thing"}, "resourceId"),
        ({"sender": ANNE}, "sender"),
        ({"sender": f"0192:{ANNE}:{BERIT}"}, "sender"),
        ({"recipients": []}, "recipients"),
        ({"recipients": [f"0192:{BERIT}", "0192:1"]}, "recipients[1]"),
        ({"propertyList": {str(n): "" for n in range(11)}}, "propertyList"),
        ({"propertyList": {"k" * 51: ""}}, "propertyList"),
        ({"propertyList": {"k": "v" * 3001}}, "propertyList"),
        ({"checksum": "A" * 32}, "checksum"),
    ],
)
def test_f5_fields_are_validated_without_a_code(
    anne: Caller, change: dict[str, Any], field: str
) -> None:
    answer = anne.call("POST", json=anne.body(**change))
    assert code(answer) == (400, None)
    assert field in answer.json()["errors"]


def test_f5_prefix_urn_sender_and_case_are_accepted(anne: Caller) -> None:
    body = {name.upper(): value for name, value in anne.body(checksum="").items()}
    body["RESOURCEID"] = f"urn:altinn:resource:{body['RESOURCEID']}"
    assert anne.call("POST", "/", json=body).status_code == 200


def test_f6_problems_have_code_trace_and_plain_json(anne: Caller) -> None:
    answer = anne.call("GET", f"/{uuid.uuid4()}")
    assert answer.headers["Content-Type"] == "application/json"
    assert {"type", "title", "status", "detail", "code", "traceId"} <= set(answer.json())
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "status"),
    [("application/json", 404), ("*/*", 404), ("application/*", 406), ("text/html", 406)],
)
def test_f7_accept(anne: Caller, accept: str, status: int) -> None:
    answer = anne.call("GET", f"/{uuid.uuid4()}", headers={"Accept": accept})
    assert answer.status_code == status


def test_f7_content_types(anne: Caller, berit: Caller) -> None:
    identifier = anne.initialize()
    for wrong in ("application/zip", "application/octet-stream; charset=utf-8"):
        assert anne.upload(identifier, **{"Content-Type": wrong}).status_code == 415
    text = anne.call("POST", content="{}", headers={"Content-Type": "text/plain"})
    assert text.status_code == 415
    assert anne.upload(identifier).status_code == 200
    assert berit.download(identifier, Accept="image/png").status_code == 200


# --- F8, F9, F10, F11, F12, F13 --------------------------------------------------------------


def test_f8_status_machine_and_texts(network: Network, anne: Caller, berit: Caller) -> None:
    network.broker.scan.delay = 60
    identifier = anne.initialize()
    seen = [anne.overview(identifier)]
    assert anne.upload(identifier).status_code == 200
    seen.append(anne.overview(identifier))
    assert code(anne.upload(identifier)) == (409, "BRO-00004")
    network.clock.advance(60)
    seen.append(anne.overview(identifier))
    assert berit.download(identifier).content == b"data"
    assert berit.confirm(identifier).status_code == 204
    seen.append(anne.overview(identifier))
    network.clock.advance(24 * 3600)
    seen.append(anne.overview(identifier))
    assert [(o["fileTransferStatus"], o["fileTransferStatusText"]) for o in seen] == [
        ("Initialized", "Ready for upload"),
        ("UploadProcessing", "Processing upload"),
        ("Published", "Ready for download"),
        ("AllConfirmedDownloaded", "All downloaded"),
        ("Purged", "FileTransfer has been purged"),
    ]
    assert [bool(o["published"]) for o in seen] == [False, False, True, True, True]
    assert [o["fileTransferSize"] for o in seen] == [0, 4, 4, 4, 4]
    details = anne.call("GET", f"/{identifier}/details").json()
    assert "published" not in details
    assert [h["fileTransferStatus"] for h in details["fileTransferStatusHistory"]] == [
        "Initialized",
        "UploadStarted",
        "UploadProcessing",
        "Published",
        "AllConfirmedDownloaded",
        "Purged",
    ]
    assert [
        h["recipientFileTransferStatusCode"] for h in details["recipientFileTransferStatusHistory"]
    ] == ["Initialized", "DownloadStarted", "DownloadConfirmed"]


def test_f9_begun_download_is_recorded_also_when_the_client_leaves(
    network: Network, anne: Caller, berit: Caller
) -> None:
    identifier = anne.send(b"x" * 10_000_000)
    with berit.http.stream(
        "GET",
        f"{network.environment.broker}/filetransfer/{identifier}/download",
        headers={"Authorization": f"Bearer {berit.token}"},
    ) as response:
        next(response.iter_raw())
    assert berit.list(status="Published", recipientStatus="Initialized") == []
    assert berit.list(status="published", recipientStatus="downloadstarted") == [identifier]


def test_f10_list_uses_the_latest_and_overview_the_highest(
    network: Network, anne: Caller, berit: Caller
) -> None:
    network.add_organisation(NOBODY, "Ingen")
    identifier = anne.send(recipients=[f"0192:{BERIT}", f"0192:{NOBODY}"])
    berit.download(identifier)
    assert berit.confirm(identifier).status_code == 204
    assert berit.confirm(identifier).status_code == 204  # another has not confirmed
    berit.download(identifier)
    assert berit.list(recipientStatus="DownloadStarted") == [identifier]
    by_recipient = {
        r["recipient"]: r["currentRecipientFileTransferStatusCode"]
        for r in berit.overview(identifier)["recipients"]
    }
    assert by_recipient == {f"0192:{BERIT}": "DownloadConfirmed", f"0192:{NOBODY}": "Initialized"}


def test_f11_list_order_roles_and_cap(anne: Caller, berit: Caller) -> None:
    ids = [anne.initialize() for _ in range(101)]
    assert berit.list() == ids[:0:-1]
    assert berit.list(orderAscending="true") == ids[:100]
    assert berit.list(role="sender") == []
    assert len(anne.list(role="SENDER")) == 100
    assert anne.list(role="sender", recipientStatus="Initialized") == []
    assert berit.list(role="sender", recipientStatus="Initialized")[0] == ids[-1]
    assert anne.list(status="Published") == []


def test_f11_time_bounds_and_the_column_they_compare_with(
    network: Network, anne: Caller, berit: Caller
) -> None:
    early = anne.initialize()
    network.clock.advance(10)
    late = anne.send()
    network.clock.advance(10)
    anne.upload(early)  # published after `late`
    created = {i: berit.overview(i)["created"] for i in (early, late)}
    published = {i: berit.overview(i)["published"] for i in (early, late)}

    assert berit.list(**{"from": created[early], "to": created[early]}) == [early]
    assert berit.list(**{"from": created[late]}) in ([], [late])
    assert berit.list(to=created[early]) == []
    before = (datetime.fromisoformat(published[late]) - timedelta(milliseconds=1)).isoformat()
    assert berit.list(status="Published", orderAscending="true", **{"from": before}) == [
        late,
        early,
    ]
    wrong = berit.call(
        "GET", params={"resourceId": network.environment.resource, "from": "yesterday"}
    )
    assert code(wrong) == (400, None)
    assert code(berit.call("GET")) == (400, None)


def test_f12_urn_sender_is_kept_and_does_not_find_its_own(anne: Caller, berit: Caller) -> None:
    urn = "urn:altinn:organization:identifier-no:"
    identifier = anne.send(sender=f"{urn}{ANNE}", recipients=[f"{urn}{BERIT}"])
    overview = berit.overview(identifier)
    assert overview["sender"] == f"{urn}{ANNE}"
    assert overview["recipients"][0]["recipient"] == f"0192:{BERIT}"
    assert anne.list() == []
    assert berit.list() == [identifier]


def test_f13_confirm_table(network: Network, anne: Caller, berit: Caller) -> None:
    identifier = anne.initialize()
    assert code(berit.confirm(identifier)) == (400, "BRO-00003")
    anne.upload(identifier)
    assert code(berit.confirm(identifier)) == (400, "BRO-00019")
    berit.download(identifier)
    assert code(anne.confirm(identifier)) == (401, "BRO-00006")
    assert berit.confirm(identifier).status_code == 204
    assert code(berit.confirm(identifier)) == (400, "BRO-00010")
    assert berit.download(identifier).status_code == 200  # within the grace period
    network.clock.advance(25 * 3600)
    assert code(berit.download(identifier)) == (403, "BRO-00007")
    assert code(berit.confirm(identifier)) == (400, "BRO-00010")


# --- F14-F25 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "status", "content", "place"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=5-", 206, b"56789", "bytes 5-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=x", 200, b"0123456789", None),
        ("bytes=4-2", 200, b"0123456789", None),
    ],
)
def test_f14_one_range(
    anne: Caller, berit: Caller, header: str, status: int, content: bytes, place: str | None
) -> None:
    answer = berit.download(anne.send(b"0123456789"), Range=header)
    assert (answer.status_code, answer.content) == (status, content)
    assert answer.headers.get("Content-Range") == place
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_f14_range_beyond_the_end_and_debounce(
    network: Network, anne: Caller, berit: Caller
) -> None:
    identifier = anne.send(b"0123456789")
    assert code(berit.download(identifier, Range="bytes=10-")) == (416, "BRO-00029")
    for _ in range(3):
        berit.download(identifier, Range="bytes=1-2")
    network.clock.advance(301)
    berit.download(identifier, Range="bytes=1-2")
    (transfer,) = network.transfers
    assert [c.status.name for c in transfer.recipient_history].count("DownloadStarted") == 2


def test_f15_scan_takes_time_and_checksum_comes_later(
    network: Network, anne: Caller, berit: Caller
) -> None:
    network.broker.scan.delay = (30, 40)
    identifier = anne.send(b"data")
    assert anne.overview(identifier)["checksum"] is None
    assert code(berit.download(identifier)) == (403, "BRO-00007")
    network.clock.advance(29)
    assert berit.list(status="Published") == []
    network.clock.advance(11)
    md5 = hashlib.md5(b"data", usedforsecurity=False).hexdigest()
    assert anne.overview(identifier)["checksum"] == md5


def test_f16_malware_anywhere_in_the_body(network: Network, anne: Caller, berit: Caller) -> None:
    for padding in (0, 65_500, 65_536, 131_050):
        identifier = anne.send(b"x" * padding + EICAR)
        overview = anne.overview(identifier)
        assert overview["fileTransferStatus"] == "Failed"
        assert "malware" in overview["fileTransferStatusText"]
        assert code(berit.download(identifier)) == (403, "BRO-00007")
    assert list(network.broker.folder.iterdir()) == []


def test_f17_checksum_mismatch(anne: Caller) -> None:
    identifier = anne.initialize(checksum="0" * 32)
    assert code(anne.upload(identifier)) == (400, "BRO-00009")
    assert anne.overview(identifier)["fileTransferStatus"] == "Failed"
    assert code(anne.upload(identifier)) == (409, "BRO-00004")


def half_an_upload(network: Network, caller: Caller, identifier: str) -> None:
    place = network.url.removeprefix("http://")
    host, _, port = place.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /broker/api/v1/filetransfer/{identifier}/upload HTTP/1.1\r\nHost: {place}\r\n"
            f"Authorization: Bearer {caller.token}\r\nContent-Length: 1000\r\n"
            "Content-Type: application/octet-stream\r\n\r\nhalf".encode()
        )
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


def test_f18_disconnect_leaves_upload_started(network: Network, anne: Caller) -> None:
    identifier = anne.initialize()
    half_an_upload(network, anne, identifier)
    assert anne.overview(identifier)["fileTransferStatus"] == "UploadStarted"
    assert list(network.broker.folder.iterdir()) == []
    assert anne.upload(identifier).status_code == 200
    stuck = anne.initialize()
    half_an_upload(network, anne, stuck)
    network.clock.advance(24 * 3600)
    overview = anne.overview(stuck)
    assert overview["fileTransferStatus"] == "Failed"
    assert "stuck" in overview["fileTransferStatusText"]


def test_f19_expiry_and_grace(network: Network, anne: Caller, berit: Caller) -> None:
    never_taken, taken = anne.send(), anne.send()
    berit.download(taken)
    berit.confirm(taken)
    network.clock.advance(24 * 3600)
    assert anne.overview(taken)["fileTransferStatus"] == "Purged"
    assert anne.overview(never_taken)["fileTransferStatus"] == "Published"
    network.clock.advance(29 * 24 * 3600)
    assert anne.overview(never_taken)["fileTransferStatus"] == "Purged"
    assert list(network.broker.folder.iterdir()) == []
    assert berit.list(status="Published") == []


def test_f20_size_is_judged_by_content_length_only(network: Network, anne: Caller) -> None:
    network.broker.resources[network.environment.resource] = Resource(
        network.environment.resource, max_size=3
    )
    identifier = anne.initialize()
    assert code(anne.upload(identifier, b"data")) == (400, "BRO-00016")
    assert anne.upload(identifier, iter([b"da", b"ta"])).status_code == 200
    assert anne.overview(identifier)["fileTransferSize"] == 4


def test_f21_rate_limits_are_per_client(network: Network, anne: Caller, berit: Caller) -> None:
    network.rate_limits = {"list": 3}
    assert [berit.call("GET", params={"resourceId": "x"}).status_code for _ in range(4)] == [
        401,
        401,
        401,
        429,
    ]
    answer = berit.call("GET")
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert anne.list() == []


def test_f22_events_tell_sender_and_recipients(
    network: Network, anne: Caller, berit: Caller
) -> None:
    identifier = anne.send()
    berit.download(identifier)
    berit.confirm(identifier)
    seen = [(e["type"].rpartition(".")[2], e["data"]["Role"]) for e in network.events]
    assert seen == [
        ("filetransferinitialized", "Sender"),
        ("uploadprocessing", "Sender"),
        ("published", "Sender"),
        ("published", "Recipient"),
        ("downloadconfirmed", "Sender"),
        ("downloadconfirmed", "Recipient"),
        ("allconfirmeddownloaded", "Sender"),
        ("allconfirmeddownloaded", "Recipient"),
    ]


def test_f23_same_announcement_twice_is_two_transfers(anne: Caller) -> None:
    body = anne.body()
    ids = {anne.call("POST", json=body).json()["fileTransferId"] for _ in range(2)}
    assert len(ids) == 2


def test_f24_timestamps_have_offset_and_up_to_seven_digits(anne: Caller) -> None:
    overview = anne.overview(anne.send())
    for name in ("created", "published", "expirationTime", "fileTransferStatusChanged"):
        assert re.fullmatch(r"[\d-]{10}T[\d:]{8}(\.\d{1,7})?\+00:00", overview[name])
        assert datetime.fromisoformat(overview[name]).tzinfo is not None


def test_f25_several_recipients(network: Network, anne: Caller, berit: Caller) -> None:
    network.add_organisation(NOBODY, "Ingen")
    identifier = anne.send(recipients=[f"0192:{BERIT}", f"0192:{NOBODY}"])
    with Caller(network, NOBODY) as nobody:
        for caller in (berit, nobody):
            assert anne.overview(identifier)["fileTransferStatus"] == "Published"
            assert caller.download(identifier).content == b"data"
            assert caller.confirm(identifier).status_code == 204
    assert anne.overview(identifier)["fileTransferStatus"] == "AllConfirmedDownloaded"


# --- form ------------------------------------------------------------------------------------


def test_form_upload_does_both_at_once(anne: Caller, berit: Caller) -> None:
    body = anne.body()
    form = {
        "Metadata.FileName": body["fileName"],
        "Metadata.ResourceId": body["resourceId"],
        "Metadata.SendersFileTransferReference": "reference",
        "Metadata.Sender": body["sender"],
        "Metadata.Recipients": body["recipients"],
        "Metadata.PropertyList[key]": "value",
    }
    file = {"FileTransfer": ("sbd.zip", b"x" * 700_000)}
    identifier = anne.call("POST", "/upload", data=form, files=file).json()["fileTransferId"]
    overview = berit.overview(identifier)
    assert overview["propertyList"] == {"key": "value"}
    assert berit.download(identifier).content == b"x" * 700_000
    assert code(anne.call("POST", "/upload", data=form, files={"Other": b""})) == (400, None)
    assert anne.call("POST", "/upload", json={}).status_code == 415


def test_many_callers_at_once(network: Network, anne: Caller, berit: Caller) -> None:
    def work() -> None:
        for _ in range(5):
            anne.send(b"x" * 100_000)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(berit.list(status="Published")) == 40


def test_large_upload_does_not_stay_in_memory(network: Network, anne: Caller) -> None:
    piece = b"x" * 65_536
    identifier = anne.initialize()
    tracemalloc.start()
    answer = anne.upload(identifier, (piece for _ in range(800)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 200
    assert anne.overview(identifier)["fileTransferSize"] == 800 * 65_536
    assert peak < 5_000_000


def test_stop_cuts_connections_that_are_kept_alive(network: Network, anne: Caller) -> None:
    anne.list()
    network.stop()
    with pytest.raises(httpx.TransportError):
        anne.list()


def test_token_of_the_registry_does_not_open_the_broker(anne: Caller) -> None:
    anne.token = anne.maskinporten_token(scope="eformidling:dpo", authorization_details=None)
    assert code(anne.call("GET")) == (403, None)
