"""Typeform: somebody answered a form. What a hidden field says came in the form's address, so it is a hint.

An answer of the type `nps` makes it a survey of that kind, with its score.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import Hmac
from schemas.errors import Unmappable

_LONG_TEXT: Final = "long_text"


def items(request: VendorRequest) -> Sequence[object]:
    """[{kind, of: Typeform's event, nps, text, email, phone: of the answers}]"""
    of = parsed(request)
    if not isinstance(of, dict):
        raise Unmappable("body: wanted an object, got something else; see the rejected event")
    response = of.get("form_response")
    answers = response.get("answers") if isinstance(response, dict) else None
    given = [one for one in answers if isinstance(one, dict)] if isinstance(answers, list) else []
    nps = _answer(given, "nps", "number")
    return [
        {
            "kind": "nps" if nps is not None and of.get("event_type") == "form_response" else of.get("event_type"),
            "of": of,
            "nps": nps,
            "text": _answer(given, _LONG_TEXT, "text") if nps is not None else None,
            "email": _answer(given, "email", "email"),
            "phone": _answer(given, "phone_number", "phone_number"),
        }
    ]


def _answer(answers: Sequence[Mapping[str, object]], field: str, name: str) -> object:
    """The first answer to a question of this type."""
    for one in answers:
        asked = one.get("field")
        if isinstance(asked, dict) and asked.get("type") == field and one.get(name) is not None:
            return one[name]
    return None


_AT: Final = "of.form_response."
_SURVEY: Final[dict[str, Field]] = {
    "survey_id": _AT + "form_id",
    "survey_name": _AT + "definition.title",
    "response_id": _AT + "token",
}
_ANSWERS: Final[dict[str, Field]] = {
    **_SURVEY,
    "kind": ValueField(value="other"),
    "answers": ValueField(
        path=_AT + "answers",
        each={
            "field": "field.ref|field.id",
            "type": "field.type|type",
            "value": "text|email|phone_number|number|boolean|choice.label|choice.other|choices.labels|date|url|file_url"
            "|payment.amount",
        },
    ),
}

TYPEFORM: Final = Connector(
    name="typeform",
    title="Typeform",
    channel="feedback",
    verify=Hmac("typeform-signature", prefix="sha256="),
    secrets={SIGNING: "the webhook's secret"},
    items=items,
    map=EventMap(
        kind="kind",
        id=("{of.event_id}",),
        rest="of",
        time=TimeField(path=_AT + "submitted_at|" + _AT + "landed_at", zone="UTC"),
        identifiers=(
            IdentifierField(type="email", value="email"),
            IdentifierField(type="phone", value="phone"),
            IdentifierField(type="user_id", value=_AT + "hidden.user_id", trust="hint"),
            IdentifierField(type="email", value=_AT + "hidden.email", trust="hint"),
            IdentifierField(type="phone", value=_AT + "hidden.phone", trust="hint"),
        ),
        cases={
            "form_response": Meaning(type="survey.answered", properties=_ANSWERS),
            "nps": Meaning(
                type="survey.answered",
                properties={
                    **_ANSWERS,
                    "kind": ValueField(value="nps"),
                    "score": "nps",
                    "scale_min": ValueField(value=0),
                    "scale": ValueField(value=10),
                    "text": "text",
                },
            ),
            "form_response_partial": Meaning(type="custom.typeform_form_response_partial", properties=_SURVEY),
        },
    ),
)
