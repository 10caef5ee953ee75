"""`simorgh doctor --repair`: continue without the records that a damaged log has lost."""

from pathlib import Path

from eventlog.sqlite_repair import check, repair
from schemas.clock import system_clock
from schemas.errors import Broken, InvalidInput
from simorgh.settings import Settings


def repair_log(settings: Settings) -> list[str]:
    """The work done, line by line. A sound log is not changed. Raises `Conflict` if a server is running."""
    if settings.kafka is not None:
        raise InvalidInput(
            "doctor --repair: wanted a log that is a file, got Kafka; use Kafka's own checksums and replicas"
        )
    path = settings.log_path
    if not path.exists():
        return [f"{path} does not exist: there is nothing to repair"]
    if _is_sound(path):
        return [f"{path}: every record is as it was written"]
    findings, kept = repair(path, system_clock())
    return [
        *findings.lines(),
        f"{path} goes on without them; the damaged file is kept as {kept}",
        "next: simorgh replay computes everything again without what is lost; then send the lost events again, if you"
        " can: they are no copies",
    ]


def _is_sound(path: Path) -> bool:
    try:
        return not check(path).lines()
    except Broken:  # too damaged to look through, not necessarily to repair
        return False
