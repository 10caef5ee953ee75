"""`python -m tests.e2e.table_search DATA TEXT`: prints the columns of the tables that hold the text.

What is compressed on disk is read by the engine, which opens one folder per process: so this is a process of its own,
and no other may have the folder.
"""

import subprocess
import sys
from pathlib import Path

import chdb.session


def columns_with(data: Path, text: str) -> list[str]:
    """The same, by a new process."""
    command = [sys.executable, "-m", "tests.e2e.table_search", str(data), text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split()


def main(data: str, text: str) -> None:
    with chdb.session.Session(f"{data}/warehouse") as engine:  # type: ignore[no-untyped-call]

        def ask(sql: str) -> list[list[str]]:
            return [line.split("\t") for line in str(engine.query(sql, "TabSeparated")).splitlines()]

        columns = ask(
            "SELECT database, table, name FROM system.columns WHERE database LIKE 'default_g%'"
            " AND (type LIKE '%String%')"
        )
        for database, table, name in columns:
            found = f"SELECT count() FROM {database}.{table} WHERE positionCaseInsensitive(toString({name}), '{text}')"
            if ask(found) != [["0"]]:
                print(f"{table}.{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
