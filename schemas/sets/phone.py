"""Phone calls and text messages, as telephone systems, call centres and gateways tell them.

`call_id` and `message_id` are the vendor's: every event of one call or message carries the same one. A caller's number
is what the network showed, which can be forged.
"""

from typing import Final

from schemas.fields import CURRENCY, EventRow, EventSet, fact, identifier, money, number, personal, text

_DIRECTION: Final = fact(text("direction", "inbound: the customer called or wrote; outbound: the company did."))
_ENDS: Final = (
    personal(identifier("from", "Number of the caller or sender.")),
    personal(identifier("to", "Number of the recipient.")),
)
_COST: Final = (
    fact(money("cost", "What it cost the company, in `currency`.")),
    CURRENCY,
)
_CALL: Final = (
    identifier("call_id", "Id of the call; all its legs share it."),
    _DIRECTION,
    *_ENDS,
    fact(identifier("agent_id", "Id of the agent.")),
    fact(text("queue", "Queue that the call waited in.")),
    fact(text("ivr_path", "Choices made in the voice menu, in order.")),
    fact(number("wait_s", "Seconds until somebody answered, or until the caller gave up.", at_least=0)),
    fact(number("talk_s", "Seconds of conversation.", at_least=0)),
    personal(text("recording_url", "URL of the recording.")),
    fact(text("outcome", "How it ended, such as answered, busy, no-answer, failed or voicemail.")),
    fact(identifier("campaign_id", "Id of the campaign.")),
    *_COST,
)
_SMS: Final = (
    identifier("message_id", "Id of the message."),
    _DIRECTION,
    *_ENDS,
    personal(text("text", "Text of the message.")),
    fact(identifier("campaign_id", "Id of the campaign.")),
    fact(number("parts", "Number of parts that the message was sent in.", at_least=0)),
    *_COST,
)
_REASON: Final = fact(text("reason", "Reason given by the vendor."))

PHONE: Final = EventSet(
    name="phone",
    title="Phone",
    about="Calls and text messages.",
    events=(
        EventRow("call.started", "Call Started", "A call began to ring.", _CALL, business_key="call_id"),
        EventRow("call.answered", "Call Answered", "Somebody answered the call.", _CALL, business_key="call_id"),
        EventRow(
            "call.missed", "Call Missed", "The call ended before anybody answered.", _CALL, business_key="call_id"
        ),
        EventRow("call.ended", "Call Ended", "An answered call ended.", _CALL, business_key="call_id"),
        EventRow("call.transferred", "Call Transferred", "The call was transferred to another agent or queue.", _CALL),
        EventRow("sms.sent", "SMS Sent", "The company sent a text message.", _SMS, business_key="message_id"),
        EventRow(
            "sms.delivered", "SMS Delivered", "The text message reached the phone.", _SMS, business_key="message_id"
        ),
        EventRow(
            "sms.failed",
            "SMS Failed",
            "The text message could not be delivered.",
            (*_SMS, _REASON),
            business_key="message_id",
        ),
        EventRow(
            "sms.clicked",
            "SMS Clicked",
            "The customer followed a link in a text message.",
            (*_SMS, personal(text("link_url", "URL that the link leads to."))),
        ),
        EventRow("sms.received", "SMS Received", "The customer sent a text message.", _SMS, business_key="message_id"),
    ),
)
