#!/usr/bin/env python3
"""Builds a tool that checks what is in deploy/, from its Go module, and prints the path of the program.

Usage: `fetch.py helm|promtool|composecheck [--only-if-built]`. Wants Go 1.24 or later and the Go module proxy; takes
from seconds (composecheck) to ten minutes (promtool), once. Programs are kept in `~/.cache/simorgh/tools`, by version,
outside the repository (SIMORGH_CACHE names another folder than `~/.cache/simorgh`).
Exits with 3 where there is no Go or, so asked, where the tool is not built yet; with 1 where the build fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("SIMORGH_CACHE") or Path.home() / ".cache" / "simorgh") / "tools"
# Name: (module, package in it, version). Compose's loader is built from the few lines beside this file.
MODULES = {
    "helm": ("helm.sh/helm/v3", "cmd/helm", "v3.22.0"),
    "promtool": ("github.com/prometheus/prometheus", "cmd/promtool", "v0.313.0"),
}
COMPOSECHECK_VERSION = "v2.16.2"
NOT_HERE = 3


def program(name: str) -> Path:
    """Where the tool is, or will be."""
    version = MODULES[name][2] if name in MODULES else COMPOSECHECK_VERSION
    return CACHE / f"{name}-{version}"


def fetch(name: str) -> Path:
    """The tool, built if it is not there yet. Two at once build twice and leave one whole program."""
    wanted = program(name)
    if wanted.exists():
        return wanted
    if shutil.which("go") is None:
        sys.exit(_said("Go is not here: install it, or leave this check to those who have it", NOT_HERE))
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        built = Path(folder) / name
        _build(name, Path(folder), built)
        built.rename(wanted)
    return wanted


def _build(name: str, folder: Path, target: Path) -> None:
    if name not in MODULES:
        _go(HERE / name, "build", "-o", str(target), ".")
        return
    # A module of its own: `go install` refuses packages whose go.mod replaces others, as Prometheus' does.
    module, package, version = MODULES[name]
    _go(folder, "mod", "init", "simorgh/tools")
    _go(folder, "get", f"{module}/{package}@{version}")
    _go(folder, "build", "-o", str(target), f"{module}/{package}")


def _go(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "GOFLAGS": "-mod=mod -buildvcs=false"}
    done = subprocess.run(["go", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(_said(f"go {' '.join(arguments)} failed:\n{done.stderr[-2000:]}", 1))


def _said(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


if __name__ == "__main__":
    if sys.argv[1:2] not in [[name] for name in (*MODULES, "composecheck")]:
        sys.exit(_said(__doc__ or "", 2))
    if sys.argv[2:] == ["--only-if-built"] and not program(sys.argv[1]).exists():
        sys.exit(_said(f"not built: `python3 deploy/tools/fetch.py {sys.argv[1]}` does, in minutes", NOT_HERE))
    print(fetch(sys.argv[1]))
