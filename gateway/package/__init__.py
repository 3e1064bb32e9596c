"""Packages of the network: SBD, ASiC-E, CMS and the Altinn zip, as streams both ways."""

from gateway.package.altinn_zip import (
    Built,
    Opened,
    build_package,
    entry_sizes,
    open_package,
    read_envelope,
    read_sbd_only,
    size_at_most,
)
from gateway.package.cms import check_receiver_certificate
from gateway.package.identity import Identity, certificate_orgnr, days_left
from gateway.package.limits import Limits
from gateway.package.sbd import (
    Sbd,
    arkivmelding_sbd,
    avtalt_sbd,
    kvittering_sbd,
    read_sbd,
    status_sbd,
    write_sbd,
)
from gateway.package.signature import Signature
from gateway.package.zip_stream import LARGEST

__all__ = [
    "LARGEST",
    "Built",
    "Identity",
    "Limits",
    "Opened",
    "Sbd",
    "Signature",
    "arkivmelding_sbd",
    "avtalt_sbd",
    "build_package",
    "certificate_orgnr",
    "check_receiver_certificate",
    "days_left",
    "entry_sizes",
    "kvittering_sbd",
    "open_package",
    "read_envelope",
    "read_sbd",
    "read_sbd_only",
    "size_at_most",
    "status_sbd",
    "write_sbd",
]
