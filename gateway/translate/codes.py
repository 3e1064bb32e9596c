"""Code lists and file types, as `kodelister.toml` and `mimetyper.toml` hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.translate.values import extension


@dataclass(frozen=True, slots=True)
class CodeList:
    """Noark 4 codes and Noark 5 texts. An empty text or code means: leave it out."""

    name: str
    to_am: str
    """Text for a code that is empty or not in the list."""
    to_edu: str
    """Code for a text that is missing or not in the list."""
    texts: Mapping[str, str]
    codes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FileTypes:
    """Extension and mime type of a file name (mapping 4.3)."""

    types: Mapping[str, str]
    unknown_extension: str
    unknown_type: str

    def extension(self, filename: str) -> str:
        """In lower case; that of the unknown when the name has none."""
        return extension(filename) or self.unknown_extension

    def mime_type(self, filename: str) -> str:
        """By extension; that of the unknown when the table has none."""
        return self.types.get(extension(filename), self.unknown_type)

    def extension_of(self, mime_type: str) -> str | None:
        """The first extension of the type; None when the table has none."""
        wanted = mime_type.partition(";")[0].strip().lower()
        for ending, known in self.types.items():
            if known == wanted:
                return ending
        return None
