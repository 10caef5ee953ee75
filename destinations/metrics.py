"""The stage's metrics, as one list: what `/metrics` shows, and what to do about it."""

from typing import Final, Literal, NamedTuple


class Metric(NamedTuple):
    """`field` is the field of `TriggerStatus` that holds the value."""

    name: str
    kind: Literal["gauge", "counter"]
    field: str
    says: str


METRICS: Final = (
    Metric(
        "simorgh_webhooks_held",
        "gauge",
        "held",
        "Deliveries in memory. If it stays high, a receiver is slow or dead.",
    ),
    Metric("simorgh_webhooks_in_flight", "gauge", "in_flight", "Requests that are waiting for an answer."),
    Metric("simorgh_webhook_attempts_total", "counter", "attempts", "Requests made, or refused by the guard."),
    Metric(
        "simorgh_webhook_failed_attempts_total",
        "counter",
        "failed_attempts",
        "Attempts without a 2xx answer. If it rises, the deliveries of the triggers say why.",
    ),
    Metric("simorgh_webhooks_delivered_total", "counter", "delivered", "Deliveries with a 2xx answer."),
    Metric(
        "simorgh_webhooks_gave_up_total",
        "counter",
        "gave_up",
        "Deliveries given up: tell the receiver's owner, they will not be sent again.",
    ),
    Metric(
        "simorgh_webhooks_refused_total",
        "counter",
        "refused",
        "Deliveries not sent, since the person does not allow the trigger's purpose.",
    ),
)
