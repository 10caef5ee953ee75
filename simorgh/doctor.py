"""`simorgh doctor`: is everything in order?"""

import shutil
from dataclasses import dataclass

from schemas.check import check_published
from schemas.errors import SimorghError
from simorgh.datadir import DataDir
from simorgh.folder import call
from simorgh.platform import open_warehouse
from simorgh.settings import Settings
from warehouse.connect import is_server

_ENOUGH_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    ok: bool
    what: str
    says: str


def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order in which one would look."""
    return [
        _schemas(),
        _folder(settings),
        _disk(settings),
        *_clickhouse(settings),
        _server(settings),
        *_projections(settings),
    ]


def _schemas() -> Finding:
    problems = check_published()
    return Finding(
        not problems,
        "schemas",
        f"{len(problems)} problems; run simorgh schemas check" if problems else "in order",
    )


def _folder(settings: Settings) -> Finding:
    if not settings.data.exists():
        return Finding(True, "data folder", f"{settings.data} does not exist yet; serve or import makes it")
    mode = (settings.data / "keys.json").stat().st_mode & 0o077 if (settings.data / "keys.json").exists() else 0
    says = "keys.json can be read by others; chmod 600 it" if mode else f"{settings.data}"
    return Finding(not mode, "data folder", says)


def _disk(settings: Settings) -> Finding:
    root = next(path for path in (settings.data.resolve(), *settings.data.resolve().parents) if path.exists())
    free = shutil.disk_usage(root).free
    return Finding(free > _ENOUGH_BYTES, "disk", f"{free / 1e9:.1f} GB free")


def _clickhouse(settings: Settings) -> list[Finding]:
    """Only where there is a server: the embedded engine is the process that has the folder open."""
    if not is_server(settings.warehouse_dsn):
        return []
    warehouse = open_warehouse(settings)
    try:
        says = f"{warehouse.address} answers, version {warehouse.version()}"
        return [Finding(True, "clickhouse", says)]
    except SimorghError as error:
        return [Finding(False, "clickhouse", f"{warehouse.address}: {error.message}")]
    finally:
        warehouse.close()


def _server(settings: Settings) -> Finding:
    server = DataDir(settings.data).server()
    return Finding(True, "server", f"running at {server.url} (process {server.pid})" if server else "not running")


def _projections(settings: Settings) -> list[Finding]:
    if not settings.data.exists():
        return []
    try:
        status = call(settings, "GET", "/v1/status")
    except SimorghError as error:
        return [Finding(False, "status", error.message)]
    findings = [Finding(False, fault["code"], fault["message"]) for fault in status["faults"]]
    events = status["events"]
    if events["logged"] is not None:
        counts = f"{events['logged']:,} logged, {events['duplicates']:,} copies, {events['rejected']:,} rejected"
        findings.append(Finding(events["logged"] == events["unique"] + events["duplicates"], "events", counts))
    for stage in status["projections"]:
        says = f"{stage['lag_events']:,} events behind, {stage['lag_seconds']} s"
        findings.append(Finding(stage["lag_seconds"] < 60, f"projection {stage['name']}", says))
    return findings
