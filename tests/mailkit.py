"""A mail server on the loopback, as much of SMTP as smtplib speaks, with TLS and logins, and throwaway certificates for it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socketserver
import ssl
import threading
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for addresses or names, good for a day: its file, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    me = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throwaway")])
    alternatives = x509.SubjectAlternativeName([_name(n) for n in names])
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    built = x509.CertificateBuilder(me, me, key.public_key(), x509.random_serial_number(), now - day, now + day)
    built = built.add_extension(alternatives, critical=False)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    built = built.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    file, secret = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
    file.write_bytes(built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return file, context


def _name(told: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(told)) if told[0].isdigit() else x509.DNSName(told)


class Mailbox(socketserver.ThreadingTCPServer):
    """Keeps ``letters`` and the ``logins`` it was told, and whether each of both came ``encrypted``.

    ``refuse`` maps a command to answers that are given in turn before it works; ``offers`` are the extensions it names;
    ``tls`` is a context, used from the first byte where ``implicit``, else after STARTTLS.
    """

    allow_reuse_address = True

    def __init__(self, refuse=(), offers=(), tls=None, implicit=False):
        super().__init__(("127.0.0.1", 0), Letter)
        self.refuse, self.offers = {k: list(v) for k, v in dict(refuse).items()}, offers
        self.tls, self.implicit = tls, implicit
        self.letters, self.logins, self.encrypted, self.heard = [], [], [], []
        self.port = self.server_address[1]

    def handle_error(self, request, client_address):
        """A client that breaks off is no news."""


class Letter(socketserver.StreamRequestHandler):
    def setup(self):
        super().setup()
        if self.server.implicit:
            self.encrypt()

    def handle(self):
        self.say("220 here")
        while line := self.rfile.readline():
            command = line[:4].decode().strip().upper()
            self.server.heard.append(line.decode().split()[0])
            refused = self.server.refuse.get(command)
            if refused:
                self.say(refused.pop(0))
            elif command == "EHLO":
                told = ["here", *self.server.offers]
                self.say("\r\n".join(f"250{' ' if one is told[-1] else '-'}{one}" for one in told))
            elif command == "STAR":
                self.say("220 go ahead")
                self.encrypt()
            elif command == "AUTH":
                self.keep(self.server.logins, line.decode().split(maxsplit=2)[2].strip())
                self.say("235 come in")
            elif command == "DATA":
                self.say("354 go on")
                self.keep(self.server.letters, b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.say("250 kept")
            elif command == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def keep(self, where, what):
        where.append(what)
        self.server.encrypted.append(isinstance(self.connection, ssl.SSLSocket))

    def encrypt(self):
        for file in (self.rfile, self.wfile):
            file.close()
        self.request = self.server.tls.wrap_socket(self.connection, server_side=True)
        super().setup()

    def finish(self):
        super().finish()
        self.request.close()

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")


@contextmanager
def served(server):
    """The server, answering until the block ends."""
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
