"""What a user agent says: browser, system and device, and whether it is a program (a bot).

Read once, at the door, and recorded with the event: a library that knows more later changes no past event.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import re2
from crawlerdetect.providers.crawlers import data as _crawlers
from crawlerdetect.providers.exclusions import data as _exclusions
from ua_parser import Parser, load_lazy_builtins
from ua_parser.regex import Resolver

MEMBER: Final = "userAgent"
"""Of the context."""

CACHED_AGENTS: Final = 4096
LONGEST: Final = 500
"""Characters that are read: no browser's is longer."""

_DESKTOPS: Final = frozenset({"Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Chrome OS", "FreeBSD", "OpenBSD"})
_MOBILE: Final = frozenset({"iOS", "Android", "HarmonyOS", "KaiOS", "Windows Phone"})


class AgentReading(NamedTuple):
    """`members` of the context; shared by all events with this user agent, so not to be changed."""

    members: Mapping[str, Mapping[str, str]]
    is_bot: bool


_NOTHING: Final = AgentReading({}, is_bot=False)


def reading(agent: object) -> AgentReading:
    return _read(agent[:LONGEST]) if isinstance(agent, str) and agent else _NOTHING


@functools.lru_cache(CACHED_AGENTS)
def _read(agent: str) -> AgentReading:
    if not agent.isprintable():
        return _NOTHING  # half a character, which no library reads
    browser, system, device, spider = _parts(agent)
    found: dict[str, Mapping[str, str]] = {}
    bot = spider or _bot_finder()(agent)
    if bot is not None:
        found["bot"] = {"name": bot[:_LONGEST_NAME]}
    for name, values in (("browser", browser), ("os", system), ("device", device)):
        if known := {key: value[:_LONGEST_NAME] for key, value in values.items() if value}:
            found[name] = known
    return AgentReading(found, bot is not None)


_LONGEST_NAME: Final = 100

_Values = Mapping[str, str | None]


def _parts(agent: str) -> tuple[_Values, _Values, _Values, str | None]:
    """Browser, system, device, and the name of one of the parser's own spiders."""
    result = _parser().parse(agent)
    browser, system, device = result.user_agent, result.os, result.device
    spider = None
    if device is not None and device.family == "Spider":
        spider, device = browser.family if browser else "Spider", None
    brand = device.brand if device else None
    category = _category(agent, system.family if system else None)
    return (
        {"name": browser.family, "version": _version(browser.major, browser.minor)} if browser and not spider else {},
        {"name": system.family, "version": _version(system.major, system.minor)} if system else {},
        {
            "category": None if spider else category,
            "manufacturer": None if brand and brand.startswith("Generic") else brand,
            "model": device.model if device else None,
        },
        spider,
    )


def _version(major: str | None, minor: str | None) -> str | None:
    return f"{major}.{minor}" if major and minor and minor != "0" else major


def _category(agent: str, system: str | None) -> str | None:
    """As browsers' makers advise: phones say `Mobi`, tablets of Android do not."""
    if "TV" in agent:
        return "tv"
    if "iPad" in agent or "Tablet" in agent or (system == "Android" and "Mobi" not in agent):
        return "tablet"
    if "Mobi" in agent or system in _MOBILE:
        return "mobile"
    return "desktop" if system in _DESKTOPS else None


@functools.lru_cache(1)
def _parser() -> Parser:
    return Parser(Resolver(load_lazy_builtins()))


@functools.lru_cache(1)
def _bot_finder() -> Callable[[str], str | None]:
    """Finds the name of a bot by crawlerdetect's patterns. Its own code tries them one after the other, at every place:
    30,000 letters `a` took it 93 s. RE2 takes time in proportion to the text; the pattern that RE2 does not know
    (a look ahead) is left to `re`."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = 64 << 20
    linear = _compilable(_crawlers, options)
    others = [pattern for pattern in _crawlers if pattern not in set(linear)]
    names = re2.compile("|".join(linear), options)
    rare = re.compile("|".join(others) or r"(?!)", re.IGNORECASE)
    usual = re2.compile("|".join(_compilable(_exclusions, options)), options)

    def find(agent: str) -> str | None:
        left = usual.sub("", agent)
        found = names.search(left) or rare.search(left)
        return found.group().strip() or "bot" if found else None

    return find


def _compilable(patterns: list[str], options: object) -> list[str]:
    """Those that RE2 knows, in their order."""
    known = []
    for pattern in patterns:
        try:
            re2.compile(pattern, options)
        except re2.error:
            continue
        known.append(pattern)
    return known
