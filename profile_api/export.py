"""`GET /v1/profiles/{key}/export`: everything that is known about a person, as a ZIP for them."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from threading import BoundedSemaphore
from typing import Annotated, Final

from fastapi import Depends, Header, Query
from fastapi.responses import StreamingResponse

from profile_api import people
from profile_api.auth import scope
from profile_api.call import require_personal
from profile_api.deps import ApiDeps, Deps, one_per_app
from profile_api.params import ProfileKey
from profile_api.portability.archive import Files, archive, csv_pieces, json_pieces
from profile_api.portability.contents import Contents, Topic
from profile_api.portability.page import page
from profile_api.portability.texts import Language, language_of
from profile_api.routes import guarded
from registry.scopes import STEWARD
from schemas.errors import Throttled

MOST_EXPORTS: Final = 2
"""Under way at a time: each reads all events of a person, and holds a few pages of them."""


class Exports:
    """The places of one app."""

    def __init__(self, deps: ApiDeps) -> None:
        self._places = BoundedSemaphore(MOST_EXPORTS)

    def run(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces, in a place that is free again when they end, or nobody wants more of them.

        Raises `Throttled`, and whatever making the first piece raises.
        """
        if not self._places.acquire(blocking=False):
            raise Throttled("export: wanted a free place, got none; try again in a moment", code="too_busy")
        placed = self._placed(pieces)
        first = next(placed, b"")  # begun, so that it frees its place even if nobody ever asks for the next
        return chain([first], placed)

    def _placed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        finally:
            self._places.release()


def files(contents: Contents, language: Language) -> Files:
    """The page last: a reader of the ZIP finds it by name."""
    topics = contents.topics()
    for topic in topics:
        yield f"{topic.name}.json", partial(_json, topic)
        yield f"{topic.name}.csv", partial(_csv, topic)
    yield "index.html", partial(page, contents, topics, language)


def _json(topic: Topic) -> Iterator[bytes]:
    return json_pieces(topic.rows())


def _csv(topic: Topic) -> Iterator[bytes]:
    return csv_pieces(topic.columns, topic.rows())


routes = guarded("profiles", "/v1/profiles")


@routes.get(
    "/{key:path}/export",
    response_class=StreamingResponse,
    responses={200: {"description": "The ZIP.", "content": {"application/zip": {"example": "PK…"}}}},
)
@scope(STEWARD)
def export_profile(
    deps: Deps,
    exports: Annotated[Exports, Depends(one_per_app(Exports))],
    key: ProfileKey,
    lang: Annotated[str | None, Query(max_length=20, description="Language of the page: `en` or `fa`.")] = None,
    accept_language: Annotated[str | None, Header(description="As browsers send it. `lang` takes precedence.")] = None,
) -> StreamingResponse:
    """Return a ZIP of everything that is known about a person, and where it came from: JSON and CSV files, and a page
    to read, in the language that `lang` or `Accept-Language` asks for. A ZIP whose download was interrupted does not
    open."""
    require_personal("export")
    people.require_everybody(deps)
    contents = Contents(deps, people.profile_row(deps, key))
    pieces = archive(files(contents, language_of(lang, accept_language)), contents.now)
    name = f"{contents.profile}.zip"
    return StreamingResponse(
        exports.run(pieces),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
