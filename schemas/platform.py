"""What the platform itself writes into `simorgh.events`: statements of people's consent that came over the API.

They are events like any other to the log, to replay and to consent; they count in no metric, and nobody was seen by
them.
"""

from typing import Final

SOURCE: Final = "simorgh.platform"
"""The source of the platform's own events. Its dot keeps it apart: no source of that name can be declared."""

CONSENT_STATED: Final = "consent.stated"
"""The type of an event that says what somebody allows, and what not."""
