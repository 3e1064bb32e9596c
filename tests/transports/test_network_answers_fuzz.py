"""Answers of any shape: understood, or refused with a known error; never a stray exception."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import errors
from gateway.http import Answer, retry_after
from gateway.registry import ADMINISTRASJON, Registry
from gateway.transports import broker

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=12,
)
OVERVIEW = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.datetimes().map(lambda moment: moment.isoformat())
        for name in (
            "fileTransferStatus",
            "fileTransferStatusChanged",
            "created",
            "published",
            "sender",
            "sendersFileTransferReference",
            "checksum",
            "fileTransferSize",
            "recipients",
        )
    },
)


def answer(value: Any, status: int = 200) -> Answer:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Answer(status, httpx.Headers(), content)


@given(OVERVIEW | JSON | st.binary(max_size=50))
def test_overviews(value: Any) -> None:
    try:
        overview = broker._overview(answer(value))
    except errors.NetworkUnavailable:
        return
    if overview.changed is not None:
        assert overview.changed - timedelta(milliseconds=1) < overview.changed
    assert all(isinstance(orgnr, str) for orgnr in overview.recipients)


@given(
    st.sampled_from([400, 401, 403, 404, 408, 409, 416, 418, 429, 500, 502, 503]),
    st.fixed_dictionaries({}, optional={"code": JSON, "errors": JSON, "detail": JSON})
    | JSON
    | st.binary(max_size=50),
)
def test_problems_always_mean_something(status: int, value: Any) -> None:
    code, detail = broker._problem(answer(value, status))
    assert len(detail) <= 400
    error = broker.meaning(broker.Refusal("list", status, code, detail))
    assert isinstance(error, errors.GatewayError)
    if status >= 500 or status in (408, 429):
        assert error.retry is errors.Retry.LATER


@given(
    st.text(max_size=40)
    | st.floats().map(str)
    | st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT"))
)
def test_retry_after(text: str) -> None:
    seconds = retry_after({"Retry-After": text})
    assert seconds is None or 0 <= seconds <= 3600


RECORD = st.fixed_dictionaries(
    {
        "process": st.just(ADMINISTRASJON) | JSON,
        "service": st.fixed_dictionaries({}, optional={"identifier": JSON, "securityLevel": JSON})
        | JSON,
    },
    optional={"documentTypes": JSON, "pemCertificate": JSON},
)


@given(
    st.fixed_dictionaries(
        {"serviceRecords": st.lists(RECORD, max_size=3) | JSON}, optional={"infoRecord": JSON}
    )
    | JSON
)
@pytest.mark.parametrize("process", [None, ADMINISTRASJON])
def test_registry_documents(process: str | None, value: Any) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=_finite(value)))
    with httpx.Client(transport=transport) as client:
        registry = Registry("http://registry", lambda: "token", http=client, sign=False)
        try:
            found = registry.find("991825827", process)
        except (errors.ReceiverUnknown, errors.RegistryUnavailable):
            return
        assert found.orgnr == "991825827"
        assert isinstance(found.service, str)
        registry.name("991825827")


def _finite(value: Any) -> Any:
    """httpx refuses to make JSON of NaN."""
    if isinstance(value, float):
        return 1.5
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value
