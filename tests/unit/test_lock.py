"""What people install is what was tested: the lock holds all that pyproject.toml asks for, and every way in uses it."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
Pins = dict[str, list[Requirement]]
"""Name -> the versions of it; several where Pythons or machines get different ones."""


def lines(name: str) -> list[str]:
    """A lock's entries, each with its hashes on one line."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "requirements" / name).read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(name: str) -> Pins:
    found: Pins = {}
    for line in lines(name):
        pin = Requirement(line.split(" --hash=")[0])
        found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


def asked(*extras: str, group: str | None = None) -> list[Requirement]:
    tables = [PROJECT["project"]["optional-dependencies"][extra] for extra in extras]
    tables += [PROJECT["dependency-groups"][group]] if group else []
    found = [Requirement(text) for table in tables for text in table]
    return [requirement for requirement in found if requirement.name != "simorgh"]


DIRECT = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
LOCKS = {
    "run.txt": [*DIRECT, *asked("fast", group="build")],
    "test.txt": [*DIRECT, *asked("fast", "test", group="build")],
    "lock.txt": asked(group="lock"),
}


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_holds_what_is_asked_for(name: str) -> None:
    locked = pins(name)
    for requirement in LOCKS[name]:
        versions = locked.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not in requirements/{name}: run `make lock`"
        for pin in versions:
            [exact] = pin.specifier
            assert requirement.specifier.contains(exact.version), f"{pin} is not {requirement}: run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_every_version_is_exact_and_hashed(name: str) -> None:
    for line in lines(name):
        assert re.match(r"[a-z0-9-]+==\S+ ", line), line
        assert re.findall(r" --hash=sha256:[0-9a-f]{64}\b", line), line


def test_what_runs_is_what_is_tested() -> None:
    tested = pins("test.txt")
    assert {name: list(map(str, found)) for name, found in pins("run.txt").items()}.items() <= {
        name: list(map(str, found)) for name, found in tested.items()
    }.items()


def test_what_builds_the_program_is_what_is_locked() -> None:
    [backend] = PROJECT["build-system"]["requires"]
    assert backend in PROJECT["dependency-groups"]["build"]


def test_every_set_up_command_installs_from_the_lock() -> None:
    """All but `newest`, which is there to leave it."""
    makefile = (ROOT / "Makefile").read_text()
    newest = makefile[makefile.index("\nnewest:") : makefile.index("\ndemo:")]
    installs = re.findall(r"\$\(INSTALL\) (.+)|pip install (.+)", makefile.replace(newest, ""))
    for first, second in installs:
        wanted = first or second
        locked = re.fullmatch(r"--require-hashes -r requirements/\w+\.txt", wanted)
        assert locked or "--no-deps" in wanted or wanted == "--quiet --disable-pip-version-check", wanted
    assert "pip install" not in (ROOT / ".ci" / "run").read_text()
