"""The odd parts of an event: converted, left out, or assumed values. Such an event is kept and flagged."""

from collections.abc import Mapping, Sequence
from typing import Final

from producers.times import UNREADABLE
from schemas.reading import Fault

READ: Final = "value_read"
LEFT_OUT: Final = "value_left_out"
ALIAS_OF_ITSELF: Final = "alias_of_itself"
"""The flag of an alias that links nothing: both ids are equal."""

MAX_FLAGS: Final = 32
"""Odd values that are flagged one by one; with more, whole members of the envelope's objects are flagged and kept."""


class Odd:
    """The flags of one event, in order and each once, and the values as sent: JSON pointer into the envelope ->
    value."""

    __slots__ = ("flags", "original")

    def __init__(self) -> None:
        self.flags: list[str] = []
        self.original: dict[str, object] = {}

    def __bool__(self) -> bool:
        return bool(self.flags)

    def told_in(self, envelope: dict[str, object]) -> tuple[str, ...]:
        """The flags. Writes the values as sent into the envelope."""
        if self.original:
            envelope["original"] = self.original
        return tuple(self.flags)

    def flag(self, flag: str) -> None:
        if flag not in self.flags:
            self.flags.append(flag)

    def read(self, pointer: str, came: object) -> None:
        """The value was converted, and is in the envelope in its new form."""
        self.flag(f"{READ}:{pointer}")
        self.original[pointer] = came

    def time_unreadable(self, came: object) -> None:
        self.flag(UNREADABLE)
        self.original["/time"] = came

    def add_faults(self, member: str, values: Mapping[str, object], faults: Sequence[Fault]) -> None:
        """Faults of the values of a member of the envelope, such as `/properties`."""
        if len(faults) <= MAX_FLAGS:
            for fault in faults:
                note = self.read if fault.is_read else self.left_out
                note(member + fault.pointer, fault.value)
            return
        for fault in faults:
            name = fault.pointer[1:].partition("/")[0]
            note = self.read if fault.is_read else self.left_out
            note(f"{member}/{name}", values.get(name.replace("~1", "/").replace("~0", "~")))

    def left_out(self, pointer: str, came: object) -> None:
        """The value has no certain reading: it is nowhere else in the envelope."""
        self.flag(f"{LEFT_OUT}:{pointer}")
        self.original[pointer] = came
