"""The broker's form upload: ``Metadata.*`` fields and one file (altinn-transport 1.5.3)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from werkzeug.formparser import MultiPartParser
from werkzeug.http import parse_options_header

from .exchange import CHUNK, Request, problem

_PROPERTY = re.compile(r"PropertyList\[(.*)\]")


class _Stream(io.RawIOBase):
    """The request's body as a file; werkzeug spools big parts to disk."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._request.read(min(len(buffer), CHUNK))
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def form_of(request: Request, media: str) -> Iterator[tuple[dict[str, Any], IO[bytes] | None]]:
    """The fields as an initialize call has them, and the file."""
    boundary = parse_options_header(media)[1].get("boundary", "")
    try:
        form, files = MultiPartParser().parse(
            io.BufferedReader(_Stream(request)), boundary.encode(), request.length
        )
    except ValueError as error:
        raise problem(400, "Bad Request", errors={"$": ["The form cannot be read."]}) from error
    fields: dict[str, Any] = {}
    properties: dict[str, str] = {}
    for name, values in form.lists():
        member = name.removeprefix("Metadata.")
        if found := _PROPERTY.fullmatch(member):
            properties[found[1]] = values[0]
        elif member.lower() == "recipients":
            fields[member] = values
        elif member.lower() == "disablevirusscan":
            fields[member] = values[0].lower() == "true"
        else:
            fields[member] = values[0]
    if properties:
        fields["PropertyList"] = properties
    upload = files.get("FileTransfer")
    try:
        yield fields, upload.stream if upload else None
    finally:
        for file in files.values():
            file.close()
