"""Noark 5 XML: arkivmelding read and written. Knows nothing of BEST/EDU."""

from gateway.arkivmelding.noark5 import (
    FILENAME,
    MIME_TYPE,
    NAMESPACE,
    read_arkivmelding,
    read_noark5,
    write_arkivmelding,
    write_noark5,
)

__all__ = [
    "FILENAME",
    "MIME_TYPE",
    "NAMESPACE",
    "read_arkivmelding",
    "read_noark5",
    "write_arkivmelding",
    "write_noark5",
]
