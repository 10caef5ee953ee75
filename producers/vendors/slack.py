"""Slack: the Events API, buttons and commands. Direct messages are live chat; channels are a public place.

A person is a user of a workspace. Bots, edits and notices of channels are no events. Every attempt is signed anew. The
verification token, and the addresses for answers, are credentials, and are not kept.
"""

from collections.abc import Sequence
from typing import Any, Final

from producers.vendors.connector import Connector, json_of, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import Reply, Secrets, VendorRequest
from producers.vendors.signing import Hmac, Timestamp
from schemas.errors import Unmappable

_PROOF: Final = Hmac(
    "x-slack-signature",
    encoding="hex",
    prefix="v0=",
    signed="v0:{timestamp}:{body}",
    timestamp=Timestamp("x-slack-request-timestamp"),
)
_NOT_KEPT: Final = frozenset(("token", "response_url", "authorizations", "authed_users", "authed_teams"))
_STILL_WRITTEN: Final = frozenset(("file_share", "me_message", "thread_broadcast"))
"""Subtypes of messages that somebody wrote. The others are edits and notices."""


def greet(request: VendorRequest, secrets: Secrets) -> Reply | None:
    """Slack tries the address out, and wants its challenge back."""
    try:
        message = json_of(request.body)
    except Unmappable:
        return None
    if not isinstance(message, dict) or message.get("type") != "url_verification":
        return None
    _PROOF(request, secrets)
    return Reply(str(message.get("challenge", ""))[:500].encode(errors="replace"))


def items(request: VendorRequest) -> Sequence[object]:
    message = parsed(request, "either")
    if isinstance(message, dict) and isinstance(message.get("payload"), str):
        message = json_of(message["payload"].encode(errors="surrogatepass"))
    if not isinstance(message, dict):
        raise Unmappable("body: wanted an object, got something else; see the rejected event")
    item: dict[str, Any] = {name: value for name, value in message.items() if name not in _NOT_KEPT}
    event = item.get("event")
    if "command" in item:
        item["type"] = "command"
    elif isinstance(event, dict) and "event_id" in item:
        if event.get("type") in ("message", "app_mention") and (event.get("bot_id") or _is_notice(event)):
            return []
        item["event"] = {name: value for name, value in event.items() if name not in ("subtype", "token", "tokens")}
    return [item]


def _is_notice(event: dict[str, Any]) -> bool:
    subtype = event.get("subtype")
    return bool(subtype) and str(subtype) not in _STILL_WRITTEN


def reply(request: VendorRequest) -> Reply | None:
    """To buttons and commands, of which people see the answer: nothing."""
    return None if request.body.lstrip()[:1] == b"{" else Reply()


_WRITTEN: Final = "{event.channel}:{event.ts}"
_CHAT: Final = Meaning(
    type="live_chat_message.sent",
    properties={
        "conversation_id": "event.channel",
        "message_id": ValueField(template=_WRITTEN),
        "message_body": "event.text",
    },
)
_PUBLIC: Final[dict[str, Field]] = {
    "network": ValueField(value="slack"),
    "account_id": "team_id",
    "post_id": ValueField(template=_WRITTEN),
    "parent_id": ValueField(template="{event.channel}:{event.thread_ts}"),
    "text": "event.text",
}
_COMMENTED: Final = Meaning(type="social.commented", properties=_PUBLIC)
_PERSON: Final = Meaning(
    type="profile.identified",
    identifiers=(
        IdentifierField(type="email", value="event.user.profile.email"),
        IdentifierField(type="phone", value="event.user.profile.phone"),
    ),
    traits={
        "email": "event.user.profile.email",
        "phone": "event.user.profile.phone",
        "name": "event.user.profile.real_name|event.user.real_name",
        "title": "event.user.profile.title",
        "timezone": "event.user.tz",
    },
)

SLACK: Final = Connector(
    name="slack",
    title="Slack",
    channel="chat",
    body="either",
    verify=_PROOF,
    secrets={"signing": "the app's signing secret"},
    greet=greet,
    items=items,
    reply=reply,
    map=EventMap(
        kind=(
            ValueField(template="{event.type}.{event.channel_type}", matches=r"message\.[a-z_]+"),
            "event.type|type",
        ),
        id=(
            "{event_id}",
            "#{type}|{trigger_id}|{actions.0.action_ts?}",
            "#{type}|{team_id}|{minute_rate_limited}",
            "#{type}|{team.id}|{user.id}|{action_ts|view.id}|{view.hash?}",
        ),
        time=TimeField(path="event.event_ts|event.ts|event_time|actions.0.action_ts|action_ts", unit="s"),
        identifiers=(
            IdentifierField(
                type="slack_user",
                value=ValueField(template="{team_id|team.id}:{event.user.id|event.user|event.user_id|user.id|user_id}"),
                trust="proven",
            ),
        ),
        cases={
            "message.im": _CHAT,
            "message.mpim": _CHAT,
            "message.app_home": _CHAT,
            "message.channel": _COMMENTED,
            "message.group": _COMMENTED,
            "app_mention": Meaning(type="social.mentioned", properties=_PUBLIC),
            "reaction_added": Meaning(
                type="social.reacted",
                properties={
                    "network": ValueField(value="slack"),
                    "account_id": "team_id",
                    "parent_id": ValueField(template="{event.item.channel}:{event.item.ts}"),
                    "reaction": "event.reaction",
                },
            ),
            "team_join": _PERSON,
            "user_change": _PERSON,
            "user_profile_changed": _PERSON,
            "block_actions": Meaning(
                type="live_chat_message.sent",
                properties={
                    "conversation_id": "channel.id|container.channel_id",
                    "message_body": "actions.0.selected_option.text.text|actions.0.text.text|actions.0.value",
                },
            ),
            "interactive_message": Meaning(
                type="live_chat_message.sent",
                properties={
                    "conversation_id": "channel.id",
                    "message_body": "actions.0.selected_options.0.value|actions.0.value",
                },
            ),
        },
    ),
)
