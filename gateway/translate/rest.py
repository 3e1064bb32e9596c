"""The rest block; see mapping 7.3."""

from __future__ import annotations

from lxml import etree

from gateway.arkivmelding import write_noark5
from gateway.record import Record, Schema


def add_rest(am: Record, rest: object, schema: Schema) -> etree._Element:
    return write_noark5(am, schema)
