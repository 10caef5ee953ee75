"""Segment's A/B testing event."""

from typing import Final

from schemas.fields import EventRow, EventSet, identifier, text

EXPERIMENTS: Final = EventSet(
    name="experiments",
    title="Experiments",
    about="Which variation of an experiment a customer saw.",
    events=(
        EventRow(
            "experiment.viewed",
            "Experiment Viewed",
            "A customer saw a variation of an experiment.",
            (
                identifier("experiment_id", "Id of the experiment."),
                text("experiment_name", "Name of the experiment."),
                identifier("variation_id", "Id of the variation."),
                text("variation_name", "Name of the variation."),
            ),
        ),
    ),
)
