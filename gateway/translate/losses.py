"""stub"""

from __future__ import annotations

from gateway.model import Loss
from gateway.record import Record
from gateway.translate.mapping import Mapping
from gateway.translate.scope import Scope


def losses_out(
    record: Record, am: Record, scope: Scope, mapping: Mapping
) -> tuple[list[Loss], object]:
    return [], None
