"""The shared-folder transport."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from network_side import ARKIVVERKET, KARTVERKET, parcel

from gateway.errors import (
    ConfigurationError,
    DigestMismatch,
    NetworkUnavailable,
    OfferGone,
    TransferFailed,
)
from gateway.ports import TransferState, Transport
from gateway.transports.directory import Directory


@pytest.fixture
def transport(tmp_path: Path) -> Directory:
    moments = iter(datetime(2026, 5, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(99))
    return Directory(tmp_path, clock=lambda: next(moments))


def send(transport: Transport, data: bytes = b"package", reference: str | None = None) -> str:
    package = parcel(data, reference=reference)
    identifier = transport.announce(package)
    transport.upload(identifier, package)
    return identifier


def test_package_goes_through_the_folder_and_is_renamed(
    transport: Directory, tmp_path: Path
) -> None:
    package = parcel(b"x" * 3_000_000)
    identifier = transport.announce(package)
    assert transport.outcome(identifier, KARTVERKET) == TransferState.ANNOUNCED
    assert transport.pending(ARKIVVERKET) == []
    transport.upload(identifier, package)
    assert transport.outcome(identifier, KARTVERKET) == TransferState.AVAILABLE
    (offer,) = transport.pending(ARKIVVERKET)
    assert (offer.sender, offer.reference, offer.md5, offer.size) == (
        KARTVERKET,
        package.reference,
        package.md5,
        3_000_000,
    )
    target = io.BytesIO()
    assert transport.fetch(offer, target) == 3_000_000
    transport.acknowledge(offer)
    transport.acknowledge(offer)
    assert transport.pending(ARKIVVERKET) == []
    assert transport.outcome(identifier, KARTVERKET) == TransferState.FETCHED
    assert sorted(path.name for path in (tmp_path / ARKIVVERKET).iterdir()) == [
        f"{identifier}.json",
        f"{identifier}.zip.accepted",
    ]


def test_uploading_twice_makes_one_package(transport: Directory) -> None:
    package = parcel()
    identifier = transport.announce(package)
    transport.upload(identifier, package)
    transport.upload(identifier, package)
    (offer,) = transport.pending(ARKIVVERKET)
    transport.acknowledge(offer)
    transport.upload(identifier, package)
    assert transport.pending(ARKIVVERKET) == []


def test_crash_in_the_middle_of_writing_is_taken_up_again(
    transport: Directory, tmp_path: Path
) -> None:
    package = parcel()
    identifier = transport.announce(package)
    (tmp_path / ARKIVVERKET / f"{identifier}.part").write_bytes(b"half")
    assert transport.outcome(identifier, KARTVERKET) == TransferState.UPLOADING
    assert transport.pending(ARKIVVERKET) == []
    transport.upload(identifier, package)
    assert len(transport.pending(ARKIVVERKET)) == 1


def test_packages_come_oldest_first_and_by_channel(transport: Directory, tmp_path: Path) -> None:
    first, second = send(transport), send(transport)
    theirs = send(transport, reference="foo-42")
    assert [o.transfer_id for o in transport.pending(ARKIVVERKET)] == [first, second]
    other = Directory(tmp_path, channel="foo-42")
    assert [o.transfer_id for o in other.pending(ARKIVVERKET)] == [theirs]


def test_rejection_is_explained_beside_the_file(transport: Directory, tmp_path: Path) -> None:
    identifier = send(transport)
    (offer,) = transport.pending(ARKIVVERKET)
    transport.reject(offer, "Ukjent mottaker: æøå")
    transport.reject(offer, "again")
    assert transport.pending(ARKIVVERKET) == []
    assert transport.outcome(identifier, KARTVERKET) == TransferState.FAILED
    explanation = tmp_path / ARKIVVERKET / f"{identifier}.zip.err"
    assert explanation.read_text("utf-8") == "Ukjent mottaker: æøå\n"
    with pytest.raises(TransferFailed):
        transport.upload(identifier, parcel())


def test_changed_content_is_rejected(transport: Directory, tmp_path: Path) -> None:
    identifier = send(transport)
    path = tmp_path / ARKIVVERKET / f"{identifier}.zip"
    path.write_bytes(b"other")
    (offer,) = transport.pending(ARKIVVERKET)
    with pytest.raises(DigestMismatch):
        transport.fetch(offer, io.BytesIO())
    assert path.with_name(path.name + ".rejected").exists()
    assert "MD5" in path.with_name(path.name + ".err").read_text()


def test_package_put_there_by_hand_is_taken(transport: Directory, tmp_path: Path) -> None:
    inbox = tmp_path / ARKIVVERKET
    inbox.mkdir()
    (inbox / "fra minnepinne.zip").write_bytes(b"no usable name")
    (inbox / "minnepinne.zip").write_bytes(b"by hand")
    (inbox / "ødelagt.zip").write_bytes(b"with a broken description")
    (inbox / "ødelagt.json").write_bytes(b"{")
    offers = transport.pending(ARKIVVERKET)
    assert {offer.transfer_id for offer in offers} == {"minnepinne", "ødelagt"}
    assert {(offer.sender, offer.md5) for offer in offers} == {("", None)}
    target = io.BytesIO()
    transport.fetch(next(o for o in offers if o.transfer_id == "minnepinne"), target)
    assert target.getvalue() == b"by hand"


def test_content_that_differs_from_the_announcement_is_not_handed_over(
    transport: Directory,
) -> None:
    package = parcel(md5="0" * 32)
    identifier = transport.announce(package)
    with pytest.raises(TransferFailed):
        transport.upload(identifier, package)
    assert transport.pending(ARKIVVERKET) == []


def test_folder_that_is_away_is_unavailable(tmp_path: Path) -> None:
    away = Directory(tmp_path / "not mounted")
    with pytest.raises(NetworkUnavailable):
        away.pending(ARKIVVERKET)
    (tmp_path / "file").touch()
    with pytest.raises(NetworkUnavailable):
        Directory(tmp_path / "file").announce(parcel())


def test_names_cannot_leave_the_folder(transport: Directory) -> None:
    send(transport)
    (offer,) = transport.pending(ARKIVVERKET)
    for name in ("../x", "..", "a/b", "a\\b", "C:x", ""):
        with pytest.raises(ConfigurationError):
            transport.fetch(replace(offer, transfer_id=name), io.BytesIO())
    with pytest.raises(ConfigurationError):
        transport.pending("../..")


def test_offer_that_was_taken_is_gone(transport: Directory) -> None:
    send(transport)
    (offer,) = transport.pending(ARKIVVERKET)
    transport.acknowledge(offer)
    with pytest.raises(OfferGone):
        transport.fetch(offer, io.BytesIO())


def test_description_is_plain_json(transport: Directory, tmp_path: Path) -> None:
    identifier = send(transport)
    description = json.loads((tmp_path / ARKIVVERKET / f"{identifier}.json").read_text())
    assert description["sender"] == KARTVERKET
    transport.check(ARKIVVERKET)
