"""The settings that browser SDKs fetch before they send, in the shapes that they need, with this server's address."""

from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

PATIENCE: Final = 100
"""How often Segment's SDK may try to send an event, the most that it allows. Its own limit of ten drops an event after
ten minutes of an outage."""


def address_of(request: Request) -> str:
    """The address at which the request arrived, from the socket: the sender chooses the Host header."""
    host, port = request.scope.get("server") or ("127.0.0.1", None)
    host = f"[{host}]" if ":" in host else host
    return f"{request.scope['scheme']}://{host}" + (f":{port}" if port else "")


def browser_settings(write_key: str, public_url: str) -> dict[str, object]:
    """For Segment's analytics.js: all integrations are off, except this server as its `Segment.io`."""
    address = urlsplit(public_url)
    enabled = {"enabled": True, "integrations": {}}
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": f"{address.netloc}/v1",
                "protocol": address.scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "httpConfig": {"backoffConfig": {"maxRetryCount": PATIENCE}},
            }
        },
        "plan": {
            "track": {"__default": enabled},
            "identify": {"__default": enabled},
            "group": {"__default": enabled},
        },
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


def source_config(write_key: str, public_url: str) -> dict[str, object]:
    """For RudderStack's browser SDK: an enabled source without destinations; its own reports are off."""
    never = "1970-01-01T00:00:00.000Z"
    off = {"enabled": False}
    return {
        "source": {
            "id": "simorgh",
            "name": "simorgh",
            "writeKey": write_key,
            "enabled": True,
            "workspaceId": "simorgh",
            "destinations": [],
            "updatedAt": never,
            "config": {"statsCollection": {"errors": off, "metrics": off}},
            "sourceDefinition": {"name": "Javascript"},
            "dataplanes": {},
        },
        "updatedAt": never,
        "isHosted": False,
    }
