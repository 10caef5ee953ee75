"""Who is who, in the plainest way: after each record, everything so far is sorted by receipt and decided one by one.

What the graph is compared with. The two share the rules as data (limits, ranks) and nothing else.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from identity.rules import MS_PER_DAY, IdentityRules
from schemas.records import IdentityRecord, Link, Merge, Rules, Split

Receipt = tuple[int, int, str]


class Piece(NamedTuple):
    """A link between two nodes. Pieces sort in the order in which they are decided."""

    receipt: Receipt
    anchor: int
    nth: int
    other: int
    alias: bool
    ruled: int
    """Which rules were in force when it came."""

    @property
    def ends(self) -> tuple[int, int]:
        return self.anchor, self.other


@dataclass(eq=False)
class Command:
    """A merge has ends, a split has two sides."""

    after: Receipt
    at: int
    ends: tuple[int, int] | None = None
    taken_back: bool = False
    aside: set[int] = field(default_factory=set)
    rest: set[int] = field(default_factory=set)
    groups: list[list[int]] = field(default_factory=list)

    def parts(self, some: set[int], others: set[int]) -> bool:
        return bool((self.aside & some and self.rest & others) or (self.aside & others and self.rest & some))


class Model:
    def __init__(self, rules: IdentityRules) -> None:
        self.rules = [rules]
        self.pieces: list[Piece] = []
        self.commands: list[Command] = []
        self.latest: Receipt = (-1, 0, "")
        self.births: dict[int, int] = {}
        self.kinds: dict[int, tuple[str, int]] = {}
        self.shared: set[int] = set()
        self._played = Played(self)

    def fold(self, record: IdentityRecord) -> None:
        match record:
            case Link():
                self._link(record)
            case Merge():
                self._merge(record)
            case Split():
                self._split(record)
            case Rules():
                self.rules.append(IdentityRules.parse(record.rules))
        self._played = Played(self)

    def profiles(self) -> dict[int, int]:
        """Node -> its profile, 0 where it is nobody's."""
        return {node: 0 if node in self.shared else self._founder(node) for node in self.kinds}

    def refusals(self, profile: int) -> list[tuple[int, int, str, int]]:
        """(node of the profile, other end, reason, received at) of the links at a profile that do not hold."""
        members = self._played.profile[profile]
        latest: dict[tuple[int, int], tuple[str, int]] = {}
        for piece, reason in self._played.decided:  # by receipt
            for end, other in (piece.ends, piece.ends[::-1]):
                if end in members and other not in members:
                    latest[end, other] = "shared" if other in self.shared else reason, piece.receipt[0]
        return sorted((end, other, reason, at) for (end, other), (reason, at) in latest.items())

    def _founder(self, node: int) -> int:
        return min(self._played.profile[node], key=lambda n: (self.births[n], self.kinds[n][1], n))

    def _link(self, record: Link) -> None:
        rules, alias = self.rules[-1], record.alias
        receipt = (record.received_at, record.place or 0, record.key)
        self.latest = max(self.latest, receipt)
        named = {int(node, 16): type for node, type in record.nodes}
        for node, type in named.items():
            self.births[node] = min(receipt[0], self.births.get(node, receipt[0]))
            self.kinds.setdefault(node, (type, rules.rank(type)))
        anchor, *others = named
        for nth, other in enumerate(others):
            self.pieces.append(Piece(receipt, anchor, nth, other, alias, len(self.rules) - 1))
            self._count_people(anchor, self.kinds[other][0])
            self._count_people(other, self.kinds[anchor][0])

    def _count_people(self, node: int, person: str) -> None:
        rules = self.rules[-1]
        linked = {end for piece in self.pieces if node in piece.ends for end in piece.ends} - {node}
        people = [end for end in linked if self.kinds[end][0] == person]
        is_surer = person in rules.counts_for(self.kinds[node][0])
        if rules.shared_after is not None and is_surer and len(people) > rules.shared_after:
            self.shared.add(node)

    def _merge(self, record: Merge) -> None:
        ends = int(record.a, 16), int(record.b, 16)
        if all(end in self.kinds and end not in self.shared for end in ends):
            self.commands.append(Command(self.latest, record.at, ends))

    def _split(self, record: Split) -> None:
        listed = {int(node, 16) for node in record.nodes}
        if not listed or not listed <= self.kinds.keys() - self.shared:
            return
        profile = set(self._played.profile[min(listed)])
        if not listed < profile:
            return
        rest = profile - listed
        for command in self.commands:
            if command.ends is not None:
                a, b = command.ends
                command.taken_back |= (a in listed and b in rest) or (b in listed and a in rest)
            cut = [([n for n in g if n in listed], [n for n in g if n not in listed]) for g in command.groups]
            command.groups = [part for parts in cut for part in parts if part]
        split = Command(self.latest, record.at, aside=listed, rest=rest)
        self.commands.append(split)
        if not listed <= Played(self).profile[min(listed)]:
            split.groups = [sorted(listed)]


