"""How commands reach the platform: one thin layer over `simorgh.deployment`, with helpers that commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import orjson

from schemas.errors import InvalidInput, NotFound
from simorgh.commands.output import Json
from simorgh.settings import load_settings

_PAGE = 1_000


class Api:
    """The platform's API, for one command."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.follows: bool = session.follows
        """Whether events may arrive while the command runs."""

    def get(self, path: str, **params: object) -> Json:
        return self._session.call("GET", path + query(**params))

    def post(self, path: str, body: object = None, **params: object) -> Json:
        return self._session.call("POST", path + query(**params), body)

    def put(self, path: str, body: object) -> Json:
        return self._session.call("PUT", path, body)

    def delete(self, path: str, body: Json = None) -> Json:
        return self._session.call("DELETE", path, body=body)

    def download(self, path: str, file: BinaryIO, **params: object) -> None:
        """Write what a path answers into a file, as it comes."""
        self._session.download(path + query(**params), file)

    def pages(self, path: str, limit: int | None, **params: object) -> Iterator[Json]:
        """The pages of a list until `limit` items have come; None: to its end."""
        cursor, left = None, limit
        while True:
            page = self.get(path, cursor=cursor, limit=_PAGE if left is None else min(left, _PAGE), **params)
            yield page
            cursor = page["next_cursor"]
            left = None if left is None else left - len(page["items"])
            if not cursor or left == 0:
                return

    def listed(self, path: str, limit: int | None, **params: object) -> dict[str, Json]:
        """A list as one page: up to `limit` items (None: all), and the cursor of the rest."""
        pages = list(self.pages(path, limit, **params))
        return {"items": [item for page in pages for item in page["items"]], "next_cursor": pages[-1]["next_cursor"]}

    @property
    def folder(self) -> Path | None:
        """The data folder, if it is on this machine."""
        folder: Path | None = self._session.folder
        return folder

    def sink(self, channel: str, source: str | None = None) -> Any:
        return self._session.sink(channel, source)

    def source(self, source: str | None = None) -> str:
        """The source of a sink's events."""
        name: str = self._session.source(source)
        return name


@contextmanager
def connect(data: Path | None, *, create: bool = False) -> Iterator[Api]:
    """The API of the deployment that the settings name, for as long as a command needs it."""
    from simorgh.deployment import deployment_of

    with deployment_of(load_settings(data=data)).session(create=create) as session:
        yield Api(session)


def query(**params: object) -> str:
    """A query string of the parameters that are not None or ""."""
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in params.items()
        if value not in (None, "", False)
    }
    return f"?{urlencode(given)}" if given else ""


def path_of(*parts: str) -> str:
    """A path of the API, each part of it encoded as a whole: an id may hold slashes."""
    return "/v1/" + "/".join(quote(part, safe=":") for part in parts)


def json_file(path: Path) -> dict[str, Json]:
    """The JSON object in a file. Raises `InvalidInput` or `NotFound` in one line."""
    try:
        content = orjson.loads(read_file(path))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path}: wanted a JSON object, got text that is not JSON ({error}); fix the file") from None
    if not isinstance(content, dict):
        raise InvalidInput(f"{path}: wanted a JSON object, got a {type(content).__name__}; fix the file")
    return content


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{path}: wanted a file, got a path where there is none; fix the path") from None
    except IsADirectoryError:
        raise InvalidInput(f"{path}: wanted a file, got a directory; name a file in it") from None
    except PermissionError:
        raise InvalidInput(
            f"{path}: wanted a readable file, got no permission; change its mode (chmod), or run as its owner"
        ) from None
