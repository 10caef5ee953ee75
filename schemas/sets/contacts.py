"""What a company does with its customers: meetings, tasks, notes, documents, visits; and what is shipped to them."""

from typing import Final

from schemas.fields import EventRow, EventSet, date, fact, identifier, number, personal, text

_ABOUT: Final = (
    fact(identifier("agent_id", "Id of the employee in charge.")),
    identifier("deal_id", "Id of the deal that it belongs to."),
    identifier("ticket_id", "Id of the ticket that it belongs to."),
    fact(identifier("account_id", "Id of the organisation that it is about.")),
)
_MEETING: Final = (
    identifier("meeting_id", "Id of the meeting."),
    *_ABOUT,
    fact(text("place", "Where it takes place: a branch, a room, or online.")),
    date("due_at", "When it begins."),
    fact(number("minutes", "How long it took, or is to take.", at_least=0)),
    fact(text("outcome", "How it ended, in the company's own words.")),
    personal(text("subject", "What it is about.")),
)
_TASK: Final = (
    identifier("task_id", "Id of the task."),
    *_ABOUT,
    date("due_at", "When it has to be done."),
    fact(text("kind", "What has to be done, such as call, write or visit.")),
    fact(text("outcome", "How it ended, in the company's own words.")),
    personal(text("subject", "What it is about.")),
)
_NOTE: Final = (
    identifier("note_id", "Id of the note."),
    *_ABOUT,
    personal(text("text", "What somebody wrote down.")),
)
_DOCUMENT: Final = (
    identifier("document_id", "Id of the document."),
    *_ABOUT,
    fact(text("kind", "Kind of document, such as offer, contract or catalogue.")),
    personal(text("title", "Title of the document.")),
    date("due_at", "Until when it should be signed."),
)
_VISIT: Final = (
    identifier("visit_id", "Id of the visit."),
    *_ABOUT,
    fact(text("place", "Where it was, such as a branch or a showroom.")),
    fact(text("direction", "inbound: the customer came; outbound: the company's people went.")),
    fact(number("minutes", "How long it took.", at_least=0)),
    fact(text("outcome", "How it ended, in the company's own words.")),
)
_SHIPMENT: Final = (
    identifier("shipment_id", "Id of the shipment."),
    identifier("order_id", "Id of the order."),
    fact(identifier("account_id", "Id of the organisation that it goes to.")),
    fact(text("carrier", "Company that carries it.")),
    date("promised_at", "When it was promised to arrive."),
    fact(text("reason", "Why it came back.")),
    personal(text("tracking_url", "URL where it can be followed.")),
)

CONTACTS: Final = EventSet(
    name="contacts",
    title="Meetings, tasks, notes, documents and visits",
    about="What a company's people do with a customer, as a CRM or a calendar tells it.",
    events=(
        EventRow("meeting.scheduled", "Meeting Scheduled", "A meeting with the customer was agreed.", _MEETING),
        EventRow("meeting.held", "Meeting Held", "The meeting took place.", _MEETING, business_key="meeting_id"),
        EventRow("meeting.cancelled", "Meeting Cancelled", "The meeting was called off.", _MEETING),
        EventRow("task.created", "Task Created", "Somebody is to do something for the customer.", _TASK,
                 business_key="task_id"),
        EventRow("task.due", "Task Due", "The time of the task has come.", _TASK),
        EventRow("task.completed", "Task Completed", "The task was done.", _TASK, business_key="task_id"),
        EventRow("note.added", "Note Added", "Somebody wrote down something about the customer.", _NOTE,
                 business_key="note_id"),
        EventRow("document.sent", "Document Sent", "A document was sent or handed to the customer.", _DOCUMENT),
        EventRow("document.viewed", "Document Viewed", "The customer opened the document.", _DOCUMENT),
        EventRow("document.signed", "Document Signed", "The customer signed the document.", _DOCUMENT,
                 business_key="document_id"),
        EventRow("visit.made", "Visit Made", "One visited the other.", _VISIT, business_key="visit_id"),
    ),
)  # fmt: skip

SHIPMENTS: Final = EventSet(
    name="shipments",
    title="Shipments",
    about="The way of what was ordered to the customer, and back.",
    events=(
        EventRow("shipment.sent", "Shipment Sent", "The shipment left the company.", _SHIPMENT,
                 business_key="shipment_id"),
        EventRow("shipment.delivered", "Shipment Delivered", "The customer received the shipment.", _SHIPMENT,
                 business_key="shipment_id"),
        EventRow("shipment.returned", "Shipment Returned", "The shipment came back.", _SHIPMENT),
    ),
)  # fmt: skip
