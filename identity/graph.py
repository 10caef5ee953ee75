"""The identity graph of a workspace: the fold of simorgh.identity in memory.

The graph can be rebuilt by folding the topic from offset 0, and is then identical. Links are decided in the order of
receipt, whatever their order in the topic.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from identity.changes import Before, Changes
from identity.commands import ASIDE, REST, MergeCommand, SplitCommand
from identity.evidence import JOINED
from identity.joining import SHARED, broken_limits, play_link, play_merge, play_split, refusal
from identity.nodes import from_hex, to_hex
from identity.receipt import Receipt
from identity.refold import decide_late, refold
from identity.rules import IdentityRules
from identity.state import ERASED, State
from schemas.records import (
    Decision,
    Erase,
    Erased,
    IdentityRecord,
    Link,
    Merge,
    Merged,
    RefusedDecision,
    Rules,
    SharedDecision,
    Split,
)

NOBODY: Final = 0


class Refusal(NamedTuple):
    """A link that does not hold. `a`: the profile's node, `b`: the other; `received_at` in ms."""

    received_at: int
    a: str
    b: str
    reason: str


class IdentityGraph:
    """The identity graph. One thread at a time may use it.

    Links are evidence and are kept forever, refused or not. Profiles are computed from them, the rules, the stewards'
    commands and the degree cap. A profile is named by its founding node.
    """

    def __init__(self, rules: IdentityRules, state: State | None = None, *, applied: int = -1, ruled: int = 0) -> None:
        """`rules` are the initial rules. The other arguments are for `identity.snapshot`, to continue from a state."""
        self._state = state or State(rules)
        self._numbers = self._state.nodes.index
        self._births = self._state.nodes.birth
        self._applied = applied
        self._ruled = ruled

    # Reading

    @property
    def commands(self) -> int:
        """The highest offset in the registry of a merge or split that was folded, -1 at first."""
        return self._applied

    @property
    def state(self) -> State:
        """The state, for `identity.snapshot`, which reads it between two records."""
        return self._state

    @property
    def ruled(self) -> int:
        """The version of the latest rules that were folded, 0 at first."""
        return self._ruled

    @property
    def rules(self) -> IdentityRules:
        """The rules in force for new links."""
        return self._state.rules

    def knows(self, nodes: Sequence[int], receipt: Receipt, *, alias: bool = False) -> bool:
        """Whether a link record of these nodes (anchor first) would bring nothing new.

        False when a node, a link or an earlier receipt of one is new, or when a refused link would now be accepted, or
        refused for another reason: then a record must be logged and folded.
        """
        numbers, births, at = self._numbers, self._births, receipt.at
        anchor = -1
        for node in nodes:
            number = numbers.get(node, -1)
            if number < 0 or births[number] > at:
                return False
            if anchor < 0:
                anchor = number
            elif number != anchor and not self._knows_link(anchor, number, receipt, alias):
                return False
        return True

    def _knows_link(self, a: int, b: int, receipt: Receipt, alias: bool) -> bool:
        state, evidence = self._state, self._state.evidence
        is_shared = state.nodes.shared[a] or state.nodes.shared[b]
        latest = -1
        for entry in evidence.between(a, b):
            if (is_shared or evidence.receipt(entry) <= receipt) and evidence.alias[entry] >= alias:
                if is_shared or evidence.outcome[entry] == JOINED:
                    return True
                if latest < 0 or state.order(entry) > state.order(latest):
                    latest = entry
        if latest < 0:
            return False
        entry = state.counted(evidence.find(a, b), a, receipt, alias=alias)
        if entry >= 0 and evidence.receipt(entry) <= receipt:
            return True
        if receipt <= state.latest or state.partition.together(a, b):
            return False  # already decided; or connected otherwise, but a split must find this link
        as_alias = alias or bool(evidence.alias[latest])
        return refusal(state, state.rules, a, b, receipt.at, alias=as_alias) == evidence.reason(latest)

    def profile_of(self, node: int) -> int:
        """The profile of a node, 0 when it is unknown or shared. Also resolves the old id of a profile."""
        number = self._numbers.get(node, -1)
        return NOBODY if number < 0 else self._profile(number)

    def nodes_of(self, profile: int) -> list[int]:
        """The nodes of a live profile in the order of first sight, founder first; [] if there is no such profile."""
        nodes = self._state.nodes
        members = sorted(self._members(profile), key=nodes.age)
        return [nodes.ids[member] for member in members]

    def type_of(self, node: int) -> str:
        """The type of the identifier behind a node, "" when it is unknown."""
        number = self._numbers.get(node, -1)
        return "" if number < 0 else self._state.nodes.type(number)

    def is_shared(self, node: int) -> bool:
        """Whether so many people have the identifier that it belongs to nobody."""
        number = self._numbers.get(node, -1)
        return number >= 0 and bool(self._state.nodes.shared[number])

    def refusals(self, profile: int) -> list[Refusal]:
        """The refused links at a profile, oldest first, each once with its latest reason."""
        state = self._state
        found: list[Refusal] = []
        for member in self._members(profile):
            for other, entry in self._latest_links(member).items():
                if state.partition.together(member, other):
                    continue
                reason = SHARED if state.nodes.shared[other] else state.evidence.reason(entry)
                found.append(Refusal(state.evidence.at[entry], self._hex(member), self._hex(other), reason))
        return sorted(found)

    def _latest_links(self, node: int) -> dict[int, int]:
        """Other end -> the entry that was received last."""
        order = self._state.order
        latest: dict[int, int] = {}
        for entry, other in self._state.evidence.of(node):
            if other not in latest or order(entry) > order(latest[other]):
                latest[other] = entry
        return latest

    def _members(self, profile: int) -> list[int]:
        number = self._numbers.get(profile, -1)
        if number < 0 or self._profile(number) != profile:
            return []
        return list(self._state.partition.members(number))

    def _profile(self, number: int) -> int:
        nodes = self._state.nodes
        return NOBODY if nodes.shared[number] else nodes.ids[self._state.partition.founder(number)]

    # Folding

    def fold(self, record: IdentityRecord) -> Changes:
        """Processes the next record of simorgh.identity, in log order.

        The result is a function of the records so far. A command that was folded before changes nothing.
        """
        match record:
            case Link():
                return self._link(record)
            case Merge():
                return self._merge(record)
            case Split():
                return self._split(record)
            case Erase():
                return self._erase(record)
            case Rules():
                return self._rules(record)

    def _link(self, link: Link) -> Changes:
        state, before, decisions = self._state, Before(self._state), list[Decision]()
        receipt, alias = Receipt.of(link), link.alias
        nodes = [(from_hex(node), type) for node, type in link.nodes]
        in_order = receipt > state.latest
        if in_order:
            state.latest = receipt
        numbers = list(dict.fromkeys([self._mention(node, type, receipt.at, before) for node, type in nodes]))
        for nth, other in enumerate(numbers[1:]):
            prior = state.evidence.find(numbers[0], other)
            entry = -1 if prior < 0 else state.counted(prior, numbers[0], receipt, alias=alias)
            if new := entry < 0:
                entry = state.evidence.add(numbers[0], other, receipt, nth, alias, prior)
            elif in_order or not self._antedate(entry, receipt, nth):
                continue  # several writers may log the same evidence: it counts once
            decisions += self._take(entry, new, in_order, before)
        return before.changes(decisions)

    def _antedate(self, entry: int, receipt: Receipt, nth: int) -> bool:
        """Whether the link was received earlier than known."""
        evidence = self._state.evidence
        if (evidence.receipt(entry), evidence.nth(entry)) <= (receipt, nth):
            return False
        evidence.antedate(entry, receipt, nth)
        return True

    def _mention(self, node: int, type: str, at: int, before: Before) -> int:
        """The number of a node, which may be new, or known from an earlier moment now."""
        number = self._numbers.get(node, -1)
        if number < 0:
            number = self._state.add_node(node, type, at)
            before.note_new(number)
        elif at < self._births[number]:
            self._births[number] = at
            partition = self._state.partition
            founder = partition.founder(number)
            if founder != self._state.nodes.older(founder, number):
                before.note(partition.members(number))
                partition.set_founder(number, number)
        return number

    def _take(self, entry: int, new: bool, in_order: bool, before: Before) -> list[Decision]:
        """Decides a link. The degree cap comes first, since a shared end joins nobody. `in_order`: no other link was
        received later."""
        state, evidence = self._state, self._state.evidence
        a, b = evidence.ends(entry)
        decisions = list[Decision]()
        if new:
            for node, newcomer in ((a, b), (b, a)):
                if self._has_too_many_people(node, newcomer):
                    self._share(node, before)
                    decisions.append(SharedDecision(node=self._hex(node)))
        if in_order:
            if reason := play_link(state, state.rules, entry, before):
                decisions.append(self._refused(a, b, reason))
            return decisions
        refused = decide_late(state, entry, before, new=new)
        for each in (entry, *refused):
            if reason := evidence.reason(each):
                decisions.append(self._refused(*evidence.ends(each), reason))
        return decisions

    def _has_too_many_people(self, node: int, newcomer: int) -> bool:
        """Whether the link with `newcomer` has raised the degree of `node` above the cap. All evidence counts."""
        state, nodes = self._state, self._state.nodes
        cap = state.rules.shared_after
        if cap is None or state.evidence.degree[node] <= cap or nodes.shared[node]:
            return False
        person = nodes.type(newcomer)
        if person not in state.rules.counts_for(nodes.type(node)):
            return False
        return len({other for _, other in state.evidence.of(node) if nodes.type(other) == person}) > cap

    def _share(self, node: int, before: Before) -> None:
        """Detaches a node as if it had never joined any other. Only the nodes that it was joined with can change: all
        its other links were refused.
        """
        state = self._state
        profile = list(state.partition.members(node))
        before.note(profile)
        state.nodes.shared[node] = 1
        state.partition.reset(node)
        refold(state, profile, before)

    def _merge(self, merge: Merge) -> Changes:
        """Adds a forced edge, which lasts until a split separates its ends. It overrides every limit and records which.

        Ends that are unknown or shared are refused. If an end becomes shared later, the edge has no effect.
        """
        if not self._is_next(merge):
            return Changes()
        state = self._state
        a, b = (self._numbers.get(from_hex(end), -1) for end in (merge.a, merge.b))
        if a < 0 or b < 0 or state.nodes.shared[a] or state.nodes.shared[b]:
            reason = SHARED if a >= 0 and b >= 0 else "unknown"
            return Changes([RefusedDecision(a=merge.a, b=merge.b, reason=reason)])
        command = MergeCommand(state.latest, merge.at, merge.command, a, b)
        state.commands.add(command)
        if state.partition.together(a, b):
            return Changes([self._refused(a, b, "same_profile")])
        overrides = broken_limits(state, state.rules, a, b, merge.at)
        before = Before(state)
        play_merge(state, command, before)
        changes = before.changes([])
        for decision in changes.decisions:
            if isinstance(decision, Merged):  # the only one
                decision.overrides = overrides
                decision.lifts = [split.number for split in command.lifts]
        return changes

    def _split(self, split: Split) -> Changes:
        """The listed nodes leave their profile together.

        Merges between the two sides are taken back, links between them are cut, and no link joins them again until a
        steward merges. The state is the refold of everything that evidence connects with them: if only a merge
        connected the sides, the state is as if that had never happened. Listed nodes that were connected only through
        the others are tied by force; the tie belongs to this command.
        """
        if not self._is_next(split):
            return Changes()
        state = self._state
        listed = {self._numbers.get(from_hex(node), -1) for node in split.nodes}
        profile = self._one_profile(listed)
        if not listed or len(listed) >= len(profile):
            first = split.nodes[0] if split.nodes else to_hex(NOBODY)
            other = to_hex(self.profile_of(from_hex(first)))
            return Changes([RefusedDecision(a=first, b=other, reason="nothing_to_split")])
        side = {node: ASIDE if node in listed else REST for node in profile}
        state.commands.part(side)
        command = SplitCommand(state.latest, split.at, split.command, side)
        state.commands.add(command)
        before = Before(state)
        refold(state, profile, before)
        if len({state.partition.founder(node) for node in listed}) > 1:
            command.groups = [sorted(listed, key=state.nodes.ids.__getitem__)]
            play_split(state, command, before)
        return before.changes([])

    def _erase(self, erase: Erase) -> Changes:
        """All nodes of the profile belong to nobody from now on, like shared ones: links with them join nobody, however
        early they were received. Nobody else changes, since the profile is a whole component."""
        if not self._is_next(erase):
            return Changes()
        state = self._state
        number = self._numbers.get(from_hex(erase.profile), -1)
        if number < 0 or state.nodes.shared[number]:
            return Changes([RefusedDecision(a=erase.profile, b=to_hex(NOBODY), reason="unknown")])
        profile = sorted(state.partition.members(number), key=state.nodes.ids.__getitem__)
        founder = self._hex(state.partition.founder(number))
        before = Before(state)
        before.note(profile)
        for node in profile:
            state.nodes.shared[node] = ERASED
            state.partition.reset(node)
        return before.changes([Erased(profile=founder, nodes=[self._hex(node) for node in profile])])

    def _one_profile(self, listed: Iterable[int]) -> list[int]:
        """The members of the profile that contains all listed nodes; [] if there is none."""
        state = self._state
        if any(number < 0 or state.nodes.shared[number] for number in listed):
            return []
        if len({state.partition.root[number] for number in listed}) != 1:
            return []
        return sorted(state.partition.members(next(iter(listed))))

    def _is_next(self, steward: Merge | Split | Erase) -> bool:
        """Whether the command is new: commands are folded once, in the order of the registry."""
        if steward.command <= self._applied:
            return False
        self._applied = steward.command
        return True

    def _rules(self, rules: Rules) -> Changes:
        """New rules apply to the links that follow; earlier decisions stay. A replay reads each link under the rules of
        its time. A version that is not newer changes nothing: it is a copy, or comes from an earlier writer.
        """
        if rules.version <= self._ruled:
            return Changes()
        self._ruled = rules.version
        self._state.set_rules(IdentityRules.parse(rules.rules | {"version": rules.version}))
        return Changes()

    def _refused(self, a: int, b: int, reason: str) -> Decision:
        return RefusedDecision(a=self._hex(a), b=self._hex(b), reason=reason)

    def _hex(self, number: int) -> str:
        return to_hex(self._state.nodes.ids[number])
