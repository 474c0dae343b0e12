"""The lab's RDS certificate authority, made at its start, and the certificates of its database servers.

Functions trust it by the variable RDS_AUTHORITY of their environment, the
lab's client by the file of FILE.
"""

import datetime
import os
from dataclasses import dataclass

import settings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FILE = settings.LAB_DIR / "rds-authority.pem"
VARIABLE = "RDS_AUTHORITY"
VALID = datetime.timedelta(days=30)
# A clock that is a little behind still finds them valid.
SINCE = datetime.timedelta(hours=1)


@dataclass
class Authority:
    """The key and the certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def sign(self, names: list[str]) -> tuple[bytes, bytes]:
        """A server's certificate, good for these names, and its key; both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        # The common name holds 64 characters, and endpoints may be longer: the alternative names count.
        made = (_builder("RDS of the lab", self.certificate.subject, key)
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .sign(self.key, hashes.SHA256()))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return made.public_bytes(serialization.Encoding.PEM), private


def _builder(subject: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (x509.CertificateBuilder()
            .subject_name(_name(subject)).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SINCE).not_valid_after(now + VALID))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _make() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                           "key_agreement", "encipher_only", "decipher_only"), False)
    made = (_builder("RDS Root of the lab", _name("RDS Root of the lab"), key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
            .sign(key, hashes.SHA256()))
    return Authority(key, made)


authority: Authority = _make()


def install() -> None:
    """Publishes the authority's certificate."""
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM)
    FILE.write_bytes(pem)
    os.environ[VARIABLE] = pem.decode()
