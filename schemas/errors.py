"""Every error that Simorgh raises, as one tree. The class says what to do next, the attributes say where.

SimorghError
├── InvalidInput          report it to the caller; retrying the same thing cannot help
│   ├── InvalidEvent      one event is refused: keep it in simorgh.rejected
│   │   └── Unmappable    a vendor's message that no table of its connector can read
│   ├── InvalidIdentifier a value that is not an identifier of its type
│   ├── InvalidRule       a segment rule, identity rule or mapping that cannot be compiled
│   └── InvalidSettings   the process cannot start
├── NotFound              the named thing does not exist
├── Conflict              the state of the named thing forbids the request
├── Denied                the caller may not do this
│   └── Unverified        a webhook that nobody with the source's secret signed
├── Backpressure          not now: pause, then send the same thing again
│   └── Throttled         this caller sent too much: pause for `seconds`
└── Broken                our own data or code is wrong: stop and report it
    ├── Damaged           records of the log are lost: restore it, or decide to continue without them
    └── SchemaChanged     a published schema was edited or removed

Messages have one form, `<where>: wanted <what>, got <what came>; <what to do>`, and a test reads them all. They never
contain a value that a customer sent, since it may be personal data.
"""

from typing import ClassVar


class SimorghError(Exception):
    """The root. `code` is stable and machine-readable (snake_case); `message` is for people."""

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class InvalidInput(SimorghError):
    default_code = "invalid"


class InvalidEvent(InvalidInput):
    default_code = "invalid_event"


class Unmappable(InvalidEvent):
    default_code = "unmappable"


class InvalidIdentifier(InvalidInput):
    default_code = "invalid_identifier"


class InvalidRule(InvalidInput):
    """`path` is a JSON pointer to the part of the rule that is wrong."""

    default_code = "invalid_rule"

    def __init__(self, message: str, *, code: str | None = None, path: str = "") -> None:
        super().__init__(message, code=code)
        self.path = path


class InvalidSettings(InvalidInput):
    default_code = "invalid_settings"


class NotFound(SimorghError):
    default_code = "not_found"


class Conflict(SimorghError):
    default_code = "conflict"


class Denied(SimorghError):
    default_code = "denied"


class Unverified(Denied):
    default_code = "unverified"


class Backpressure(SimorghError):
    default_code = "backpressure"


class Throttled(Backpressure):
    """`seconds` until the same thing may be sent again."""

    default_code = "too_many_requests"

    def __init__(self, message: str, *, code: str | None = None, seconds: int = 1) -> None:
        super().__init__(message, code=code)
        self.seconds = seconds


class Broken(SimorghError):
    default_code = "broken"


class Damaged(Broken):
    """The records of a partition from offset `first` to `last`, both included, are not as written."""

    default_code = "log_damaged"

    def __init__(self, topic: str, partition: int, first: int, last: int) -> None:
        super().__init__(
            f"Event log, topic {topic}, partition {partition}: wanted the records at offsets {first} to {last}, got"
            " bytes that are not as written; restore a backup, or run simorgh doctor --repair to continue without them"
        )
        self.topic, self.partition, self.first, self.last = topic, partition, first, last


class SchemaChanged(Broken):
    default_code = "schema_changed"
