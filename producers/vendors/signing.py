"""How vendors prove that a request is theirs: each scheme is written once, connectors only name its details.

A proof is a callable: it takes a request and the source's secrets, and raises `Unverified` unless one of the secrets
verifies it. That is the only error, whatever the bytes and headers are. Signatures are compared as they are written,
without decoding them: Base64 has several spellings of the same bytes. Comparison takes the same time for all of them.

Its `sign` is the vendor's side: the collector never signs, but the demo and the tests send what a vendor would.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from hashlib import sha1, sha256, sha512
from typing import Final, Literal, Protocol, runtime_checkable

from privacy.signatures import is_signed_by_ecdsa, is_signed_by_ed25519, signed_by_ecdsa
from producers.vendors.request import SIGNING, Headers, Secrets, VendorRequest
from schemas.clock import iso
from schemas.errors import Unverified
from schemas.moments import read_moment

Proof = Callable[[VendorRequest, Secrets], None]


@runtime_checkable
class Signer(Protocol):
    """The vendor's side of a proof."""

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        """The request with what proves it, made at its `received_at`. `secret`: what the source has; with a public key
        there, the private one in PEM."""
        ...


Hash = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]

WINDOW: Final = 300
"""Seconds, both ways: what vendors recommend where each attempt is signed anew."""

_HASHES: Final = {"sha1": sha1, "sha256": sha256, "sha512": sha512}
_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_PART: Final = re.compile(r"\{([^{}]+)\}")
_MOST_SIGNATURES: Final = 16
"""In one header."""


def unverified() -> Unverified:
    """That the proof does not fit. It does not say what would."""
    return Unverified("signature: wanted one made with this source's secret, got another; compare the secrets")


def held(secrets: Secrets, use: str = SIGNING) -> Sequence[str]:
    """The secrets of one use. Raises `Unverified` where there are none: without a secret nothing is ever accepted."""
    found = secrets.get(use)
    if not found:
        raise Unverified(f"secret: wanted a source with one for {use}, got none; add it to the source")
    return found


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that tells nothing."""
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))


def match(received: Iterable[str], expected: Iterable[str]) -> None:
    """Raises `Unverified` unless one that was received is one that was expected. Looks at all of them."""
    wanted = list(expected)
    # a list, not `any`: each pair is compared
    if not sum([same(one, other) for one in list(received)[:_MOST_SIGNATURES] for other in wanted]):
        raise unverified()


def signed_by(proof: Proof, request: VendorRequest, secret: str) -> VendorRequest:
    """As the vendor would send it. Raises TypeError for a proof that only verifies."""
    if not isinstance(proof, Signer):
        raise TypeError("proof: wanted one that can sign, got one that only verifies; sign the request by hand")
    return proof.sign(request, secret)


def plain_key(secret: str) -> bytes:
    """The secret's text is the key."""
    return secret.encode()


