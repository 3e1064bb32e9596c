"""Archives behind a login, a mailbox, and TLS for them: what the gateway calls in tests."""

from __future__ import annotations

import base64
import datetime
import email
import email.policy
import ipaddress
import socketserver
import ssl
import threading
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from spnego.exceptions import SpnegoError

ANSWER = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<t:PutMessageResponse xmlns:t="http://www.arkivverket.no/Noark/Exchange/types">'
    b'<result type="OK"/></t:PutMessageResponse></s:Body></s:Envelope>'
)


class Guarded:
    """An archive behind authentication.

    Counts the bytes of bodies that came, by whether the connection was authenticated.
    `forget`: so many times the connection is closed right after its handshake.
    """

    def __init__(self, scheme: str, *, forget: int = 0) -> None:
        self.scheme = scheme
        self.forget = forget
        self.accepted = self.refused = self.letters = 0
        self.principals: set[str] = set()
        self.paths: list[str] = []
        guarded = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            context: Any = None

            def do_GET(self) -> None:
                guarded.paths.append(self.path)
                if not self._authenticated():
                    return
                close = guarded.forget > 0
                guarded.forget -= close
                self._respond(200, b"<html/>", close=close)

            def do_POST(self) -> None:
                guarded.paths.append(self.path)
                length = int(self.headers["Content-Length"])
                read = 0
                while read < length:
                    read += len(self.rfile.read(min(65536, length - read)))
                if not self._authenticated():
                    guarded.refused += read
                    return
                guarded.accepted += read
                guarded.letters += 1
                self._respond(200, ANSWER)

            def _authenticated(self) -> bool:
                scheme, _, token = self.headers.get("Authorization", "").partition(" ")
                if guarded.scheme == "Basic":
                    if base64.b64decode(token) == "arkiv:Hemmelig æ".encode():
                        return True
                    self._respond(401, b"", challenge='Basic realm="arkiv"')
                    return False
                if self.context is not None and self.context.complete:
                    return True
                if scheme != guarded.scheme or not token:
                    self._respond(401, b"no", challenge=guarded.scheme)
                    return False
                if self.context is None:
                    self.context = spnego.server(
                        hostname="127.0.0.1", service="HTTP", protocol=guarded.scheme.lower()
                    )
                try:
                    out = self.context.step(base64.b64decode(token))
                except SpnegoError:
                    self.context = None
                    self._respond(401, b"no", challenge=guarded.scheme)
                    return False
                if self.context.complete:
                    guarded.principals.add(self.context.client_principal)
                    return True
                encoded = base64.b64encode(out or b"").decode()
                self._respond(401, b"go on", challenge=f"{guarded.scheme} {encoded}")
                return False

            def _respond(
                self, status: int, body: bytes, *, challenge: str = "", close: bool = False
            ) -> None:
                self.send_response(status)
                if challenge:
                    self.send_header("WWW-Authenticate", challenge)
                if close:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/edu"

    def __enter__(self) -> Guarded:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that keeps what it accepts and answers as it is told."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailConversation)
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.stated_sizes: list[int] = []
        self.size_limit = ""
        self.answers: dict[str, bytes] = {}
        self.drop_after_data = 0
        self.tls: ssl.SSLContext | None = None
        self.logins: list[bytes] = []
        self.port = self.server_address[1]


class MailConversation(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self._say(b"220 mail.example ready")
        while line := self.rfile.readline():
            verb = line.split()[0].split(b":")[0].upper().decode() if line.split() else ""
            if verb in self.server.answers:
                self._say(self.server.answers[verb])
                if verb == "QUIT":
                    return
            elif verb == "EHLO":
                self._say(b"250-mail.example")
                if self.server.tls is not None:
                    secure = isinstance(self.connection, ssl.SSLSocket)
                    self._say(b"250-AUTH PLAIN" if secure else b"250-STARTTLS")
                self._say(b"250 SIZE " + self.server.size_limit.encode())
            elif verb == "STARTTLS" and self.server.tls is not None:
                self._say(b"220 go ahead")
                self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
                self.setup_files()
            elif verb == "AUTH":
                login = base64.b64decode(line.split()[2])
                self.server.logins.append(login)
                known = login == b"\0gateway\0hemmelig"
                self._say(b"235 welcome" if known else b"535 wrong password")
            elif verb == "MAIL":
                self.server.stated_sizes.append(int(line.upper().partition(b"SIZE=")[2] or b"0"))
                self._say(b"250 ok")
            elif verb == "DATA":
                self._say(b"354 go on")
                if not self._read_mail():
                    return
            elif verb == "QUIT":
                self._say(b"221 bye")
                return
            else:
                self._say(b"250 ok")

    def setup_files(self) -> None:
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)

    def _read_mail(self) -> bool:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line)
        if self.server.drop_after_data:
            self.server.drop_after_data -= 1
            return False
        raw = b"".join(lines)
        self.server.raw.append(raw)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.server.mails.append(message)
        self._say(self.server.answers.get("END", b"250 accepted"))
        return True

    def _say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")


def server_tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for 127.0.0.1 with a throw-away key, and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = folder / "key.pem"
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return context, ca_file
