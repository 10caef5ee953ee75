"""`simorgh doctor`: is everything in order? Of a running server, a free folder, a backup, or a cluster.

Every finding that is not in order says what to do.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx

from schemas import topics
from schemas.check import check_published
from schemas.clock import iso, system_clock
from schemas.errors import Denied, SimorghError
from simorgh import backup, data_keys, loglines, secret
from simorgh.datadir import DataDir
from simorgh.deployment import deployment_of
from simorgh.faults import explain
from simorgh.logs import open_cluster_log
from simorgh.over_http import collector_of, source_of_key, unreachable
from simorgh.settings import Settings
from warehouse.connect import is_server

ENOUGH_BYTES: Final = 1_000_000_000
ENOUGH_SHARE: Final = 0.05
"""Of a disk: less is nearly full, since a replay wants room for a second set of tables."""

FAR_BEHIND_SECONDS: Final = 60
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    ok: bool
    what: str
    says: str


Check = Callable[[Settings], Iterator[Finding]]
_DAY_MS: Final = 86_400_000


def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order in which one would look. A check that fails is a finding, not an error."""
    loglines.begin_of_command(settings)
    if settings.kafka is not None:
        checks: list[Check] = [_schemas, _kafka, _clickhouse, _api, _collector]
    elif settings.api:
        checks = [_schemas, _api]
    elif backup.is_backup(settings.data):
        checks = [_backup]
    else:
        checks = [_schemas, _folder, _private, _secret, _keys, _disk, _clickhouse, _server, _log, _status]
    return [finding for check in checks for finding in _guarded(check, settings)]


