"""What the tests of deploy/ share: its files, and the tools that check them."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from simorgh.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "simorgh"
COMPOSE = DEPLOY / "compose.yaml"
_NOT_HERE = 3
_SLOW_TO_BUILD = frozenset({"promtool", "helm"})  # ten and four minutes of two cores: `make tools` builds them, once
_BUILT_IN_CI = "composecheck"  # a minute and a half; elsewhere `make tools` builds it, too

ROLES = ("collect", "work", "api")


def settings() -> set[str]:
    """The names of all settings in the environment."""
    return {f"SIMORGH_{name.upper()}" for name in Settings.model_fields}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def declared_metrics() -> set[str]:
    """The names that the code declares."""
    folders = (
        "producers", "profile_api", "simorgh", "stream_processors", "destinations", "eventlog", "privacy", "warehouse",
    )  # fmt: skip
    code = "".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return set(re.findall(r'"(simorgh_[a-z_]+)"', code))


def known_metrics() -> set[str]:
    """What Prometheus may be asked for: the declared ones, with what the client library adds to them."""
    ends = ("", "_total", "_bucket", "_count", "_sum")
    return {name + end for name in declared_metrics() for end in ends}


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bsimorgh_[a-z_]+\b", expression))


@cache
def tool(name: str) -> Path:
    """A checking tool. Skips, loudly, where it is neither built yet nor to be built now, or Go is missing; a build that
    fails in CI fails."""
    command = [sys.executable, str(DEPLOY / "tools" / "fetch.py"), name]
    if name in _SLOW_TO_BUILD or (name == _BUILT_IN_CI and not os.environ.get("CI")):
        command.append("--only-if-built")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == _NOT_HERE:
        pytest.skip(f"{name}: NOT CHECKED, {done.stderr.strip()}")
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"{name}: NOT CHECKED, it cannot be built here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(tool(name)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
