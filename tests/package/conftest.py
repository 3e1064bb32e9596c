"""The throw-away identities of the fixtures."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import settings
from packing import FIXTURES, MemorySpool, fixture_identity

from gateway.package import Identity

# Machines that run tests are often busy with other things; time is measured elsewhere.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def sender() -> Identity:
    return fixture_identity("sender")


@pytest.fixture(scope="session")
def receiver() -> Identity:
    return fixture_identity("receiver")


@pytest.fixture(scope="session")
def roots() -> list[x509.Certificate]:
    pem = (FIXTURES / "ca-chain.pem").read_bytes()
    return [it for it in x509.load_pem_x509_certificates(pem) if it.subject == it.issuer]


@pytest.fixture
def spool() -> MemorySpool:
    return MemorySpool()
