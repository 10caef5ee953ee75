"""Where an address is, by a MaxMind file that the operator names: country, region and city.

Looked up at the door, while the address is whole, and recorded with the event.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, Protocol

from schemas.errors import InvalidInput

MEMBER: Final = "location"
"""Of the context."""


class _File(Protocol):
    """Of maxminddb, which has the types of a file that holds anything."""

    def get(self, ip_address: IPv4Address | IPv6Address, /) -> object: ...


class GeoFile:
    """May be called from any thread. The file stays open: a newer one counts from the next start."""

    def __init__(self, file: _File) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Path) -> "GeoFile":
        """Raises `InvalidInput` for what is no MaxMind file, and without the library."""
        try:
            from maxminddb import InvalidDatabaseError, open_database
        except ImportError as error:
            raise InvalidInput(
                "SIMORGH_GEO_FILE: wanted the package maxminddb, got none; run pip install 'simorgh[geo]'"
            ) from error
        try:
            return cls(open_database(path))
        except (OSError, InvalidDatabaseError, ValueError) as error:
            raise InvalidInput(
                f"SIMORGH_GEO_FILE: wanted a MaxMind DB file (.mmdb), got {path}, which cannot be read as one; "
                "name another, or leave it out"
            ) from error

    def of(self, address: object) -> Mapping[str, str]:
        """`country` (ISO 3166), `region` and `city` (in English), as far as the file knows them."""
        try:
            found = self._file.get(ip_address(address.strip())) if isinstance(address, str) else None
        except ValueError:  # no address, or one of IPv6 where the file has only IPv4
            return {}
        return {} if not isinstance(found, dict) else _described(found)


def _described(found: Mapping[str, object]) -> Mapping[str, str]:
    regions = found.get("subdivisions")
    parts = {
        "country": _member(found.get("country"), "iso_code"),
        "region": _name(regions[0]) if isinstance(regions, list) and regions else None,
        "city": _name(found.get("city")),
    }
    return {part: value for part, value in parts.items() if value}


def _name(place: object) -> str | None:
    return _member(place.get("names"), "en") if isinstance(place, dict) else None


def _member(place: object, name: str) -> str | None:
    value = place.get(name) if isinstance(place, dict) else None
    return value if isinstance(value, str) else None
