"""Tickets: problems, questions and wishes of customers that somebody works on; and surveys, which ask how it was."""

from typing import Final

from schemas.fields import EventRow, EventSet, date, either, fact, identifier, number, personal, text

_TICKET: Final = (
    identifier("ticket_id", "Id of the ticket."),
    fact(text("kind", "error, wish, question or complaint.")),
    fact(text("topic", "What it is about, in the company's own words.")),
    fact(text("channel", "Channel that it came through, such as email, chat or phone.")),
    fact(identifier("agent_id", "Id of the agent in charge.")),
    fact(identifier("team", "Team in charge.")),
    fact(either("priority", ("string", "number"), "Priority, in the system's own words.")),
    date("sla_due", "Time by which an answer or a solution is promised."),
    fact(either("public", ("boolean", "string"), "Whether the customer sees this step.")),
    fact(number("minutes", "Minutes of work, or until this step.", at_least=0)),
    personal(text("subject", "Subject line.")),
    personal(text("text", "What was written.")),
)


def _step(verb: str, name: str, description: str, *, key: str | None = None) -> EventRow:
    return EventRow(f"ticket.{verb}", name, description, _TICKET, business_key=key)


TICKETS: Final = EventSet(
    name="tickets",
    title="Tickets",
    about="What happens to a customer's problem, question or wish.",
    events=(
        _step("opened", "Ticket Opened", "A ticket was opened.", key="ticket_id"),
        _step("assigned", "Ticket Assigned", "The ticket was assigned to an agent or a team."),
        _step("replied", "Ticket Replied", "Somebody wrote in the ticket."),
        _step("pending", "Ticket Pending", "The ticket is waiting for somebody."),
        _step("solved", "Ticket Solved", "An agent marked the ticket as solved."),
        _step("reopened", "Ticket Reopened", "A solved ticket was opened again."),
        _step("escalated", "Ticket Escalated", "The ticket became more urgent, or went to a higher level."),
        _step("closed", "Ticket Closed", "The ticket was closed for good.", key="ticket_id"),
    ),
)

_SURVEY: Final = (
    identifier("survey_id", "Id of the survey."),
    identifier("response_id", "Id of the response."),
    fact(text("kind", "nps, csat, ces, or other.")),
    fact(number("score", "The score given, on the scale.")),
    fact(number("scale_min", "Lowest score that can be given.")),
    fact(number("scale", "Highest score that can be given.")),
    personal(text("text", "What the customer wrote.")),
    fact(text("about", "What the survey asks about, such as an order, a ticket or a branch.")),
    personal(either("answers", ("object", "array"), "All answers, by question.")),
)

SURVEYS: Final = EventSet(
    name="surveys",
    title="Surveys",
    about="What customers were asked and answered: NPS, CSAT, CES and questionnaires.",
    events=(
        EventRow("survey.sent", "Survey Sent", "A customer was asked to answer a survey.", _SURVEY),
        EventRow(
            "survey.answered", "Survey Answered", "A customer answered a survey.", _SURVEY, business_key="response_id"
        ),
    ),
)
