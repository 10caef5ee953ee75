"""The commands of all kinds of declarations: list, show, create, update, enable and delete, over the API. The file of a
group calls these in the order of its help, and contains only its own parts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from simorgh.commands.options import AsJson, Data
from simorgh.commands.output import Json, say, show, tell
from simorgh.commands.session import Api, connect, json_file, path_of


class ResourceCommands:
    """A kind of thing in a group of commands: `one` of them is a "segment", all are at `/v1/segments`."""

    def __init__(
        self,
        commands: typer.Typer,
        one: str,
        *,
        where: str = "",
        settings: Callable[[Json], Json] = lambda shown: shown,
    ) -> None:
        """`where`: where people find an id, for its help; `settings`: the members of an answer that may be sent back in
        a change."""
        self._commands = commands
        self._path = f"{one}s"
        self._settings = settings
        self.id: Any = typer.Argument(metavar=f"{one}_id", help=f"The {one}'s id{where}.")

    def list(self, says: str, columns: Sequence[str], row: Callable[[Json], Json] = lambda shown: shown) -> None:
        """`row`: one of them with members for all `columns`; JSON is as the API has it."""

        def run(data: Data = None, as_json: AsJson = False) -> None:
            with connect(data) as api:
                answer = api.get(path_of(self._path))
            if not as_json:
                answer = {**answer, "items": [row(one) for one in answer["items"]]}
            show(answer, columns, as_json=as_json)

        self._commands.command("list", help=says)(run)

    def show(self, says: str) -> None:
        def run(name: Annotated[str, self.id], data: Data = None, as_json: AsJson = False) -> None:
            with connect(data) as api:
                tell(api.get(path_of(self._path, name)), as_json=as_json)

        self._commands.command("show", help=says)(run)

    def create(self, says: str, file_says: str) -> None:
        """From a file."""

        def run(
            file: Annotated[Path, typer.Argument(help=file_says)], data: Data = None, as_json: AsJson = False
        ) -> None:
            body = json_file(file)
            with connect(data) as api:
                tell(api.post(path_of(self._path), body), as_json=as_json)

        self._commands.command("create", help=says)(run)

    def update(self, says: str, file_says: str) -> None:
        """From a file."""

        def run(
            name: Annotated[str, self.id],
            file: Annotated[Path, typer.Argument(help=file_says)],
            data: Data = None,
            as_json: AsJson = False,
        ) -> None:
            body = json_file(file)
            with connect(data) as api:
                tell(api.put(path_of(self._path, name), body), as_json=as_json)

        self._commands.command("update", help=says)(run)

    def switch(self, command: str, says: str, *, enabled: bool, done: str) -> None:
        """Enable it, or let it rest."""

        def run(name: Annotated[str, self.id], data: Data = None) -> None:
            with connect(data) as api:
                self.change(api, name, {"enabled": enabled})
            say(done)

        self._commands.command(command, help=says)(run)

    def delete(self, says: str) -> None:
        def run(name: Annotated[str, self.id], data: Data = None) -> None:
            with connect(data) as api:
                api.delete(path_of(self._path, name))
            say("deleted")

        self._commands.command("delete", help=says)(run)

    def change(self, api: Api, name: str, changes: dict[str, Json]) -> Json:
        """`PUT` replaces all settings: those there are, with the changes on top."""
        path = path_of(self._path, name)
        return api.put(path, self._settings(api.get(path)) | changes)
