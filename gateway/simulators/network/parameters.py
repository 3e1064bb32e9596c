"""What callers put into broker calls: fields, list parameters, ranges (altinn-transport 1.4,
1.5.7, 1.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .exchange import problem
from .transfers import RecipientStatus, Status, Transfer

_PARTY = re.compile(r"(?:\d{4}:|urn:altinn:organization:identifier-no:)(\d{9})")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_RESOURCE_PREFIX = "urn:altinn:resource:"


@dataclass(frozen=True)
class Listing:
    """The parameters of one list call."""

    status: Status | None
    recipient_status: RecipientStatus | None
    role: str | None
    since: datetime | None
    until: datetime | None
    ascending: bool

    def time(self, transfer: Transfer, orgnr: str) -> datetime | None:
        """The time to sort by when the transfer belongs in the list, else None."""
        recipient = orgnr in transfer.recipient_orgnrs
        sender = transfer.sender == f"0192:{orgnr}"
        if self.recipient_status is not None:
            latest = transfer.latest(orgnr) if recipient else None
            if latest is None or latest.status != self.recipient_status:
                return None
        elif not {"sender": sender, "recipient": recipient, None: sender or recipient}[self.role]:
            return None
        if self.status is not None and transfer.status != self.status:
            return None
        moment = transfer.created if self.status is None else transfer.changed
        if self.since and self.until:
            inside = self.since <= moment <= self.until
        elif self.since:
            inside = moment > self.since
        elif self.until:
            inside = moment < self.until
        else:
            inside = True
        return moment if inside else None


def listing(query: dict[str, str]) -> Listing:
    """The parameters; refuses with 400 those that make no sense."""
    errors: dict[str, list[str]] = {}

    def choice(name: str, kind: type[Status] | type[RecipientStatus]) -> Any:
        value = query.get(name)
        if value is None:
            return None
        for member in kind:
            if value.lower() == member.name.lower():
                return member
        errors[name] = [f"The value '{value[:64]}' is not valid."]
        return None

    def moment(name: str) -> datetime | None:
        value = query.get(name)
        if value is None:
            return None
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            errors[name] = [f"The value '{value[:64]}' is not valid."]
            return None
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)

    role = query.get("role", "").lower() or None
    if role not in (None, "sender", "recipient"):
        errors["role"] = ["The value is not valid."]
    if not query.get("resourceId"):
        errors["resourceId"] = ["The resourceId field is required."]
    found = Listing(
        choice("status", Status),
        choice("recipientStatus", RecipientStatus),
        role,
        moment("from"),
        moment("to"),
        query.get("orderAscending", "").lower() == "true",
    )
    if errors:
        raise problem(400, "One or more validation errors occurred.", errors=errors)
    return found


def quoted(filename: str) -> str:
    """A file name for Content-Disposition."""
    plain = filename.encode("ascii", "replace").decode("ascii")
    return "".join("_" if c in '"\\' or ord(c) < 32 else c for c in plain)


def span(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of one satisfiable range; None when there is no usable header."""
    match = _RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
        if last and int(last) < int(first):
            return None
    else:
        start, end = max(0, size - int(last)), size - 1
    if start >= size or (not first and int(last) == 0):
        refused = problem(416, "Range Not Satisfiable", code="BRO-00029")
        refused.reply.headers["Content-Range"] = f"bytes */{size}"
        raise refused
    return start, end


def validated(body: Any) -> dict[str, Any]:
    """The fields of an initialize call with lower-case names (altinn-transport 1.4).

    Refuses with 400 with ``errors`` per field and no ``code``.
    """
    if not isinstance(body, dict):
        raise problem(
            400, "One or more validation errors occurred.", errors={"$": ["An object is needed."]}
        )
    fields = {str(name).lower(): value for name, value in body.items()}
    errors: dict[str, list[str]] = {}

    def text(name: str, longest: int) -> str:
        value = fields.get(name.lower())
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            errors[name] = [f"The field {name} must be text of 1 to {longest} characters."]
            return ""
        return value

    def party(name: str, value: Any) -> None:
        if not isinstance(value, str) or not _PARTY.fullmatch(value):
            errors[name] = ["Organisations are given as 0192:ddddddddd or as a URN."]

    filename = text("fileName", 255)
    resource = text("resourceId", 255 + len(_RESOURCE_PREFIX)).removeprefix(_RESOURCE_PREFIX)
    if ":" in resource:
        errors["resourceId"] = ["Unknown form of resource id."]
    reference = text("sendersFileTransferReference", 4096)
    party("sender", fields.get("sender"))
    recipients = fields.get("recipients")
    if not isinstance(recipients, list) or not recipients:
        errors["recipients"] = ["One recipient at least is required."]
    else:
        for position, recipient in enumerate(recipients):
            party(f"recipients[{position}]", recipient)
    properties = fields.get("propertylist") or {}
    if not isinstance(properties, dict) or len(properties) > 10:
        errors["propertyList"] = ["At most 10 properties."]
    elif any(
        len(name) > 50 or not isinstance(value, str) or len(value) > 3000
        for name, value in properties.items()
    ):
        errors["propertyList"] = ["Keys have at most 50 characters and values 3000."]
    checksum = fields.get("checksum") or None
    if checksum is not None and not re.fullmatch(r"[0-9a-f]{32}", str(checksum)):
        errors["checksum"] = ["An MD5 of 32 lower-case hexadecimal digits."]
    if errors:
        raise problem(400, "One or more validation errors occurred.", errors=errors)
    return {
        "filename": filename,
        "resourceid": resource,
        "sendersfiletransferreference": reference,
        "sender": fields["sender"],
        "recipients": recipients,
        "propertylist": properties,
        "checksum": checksum,
        "disablevirusscan": bool(fields.get("disablevirusscan")),
    }
