"""The simulator's control paths, ``/_sim/…``: the same that `Network` offers in process.

Never under a path of the real services. Bodies and answers are JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .clock import timestamp
from .exchange import Refused, Reply, Request
from .faults import FIELDS, Fault
from .server import RATE_LIMITS, Routes
from .transfers import Resource, Status, Transfer

if TYPE_CHECKING:
    from . import Network, Organisation


def _bad(text: str) -> Refused:
    return Refused(Reply.json({"error": text}, 400))


def describe_organisation(organisation: Organisation) -> dict[str, Any]:
    """What a gateway is configured with."""
    return {
        "orgnr": organisation.orgnr,
        "name": organisation.name,
        "keystore": str(organisation.keystore),
        "keystorePassword": organisation.keystore_password,
        "clientId": organisation.client_id,
        "keyId": organisation.key_id,
        "externalRef": organisation.external_ref,
    }


def describe_transfer(transfer: Transfer) -> dict[str, Any]:
    """A transfer with its whole history."""
    return {
        "id": transfer.id,
        "resource": transfer.resource.id,
        "reference": transfer.reference,
        "sender": transfer.sender,
        "recipients": list(transfer.recipients),
        "status": transfer.status.name,
        "text": transfer.text,
        "size": transfer.size,
        "checksum": transfer.checksum,
        "created": timestamp(transfer.created),
        "history": [[change.status.name, timestamp(change.at)] for change in transfer.history],
        "recipientHistory": [
            [change.recipient, change.status.name, timestamp(change.at)]
            for change in transfer.recipient_history
        ],
    }


class Control:
    """Handlers of the control paths."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def add_routes(self, routes: Routes) -> None:
        """Hang them under ``/_sim``."""
        entries: list[tuple[str, str, Callable[[Request], Reply]]] = [
            ("GET", "environment", self.environment),
            ("GET", "organisations", self.organisations),
            ("POST", "organisations", self.add_organisation),
            ("POST", "addressees", self.add_addressee),
            ("POST", "system-users", self.add_system_user),
            ("POST", "customers", self.add_customer),
            ("POST", "revoke", self.revoke),
            ("POST", "withdraw", self.withdraw),
            ("POST", "expire-tokens", self.expire_tokens),
            ("POST", "resources", self.set_resource),
            ("POST", "scan", self.set_scan),
            ("POST", "clock", self.advance),
            ("POST", "rate-limits", self.set_rate_limits),
            ("GET", "transfers", self.transfers),
            ("POST", "transfers/{id}/status", self.force_status),
            ("POST", "transfers/{id}/purge", self.purge),
            ("GET", "requests", self.requests),
            ("GET", "events", self.events),
            ("GET", "faults", self.faults),
            ("POST", "faults", self.add_fault),
            ("DELETE", "faults", self.remove_faults),
            ("DELETE", "faults/{id}", self.remove_faults),
            ("POST", "reset", self.reset),
        ]
        for method, path, handler in entries:
            routes.add("control", method, f"/_sim/{path}", _explained(handler))

    # --- participants -------------------------------------------------------------------

    def environment(self, request: Request) -> Reply:
        """GET: the addresses that a gateway needs."""
        return Reply.json(dataclasses.asdict(self._network.environment))

    def organisations(self, request: Request) -> Reply:
        """GET: everybody on the network."""
        found = self._network.organisations.values()
        return Reply.json([describe_organisation(organisation) for organisation in found])

    def add_organisation(self, request: Request) -> Reply:
        """POST {orgnr, name, processes?, external_ref?, published?}."""
        body = _object(request, {"orgnr", "name"}, {"processes", "external_ref", "published"})
        return Reply.json(describe_organisation(self._network.add_organisation(**body)))

    def add_addressee(self, request: Request) -> Reply:
        """POST {orgnr, name, svarut_level?}: one who is not on DPO."""
        self._network.add_addressee(**_object(request, {"orgnr", "name"}, {"svarut_level"}))
        return Reply.empty(204)

    def add_system_user(self, request: Request) -> Reply:
        """POST {client, orgnr, external_ref?}: `client` is an organisation number."""
        body = _object(request, {"client", "orgnr"}, {"external_ref"})
        client = self._network.organisations.get(body.pop("client"))
        if client is None:
            raise _bad("client: no such organisation")
        user = self._network.add_system_user(client, **body)
        return Reply.json({"id": user.id, "externalRef": user.external_ref})

    def add_customer(self, request: Request) -> Reply:
        """POST {supplier, orgnr, name, processes?, external_ref?}."""
        required = {"supplier", "orgnr", "name"}
        body = _object(request, required, {"processes", "external_ref"})
        supplier = self._network.organisations.get(body.pop("supplier"))
        if supplier is None:
            raise _bad("supplier: no such organisation")
        user = self._network.add_customer(supplier, **body)
        return Reply.json({"id": user.id, "externalRef": user.external_ref})

    def revoke(self, request: Request) -> Reply:
        """POST {orgnr}: its certificate is on the authority's list."""
        orgnr = _object(request, {"orgnr"})["orgnr"]
        if orgnr not in self._network.organisations:
            raise _bad("orgnr: no such organisation")
        self._network.revoke(orgnr)
        return Reply.empty(204)

    def withdraw(self, request: Request) -> Reply:
        """POST {orgnr}: its system users lose their rights."""
        self._network.maskinporten.withdraw(_object(request, {"orgnr"})["orgnr"])
        return Reply.empty(204)

    def expire_tokens(self, request: Request) -> Reply:
        """POST: every token issued until now is expired."""
        self._network.maskinporten.expire_tokens()
        return Reply.empty(204)

    # --- rules --------------------------------------------------------------------------

    def set_resource(self, request: Request) -> Reply:
        """POST {id, max_size?, access_list?, storage_ready?, …}: make or change one."""
        names = {item.name for item in dataclasses.fields(Resource)}
        body = _object(request, {"id"}, names - {"time_to_live", "grace"})
        if body.get("access_list") is not None:
            body["access_list"] = frozenset(body["access_list"])
        resources = self._network.broker.resources
        identifier = body.pop("id")
        resource = resources.setdefault(identifier, Resource(identifier))
        for name, value in body.items():
            setattr(resource, name, value)
        return Reply.empty(204)

    def set_scan(self, request: Request) -> Reply:
        """POST {delay}: seconds, [shortest, longest], or null for never."""
        delay = _object(request, {"delay"})["delay"]
        if isinstance(delay, list):
            shortest, longest = delay
            self._network.broker.scan.delay = (float(shortest), float(longest))
        else:
            self._network.broker.scan.delay = float("inf") if delay is None else float(delay)
        return Reply.empty(204)

    def advance(self, request: Request) -> Reply:
        """POST {advance}: seconds."""
        self._network.clock.advance(float(_object(request, {"advance"})["advance"]))
        return Reply.json({"now": timestamp(self._network.clock.now())})

    def set_rate_limits(self, request: Request) -> Reply:
        """POST {limits}: calls per minute by name, true for the real ones, null for none."""
        limits = _object(request, {"limits"})["limits"]
        self._network.rate_limits = dict(RATE_LIMITS) if limits is True else limits
        return Reply.empty(204)

    # --- transfers ------------------------------------------------------------------------

    def transfers(self, request: Request) -> Reply:
        """GET: all, with history."""
        return Reply.json([describe_transfer(transfer) for transfer in self._network.transfers])

    def force_status(self, request: Request) -> Reply:
        """POST {status, text?}."""
        body = _object(request, {"status"}, {"text"})
        self._force(request, Status[body["status"]], body.get("text"))
        return Reply.empty(204)

    def purge(self, request: Request) -> Reply:
        """POST: the bytes go, the metadata stays."""
        self._force(request, Status.Purged, None)
        return Reply.empty(204)

    def _force(self, request: Request, status: Status, text: str | None) -> None:
        if request.arguments["id"] not in self._network.broker.transfers:
            raise Refused(Reply.empty(404))
        self._network.force_status(request.arguments["id"], status, text)

    # --- what happened -----------------------------------------------------------------------

    def requests(self, request: Request) -> Reply:
        """GET: the request log."""
        return Reply.json(
            [
                {**dataclasses.asdict(line), "at": timestamp(line.at)}
                for line in self._network.requests
            ]
        )

    def events(self, request: Request) -> Reply:
        """GET: the cloud events."""
        return Reply.json(list(self._network.events))

    # --- faults --------------------------------------------------------------------------------

    def faults(self, request: Request) -> Reply:
        """GET: the rules that stand, and how often they acted."""
        return Reply.json([dataclasses.asdict(rule) for rule in self._network.faults.standing()])

    def add_fault(self, request: Request) -> Reply:
        """POST the members of `Fault`; answers its id."""
        rule = self._network.faults.add(Fault(**_object(request, set(), set(FIELDS))))
        return Reply.json({"id": rule.id})

    def remove_faults(self, request: Request) -> Reply:
        """DELETE one or all."""
        self._network.faults.remove(request.arguments.get("id"))
        return Reply.empty(204)

    def reset(self, request: Request) -> Reply:
        """POST: forget transfers, events, log and faults."""
        self._network.reset()
        return Reply.empty(204)


def _explained(handler: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
    """A value that makes no sense is answered 400."""

    def handle(request: Request) -> Reply:
        try:
            return handler(request)
        except (ValueError, TypeError, KeyError) as error:
            raise _bad(f"{type(error).__name__}: {error}") from error

    return handle


def _object(
    request: Request, required: set[str], optional: set[str] | frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The body with just these members; 400 otherwise."""
    body = request.json()
    if not isinstance(body, dict):
        raise _bad("an object is needed")
    if missing := required - set(body):
        raise _bad(f"missing: {', '.join(sorted(missing))}")
    if unknown := set(body) - required - optional:
        raise _bad(f"unknown: {', '.join(sorted(unknown))}")
    return body
