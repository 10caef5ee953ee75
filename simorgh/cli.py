"""The command line. Each command is a few lines: settings, a call, a readable end. Errors are one line."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from simorgh import __version__, faults
from simorgh.commands import safekeeping
from simorgh.settings import load_settings

app = typer.Typer(
    help="Simorgh: an event-sourced customer data platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()

Data = Annotated[Path | None, typer.Option(help="The data folder (SIMORGH_DATA). Default: ./simorgh-data")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(help="The port to listen on; 0 picks a free one.", min=0, max=65535)]


def main() -> None:
    """The entry point of the program `simorgh`. Whatever goes wrong is one line on stderr."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:
        if hasattr(error, "format_message"):
            _called_wrongly(error)
        _fail(faults.explain(error), faults.ERROR)
    except KeyboardInterrupt:
        sys.exit(faults.INTERRUPTED)
    sys.exit(code or 0)


def _fail(message: str, code: int) -> NoReturn:
    Console(stderr=True).print(Text.assemble(("error", "red"), " ", message), highlight=False, soft_wrap=True)
    sys.exit(code)


def _called_wrongly(error: Any) -> NoReturn:
    """A usage error of the parser's, which it says in several lines; or a group without a command: then its help."""
    path = error.ctx.command_path if getattr(error, "ctx", None) else "simorgh"
    said = " ".join(str(error.format_message()).split()).removesuffix(".")
    if not said or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(faults.USAGE)
    _fail(f"{said}; see `{path} --help`", faults.USAGE)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__, highlight=False)


@app.command()
def serve(data: Data = None, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Run everything in one process: collector, processors, API."""
    from simorgh.serve import serve as run

    run(load_settings(data=data), host, port, _announce)


@app.command()
def collect(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Cluster role: take events over HTTP into Kafka."""
    from simorgh.roles import collect as run

    run(load_settings(), host, port, _announce_role("collects"))


@app.command()
def work(host: Host = "127.0.0.1", port: Port = 0) -> None:
    """Cluster role: the Faust worker. Address and port are of its health and metrics pages."""
    from simorgh.work import work as run

    run(load_settings(), host, port, _announce_role("works"))


@app.command()
def api(host: Host = "127.0.0.1", port: Port = 8001) -> None:
    """Cluster role: the profile API on ClickHouse."""
    from simorgh.roles import api as run

    run(load_settings(), host, port, _announce_role("answers"))


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="A fresh folder. Default: a temporary one.")] = None,
    port: Port = 8000,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="End after the findings.")] = False,
) -> None:
    """Load real purchases and simulated sessions around them, print what was found, then serve."""
    from simorgh.demo.command import run_demo

    run_demo(data, port, serve=not no_serve, console=out)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON Lines or Parquet.")],
    mapping: Annotated[Path, typer.Option(help="Says how columns become events (docs/import.md).")],
    channel: Annotated[
        str | None, typer.Option(help="The channel that the events came by; else the mapping's.")
    ] = None,
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report, send nothing.")] = False,
) -> None:
    """Import a file of purchases, with a report of what was repaired and what was rejected."""
    from producers.files.importer import import_file
    from producers.files.mapping import load_mapping
    from simorgh.folder import open_sink

    settings = load_settings(data=data)
    rules = load_mapping(mapping)
    with _progress() as bar:
        task = bar.add_task("rows", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if dry_run:
            report = import_file(file, rules, None, progress, channel=channel)
        else:
            with open_sink(settings, channel or rules.channel or "server") as sink:
                report = import_file(file, rules, sink, progress, channel=channel)
    out.print(report)


@app.command()
def replay(data: Data = None) -> None:
    """Rebuild the projections from the log beside the live ones, and swap them in."""
    from simorgh.folder import replay as run

    with _progress() as bar:
        task = bar.add_task("events", total=None)
        generation = run(load_settings(data=data), lambda done, total: bar.update(task, completed=done, total=total))
    out.print(f"replayed: generation {generation} is live")


@app.command()
def tail(data: Data = None, lines: Annotated[int, typer.Option(help="How many to begin with.")] = 10) -> None:
    """Show the latest events as they arrive, accepted and rejected."""
    from simorgh.tail import follow

    follow(load_settings(data=data), lines, out)


@app.command()
def doctor(
    data: Data = None,
    repair: Annotated[bool, typer.Option("--repair", help="Go on without what a damaged log has lost.")] = False,
) -> None:
    """Check that everything is in order; exits with 1 where it is not."""
    from simorgh.doctor import examine
    from simorgh.repair import repair_log

    if repair:
        for line in repair_log(load_settings(data=data)):
            typer.echo(line)
        return
    findings = examine(load_settings(data=data))
    for finding in findings:
        mark = "[green]ok[/green]  " if finding.ok else "[red]bad[/red] "
        out.print(f"{mark}{finding.what}: {finding.says}", highlight=False, soft_wrap=True)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def migrate(data: Data = None) -> None:
    """Create the tables that are missing."""
    from simorgh.folder import migrate as run

    out.print(f"in place: {run(load_settings(data=data))}", highlight=False, soft_wrap=True)


safekeeping.add_to(app)


# ---- groups that talk to the API, of the running server or of the folder itself

schemas_app = typer.Typer(help="The contract: event schemas.", no_args_is_help=True)
keys_app = typer.Typer(help="API tokens.", no_args_is_help=True)
sources_app = typer.Typer(help="Sources of events and their write keys.", no_args_is_help=True)
rejected_app = typer.Typer(help="Rejected events.", no_args_is_help=True)
segments_app = typer.Typer(help="Segments.", no_args_is_help=True)
app.add_typer(schemas_app, name="schemas")
app.add_typer(keys_app, name="keys")
app.add_typer(sources_app, name="sources")
app.add_typer(rejected_app, name="rejected")
app.add_typer(segments_app, name="segments")


@schemas_app.command("check")
def schemas_check() -> None:
    """Compare the schemas with what was published: a published one may not change or break compatibility."""
    from schemas.check import check_published

    problems = check_published()
    for problem in problems:
        out.print(str(problem), highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    out.print("schemas: in order")


@schemas_app.command("list")
def schemas_list() -> None:
    """List the event types."""
    from schemas.catalog import Catalog

    table = Table("type", "version", "event", "set")
    for event in Catalog.load().all():
        table.add_row(event.type, str(event.version), event.name or "", event.set)
    out.print(table)


@keys_app.command("list")
def keys_list(data: Data = None) -> None:
    """List the API tokens."""
    _show(_get(data, "/v1/tokens"), ("id", "name", "scopes"))


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="A name for the token.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated: read,write,steward,admin.")] = "read",
    data: Data = None,
) -> None:
    """Make an API token; it is shown once."""
    body = {"name": name, "scopes": [s.strip() for s in scopes.split(",") if s.strip()]}
    out.print_json(data=_post(data, "/v1/tokens", body))