def _guarded(check: Check, settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except Exception as error:
        yield Finding(False, check.__name__.removeprefix("_"), explain(error))


def _schemas(settings: Settings) -> Iterator[Finding]:
    problems = check_published()
    says = f"{len(problems)} problems; run simorgh schemas check" if problems else "in order"
    yield Finding(not problems, "schemas", says)


# ---- one box: what lies there


def _folder(settings: Settings) -> Iterator[Finding]:
    if not settings.data.exists():
        yield Finding(True, "data folder", f"{settings.data} does not exist yet; serve or import makes it")
    elif not settings.data.is_dir():
        yield Finding(False, "data folder", f"{settings.data} is a file; name a folder with --data")
    elif not settings.log_path.exists() and (settings.data / "warehouse").exists():
        yield Finding(False, "data folder", f"{settings.log_path} is missing; restore a backup: simorgh restore")
    else:
        yield Finding(True, "data folder", f"{settings.data}")


def _private(settings: Settings) -> Iterator[Finding]:
    if not settings.data.is_dir():
        return
    folder = DataDir(settings.data)
    stale = set() if folder.server() else {settings.data / "server.json"}  # left behind, it gives nothing away
    found = [path for path in folder.too_open() if path not in stale]
    if found:
        says = f"{len(found)} files can be read by others, {found[0]} is one; chmod -R go= {settings.data}"
        yield Finding(False, "file modes", says)


def _secret(settings: Settings) -> Iterator[Finding]:
    if not settings.log_path.exists():
        return
    where, found = secret.given(settings, DataDir(settings.data))
    if found is None:
        says = f"{where} is missing; restore it from a backup: without it returning customers are not recognised"
        yield Finding(False, "secret", says)
    else:
        yield Finding(True, "secret", f"in {where}")


def _keys(settings: Settings) -> Iterator[Finding]:
    if not settings.log_path.exists():
        return
    folder = DataDir(settings.data)
    try:
        sealed = data_keys.require_sound(settings, folder)
    except SimorghError as error:
        yield Finding(False, "data keys", error.message)
        return
    if sealed:
        yield Finding(True, "data keys", f"in {data_keys.path_of(folder)}, which the log was written with")


def _disk(settings: Settings) -> Iterator[Finding]:
    places = {"disk": settings.data, "disk of the log": settings.log_path.parent}
    seen = set()
    for what, path in places.items():
        root = next(place for place in (path.resolve(), *path.resolve().parents) if place.exists())
        usage, device = shutil.disk_usage(root), root.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        enough = usage.free > ENOUGH_BYTES and usage.free > ENOUGH_SHARE * usage.total
        free = f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free"
        yield Finding(
            enough, what, free if enough else f"{free}: nearly full; free some space, events are refused soon"
        )


def _backup(settings: Settings) -> Iterator[Finding]:
    manifest = backup.read_manifest(settings.data)
    wrong = backup.problems(settings.data, manifest) + manifest.damage
    says = f"{manifest.events:,} events, made at {manifest.made_at} by version {manifest.version}; checksums fit"
    yield Finding(not wrong, "backup", "; ".join([*wrong, "take another backup"]) if wrong else says)


# ---- stores


def _clickhouse(settings: Settings) -> Iterator[Finding]:
    """Only for a server: the embedded engine runs in the process that has the folder open."""
    if not is_server(settings.warehouse_dsn):
        if settings.kafka is not None:
            yield Finding(False, "clickhouse", "a cluster needs SIMORGH_CLICKHOUSE=http://host:port; set it")
        return
    from simorgh.stores import open_warehouse  # a second and a half, which other checks need not wait

    warehouse = open_warehouse(settings)
    try:
        yield Finding(True, "clickhouse", f"{warehouse.address} answers, version {warehouse.version()}")
    except SimorghError as error:
        yield Finding(False, "clickhouse", f"{warehouse.address}: {error.message}")
    finally:
        warehouse.close()


def _kafka(settings: Settings) -> Iterator[Finding]:
    log = open_cluster_log(settings)
    try:
        partitions = len(log.ends(topics.EVENTS))
        says = f"{settings.log} answers, {partitions} partitions of events, {sum(log.ends(topics.EVENTS)):,} events"
        yield Finding(True, "kafka", says)
        if settings.secret is None:
            yield Finding(False, "secret", "SIMORGH_SECRET is not set; the roles do not start without it")
        else:
            secret.of_cluster(settings, log)
            yield Finding(True, "secret", "SIMORGH_SECRET is the one that the log was written with")
            if data_keys.require_sound_topic(settings, log):
                yield Finding(True, "data keys", f"in the topic {topics.KEYS}, which the log was written with")
    except SimorghError as error:
        what = {"secret": "secret", "keys": "data keys"}.get(error.code.split("_")[0], "kafka")
        yield Finding(False, what, error.message)
    finally:
        log.close()


# ---- processes


def _server(settings: Settings) -> Iterator[Finding]:
    server = DataDir(settings.data).server() if settings.data.is_dir() else None
    if server is None:
        yield Finding(True, "server", "not running")
        return
    yield Finding(True, "server", f"running at {server.url} (process {server.pid})")
    yield from _ready("readiness", server.url)
    yield from _stages(server.url)


def _api(settings: Settings) -> Iterator[Finding]:
    if not settings.api:
        yield Finding(False, "api", "SIMORGH_API is not set: it cannot be asked; set SIMORGH_API=http://host:port")
        return
    yield from _ready("api", settings.api)
    yield from _status(settings)


def _collector(settings: Settings) -> Iterator[Finding]:
    if not settings.collector:
        return
    yield from _ready("collector", settings.collector)
    if settings.write_key is not None:
        yield from _write_key(settings)


def _write_key(settings: Settings) -> Iterator[Finding]:
    try:
        source = source_of_key(*collector_of(settings))
    except SimorghError as error:
        yield Finding(False, "write key", error.message)
    else:
        yield Finding(True, "write key", f"of the source {source}; simorgh import can send")


def _ready(what: str, url: str) -> Iterator[Finding]:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=_PATIENCE)
    except httpx.TransportError as error:
        yield Finding(False, what, unreachable(url, error).message)
        return
    if answer.status_code == 200:
        yield Finding(True, what, f"{url} takes requests")
    else:
        yield Finding(False, what, f"{url} is not ready: {_why(answer)}")


