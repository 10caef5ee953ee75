"""The page of an export that a person reads: one file, without scripts and without anything from elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import islice
from typing import Any, Final

from profile_api.portability.contents import Contents, Row, Topic, files_of
from profile_api.portability.texts import TEXTS, Language, Texts
from profile_api.replies import encode
from schemas.clock import iso

MOST_ROWS: Final = 1_000
"""Of each topic; a browser shows no million rows."""

MOST_LENGTH: Final = 8 * 1024 * 1024
"""Characters of a topic's rows."""

_STYLE: Final = """
body { font: 16px/1.6 system-ui, Vazirmatn, Tahoma, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #1b1f24; background: #fff }
h1 { font-size: 1.7rem } h2 { font-size: 1.25rem; margin-top: 2.5rem } p { max-width: 46rem }
div.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .875rem }
th, td { border-bottom: 1px solid #d0d7de; padding: .35rem .6rem; text-align: start; vertical-align: top }
th { white-space: nowrap } td { max-width: 32rem; overflow-wrap: anywhere } pre { margin: 0; white-space: pre-wrap;
  direction: ltr; text-align: left; font: inherit }
a { color: #0550ae } nav a { margin-inline-end: 1rem }
"""


def page(contents: Contents, topics: Sequence[Topic], language: Language) -> Iterator[bytes]:
    """In pieces, a few rows each."""
    return (piece.encode("utf-8", "replace") for piece in _page(contents, topics, language))


def _page(contents: Contents, topics: Sequence[Topic], language: Language) -> Iterator[str]:
    texts = TEXTS[language]
    yield (
        f'<!doctype html>\n<html lang="{language}" dir="{texts.direction}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(texts.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(texts.title)}</h1>\n<p>{escape(texts.intro)}</p>\n"
        f"<p>{escape(texts.made)}: <bdi>{iso(contents.now)}</bdi><br>\n"
        f"{escape(texts.profile)}: <bdi>{escape(contents.profile)}</bdi></p>\n<nav>"
    )
    for topic in topics:
        yield f'<a href="#{topic.name}">{escape(texts.topics[topic.name][0])}</a>\n'
    yield "</nav>\n"
    for topic in topics:
        yield from _section(topic, texts)
    yield "</body>\n</html>\n"


def _section(topic: Topic, texts: Texts) -> Iterator[str]:
    heading, says = texts.topics[topic.name]
    names = " · ".join(f'<a href="{name}"><bdi>{name}</bdi></a>' for name in files_of(topic))
    yield (
        f'<section id="{topic.name}">\n<h2>{escape(heading)}</h2>\n<p>{escape(says)}<br>\n'
        f"{escape(texts.files)}: {names}</p>\n"
    )
    rows = iter(topic.rows())
    first = next(rows, None)
    if first is None:
        yield f"<p>{escape(texts.nothing)}</p>\n</section>\n"
        return
    columns = list(topic.columns)
    head = "".join(f'<th scope="col">{escape(texts.columns.get(name, _spoken(name)))}</th>' for name in columns)
    yield f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
    shown, length, is_all = 0, 0, True
    for row in _with(first, rows):
        if shown == MOST_ROWS or length > MOST_LENGTH:
            is_all = False
            break
        line = "".join(f"<td>{_cell(row.get(name), texts)}</td>" for name in columns)
        shown, length = shown + 1, length + len(line)
        yield f"<tr>{line}</tr>\n"
    yield "</tbody>\n</table></div>\n"
    if not is_all:
        more = escape(texts.more.format(shown=shown, file=f"{topic.name}.json"))
        yield f"<p>{more}</p>\n"
    yield "</section>\n"


def _with(first: Row, rest: Iterable[Row]) -> Iterator[Row]:
    yield first
    yield from islice(rest, MOST_ROWS)


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _cell(value: Any, texts: Texts) -> str:
    if value is None or value in ("", [], {}):
        return ""
    if value is True or value is False:
        return escape(texts.yes if value else texts.no)
    if isinstance(value, str):
        return f"<bdi>{escape(value)}</bdi>"
    return f"<pre>{escape(encode(value).decode())}</pre>"