@keys_app.command("delete")
def keys_delete(token_id: str, data: Data = None) -> None:
    """Delete an API token; it stops working at once."""
    _delete(data, f"/v1/tokens/{token_id}")


@sources_app.command("list")
def sources_list(data: Data = None) -> None:
    """List the sources."""
    _show(_get(data, "/v1/sources"), ("id", "name", "channel", "enabled", "unplanned"))


@sources_app.command("create")
def sources_create(
    source_id: Annotated[str, typer.Argument(help="A short name, such as shop-web.")],
    channel: Annotated[str, typer.Option(help="web, email, chat, social, pos, phone, feedback, server …")] = "web",
    unplanned: Annotated[str, typer.Option(help="Events without a schema: accept or reject.")] = "accept",
    data: Data = None,
) -> None:
    """Declare a source and make its first write key, which is shown once."""
    _post(data, "/v1/sources", {"id": source_id, "name": source_id, "channel": channel, "unplanned": unplanned})
    out.print_json(data=_post(data, f"/v1/sources/{source_id}/keys", None))


@sources_app.command("key")
def sources_key(source_id: str, data: Data = None) -> None:
    """Make another write key for a source (two may live side by side)."""
    out.print_json(data=_post(data, f"/v1/sources/{source_id}/keys", None))


@rejected_app.command("list")
def rejected_list(data: Data = None, limit: int = 50) -> None:
    """List the rejected events that wait to be fixed."""
    _show(_get(data, f"/v1/rejected?limit={limit}"), ("id", "received_at", "source", "code", "reason"))


@rejected_app.command("show")
def rejected_show(rejected_id: str, data: Data = None) -> None:
    """Show a rejected event with its original bytes."""
    out.print_json(data=_get(data, f"/v1/rejected/{rejected_id}"))


@rejected_app.command("retry")
def rejected_retry(
    rejected_id: str,
    payload: Annotated[Path | None, typer.Option(help="A file with the corrected event.")] = None,
    data: Data = None,
) -> None:
    """Admit a rejected event again, under its id and time of receipt."""
    content = payload.read_bytes() if payload else None
    answer = _post(data, f"/v1/rejected/{rejected_id}/retry", content)
    out.print_json(data=answer)
    if answer.get("status") != "accepted":
        raise typer.Exit(1)


@segments_app.command("list")
def segments_list(data: Data = None) -> None:
    """List the segments with their sizes."""
    _show(_get(data, "/v1/segments"), ("id", "name", "size", "version"))


@segments_app.command("create")
def segments_create(
    file: Annotated[Path, typer.Argument(help="A JSON file: id, name, rule.")], data: Data = None
) -> None:
    """Declare a segment; it is live and back-filled when this returns."""
    out.print_json(data=_post(data, "/v1/segments", file.read_bytes()))


@segments_app.command("delete")
def segments_delete(segment_id: str, data: Data = None) -> None:
    """Delete a segment."""
    _delete(data, f"/v1/segments/{segment_id}")


# ---- helpers


def _get(data: Path | None, path: str) -> Any:
    from simorgh.folder import call

    return call(load_settings(data=data), "GET", path)


def _post(data: Path | None, path: str, body: Any) -> Any:
    from simorgh.folder import call

    return call(load_settings(data=data), "POST", path, body)


def _delete(data: Path | None, path: str) -> None:
    from simorgh.folder import call

    call(load_settings(data=data), "DELETE", path)
    out.print("deleted")


def _show(answer: dict[str, Any], columns: tuple[str, ...]) -> None:
    items = answer["items"]
    if not items:
        out.print("nothing yet")
        return
    table = Table(*columns)
    for item in items:
        table.add_row(*(_cell(item.get(column)) for column in columns))
    out.print(table)


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)  # in a file it would be noise


def _announce_role(does: str) -> Callable[[str], None]:
    return lambda url: print(f"Simorgh {does} on {url}", flush=True)


def _announce(url: str) -> None:
    print(f"Simorgh listens on {url} (API: {url}/docs). Stop with Ctrl-C.", flush=True)


signal.signal(signal.SIGPIPE, signal.SIG_DFL)

if __name__ == "__main__":
    main()
