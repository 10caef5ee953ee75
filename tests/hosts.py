"""The table at the end of a run: which laws of the pipeline held on which host, in how many tests.

A law that uses the fixture `make_house` runs on one box and on a cluster. A whole run is red where such a test did not
pass on both, and where a file of laws neither uses the fixture nor stands in `OTHERS` with its reason.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

HOSTS: Final = ("box", "cluster")
OTHERS: Final = {
    "caches": "of one box: it empties and bounds what a box's runner holds",
    "crash": "of one box: it ends a box at its side effects; test_cluster_state_machine ends workers at theirs",
    "facts": "a test for each: the cluster's deals partitions out anew and stops workers meanwhile",
    "fails_alone": "of one box: integration/test_cluster_fails_alone asks the same of a cluster",
    "former": "a test for each: a box knows who moved as it tells, a cluster after it was touched",
}
"""Laws without `make_house`, by the names of their files, and why."""

_FILE: Final = "tests/properties/test_pipeline_"


class Hosts:
    """A plugin for each process: marks the tests of laws, and counts them where reports come together."""

    def __init__(self) -> None:
        self._passed: Counter[tuple[str, str]] = Counter()
        """By test, without parameters, and host. `""` is the host of those that do not use `make_house`."""
        self._other: set[str] = set()
        """Tests that were skipped or failed."""
        self._wrong: list[str] = []

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        for item in items:
            if isinstance(item, pytest.Function) and item.nodeid.startswith(_FILE):
                shared = "make_house" in item.fixturenames
                item.user_properties.append(("host", item.callspec.params["make_house"] if shared else ""))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        if "host" not in properties:
            return
        test = report.nodeid.partition("[")[0]
        if not report.passed:
            self._other.add(test)
        elif report.when == "call":
            self._passed[test, str(properties["host"])] += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput") or not self._is_whole(session.config):
            return
        self._wrong = [*self._not_on_both(), *self._unexplained()]
        if self._wrong and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._passed:
            return
        terminalreporter.section("laws and hosts: tests that passed")
        terminalreporter.write_line(f"{'law':<14}{'box':>6}{'cluster':>9}")
        for law in sorted({_law(test) for test, _ in self._passed}):
            box, cluster = (self._count(law, host) for host in HOSTS)
            if box or cluster:
                terminalreporter.write_line(f"{law:<14}{box:>6}{cluster:>9}")
            else:
                terminalreporter.write_line(f"{law:<14}{self._count(law, ''):>6}{'–':>9}  {OTHERS.get(law, '')}")
        for line in self._wrong:
            terminalreporter.write_line(line, red=True)

    def _count(self, law: str, host: str) -> int:
        return sum(number for (test, its), number in self._passed.items() if its == host and _law(test) == law)

    def _is_whole(self, config: pytest.Config) -> bool:
        """Whoever chooses tests, by name or by what failed before, may choose one host."""
        option = config.option
        chosen = option.keyword or option.deselect or getattr(option, "lf", False) or option.maxfail
        return not chosen and all(Path(arg).is_dir() or Path(arg).suffix == ".py" for arg in config.args)

    def _not_on_both(self) -> list[str]:
        tests = {test for test, host in self._passed if host}
        return [
            f"{test}: wanted it to pass on a box and on a cluster alike, got"
            f" {self._passed[test, 'box']} and {self._passed[test, 'cluster']}"
            for test in sorted(tests)
            if test in self._other or self._passed[test, "box"] != self._passed[test, "cluster"]
        ]

    def _unexplained(self) -> list[str]:
        shared = {_law(test) for test, host in self._passed if host}
        others = {_law(test) for test, host in self._passed if not host} - shared
        return [
            f"{law}: wanted a law of both hosts, or a reason in tests/hosts.py, got neither"
            for law in sorted(others - set(OTHERS))
        ]


def _law(test: str) -> str:
    return test.removeprefix(_FILE).partition(".py")[0]
