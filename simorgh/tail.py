"""`simorgh tail`: the latest events as they arrive, accepted and rejected, with reasons."""

import time

from rich.console import Console
from rich.text import Text

from simorgh.folder import call
from simorgh.settings import Settings

_POLL_SECONDS = 0.5
_LOOK_BACK = 200


def follow(settings: Settings, lines: int, console: Console) -> None:
    """Print until interrupted."""
    seen: set[tuple[str, str]] = set()
    count = lines
    try:
        while True:
            items = call(settings, "GET", f"/v1/events?limit={count}")["items"]
            fresh = [item for item in reversed(items) if (item["id"], item["received_at"]) not in seen]
            for item in fresh:
                console.print(_line(item), soft_wrap=True)
            seen = {(item["id"], item["received_at"]) for item in items}
            count = _LOOK_BACK
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _line(item: dict[str, str]) -> Text:
    accepted = item["status"] == "accepted"
    text = Text(f"{item['received_at']}  ")
    text.append("accepted" if accepted else "rejected", style="green" if accepted else "red")
    text.append(f"  {item.get('source', '')}  {item.get('type') or ''}  {item['id']}")
    if not accepted:
        text.append(f"  {item['code']}: {item['reason']}")
    return text
