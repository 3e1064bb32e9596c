"""Letters of 20 KB, the parts of a gateway that take and send them, and their floors.

Only the address registry is a stub. The floors are those of performance 1.4.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
import pybase64
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from network_sink import transport_to
from soap_intake import N, T

from gateway.edu.reader import RequestReader
from gateway.engine.context import Context, Policy, Served
from gateway.engine.intake import Intake
from gateway.engine.ledger import Ledger
from gateway.model import OK, Recipient
from gateway.package import Identity
from gateway.store.blobs import BlobStore
from gateway.store.database import Database
from gateway.translate import load_mapping

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from postgresql_cluster import Cluster, server_programs

OWN, RECEIVER = "991825827", "974760673"
PROCESS = "urn:benchmark"


class Everybody:
    """Addresses: everybody is on DPO, with the same certificate."""

    def __init__(self, who: Identity | None) -> None:
        self._pem = None if who is None else who.certificate.public_bytes(Encoding.PEM).decode()

    def find(self, orgnr: str, process: str | None = None) -> Recipient:
        return Recipient(orgnr, "Mottaker", "DPO", process or "p", self._pem, security_level=3)

    def name(self, orgnr: str) -> str | None:
        return None


class NoNetwork:
    """A transport that takes letters of any size, and is never given one."""

    largest = None


class Parts:
    """Store, intake and ledger of one gateway, in `folder` or on a server.

    With `who` it can also send, to the sink at `port`.
    """

    def __init__(
        self, folder: Path, url: str | None = None, who: Identity | None = None, port: int = 0
    ) -> None:
        self.database = Database(url or f"sqlite:///{folder / 'gateway.db'}")
        self.blobs = BlobStore(folder / "blobs")
        self.context = Context(
            database=self.database,
            blobs=self.blobs,
            transport=cast("Any", NoNetwork) if who is None else transport_to(port, who, OWN),
            addresses=Everybody(who),
            archives={},
            identities=[] if who is None else [who],
            mapping=load_mapping(),
            policy=Policy((Served(OWN, "p360"),), PROCESS),
        )
        self.ledger = Ledger(self.context)
        self.intake = Intake(self.context, self.ledger)

    def accept(self, body: Iterable[bytes]) -> None:
        """A PutMessage as the endpoint takes it, but without HTTP and SOAP library."""
        reader = RequestReader(self.blobs.bundle())
        for piece in body:
            reader.feed(piece)
        request = reader.close()
        try:
            assert self.intake.put_message(request.envelope, request.payload) is OK
        finally:
            self.blobs.release(request.contents)


@contextmanager
def own_postgresql() -> Iterator[Cluster]:
    """A server of our own, gone afterwards; ends the benchmark where there is none."""
    programs = server_programs()
    if programs is None:
        sys.exit("no PostgreSQL server programs here")
    cluster = Cluster(programs)
    try:
        yield cluster
    finally:
        cluster.stop()


def letter() -> bytes:
    """A PutMessage with a document of 20 KB and a conversation of its own."""
    document = base64.b64encode(os.urandom(20_000)).decode()
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<PutMessageRequest xmlns="{T}"><envelope xmlns="" conversationId="{uuid.uuid4()}" '
        f'contentNamespace="{N}"><sender><orgnr>{OWN}</orgnr></sender>'
        f"<receiver><orgnr>{RECEIVER}</orgnr></receiver></envelope>"
        f'<payload xmlns="">&lt;Melding xmlns="{N}">&lt;journpost xmlns="">'
        "&lt;jpInnhold>Måling&lt;/jpInnhold>&lt;dokument>&lt;dlRnr>1&lt;/dlRnr>&lt;fil>&lt;base64>"
        f"{document}&lt;/base64>&lt;/fil>&lt;veFilnavn>m.bin&lt;/veFilnavn>"
        "&lt;veMimeType>application/pdf&lt;/veMimeType>&lt;/dokument>&lt;/journpost>"
        '&lt;noarksak xmlns="">&lt;saTittel>Sak&lt;/saTittel>&lt;/noarksak>&lt;/Melding>'
        "</payload></PutMessageRequest></s:Body></s:Envelope>"
    ).encode()


class AcceptFloor:
    """The least work that accepts such letters durably: lxml for both layers of XML,
    base64, SHA-256, one synced commit for `batch` letters.

    F1 with one letter to a commit, F2 with 32; F7 with the `url` of a PostgreSQL.
    """

    def __init__(self, folder: Path, batch: int, url: str | None = None) -> None:
        self._batch = batch
        self._database: Any
        if url is None:
            self._database = sqlite3.connect(
                folder / f"floor-{uuid.uuid4()}.db", isolation_level=None
            )
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                self._database.execute(f"PRAGMA {pragma}")
            self._insert = "INSERT INTO letter VALUES (?, ?, ?)"
            kind = "BLOB"
        else:
            place = sa.make_url(url).set(drivername="postgresql")
            self._database = psycopg.connect(place.render_as_string(False), autocommit=True)
            self._insert = "INSERT INTO letter VALUES (%s, %s, %s)"
            kind = "BYTEA"
        self._database.execute(f"CREATE TABLE letter (id TEXT PRIMARY KEY, s TEXT, d {kind})")

    def rate(self, seconds: float = 0.25) -> float:
        """Letters a second; making them does not count."""
        took, count = 0.0, 0
        cursor = self._database.cursor()
        while took < seconds:
            letters = [letter() for _ in range(self._batch)]
            started = time.perf_counter()
            rows = [self._read(one) for one in letters]
            cursor.execute("BEGIN")
            cursor.executemany(self._insert, rows)
            cursor.execute("COMMIT")
            took += time.perf_counter() - started
            count += self._batch
        return count / took

    def close(self) -> None:
        self._database.close()

    @staticmethod
    def _read(body: bytes) -> tuple[str, str, bytes]:
        request = etree.fromstring(body)[0][0]
        melding = etree.fromstring(request.findtext("payload") or "")
        document = pybase64.b64decode(melding.findtext(".//base64") or "", validate=True)
        identity = request.find("envelope").get("conversationId")  # type: ignore[union-attr]
        return str(identity), hashlib.sha256(document).hexdigest(), document
