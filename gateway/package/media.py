"""Media types of documents, and which of them are worth compressing."""

from __future__ import annotations

import re

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}(\s*;[\x20-\x7e]*)?", re.ASCII)
OCTET_STREAM = "application/octet-stream"

_BY_EXTENSION = {
    "pdf": "application/pdf",
    "html": "text/html",
    "htm": "text/html",
    "txt": "text/plain",
    "csv": "text/csv",
    "xml": "text/xml",
    "json": "application/json",
    "rtf": "application/rtf",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xltx": "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odf": "application/vnd.oasis.opendocument.formula",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "odg": "application/vnd.oasis.opendocument.graphics",
    "fods": "application/vnd.oasis.opendocument.spreadsheet-flat-xml",
    "fodp": "application/vnd.oasis.opendocument.presentation-flat-xml",
    "fodg": "application/vnd.oasis.opendocument.graphics-flat-xml",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "eml": "message/rfc822",
    "msg": "application/vnd.ms-outlook",
    "zip": "application/zip",
    "gml": "application/gml+xml",
    "sos": "text/vnd.sosi",
}

# Everything else (PDF, OOXML, pictures, zip) is compressed already; deflating it again is
# the slowest part of packing and wins nothing.
_MUCH = 16 * 1024 * 1024
_PACKS_WELL = {
    "application/xml",
    "application/json",
    "application/rtf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-outlook",
    "application/vnd.ms-powerpoint",
    "message/rfc822",
    "image/bmp",
    "image/svg+xml",
}


def media_type(filename: str, given: str) -> str:
    """`given` when it is a valid ``type/subtype``, else by the extension of `filename`."""
    given = given.strip()
    if given.lower() != OCTET_STREAM and _MEDIA_TYPE.fullmatch(given):
        return given
    extension = filename.rpartition(".")[2].lower()
    return _BY_EXTENSION.get(extension, OCTET_STREAM)


def compression_level(filename: str, media: str, size: int) -> int:
    """The deflate level for `size` bytes: 0 for what is compressed already, 6 for text
    and other loose formats, 1 for much of it, where time counts for more than the rest."""
    plain = media.partition(";")[0].strip().lower()
    if plain == OCTET_STREAM:
        plain = media_type(filename, "")
    loose = plain.startswith("text/") or plain in _PACKS_WELL or plain.endswith(("+xml", "-xml"))
    if not loose:
        return 0
    return 6 if size <= _MUCH else 1
