"""SurveyMonkey: that somebody answered. The answers are behind its own API; here are ids only."""

from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING, Reply, Secrets, VendorRequest
from producers.vendors.signing import Hmac


def greet(request: VendorRequest, secrets: Secrets) -> Reply | None:
    """SurveyMonkey's look at the address when it is saved: by HEAD, which is served as GET."""
    return Reply() if request.method == "GET" else None


_IDS: Final[dict[str, Field]] = {
    "survey_id": "resources.survey_id",
    "response_id": "object_id",
    "collector_id": "resources.collector_id",
}


def _response(state: str) -> Meaning:
    return Meaning(type=f"custom.surveymonkey_{state}", properties=_IDS)


SURVEYMONKEY: Final = Connector(
    name="surveymonkey",
    title="SurveyMonkey",
    channel="feedback",
    verify=Hmac("sm-signature", hash="sha1"),
    secrets={SIGNING: "the app's CLIENT_ID&SECRET: both, with an ampersand between"},
    greet=greet,
    map=EventMap(
        kind="event_type",
        id=("{event_id}",),
        time=TimeField(path="event_datetime", zone="UTC"),
        identifiers=(
            # somebody who was invited by email; `resources.user_id` is the owner of the account
            IdentifierField(
                type="surveymonkey_recipient",
                value=ValueField(path="resources.recipient_id", matches="[1-9][0-9]*"),
                trust="proven",
            ),
        ),
        cases={
            "response_completed": Meaning(
                type="survey.answered", properties={**_IDS, "kind": ValueField(value="other")}
            ),
            "response_created": _response("response_created"),
            "response_updated": _response("response_updated"),
            "response_disqualified": _response("response_disqualified"),
            "response_overquota": _response("response_overquota"),
            "response_deleted": _response("response_deleted"),
        },
    ),
)
