"""A certificate authority of our own, for servers that speak TLS and for clients that prove who they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificate(NamedTuple):
    """Two PEM files. The key may be read by its owner only."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates and keeps them in `folder`. `certificate` is what the other side has to trust."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.certificate = folder / "ca.crt"
        _write(self.certificate, self._sign(name, self._key.public_key(), [], authority=True))

    def issue(self, common_name: str, hosts: Sequence[str] = ()) -> Certificate:
        """A certificate for a server that is reached by one of `hosts`, or, without them, for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        files = Certificate(self.folder / f"{common_name}.crt", self.folder / f"{common_name}.key")
        _write(files.certificate, self._sign(common_name, key.public_key(), hosts))
        files.key.touch(mode=0o600)
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        os.chmod(files.key, 0o600)
        return files

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, hosts: Sequence[str], authority: bool = False
    ) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(file: Path, certificate: x509.Certificate) -> None:
    """For everybody to read: a server may run as another user."""
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    file.chmod(0o644)
