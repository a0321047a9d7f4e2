"""Keys and certificates of one control plane, made anew for each. Nothing is written here."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typing_extensions import override

_HOSTS: Final = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
_LOOPBACK: Final = ("127.0.0.1", "::1")
_VALID: Final = dt.timedelta(days=30)  # longer than any laboratory is left running
_SKEW: Final = dt.timedelta(hours=1)  # a virtual machine's clock may lag behind


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """Everything as PEM.

    Attributes:
        ca: Certificate of the authority; its key is forgotten.
        server: Certificate of kube-apiserver.
        server_key: Key of `server`.
        service_account_key: Signs the tokens of ServiceAccounts, and checks them.
    """

    ca: str
    server: str
    server_key: str
    service_account_key: str

    @override
    def __repr__(self) -> str:
        """Show no key."""
        return "Certificates()"


def make_certificates(addresses: Iterable[str]) -> Certificates:
    """Return a new authority, and what kube-apiserver needs from it.

    Args:
        addresses: IP addresses at which it is reached, besides loopback.
    """
    ca_key, server_key, service_account_key = (_new_key() for _ in range(3))
    ca = _ca_certificate(ca_key)
    everywhere = dict.fromkeys((*_LOOPBACK, *addresses))  # each one once
    server = _server_certificate(server_key, ca, ca_key, everywhere)
    return Certificates(
        ca=_certificate_pem(ca),
        server=_certificate_pem(server),
        server_key=_key_pem(server_key),
        service_account_key=_key_pem(service_account_key),
    )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _ca_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("heliograph laboratory")
    return (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    addresses: Iterable[str],
) -> x509.Certificate:
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in _HOSTS]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _builder(_name("kube-apiserver"), ca.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,  # kube-apiserver reads no other
        serialization.NoEncryption(),
    ).decode()
