"""Who signed a package, and what the operator wants done about a stranger."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from letters_and_traces import Pair

from gateway.app import _vet_signer
from gateway.errors import SignerUntrusted
from gateway.package import open_package
from gateway.settings import TrustedSigners
from gateway.store import messages
from gateway.store.messages import Kind
from gateway.store.tables import message as messages_table


@pytest.fixture
def opened(pair: Pair):
    """A real package of A, opened with B's key."""
    pair.demo.run()
    with pair.a.gateway.database.read() as tx:
        letter = messages.find(
            tx,
            messages_table.c.kind == Kind.LETTER,
            messages_table.c.sender == pair.a.orgnr,
        )
        assert letter is not None
        built = messages.package(tx, letter.row_id, pair.a.gateway.blobs)
    assert built is not None
    context = pair.b.gateway.context
    with built[0].open() as file:
        return open_package(file, identities=context.identities, spool=context.blobs)


def test_without_certificates_only_the_signature_itself_is_verified(opened) -> None:
    assert list(_vet_signer(TrustedSigners())(opened)) == []
    assert opened.signature is not None
    assert opened.signature.digest == "sha256"


def test_a_signer_whose_chain_is_not_trusted_is_noted_or_refused(opened, tmp_path: Path) -> None:
    trusted = TrustedSigners(certificates=tmp_path, environment="test")
    (warning,) = _vet_signer(trusted)(opened)
    assert "no trusted root" in warning
    with pytest.raises(SignerUntrusted):
        _vet_signer(dataclasses.replace(trusted, chain="reject"))(opened)
