"""The workspace's data keys: found, made for a new log only, and held against what the log says about them.

Without its keys, a log of sealed events tells nothing of anybody, as if everybody had been forgotten. So a process
whose key store is lost, or is another log's, does not start.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final

from eventlog.about import claim, read_about
from eventlog.port import RecordLog
from eventlog.sqlite_repair import about_of
from privacy.copy import KeysCopy
from privacy.keyring import Keyring
from privacy.sqlite import SqliteKeys, identity_of
from privacy.topic import TopicKeys, identify
from privacy.topic import identity_of as identity_of_topic
from schemas import topics
from schemas.clock import system_clock
from schemas.errors import Conflict
from simorgh.datadir import DataDir, write_private
from simorgh.logs import open_keys_topic
from simorgh.settings import Settings

_CLAIM: Final = "keys"


def path_of(folder: DataDir) -> Path:
    return folder.root / "keys.sqlite"


def master_path(folder: DataDir) -> Path:
    return folder.root / "master.json"


def of_one_box(settings: Settings, folder: DataDir, log: RecordLog) -> Keyring:
    """The keys in `keys.sqlite`, made where the log says nothing of keys yet. Raises as `require_agreement`, and
    `Conflict` where the master key is lost."""
    path = path_of(folder)
    require_agreement(log, path)
    master = _master(settings, folder, is_new=not path.exists())
    store = SqliteKeys(path)
    try:
        if claim(log, _CLAIM, store.identity) != store.identity:
            raise _other_keys(path)
    except BaseException:
        store.close()
        raise
    return Keyring(store, master)


def of_cluster(settings: Settings, log: RecordLog, secret: bytes) -> Keyring:
    """The keys in `simorgh.keys`, which are wrapped under SIMORGH_SECRET, with this process's copy of them in the data
    folder. Raises `Conflict` where the log was written with keys that are not in the topic.

      1 simorgh.keys    says which key store it is
      2 simorgh.about   the log is of this key store. After a crash in between, the next process goes on here
    """
    identity = blake2b(b"simorgh: identity of the data keys", digest_size=8, key=secret).hexdigest()
    with ExitStack() as undo:
        topic = open_keys_topic(settings)
        undo.callback(topic.close)
        said = read_about(log).get(_CLAIM)  # first: another process may go through both steps meanwhile
        there = identity_of_topic(topic)
        if not there and said is None:
            identify(topic, identity)
            there = identity
        if there != identity or (said or claim(log, _CLAIM, identity)) != identity:
            raise _other_topic(there)
        copy = _copy(settings.data / "keys", identity)
        undo.callback(copy.close)
        keyring = Keyring(TopicKeys(topic, copy, system_clock), secret)
        undo.pop_all()
    return keyring


@contextmanager
def compacting_soon(settings: Settings) -> Iterator[None]:
    """On a cluster, meanwhile the topic of the keys is compacted at once; on one machine, nothing has to be done."""
    if settings.kafka is None:
        yield
        return
    with closing(open_keys_topic(settings)) as topic, topic.in_haste():
        yield


def require_sound_topic(settings: Settings, log: RecordLog) -> bool:
    """Whether a cluster's log is sealed; then `simorgh.keys` holds the keys that it was written with. Raises
    `Conflict`."""
    said = read_about(log).get(_CLAIM)
    if said is None:
        return False
    with closing(open_keys_topic(settings)) as topic:
        there = identity_of_topic(topic)
    if there != said:
        raise _other_topic(there)
    return True


def _other_topic(there: str) -> Conflict:
    return Conflict(
        f"Kafka topic {topics.KEYS}: wanted the data keys that the log was written with, got"
        f" {'those of another log' if there else 'none'}; restore the topic. Without it nothing personal in the"
        " log can be read",
        code="keys_differ" if there else "keys_missing",
    )


def _copy(folder: Path, identity: str) -> KeysCopy:
    try:
        return KeysCopy(folder, identity, system_clock())
    except OSError as error:
        raise Conflict(
            f"{folder}: wanted a folder for a copy of the data keys, got {error.strerror}; set SIMORGH_DATA to one that"
            " may be written to",
            code="no_folder",
        ) from error


def _master(settings: Settings, folder: DataDir, *, is_new: bool) -> bytes:
    """The master key: in a file of its own, so that whoever loses `keys.json` can still read what the log says; where
    there is none, SIMORGH_SECRET. The file goes first: a secret may be moved to the environment later."""
    path = master_path(folder)
    if not path.exists() and settings.secret:
        return bytes.fromhex(settings.secret.get_secret_value())
    if not path.exists() and is_new:
        write_private(path, {"master_key": secrets.token_hex(32)})
    try:
        return bytes.fromhex(json.loads(path.read_text())["master_key"])
    except FileNotFoundError:
        came = "no file"
    except (ValueError, LookupError, TypeError):
        came = "another content"
    raise Conflict(
        f"{path}: wanted the master key of the data keys, got {came}; restore it from a backup, or set the"
        " SIMORGH_SECRET that the log was written with. Without it nothing personal in the log can be read",
        code="master_key_missing",
    )


def require_agreement(log: RecordLog, path: Path) -> None:
    """Raises `Conflict` where the log was written with a key store that is not there, or with another one."""
    _require(read_about(log).get(_CLAIM), path)


def require_sound(settings: Settings, folder: DataDir) -> bool:
    """Whether the log of a folder is sealed; then its keys are at hand. Changes nothing, and may be asked beside a
    server. Raises as `of_one_box`."""
    said, path = about_of(settings.log_path).get(_CLAIM), path_of(folder)
    _require(said, path)
    if said is not None:
        _master(settings, folder, is_new=False)
    return said is not None


def _require(said: str | None, path: Path) -> None:
    if said is None:
        return
    if not path.exists():
        raise Conflict(
            f"{path}: wanted the data keys that the log was written with, got no file; restore it from its backup."
            " Without it nothing personal in the log can be read",
            code="keys_missing",
        )
    if identity_of(path) != said:
        raise _other_keys(path)


def _other_keys(path: Path) -> Conflict:
    return Conflict(
        f"{path}: wanted the data keys that the log was written with, got those of another log; restore the right file"
        " from its backup",
        code="keys_differ",
    )
