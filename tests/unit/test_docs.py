"""Pages that cannot rot: what exists is documented, links lead somewhere, the picture is printed from the code."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from producers import door, identifiers, money, odd, segment, times
from profile_api.source_requests import SourceChange
from schemas import topics
from simorgh.cli import app as command_line
from simorgh.commands_docs import commands, with_reference
from simorgh.settings_docs import with_table
from stream_processors.flow.topology import TOPOLOGY, ownership, picture
from tests.clients.world import world
from warehouse.ddl import table_names, table_statements

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "deploy", "destinations", "eventlog", "identity", "privacy", "producers", "profile_api",
           "registry", "schemas", "segments", "simorgh", "stream_processors", "tests", "warehouse")  # fmt: skip
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md"))]
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def read(name: str) -> str:
    return (ROOT / name).read_text()


def anchors(page: Path) -> set[str]:
    """The headings' names in links, as GitHub makes them."""
    titles = HEADING.findall(CODE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


# --- pages and links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {target.name} has no heading #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_holds_the_marks_of_a_merge(page: Path) -> None:
    assert not re.search(r"^(<<<<<<<|=======|>>>>>>>)( |$)", page.read_text(), re.MULTILINE)


def test_every_page_is_in_the_index() -> None:
    index = read("docs/README.md")
    missing = [p.name for p in (ROOT / "docs").glob("*.md") if p.name != "README.md" and f"]({p.name})" not in index]
    assert not missing


def test_every_folder_opens_with_a_readme_that_the_main_one_links() -> None:
    for folder in FOLDERS:
        assert (ROOT / folder / "README.md").exists(), folder
        assert f"]({folder}/README.md)" in read("README.md"), folder


def test_tests_that_the_decisions_name_exist() -> None:
    for name, path in re.findall(r"\[`(test_\w+)`\]\(\.\./(\S+)\)", read("docs/decisions.md")):
        assert f"def {name}(" in read(path), f"{path} has no {name}"


# --- the flow


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_picture_is_the_topology(page: str) -> None:
    assert f"```\n{picture()}\n```" in read(page), f"{page}: print it again:\n{picture()}"


def test_the_table_of_owners_is_the_topology() -> None:
    assert f"\n{ownership()}\n" in read("docs/scaling.md"), f"docs/scaling.md: print it again:\n{ownership()}"


def test_every_stage_of_the_topology_is_code_that_exists() -> None:
    for stage in TOPOLOGY:
        place = ROOT / stage.code.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file(), stage


def test_every_topic_and_table_is_documented() -> None:
    for topic in topics.ALL:
        assert f"| `{topic}` |" in read("schemas/README.md"), topic
    for table in table_names():
        assert f"| `{table}` |" in read("warehouse/README.md"), table
    assert len(table_names()) == len(table_statements())


# --- commands, settings, targets


def test_every_command_is_documented_with_its_options() -> None:
    page = read("docs/cli.md")
    assert page == with_reference(page), "print it again: python -m simorgh.commands_docs"


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_help_says_what_the_page_says(name: str) -> None:
    answer = CliRunner().invoke(command_line, [*name.split(), "--help"], terminal_width=200)
    assert answer.exit_code == 0
    heading = re.compile(rf"`simorgh {name}( [^a-z`]+)?`\n")  # arguments are in capitals
    [entry] = [part for part in read("docs/cli.md").split("\n### ") if heading.match(part)]
    said = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", answer.output, re.MULTILINE)) - {"--help"}
    assert said == set(re.findall(r"^\| `(--[a-z-]+)", entry, re.MULTILINE))


def test_no_page_names_a_command_that_is_not_there() -> None:
    known = {word for command, _ in commands() for word in (command, command.split()[0])}
    for page in PAGES:
        for name in re.findall(r"`simorgh ([a-z]+(?: [a-z]+)?)", page.read_text()):
            assert name in known or name.split()[0] in known, f"{page.name}: simorgh {name}"


def test_every_setting_is_documented() -> None:
    page = read("docs/configuration.md")
    assert page == with_table(page), "print it again: python -m simorgh.settings_docs"


def test_every_make_target_is_documented() -> None:
    page = read("docs/operations.md")
    for target in re.findall(r"^([a-z-]+):.*##", read("Makefile"), re.MULTILINE):
        assert f"`make {target}`" in page, target


# --- HTTP. The API's own page has a test of its own.


def test_every_path_of_the_collector_is_documented(tmp_path: Path) -> None:
    page = read("docs/sending.md")
    with world(tmp_path) as made:
        paths = list(made.app.openapi()["paths"])
    assert "/v1/batch" in paths
    for path in paths:
        assert f"`{path}`" in page or f" {path}`" in page, path


def metrics() -> set[str]:
    """Their names, wherever they are declared as texts."""
    folders = ("producers", "profile_api", "simorgh", "stream_processors")
    code = "".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return set(re.findall(r'"(simorgh_[a-z_]+)"', code))


def test_every_metric_is_documented() -> None:
    page = read("docs/operations.md")
    assert "simorgh_lag_events" in metrics()
    for name in metrics():
        assert f"`{name}" in page, name


# --- flags of events


def flags_of_the_code() -> set[str]:
    """Every constant that the door's modules hand to `flag`, or put into a tuple of flags."""
    found: set[str] = set()
    for module in (door, identifiers, money, odd, segment, times):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            is_flagging = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "flag"
            )
            if is_flagging or (isinstance(node, ast.Tuple) and module in (door, times)):
                names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id.isupper()}
                found |= {str(getattr(module, name)) for name in names}
    return found


def test_every_flag_is_documented_and_no_other() -> None:
    page = read("docs/envelope.md")
    section = page[page.index("\n## Flags") :].split("\n## ")[1]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    listed = {flag for row in rows for flag in re.findall(r"`([a-z_]+)(?::<pointer>)?`", row)}
    assert listed == flags_of_the_code()


def test_every_setting_of_a_source_is_documented() -> None:
    page = read("docs/sending.md")
    rows = re.findall(r"^\| (`.+?) \|", page[page.index("\n## Settings of a source") :], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)} >= set(SourceChange.model_fields)


# --- words


def glossary() -> list[str]:
    return re.findall(r"\*\*([^*]+)\*\*(?=[^|]*\|)", read("docs/glossary.md"))


def test_the_glossary_has_each_word_once_and_each_is_used() -> None:
    words = glossary()
    assert len(words) == len(set(words)) > 40
    sources = [
        *ROOT.glob("*/*.py"),
        *ROOT.glob("*/*/*.py"),
        *ROOT.glob("*/*.sql"),
        *(p for p in PAGES if p.stem != "glossary"),
    ]
    text = "\n".join(path.read_text() for path in sources if "tests" not in path.parts).lower()
    for word in words:
        assert word.lower() in text, f"the glossary explains {word!r}, which nobody says"
