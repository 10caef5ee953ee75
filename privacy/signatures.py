"""Signatures with public keys: those of others are verified, and whatever is wrong, the answer is False. ECDSA is made,
too, for the demo and the tests, which send what vendors would."""

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)


def is_signed_by_ecdsa(public_key: str, message: bytes, signature: bytes) -> bool:
    """P-256 with SHA-256. `public_key`: PEM, or its Base64 alone; `signature`: DER."""
    try:
        text = public_key.strip()
        if text.startswith("-----"):
            key = load_pem_public_key(text.encode())
        else:
            key = load_der_public_key(base64.b64decode(text, validate=True))
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            return False
        key.verify(signature, message, ECDSA(SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, binascii.Error):
        return False
    return True


def signed_by_ecdsa(private_key: str, message: bytes) -> bytes:
    """The signature in DER. `private_key`: PEM, as `new_ecdsa_keys` makes it."""
    key = load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key.sign(message, ECDSA(SHA256()))


def new_ecdsa_keys() -> tuple[str, str]:
    """(private key in PEM, public key as the Base64 of its DER), on P-256."""
    key = generate_private_key(SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), base64.b64encode(public).decode()


def is_signed_by_certificate(certificate: bytes, message: bytes, signature: bytes, *, sha1: bool) -> bool:
    """RSA with PKCS#1 v1.5, by the key of a certificate in PEM that was fetched from its owner; its chain is not
    checked. `sha1`: instead of SHA-256."""
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
        if not isinstance(key, RSAPublicKey):
            return False
        key.verify(signature, message, PKCS1v15(), SHA1() if sha1 else SHA256())
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def is_signed_by_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """`public_key`: its 32 bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
