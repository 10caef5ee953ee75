"""The workspace's data keys: found, made for a new log only, and held against what the log says about them.

Without its keys, a log of sealed events tells nothing of anybody, as if everybody had been erased. So a process whose
key store is lost, or is another log's, does not start.
"""

from eventlog.about import claim, read_about
from eventlog.port import RecordLog
from privacy.keyring import Keyring
from privacy.sqlite import SqliteKeys
from schemas.errors import Conflict
from simorgh.datadir import DataDir

_CLAIM = "keys"


def of_one_box(folder: DataDir, log: RecordLog, secret: bytes) -> Keyring:
    """The keys in `keys.sqlite`, which is made where the log says nothing of keys yet.

    Raises `Conflict` where the log was written with a key store that is not there, or with another one.
    """
    path = folder.root / "keys.sqlite"
    said = read_about(log).get(_CLAIM)
    if said is not None and not path.exists():
        raise Conflict(
            f"{path}: wanted the keys that the log was written with, got no file; restore it from a backup. Without it"
            " nothing personal in the log can be read",
            code="keys_missing",
        )
    store = SqliteKeys(path)
    try:
        if (said or claim(log, _CLAIM, store.identity)) != store.identity:
            raise Conflict(
                f"{path}: wanted the keys that the log was written with, got those of another log; restore the right"
                " file from a backup",
                code="keys_differ",
            )
    except BaseException:
        store.close()
        raise
    return Keyring(store, secret)
