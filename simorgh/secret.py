"""The workspace's secret: read, generated for a new log only, and checked against the log. Every identifier is stored
under a hash that is keyed with it. With another secret every returning customer would be a stranger, so a process with
a wrong one does not start.
"""

import json
import re
import secrets
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson

from eventlog.about import claim, read_about
from eventlog.port import RecordLog
from identity.nodes import node_of, to_hex
from schemas import topics
from schemas.errors import Broken, Conflict, InvalidSettings
from simorgh.datadir import DataDir, write_private
from simorgh.settings import Settings

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_LOOK_AT: Final = 50  # events of a log that says nothing about itself


def of_one_box(settings: Settings, folder: DataDir, log: RecordLog) -> bytes:
    """SIMORGH_SECRET, else that of `keys.json`, which is generated for a log without records. Raises `Conflict` if the
    log has records and there is no secret, or another one; `Broken` for a file without one.
    """
    where, found = given(settings, folder)
    if found is None:
        if not is_new(log):
            raise Conflict(
                f"{where}: wanted the secret that the log was written with, got no file; restore it from a backup."
                f" If it is lost for good, `simorgh secret renew --data {folder.root}` starts with a new one, and"
                " returning customers become new profiles",
                code="secret_missing",
            )
        found = make(folder)
    require_agreement(log, settings, found, where)
    return found


def given(settings: Settings, folder: DataDir) -> tuple[str, bytes | None]:
    """Where the secret of one box is looked for, and the secret if there is one."""
    if settings.secret:
        return "SIMORGH_SECRET", bytes.fromhex(settings.secret.get_secret_value())
    path = keys_path(folder)
    return str(path), read(path)


def of_cluster(settings: Settings, log: RecordLog) -> bytes:
    """SIMORGH_SECRET, which must be set: a cluster's secret is never made. Raises as `require_agreement`."""
    if settings.secret is None:
        raise InvalidSettings("settings: SIMORGH_SECRET: wanted the secret of this cluster, got none; set it")
    secret = bytes.fromhex(settings.secret.get_secret_value())
    require_agreement(log, settings, secret, "SIMORGH_SECRET")
    return secret


def keys_path(folder: DataDir) -> Path:
    return folder.root / "keys.json"


def read(path: Path) -> bytes | None:
    """The secret in a `keys.json`; None without such a file. Raises `Broken` for a file without one."""
    try:
        content = path.read_text()
        secret = json.loads(content)["node_secret"]
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError):
        raise _garbled(path) from None
    if not isinstance(secret, str) or not _HEX.fullmatch(secret):
        raise _garbled(path)
    return bytes.fromhex(secret)


def _garbled(path: Path) -> Broken:
    came = "an empty file" if path.stat().st_size == 0 else "something else"
    return Broken(
        f'{path}: wanted {{"node_secret": 64 hexadecimal digits}}, got {came}; restore it from a backup',
        code="secret_garbled",
    )


def make(folder: DataDir) -> bytes:
    """A new secret, on disk before it is used. Whatever was there is replaced."""
    secret = secrets.token_bytes(32)
    write_private(keys_path(folder), {"node_secret": secret.hex()})
    return secret


def renew(settings: Settings, folder: DataDir, log: RecordLog) -> None:
    """Give the log a new secret, on purpose: its data stays, and returning customers become new profiles.

    Raises `Conflict` while the secret that the log was written with is there.

    1 the secret is on disk     a crash here: it differs from what the log says, and the next try goes on with it
    2 the log says so           done
    """
    where, found = _readable(settings, folder)
    number, said = _said(log)
    if found is not None and said in (None, fingerprint(found)):
        raise Conflict(f"{where}: wanted a lost secret, got the secret of this log; keep it")
    if found is None:
        found = make(folder)
    claim(log, _name(number + 1), fingerprint(found))


def _readable(settings: Settings, folder: DataDir) -> tuple[str, bytes | None]:
    try:
        return given(settings, folder)
    except Broken:
        return str(keys_path(folder)), None  # a garbled file is as good as lost


def require_agreement(log: RecordLog, settings: Settings, secret: bytes, where: str) -> None:
    """Raises `Conflict` unless the log was written with this secret and for this workspace.

    A log that says nothing yet is asked by its first events, and then says so.
    """
    number, said = _said(log)
    if said is None:
        if not _fits_events(log, secret, settings.workspace):
            raise _other_secret(where)
        said = claim(log, _name(number), fingerprint(secret))
    if said != fingerprint(secret):
        raise _other_secret(where)
    workspace = claim(log, "workspace", settings.workspace)
    if workspace != settings.workspace:
        raise Conflict(
            f"SIMORGH_WORKSPACE: wanted {workspace}, the workspace of the log, got {settings.workspace}; set it"
            " back, or name another log",
            code="other_workspace",
        )


def fingerprint(secret: bytes) -> str:
    """Tells secrets apart and gives none away: 16 hexadecimal digits."""
    return blake2b(b"simorgh: fingerprint of the secret", digest_size=8, key=secret).hexdigest()


def _said(log: RecordLog) -> tuple[int, str | None]:
    """How often the secret was renewed, and the fingerprint of the present one; None: not recorded."""
    claims = read_about(log)
    number = 0
    while _name(number + 1) in claims:
        number += 1
    return number, claims.get(_name(number))


def _name(number: int) -> str:
    return f"secret {number}"


def _other_secret(where: str) -> Conflict:
    return Conflict(
        f"{where}: wanted the secret that the log was written with, got another; restore the right one from a backup or"
        " a vault, or name the log of this one",
        code="secret_differs",
    )


def _fits_events(log: RecordLog, secret: bytes, workspace: str) -> bool:
    """Whether the first identifiers in the log are hashed with it; True where there are none."""
    for partition in range(len(log.ends(topics.EVENTS))):
        for record in log.read(topics.EVENTS, partition, 0, _LOOK_AT):
            for one in _identifiers(record.value):
                return to_hex(node_of(secret, workspace, one["type"], one["normalised"])) == one["node"]
    return True


def _identifiers(value: bytes) -> list[dict[str, str]]:
    try:
        found = orjson.loads(value).get("identifiers", [])
    except (orjson.JSONDecodeError, AttributeError):
        return []  # other topics are not checked
    return [one for one in found if isinstance(one, dict) and {"type", "normalised", "node"} <= one.keys()]


def is_new(log: RecordLog) -> bool:
    """Whether nothing was ever appended except the facts about the log."""
    return not any(end for topic in topics.ALL if topic != topics.ABOUT for end in log.ends(topic))