def base64_key(secret: str) -> bytes:
    """Standard Webhooks: the key is Base64 after `whsec_`. Raises `Unverified` for a secret of another form."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise Unverified("secret: wanted whsec_ and Base64, got another form; copy it again") from None


@dataclass(frozen=True)
class Timestamp:
    """The time of an attempt, in a header: refused when it is further from now than `window` seconds. Only for vendors
    that sign each attempt anew: elsewhere a retry after an outage of hours would be lost. A window of None checks
    nothing but that the header is there once."""

    header: str | tuple[str, ...]
    unit: Literal["s", "ms", "iso", "http"] = "s"
    window: int | None = WINDOW

    def read(self, request: VendorRequest) -> str:
        """The header as it came. Raises `Unverified`."""
        text = request.headers.one(*_names(self.header))
        if self.window is not None:
            check_age(_moment(text, self.unit), request.received_at, self.window)
        return text

    def written(self, now: int) -> str:
        """The header's value at `now` (ms)."""
        if self.unit == "iso":
            return iso(now)
        if self.unit == "http":
            return formatdate(now / 1000, usegmt=True)
        return str(now // 1000 if self.unit == "s" else now)


def check_age(signed_at: int | None, now: int, window: int = WINDOW) -> None:
    """Both in ms; None: unreadable. Raises `Unverified`."""
    if signed_at is None or abs(now - signed_at) > window * 1000:
        raise Unverified(f"timestamp: wanted one within {window} seconds of now, got another; check both clocks")


def _moment(text: str, unit: str) -> int | None:
    if unit == "iso":
        return read_moment(text) if not _DIGITS.fullmatch(text) else None
    if unit == "http":
        try:
            return round(parsedate_to_datetime(text).timestamp() * 1000)
        except (ValueError, TypeError, OverflowError):
            return None
    if not _DIGITS.fullmatch(text):
        return None
    return int(text) * (1000 if unit == "s" else 1)


@dataclass(frozen=True)
class Hmac:
    """A signature over a text made of parts of the request, in a header.

    `signed`: what is signed, with `{body}` (raw bytes), `{url}`, `{method}`, `{timestamp}` (as in its header) and
    `{header:NAME}`. `prefix` stands before the signature. `several` separates signatures, of which one must fit; those
    with another prefix are passed over. `key`: from a secret to the key's bytes.
    """

    header: str | tuple[str, ...]
    hash: Hash = "sha256"
    encoding: Encoding = "base64"
    prefix: str = ""
    signed: str = "{body}"
    timestamp: Timestamp | None = None
    several: str = ""
    key: Callable[[str], bytes] = plain_key
    use: str = SIGNING

    def __call__(self, request: VendorRequest, secrets: Secrets) -> None:
        keys = [self.key(secret) for secret in held(secrets, self.use)]
        given = request.headers.one(*_names(self.header))
        timestamp = self.timestamp.read(request) if self.timestamp else ""
        content = b"".join(_filled(self.signed, request, timestamp))
        received = given.split(self.several) if self.several else [given]
        match(
            [one.removeprefix(self.prefix) for one in received if one.startswith(self.prefix)],
            (signature(key, content, self.hash, self.encoding) for key in keys),
        )

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        at = self.timestamp.written(request.received_at) if self.timestamp else ""
        content = b"".join(_filled(self.signed, request, at))
        made = self.prefix + signature(self.key(secret), content, self.hash, self.encoding)
        times = {_names(self.timestamp.header)[0]: at} if self.timestamp else {}
        return with_headers(request, {_names(self.header)[0]: made, **times})


def signature(key: bytes, content: bytes, hash: Hash = "sha256", encoding: Encoding = "base64") -> str:
    """The HMAC as it is written."""
    digest = hmac.digest(key, content, _HASHES[hash])
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def _filled(template: str, request: VendorRequest, timestamp: str) -> Iterator[bytes]:
    for is_name, text in _parts(template):
        if not is_name:
            yield text.encode()
        elif text == "body":
            yield request.body
        elif text == "timestamp":
            yield as_bytes(timestamp)
        elif text == "url":
            yield as_bytes(request.url)
        elif text == "method":
            yield as_bytes(request.method)
        else:
            yield as_bytes(request.headers.one(*text.removeprefix("header:").split("|")))


@lru_cache(256)
def _parts(template: str) -> tuple[tuple[bool, str], ...]:
    """(whether it is a name in braces, text), in order."""
    return tuple((index % 2 == 1, text) for index, text in enumerate(_PART.split(template)) if text)


def as_bytes(text: str) -> bytes:
    """As it came over HTTP, whose headers are bytes that were read as Latin-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


@dataclass(frozen=True)
class SignedPairs:
    """Stripe's form: `t=SECONDS,v1=HEX,v1=HEX` in one header, over `{t}.{body}`, with a window."""

    header: str
    window: int = WINDOW
    version: str = "v1"

    def __call__(self, request: VendorRequest, secrets: Secrets) -> None:
        keys = [secret.encode() for secret in held(secrets)]
        pairs = [part.partition("=") for part in request.headers.one(self.header).split(",")]
        times = [value for name, _, value in pairs if name == "t"]
        if len(times) != 1 or not all(equals and "=" not in value for _, equals, value in pairs):
            raise unverified()
        check_age(_moment(times[0], "s"), request.received_at, self.window)
        content = as_bytes(times[0]) + b"." + request.body
        match(
            [value for name, _, value in pairs if name == self.version],
            (signature(key, content, "sha256", "hex") for key in keys),
        )

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        at = str(request.received_at // 1000)
        made = signature(secret.encode(), as_bytes(at) + b"." + request.body, "sha256", "hex")
        return with_headers(request, {self.header: f"t={at},{self.version}={made}"})


@dataclass(frozen=True)
class StandardWebhooks:
    """Standard Webhooks 1.0 with `v1` (HMAC) and `v1a` (ed25519, public keys as `whpk_` secrets) signatures."""

    prefixes: tuple[str, ...] = ("webhook",)

    def __call__(self, request: VendorRequest, secrets: Secrets) -> None:
        keys = held(secrets)
        id, timestamp, signatures = (
            request.headers.one(*(f"{prefix}-{name}" for prefix in self.prefixes))
            for name in ("id", "timestamp", "signature")
        )
        check_age(_moment(timestamp, "s"), request.received_at)
        content = b".".join((as_bytes(id), as_bytes(timestamp), request.body))
        received = signatures.split(" ")[:_MOST_SIGNATURES]
        if any(_is_signed(key, content, received) for key in keys if key.startswith("whpk_")):
            return
        shared = [base64_key(key) for key in keys if not key.startswith("whpk_")]
        match(
            [one.removeprefix("v1,") for one in received if one.startswith("v1,")],
            (signature(key, content) for key in shared if key),
        )

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        """By HMAC. The message's id is that of its body."""
        id, at = f"msg_{sha256(request.body).hexdigest()[:24]}", str(request.received_at // 1000)
        made = signature(base64_key(secret), b".".join((as_bytes(id), as_bytes(at), request.body)))
        values = {"id": id, "timestamp": at, "signature": f"v1,{made}"}
        return with_headers(request, {f"{self.prefixes[0]}-{name}": value for name, value in values.items()})


def _is_signed(public_key: str, content: bytes, received: Iterable[str]) -> bool:
    for one in received:
        try:
            key, given = decoded(public_key.removeprefix("whpk_")), decoded(one.removeprefix("v1a,"))
        except Unverified:
            continue  # another signature may fit
        if one.startswith("v1a,") and is_signed_by_ed25519(key, content, given):
            return True
    return False


def decoded(text: str) -> bytes:
    """From Base64, in its one canonical spelling. Raises `Unverified`."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise unverified() from None
    if not same(base64.b64encode(found).decode(), text):
        raise unverified()
    return found


@dataclass(frozen=True)
class Ecdsa:
    """ECDSA on P-256 with SHA-256: a DER signature in Base64 over the timestamp's header and the body. The source's
    secret is the vendor's public key."""

    header: str
    timestamp: Timestamp

    def __call__(self, request: VendorRequest, secrets: Secrets) -> None:
        keys = held(secrets)
        given = decoded(request.headers.one(self.header))
        content = as_bytes(self.timestamp.read(request)) + request.body
        if not any(is_signed_by_ecdsa(key, content, given) for key in keys):
            raise unverified()

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        """By the private key in PEM."""
        at = self.timestamp.written(request.received_at)
        made = base64.b64encode(signed_by_ecdsa(secret, as_bytes(at) + request.body)).decode()
        return with_headers(request, {self.header: made, _names(self.timestamp.header)[0]: at})


@dataclass(frozen=True)
class SharedToken:
    """The secret itself, in a header (after `prefix`) or in the query."""

    header: str | tuple[str, ...] = ()
    query: str = ""
    prefix: str = ""
    use: str = SIGNING

    def __call__(self, request: VendorRequest, secrets: Secrets) -> None:
        wanted = held(secrets, self.use)
        if self.header:
            given = request.headers.one(*_names(self.header))
            if not given.startswith(self.prefix):
                raise unverified()
            match([given.removeprefix(self.prefix)], wanted)
        else:
            match([request.query.get(self.query, "")], wanted)

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        if self.header:
            return with_headers(request, {_names(self.header)[0]: self.prefix + secret})
        return replace(request, query={**request.query, self.query: secret})


@dataclass(frozen=True)
class BasicAuth:
    """`Authorization: Basic`, as in `https://user:password@…`. The secret is `user:password`."""

    def __call__(self, request: VendorRequest, secrets: Secrets) -> None:
        wanted = held(secrets)
        scheme, _, credentials = request.headers.one("authorization").partition(" ")
        if scheme.lower() != "basic":
            raise unverified()
        match([credentials], (base64.b64encode(secret.encode()).decode() for secret in wanted))

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        return with_headers(request, {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"})


@dataclass(frozen=True)
class OneOf:
    """Any of several proofs, for vendors whose users choose."""

    proofs: tuple[Proof, ...]

    def __call__(self, request: VendorRequest, secrets: Secrets) -> None:
        first: Unverified | None = None
        for proof in self.proofs:
            try:
                return proof(request, secrets)
            except Unverified as error:
                first = first or error
        raise first or unverified()

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        """By the first."""
        return signed_by(self.proofs[0], request, secret)


SENT_SECRET: Final = OneOf(
    (BasicAuth(), SharedToken(header="x-webhook-token"), SharedToken(header="authorization", prefix="Bearer "))
)
"""For vendors that do not sign: their users give them a password for the address, or headers of their own."""


def with_headers(request: VendorRequest, new: dict[str, str]) -> VendorRequest:
    """The request with these headers; its own of other names stay."""
    kept = [pair for pair in request.headers.items() if pair[0] not in new]
    return replace(request, headers=Headers([*kept, *new.items()]))


def _names(header: str | tuple[str, ...]) -> tuple[str, ...]:
    return (header,) if isinstance(header, str) else header
