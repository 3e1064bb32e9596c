"""Noark 4 and Noark 5 into each other, driven by the files in ``mappings/``.

Pure: no document's content passes through here, and time and ids are arguments.
"""

from gateway.translate.incoming import ToMelding, to_melding
from gateway.translate.mapping import Mapping, load_mapping
from gateway.translate.outgoing import ToArkivmelding, to_arkivmelding
from gateway.translate.scope import Facts

__all__ = [
    "Facts",
    "Mapping",
    "ToArkivmelding",
    "ToMelding",
    "load_mapping",
    "to_arkivmelding",
    "to_melding",
]
