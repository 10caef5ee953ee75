"""The Dockerfile, read line by line: there is no Docker in the tests. Its health check is run against a real server."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.deploy.files import DEPLOY, ROOT
from tests.e2e.harness import Server

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    text = (DEPLOY / "Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    found = [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]
    return [(name, rest) for name, rest in found]


def stages() -> list[list[Instruction]]:
    made: list[list[Instruction]] = []
    for instruction in instructions():
        if instruction[0] == "FROM":
            made.append([])
        made[-1].append(instruction)
    return made


def values(stage: list[Instruction], name: str) -> list[str]:
    return [rest for what, rest in stage if what == name]


def as_list(rest: str) -> list[str]:
    """What an instruction in its exec form runs: there is no shell between."""
    words: list[str] = json.loads(rest[rest.index("[") :])
    return words


def packages() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def test_instructions_are_known_ones() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
             "ENTRYPOINT", "CMD"}  # fmt: skip
    assert {name for name, _ in instructions()} <= known


def test_bases_are_pinned_by_tag_and_are_one() -> None:
    bases = {rest.split()[0] for name, rest in instructions() if name == "FROM"}
    assert len(bases) == 1
    image, _, tag = bases.pop().partition(":")
    assert image == "python"
    floor = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert re.fullmatch(rf"{re.escape(floor.removeprefix('>='))}\.\d+-slim-\w+", tag), "to the last number"


def test_nothing_goes_through_a_shell() -> None:
    for name, rest in instructions():
        if name in ("RUN", "CMD", "ENTRYPOINT"):
            assert as_list(rest), rest


def test_the_program_runs_as_somebody_who_is_not_root() -> None:
    _, last = stages()
    assert values(last, "USER") == ["10001:10001"]
    assert as_list(values(last, "ENTRYPOINT")[0]) == ["simorgh"]
    names = [name for name, _ in last]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]


def test_every_package_is_built_and_nothing_else_is_sent() -> None:
    build, _ = stages()
    copied = {rest.split()[0] for rest in values(build, "COPY")} - {"pyproject.toml", "requirements"}
    assert copied == packages()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    files = {name for rest in values(build, "COPY") for name in rest.split()[:-1]}
    assert allowed == files


def test_libraries_come_from_the_lock() -> None:
    """By hash, and nothing else from an index: neither the program's own dependencies nor what builds it."""
    build, last = stages()
    installs = [as_list(rest) for rest in values(build, "RUN") if "install" in as_list(rest)]
    assert [words[4:] for words in installs] == [
        ["--require-hashes", "-r", "requirements/run.txt"],
        ["--no-index", "--no-deps", "--no-build-isolation", "."],
    ]
    assert not any("pip" in rest for rest in values(last, "RUN"))


def test_nothing_secret_is_in_a_layer() -> None:
    for name, rest in instructions():
        if name == "ENV":
            assert not re.search(r"SECRET|TOKEN|KEY|PASSWORD", rest)


def test_the_health_check_tells_ready_from_not(tmp_path: Path) -> None:
    _, last = stages()
    check = as_list(values(last, "HEALTHCHECK")[0])
    assert check[0] == "python"
    assert "/readyz" in check[2]
    assert values(last, "EXPOSE") == ["8000"]
    server = Server(tmp_path / "data").start()
    try:
        assert _healthy(check, server.port)
    finally:
        server.stop()
    assert not _healthy(check, server.port)


def _healthy(check: list[str], port: int) -> bool:
    program = check[2].replace("8000", str(port))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=30)
    return done.returncode == 0
