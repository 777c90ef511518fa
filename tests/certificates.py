"""A certificate for 127.0.0.1, and how the clients of the tests come to trust it."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # one for all clients: making one costs more than a connection


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two PEM files."""

    certfile: Path
    keyfile: Path

    @property
    def env(self) -> dict[str, str]:
        """The settings of a gateway that serves with it."""
        return {"LINKD_CERTFILE": str(self.certfile), "LINKD_KEYFILE": str(self.keyfile)}


def make_certificate(folder: Path, *, trusted: bool = True) -> Certificate:
    """A certificate of its own, which ``trust`` trusts from now on unless told, written into this folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # OpenSSL finds a trusted certificate by its subject: of several with the same one it may take the wrong one.
    subject = {NameOID.COMMON_NAME: "localhost", NameOID.SERIAL_NUMBER: f"{serial:x}"}
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in subject.items()])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    made.certfile.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made.keyfile.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    if trusted:
        _TRUST.load_verify_locations(made.certfile)
    return made


def trust(url: str) -> ssl.SSLContext | None:
    """What a client of this URL needs to trust our certificates; ``None`` where the scheme has no TLS."""
    return _TRUST if url.startswith(("wss:", "https:")) else None
