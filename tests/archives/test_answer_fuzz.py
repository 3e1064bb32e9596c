"""No answer, however odd, is anything but a receipt, silence, a fault or unclear."""

from __future__ import annotations

import contextlib

import httpx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.archives.description import NoResult, ServiceDescription
from gateway.errors import ArchiveFault, ArchiveUnclear
from gateway.model import AppReceipt

DESCRIPTION = ServiceDescription()

NAMES = st.sampled_from(
    ["result", "message", "text", "t:result", "t:message", "s:Fault", "faultcode", "faultstring",
     "detail", "t:PutMessageResponse", "x", "s:Body"]
)  # fmt: skip
ATTRIBUTES = st.sampled_from(
    ["", ' type="OK"', ' type=""', ' code="a"', ' x:nil="true"', ' x:type="t:Receipt"',
     ' x:type="t:Unknown"', ' x:type="q:b"', ' xmlns=""', ' id="1"', ' href="#1"']
)  # fmt: skip
TREES = st.recursive(
    st.sampled_from(["", "OK", " ", "<![CDATA[x]]>", "<!-- c -->", "<?p i?>"]),
    lambda inner: st.tuples(NAMES, ATTRIBUTES, st.lists(inner, max_size=3)).map(
        lambda part: f"<{part[0]}{part[1]}>{''.join(part[2])}</{part[0]}>"
    ),
    max_leaves=8,
)


def _read(status: int, body: bytes) -> AppReceipt | None:
    with contextlib.suppress(NoResult, ArchiveFault, ArchiveUnclear):
        return DESCRIPTION.read_answer(httpx.Response(status, content=body))
    return None


def _envelope(inner: str) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:x="http://www.w3.org/2001/XMLSchema-instance" '
        f'xmlns:t="http://www.arkivverket.no/Noark/Exchange/types"><s:Body>{inner}</s:Body>'
        "</s:Envelope>"
    ).encode()


@settings(max_examples=300, deadline=None)
@given(tree=TREES, status=st.sampled_from([200, 202, 500]))
@example(
    tree="<t:PutMessageResponse><result x:type='t:Message'/></t:PutMessageResponse>", status=200
)
@example(tree="<s:Fault/>", status=500)
def test_any_tree(tree: str, status: int) -> None:
    _read(status, _envelope(tree))
    _read(status, _envelope(f"<t:PutMessageResponse>{tree}</t:PutMessageResponse>"))
    _read(status, _envelope(f"<s:Fault>{tree}</s:Fault>"))


WHOLE = _envelope(
    '<t:PutMessageResponse><result type="OK"><message code="ID"><text>9</text></message>'
    "</result></t:PutMessageResponse>"
)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(WHOLE)), cut=st.integers(0, 20), put=st.binary(max_size=4))
def test_damaged_answers(at: int, cut: int, put: bytes) -> None:
    _read(200, WHOLE[:at] + put + WHOLE[at + cut :])


def test_cut_off_answer_is_never_ok() -> None:
    """zeep alone repairs broken XML, and would read half an answer as a whole one."""
    for end in range(len(WHOLE)):
        assert _read(200, WHOLE[:end]) is None