def _why(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return f"status {answer.status_code}; is that Simorgh?"
    faults = [str(fault.get("message")) for fault in body.get("faults") or [] if isinstance(fault, dict)]
    return "; ".join(faults) or str(body.get("detail") or body.get("status") or answer.status_code)


def _stages(url: str) -> Iterator[Finding]:
    """The process's report on its stages: a stopped one does not continue by itself."""
    text = httpx.get(f"{url}/metrics", timeout=_PATIENCE).text
    for stage, running in re.findall(r'^simorgh_stage_running\{stage="([^"]*)"\} (\S+)$', text, re.MULTILINE):
        if float(running) == 0:
            says = "stopped, or failing again and again; the server's log says why, fix that, then restart the server"
            yield Finding(False, f"stage {stage}", says)


# ---- contents


def _log(settings: Settings) -> Iterator[Finding]:
    """Every record of a free folder's log. Beside a server it would take its disk away from it."""
    if not settings.log_path.exists() or DataDir(settings.data).server() is not None:
        return
    if not os.access(settings.log_path, os.W_OK):
        yield Finding(False, "log", f"{settings.log_path} may not be written by you; run as its owner")
        return
    damaged = backup.damage_of(settings)
    lost = "restore a backup, or go on without what is lost"
    yield Finding(not damaged, "log", "; ".join([*damaged, lost]) if damaged else "every record can be read")


def _status(settings: Settings) -> Iterator[Finding]:
    if settings.kafka is None and not settings.api and not settings.log_path.exists():
        return
    try:
        with deployment_of(settings).session() as session:
            status = session.call("GET", "/v1/status")
            session.call("GET", "/v1/profiles?limit=1")
            late = _late_erasures(session)
    except SimorghError as error:
        yield Finding(False, "status", error.message + _cure(error))
        return
    yield from (Finding(False, fault["code"], fault["message"]) for fault in status["faults"])
    if late:
        says = f"{late} of the latest are not destroyed after a day; the log of `simorgh work` or the server says why"
        yield Finding(False, "erasures", says)
    yield from _counts(status)
    yield from _lag(status)


def _late_erasures(session: Any) -> int:
    """Requests that should long be done. A token without the scope does not see any."""
    try:
        found = session.call("GET", "/v1/privacy/requests?limit=1000")["items"]
    except Denied:
        return 0
    before = iso(system_clock() - _DAY_MS)
    return sum(
        one["type"] == "erasure" and one["state"] in ("requested", "unreadable") and one["requested_at"] < before
        for one in found
    )


def _cure(error: SimorghError) -> str:
    """Damaged tables are the one fault that a replay cures."""
    return "; if a replay does not cure it, report it: simorgh replay" if "engine" in error.message else ""


def _counts(status: dict[str, Any]) -> Iterator[Finding]:
    events = status["events"]
    if events["logged"] is None:
        return  # the warehouse refuses to count, which is reported already
    says = f"{events['logged']:,} logged, {events['duplicates']:,} copies, {events['rejected']:,} rejected"
    fits = events["logged"] == events["unique"] + events["duplicates"]
    yield Finding(fits, "events", says if fits else f"{says}: the tables do not fit the log; simorgh replay")


def _lag(status: dict[str, Any]) -> Iterator[Finding]:
    for stage in status["projections"]:
        behind = f"{stage['lag_events']:,} events behind, {stage['lag_seconds']} s"
        fine = stage["lag_seconds"] < FAR_BEHIND_SECONDS
        more = "" if fine else "; if that grows, the stage has stopped or the machine is too slow: see the server's log"
        yield Finding(fine, f"projection {stage['name']}", behind + more)