class Played:
    """All links and commands so far, played from the beginning.

    `profile`: node -> the nodes of its profile, one set for all of them. `decided`: pieces, each with the reason why it
    was refused, or "".
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._joined: dict[int, int] = {}
        self._lifted: set[Command] = set()
        self.profile: dict[int, set[int]] = {node: {node} for node in model.kinds}
        self.decided: list[tuple[Piece, str]] = []
        waiting = list(model.commands)
        for piece in sorted(self._counted()):
            while waiting and waiting[0].after < piece.receipt:
                self._play(waiting.pop(0))
            self.decided.append((piece, self._decide(piece)))
        for command in waiting:
            self._play(command)

    def _counted(self) -> list[Piece]:
        """Of the links from one node to another the first of each day, under each rules and between commands."""
        first: dict[tuple[object, ...], Piece] = {}
        for piece in self._model.pieces:
            rules = self._model.rules[piece.ruled]
            limits = [limit for limit in (rules.default_limit, *rules.limits.values()) if limit]
            has_windows = any(limit.within_days for limit in limits)
            day = piece.receipt[0] // MS_PER_DAY if has_windows else 0
            commands = sum(command.after < piece.receipt for command in self._model.commands)
            group = (piece.ends, piece.alias, piece.ruled, day, commands)
            first[group] = min(piece, first.get(group, piece))
        return list(first.values())

    def _decide(self, piece: Piece) -> str:
        a, b = piece.ends
        if not self._model.shared.isdisjoint(piece.ends):
            return "shared"
        if self.profile[a] is self.profile[b]:
            return ""
        if self._parting(a, b):
            return "split"
        for reason in self._broken(piece):
            if not (piece.alias and reason == "limit:user_id"):
                return reason
        self._join(a, b, piece.receipt[0])
        return ""

    def _broken(self, piece: Piece) -> list[str]:
        rules, at, sides = self._model.rules[piece.ruled], piece.receipt[0], [self.profile[end] for end in piece.ends]
        counts = [Counter(self._model.kinds[node][0] for node in side) for side in sides]
        broken = []
        for type in sorted(counts[0].keys() & counts[1].keys(), key=rules.rank):
            limit = rules.limit(type)
            if limit is None:
                continue
            since = None if limit.within_days is None else at - limit.within_days * MS_PER_DAY
            new = [sum(self._is_new(node, type, since) for node in side) for side in sides]
            if all(new) and sum(new) > limit.max:
                broken.append(f"limit:{type}")
        if sum(map(len, sides)) > rules.max_nodes:
            broken.append("too_many_nodes")
        return broken

    def _is_new(self, node: int, type: str, since: int | None) -> bool:
        if self._model.kinds[node][0] != type:
            return False
        return since is None or node not in self._joined or self._joined[node] > since

    def _parting(self, a: int, b: int) -> list[Command]:
        some, others = self.profile[a], self.profile[b]
        return [c for c in self._model.commands if c not in self._lifted and c.parts(some, others)]

    def _play(self, command: Command) -> None:
        if command.ends is not None and not command.taken_back:
            self._force(command, *command.ends)
        for first, *others in command.groups:
            for node in others:
                self._force(command, first, node)

    def _force(self, command: Command, a: int, b: int) -> None:
        """A merge lifts the splits before it; nothing lifts a split that came after it."""
        if a in self._model.shared or b in self._model.shared or self.profile[a] is self.profile[b]:
            return
        parting, order = self._parting(a, b), self._model.commands.index
        if any(order(split) > order(command) for split in parting):
            return
        if command.ends is not None:
            self._lifted.update(parting)
        self._join(a, b, command.at)

    def _join(self, a: int, b: int, at: int) -> None:
        some, others = self.profile[a], self.profile[b]
        for side, end in ((some, a), (others, b)):
            if len(side) == 1:
                self._joined[end] = at
        some |= others
        self.profile.update(dict.fromkeys(others, some))
