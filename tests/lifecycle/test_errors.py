"""The catalogue of what is told when something goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway import errors
from gateway.errors import GatewayError, LetterEnded, PackageError
from gateway.model import ReceiptType


def leaves(root: type[GatewayError]) -> Iterator[type[GatewayError]]:
    below = root.__subclasses__()
    if not below:
        yield root
    for one in below:
        yield from leaves(one)


def made(leaf: type[GatewayError]) -> GatewayError:
    special = {
        errors.RequestRefused: ("Doctype", "x"),
        errors.ArchiveFault: ("Server", "x"),
        errors.Undelivered: ("910077473",),
        errors.SettingsWrong: ("gateway.toml", ["organisation.orgnr: missing"]),
    }
    return leaf(*special.get(leaf, ("x",)))


def test_every_leaf_has_something_for_the_peer_and_for_the_operator() -> None:
    ours = [one for one in leaves(GatewayError) if one.__module__ == "gateway.errors"]
    assert len(ours) > 30
    for leaf in ours:
        error = made(leaf)
        assert error.text.strip(), leaf
        assert leaf.operator.strip(), leaf
        assert error.receipt.type is ReceiptType.ERROR


@pytest.mark.parametrize("leaf", [*leaves(LetterEnded), *leaves(PackageError)])
def test_who_waits_for_a_letter_hears_the_cause_and_what_to_do(leaf: type[GatewayError]) -> None:
    said = " ".join(one.text for one in made(leaf).receipt.messages)
    assert any(word in said for word in ("Send", "send", "sendes", "Kontroller", "Avtal")), said
    assert len(said) > 60


@pytest.mark.parametrize(
    "leaf",
    [
        one
        for root in (errors.Unavailable, errors.NeedsOperator)
        for one in leaves(root)
        if one.__module__ == "gateway.errors"
    ],
)
def test_a_letter_that_expires_because_of_it_is_told_the_cause_and_the_remedy(
    leaf: type[GatewayError],
) -> None:
    error = made(leaf)
    assert leaf.cause != GatewayError.cause
    told = errors.ExpiredUnsent(error.problem).receipt.messages[1].text
    assert f"Siste årsak: {leaf.cause} («{error.detail}»). {leaf.remedy}" in told
    elsewhere = errors.ExpiredUndelivered(error.problem)
    assert leaf.cause in elsewhere.receipt.messages[1].text
    assert f"«{error.detail}»" not in elsewhere.receipt.messages[1].text
    assert f"«{error.detail}»" in elsewhere.account


def test_what_nobody_foresaw_is_named_as_such_when_a_letter_expires() -> None:
    told = errors.ExpiredUnsent("ZeroDivisionError").receipt.messages[1].text
    assert "Siste årsak: teknisk feil" in told
    assert "ZeroDivisionError" not in told


def test_nobody_can_tell_from_the_answer_why_a_package_did_not_open() -> None:
    """All leaves say the same, so that there is no decryption oracle (dpo-packaging 5.7)."""
    assert len({made(leaf).receipt for leaf in leaves(PackageError)}) == 1
