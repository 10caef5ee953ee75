"""What a log says about itself: which secret its identifiers were hashed with, and for which workspace.

One record in `simorgh.registry`, appended by whoever opens the log first. The secret is in no record; its fingerprint
is, so that a process with another secret notices before it makes two people of everybody.
"""

from hashlib import blake2b
from typing import Final, NamedTuple

import orjson

from eventlog.port import EventLog
from schemas.clock import Clock
from schemas.topics import REGISTRY

_KEY: Final = b"about/log"
_READ: Final = 1_000


class About(NamedTuple):
    """`secret` is a fingerprint, see `fingerprint`."""

    secret: str
    workspace: str


def fingerprint(secret: bytes) -> str:
    """Tells secrets apart and gives none away: 16 hexadecimal digits."""
    return blake2b(b"simorgh: fingerprint of the secret", digest_size=8, key=secret).hexdigest()


def read(log: EventLog) -> About | None:
    """What holds: the first record, or what took its place on purpose. None for a log that says nothing yet."""
    holds: About | None = None
    position = 0
    while records := log.read(REGISTRY, 0, position, _READ):
        for record in records:
            if record.key == _KEY:
                holds = _after(holds, record.value)
        position = records[-1].offset + 1
    return holds


def _after(holds: About | None, value: bytes) -> About | None:
    try:
        body = orjson.loads(value)["body"]
        said = About(str(body["secret"]), str(body["workspace"]))
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return holds  # nobody of ours wrote that
    return said if holds is None or body.get("replaces") == holds.secret else holds


def write(log: EventLog, about: About, clock: Clock, by: str, replaces: str | None = None) -> About:
    """Append it; what holds then, which is another process's word where that came first.

    `replaces`: the fingerprint that is given up on purpose.
    """
    body = {**about._asdict(), **({"replaces": replaces} if replaces else {})}
    record = {"kind": "about", "op": "put", "id": "log", "body": body, "at": clock(), "by": by}
    log.append(REGISTRY, [(_KEY, orjson.dumps(record))])
    return read(log) or about
