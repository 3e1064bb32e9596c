"""Personal data in a recorded letter, replaced by masks that still can be compared.

A mask is made of the value and a key: the same value always has the same mask, and
without the key nobody can try out values. Which fields are personal, and how each is
masked, stands in ``mappings/masking.toml``. The log's masking (`gateway.engine.masking`)
is another matter.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from lxml import etree

from gateway.edu.appreceipt import write_receipt
from gateway.edu.layer import local_name
from gateway.edu.letter import CONTENT_PROBLEM
from gateway.edu.reader import SoapRequest
from gateway.errors import ConfigurationError
from gateway.model import CONTENT_REF, Melding

SHORTEST_KEY = 16
"""Bytes."""

_ELEVEN_DIGITS = re.compile(r"(?<!\d)\d{11}(?!\d)|(?<!\d)\d{6} \d{5}(?!\d)")
_ENDING = re.compile(r"\.[0-9A-Za-z]{1,5}$")
_REFERENCE = re.compile(r"[/.:\-_()]*\d[\d/.:\-_()]*")
_LINES = re.compile(r"([\r\n]+)")
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


class Masks:
    """The masking of one key; made by `load_masks`."""

    def __init__(self, key: bytes, kinds: Mapping[str, str]) -> None:
        self._key = key
        self._kinds = kinds
        self._ways: Mapping[str, Callable[[str], str]] = {
            "behold": self._numbers,
            "tekst": lambda value: f"Tekst-{self._sign(value)}",
            "navn": lambda value: f"Navn-{self._sign(value)}",
            "adresse": lambda value: f"Adresse-{self._sign(value)}",
            "epost": lambda value: f"{self._sign(value)}@maskert.invalid",
            "siffer": self._digits,
            "filnavn": self._filename,
            "referanse": self._reference,
        }

    def text(self, name: str, value: str) -> str:
        """The mask of `value` in the field `name`; white space at the ends and lines stay.

        Fields that the mapping does not know are masked as text.
        """
        way = self._ways[self._kinds.get(name, "tekst")]
        return "".join(
            part if not part.strip() else self._around(part, way) for part in _LINES.split(value)
        )

    def content(self, sha256: str) -> bytes:
        """What stands for a document: the same bytes for the same document."""
        return f"Maskert dokument {self._sign(sha256)}\n".encode()

    def tree(self, root: etree._Element) -> None:
        """Mask every text and attribute under `root`; comments and instructions go.

        What our reader has noted on a ``base64`` stays (see `gateway.model.Melding`).
        """
        etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
        for element in root.iter(etree.Element):
            name = local_name(str(element.tag))
            if element.text and element.text.strip():
                element.text = self.text(name, element.text)
            if element.tail and element.tail.strip():
                element.tail = self.text("", element.tail)
            for attribute, value in element.attrib.items():
                noted = name == "base64" and attribute in (CONTENT_REF, CONTENT_PROBLEM)
                if not noted and not str(attribute).startswith(_XSI):
                    kind = f"@{local_name(str(attribute))}"
                    element.set(attribute, self.text(kind, str(value)))

    # --- ways -----------------------------------------------------------------------------

    def _around(self, part: str, way: Callable[[str], str]) -> str:
        value = part.strip()
        start = part.index(value)
        return part[:start] + way(value) + part[start + len(value) :]

    def _sign(self, value: str) -> str:
        return hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()[:12]

    def _numbers(self, value: str) -> str:
        """Kept, but for what may be a national identity number."""
        return _ELEVEN_DIGITS.sub(lambda found: self._digits(found[0]), value)

    def _digits(self, value: str) -> str:
        """Other digits, as many; letters become x, the rest stays."""
        drawn = hashlib.shake_256(self._sign(value).encode()).digest(len(value))
        return "".join(
            str(byte % 10) if character.isdigit() else "x" if character.isalpha() else character
            for character, byte in zip(value, drawn, strict=True)
        )

    def _filename(self, value: str) -> str:
        ending = _ENDING.search(value)
        return f"fil-{self._sign(value)}{ending[0] if ending else ''}"

    def _reference(self, value: str) -> str:
        """Kept when it is a number with signs (15/42, 2026/123-4), else masked."""
        return self._numbers(value) if _REFERENCE.fullmatch(value) else f"Ref-{self._sign(value)}"


def mask_request(request: SoapRequest, masks: Masks) -> bytes:
    """A readable SOAP request, masked: the payload as nested XML, no SOAP header.

    Documents become a few bytes each; one that could not be decoded still cannot.
    """
    root = deepcopy(request.root)
    for header in _called(root, "Header"):
        root.remove(header)
    masks.tree(root)
    melding, receipt = request.payload.melding, request.payload.receipt
    inner: etree._Element | None = None
    if melding is not None:
        inner = deepcopy(melding.root)
        masks.tree(inner)
        for element in inner.iter("{*}base64"):
            element.text = _document(element, melding, masks)
            element.attrib.clear()
    elif receipt is not None:
        inner = etree.fromstring(write_receipt(receipt))
        masks.tree(inner)
    if inner is not None:
        payload = next(root.iter("{*}payload"))
        payload.attrib.clear()
        payload.append(inner)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def mask_xml(xml: bytes, masks: Masks) -> bytes:
    """An answer, masked. Raises ValueError when it is no XML."""
    try:
        root = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as fault:
        raise ValueError(str(fault)) from fault
    masks.tree(root)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _called(root: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in root if local_name(str(child.tag)) == name]


def _document(element: etree._Element, melding: Melding, masks: Masks) -> str | None:
    ref = element.get(CONTENT_REF)
    if ref is not None:
        return base64.b64encode(masks.content(melding.contents[ref].sha256)).decode()
    return "?" if element.get(CONTENT_PROBLEM) == "undecodable" else None


_KINDS = frozenset(
    ("behold", "tekst", "navn", "adresse", "epost", "siffer", "filnavn", "referanse")
)


def load_masks(text: str, key: bytes, name: str = "masking.toml") -> Masks:
    """The masking that `text` (TOML, called `name`) describes, with `key`.

    Raises `ConfigurationError` for a field in two lists, an unknown kind, a short key.
    """
    if len(key) < SHORTEST_KEY:
        raise ConfigurationError(f"the mask key is shorter than {SHORTEST_KEY} bytes")
    return Masks(key, read_kinds(text, name))


def read_kinds(text: str, name: str = "masking.toml") -> dict[str, str]:
    """Field to the kind of mask that it gets."""
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    kinds: dict[str, str] = {}
    for kind, formats in tables.items():
        if kind not in _KINDS:
            raise ConfigurationError(f"{name}: [{kind}] is none of {', '.join(sorted(_KINDS))}")
        for field in (field for fields in formats.values() for field in fields):
            if kinds.setdefault(field, kind) != kind:
                raise ConfigurationError(f"{name}: {field} is {kinds[field]} and {kind}")
    return kinds
