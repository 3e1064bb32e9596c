"""The bytes of a request's body, inflated, in pieces."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

from gateway.edu.layer import eight_bit
from gateway.edu.limits import Limits
from gateway.errors import RequestRefused

_PIECE = 256 * 1024
# A short body may well compress better than the allowed ratio.
_RATIO_COUNTS_FROM = 4 * 1024 * 1024


def body_chunks(environ: Mapping[str, object], limits: Limits) -> Iterator[bytes]:
    """The body of a WSGI request, at most 256 KiB at a time.

    Raises `RequestRefused` for an unknown content encoding, damaged gzip, or one that
    inflates beyond ``limits.gzip_ratio``.
    """
    encoding = str(environ.get("HTTP_CONTENT_ENCODING", "")).strip().lower()
    raw = _raw_chunks(environ)
    if encoding in ("", "identity"):
        return raw
    if encoding in ("gzip", "x-gzip"):
        return _inflated(raw, limits)
    raise RequestRefused("ContentEncoding", f"the content encoding {encoding!r} is not supported")


def stated_charset(parameters: str) -> str | None:
    """The 8-bit charset among the parameters of a content type; see `RequestReader`."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return eight_bit(value.strip())
    return None


def _raw_chunks(environ: Mapping[str, object]) -> Iterator[bytes]:
    stream = cast("BinaryIO", environ["wsgi.input"])
    length = str(environ.get("CONTENT_LENGTH") or "")
    left = int(length) if length.isdigit() else None
    if left is None and not environ.get("wsgi.input_terminated"):
        return
    while left is None or left > 0:
        chunk = stream.read(_PIECE if left is None else min(_PIECE, left))
        if not chunk:
            break
        if left is not None:
            left -= len(chunk)
        yield chunk


def _inflated(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    taken = given = 0
    for chunk in chunks:
        taken += len(chunk)
        data = chunk
        pending = True
        while pending:
            try:
                piece = inflater.decompress(data, _PIECE)
            except zlib.error as fault:
                raise RequestRefused("Gzip", "the gzip body is damaged") from fault
            given += len(piece)
            if given > _RATIO_COUNTS_FROM and given > taken * limits.gzip_ratio:
                raise RequestRefused("GzipRatio", "the gzip body inflates more than allowed")
            if piece:
                yield piece
            if inflater.eof:
                return
            data = inflater.unconsumed_tail
            pending = bool(data) or len(piece) == _PIECE
    if not inflater.eof:
        raise RequestRefused("Gzip", "the gzip body ends too early")
