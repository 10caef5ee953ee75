"""Segment's live chat events. A conversation has a customer and an agent; the customer *sends*."""

from typing import Final

from schemas.fields import EventRow, EventSet, fact, identifier, number, personal, text

_CONVERSATION: Final = (
    fact(identifier("agent_id", "Id of the agent.")),
    personal(text("agent_name", "The agent's name.")),
    personal(text("agent_username", "The agent's user name.")),
    identifier("conversation_id", "Id of the conversation."),
    number("conversation_duration", "Seconds since the conversation started.", at_least=0),
    identifier("message_id", "Id of the message."),
    personal(text("message_body", "Text of the message.")),
)

LIVE_CHAT: Final = EventSet(
    name="live_chat",
    title="Live chat",
    about="Conversations between a customer and an agent.",
    events=(
        EventRow(
            "live_chat_conversation.started",
            "Live Chat Conversation Started",
            "The customer sent a first message.",
            _CONVERSATION,
            business_key="conversation_id",
        ),
        EventRow(
            "live_chat_conversation.ended",
            "Live Chat Conversation Ended",
            "The customer or the agent ended the conversation.",
            _CONVERSATION,
        ),
        EventRow(
            "live_chat_message.sent",
            "Live Chat Message Sent",
            "The customer wrote to the agent.",
            _CONVERSATION,
            business_key="message_id",
        ),
        EventRow(
            "live_chat_message.received",
            "Live Chat Message Received",
            "The agent wrote to the customer.",
            _CONVERSATION,
            business_key="message_id",
        ),
    ),
)
