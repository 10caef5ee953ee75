"""The micro-batch back end: segments kept up to date event by event, without SQL.

`LiveRules` compiles the live segments once. The caller keeps, per profile, `ProfileFacts` with one state for
each event leaf; it folds each new event into `facts.leaves`, asks which segments the touched leaves can
change, and evaluates those. Law: at a quiescent (log position, instant), the answers equal those of
`sql.compile_sql`.

    touched = rules.fold_event(facts.leaves, type, time, envelope, now)
    touched |= rules.leaves_of(traits=changed_names, metrics=("events", "last_seen"))
    truths = rules.update(facts, touched, memberships, now)   # once per touched profile and batch
    …and again at facts.due: rules.update(facts, (), memberships, now)
"""

from collections.abc import Container, Iterable, Mapping, Set
from graphlib import CycleError, TopologicalSorter

from schemas.errors import InvalidRule
from segments import truths
from segments.facts import Leaves, Pass, ProfileFacts
from segments.folds import earliest
from segments.leaves import LiveLeaves, discard
from segments.tree import All, Any_, Computed, Not, Rule, SegmentRef, leaves_in, segments_of
from segments.truths import Truth

__all__ = ["Leaves", "LiveRules", "ProfileFacts", "topological"]


class LiveRules(LiveLeaves):
    """The live segments, compiled together: equal leaves are shared, nested segments come before their users.

    Raises `InvalidRule` if segments contain each other in a circle, or name one that does not exist.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self.rules: dict[str, Rule] = {}
        self._rank: dict[str, int] = {}
        self._uses: dict[int, set[str]] = {}
        """The segments that have a leaf themselves."""
        self._users: dict[str, set[str]] = {}
        """The segments that name a segment themselves."""
        self._affected: dict[int, frozenset[str]] = {}
        self._truths: dict[str, Truth] = {}
        self._blank_truths: dict[str, bool] = {}
        self.become(rules)

    def become(self, rules: Mapping[str, Rule]) -> None:
        """Use these rules from now on. Compiles only new and changed ones. The states of leaves that stay remain valid.
        Changes nothing if it raises `InvalidRule`.
        """
        ended = {segment: rule for segment, rule in self.rules.items() if segment not in rules}
        changed = {segment: rule for segment, rule in rules.items() if _differ(self.rules.get(segment), rule)}
        rank = self._ranked(rules, {*ended, *changed})
        former = ended | {segment: self.rules[segment] for segment in changed if segment in self.rules}
        reached = self._leaves_below(former)
        self.rules, self._rank = dict(rules), rank
        shared = {user for rule in changed.values() for user in self._uses_of(rule)}
        for segment, rule in changed.items():
            self._enlist(segment, rule)
        for segment, rule in former.items():
            self._strike(segment, rule, rules.get(segment))
        reached |= self._leaves_below(changed)
        for leaf in reached & self._uses.keys():
            self._affected[leaf] = frozenset(self._with_users(self._uses[leaf]))
        for segment in {*changed, *(shared & rules.keys())}:  # shared leaves are evaluated once per pass
            self._truths[segment] = self._truth(rules[segment])
        self._blank_truths |= self.evaluate_some(ProfileFacts(), self._with_users(changed), self._blank_members(), 0)

    @property
    def order(self) -> tuple[str, ...]:
        """The segments, nested ones first."""
        return tuple(sorted(self.rules, key=self._rank.__getitem__))

    # The effects of a change

    def affected(self, leaves: Iterable[int]) -> set[str]:
        """The segments whose truth may change when these leaves do, users of nested segments included."""
        segments: set[str] = set()
        for leaf in leaves:
            segments |= self._affected[leaf]
        return segments

    def changes_with_time(self, segment: str) -> bool:
        """Whether the passing of time alone can change the segment, or one that it names."""
        return bool(self.timed_leaves((segment,)))

    def timed_leaves(self, segments: Iterable[str]) -> list[int]:
        """The leaves that the passing of time alone can change, and with them one of these segments."""
        wanted = frozenset(segments)
        return [leaf for leaf in self._timed if not wanted.isdisjoint(self._affected.get(leaf, ()))]

    # Truth

    def update(
        self, facts: ProfileFacts, touched: Iterable[int], current: Container[str], now_ms: int
    ) -> dict[str, bool]:
        """The truth of the segments that may have changed since the last update of these facts; sets
        `facts.due`.

        `touched`: the leaves whose inputs changed since. Leaves with the same truth as before affect nothing, which is
        the usual case and saves the evaluation. A due moment that has come is handled as well. After a merge or a
        reload of `facts.leaves` set `facts.true_leaves` to None, so that everything is evaluated.
        """
        if facts.true_leaves is None:
            return self._first_update(facts, now_ms)
        if facts.due is not None and facts.due <= now_ms:
            touched, facts.due = {*touched, *self._timed}, None
            flipped = self._flipped(facts, touched, now_ms)
            facts.due = self.next_change(facts, now_ms)
        else:
            flipped = self._flipped(facts, touched, now_ms)
            moved = [leaf for leaf in touched if leaf in flipped or not self._settled(facts, leaf, now_ms)]
            facts.due = earliest(facts.due, self.next_change(facts, now_ms, moved))
        return self.evaluate_some(facts, self.affected(flipped), current, now_ms) if flipped else {}

    def _first_update(self, facts: ProfileFacts, now_ms: int) -> dict[str, bool]:
        """The truth of all segments. Only leaves with data can differ from those of an unknown profile."""
        looked_at = [*self._facts_leaves, *(leaf for leaf in facts.leaves if leaf in self._folds)]
        facts.true_leaves = set(self._blank_leaves)
        flipped = self._flipped(facts, looked_at, now_ms)
        facts.due = self.next_change(facts, now_ms, looked_at)
        return self._decide(facts, self.affected(flipped), dict(self._blank_truths), (), now_ms)

    def _settled(self, facts: ProfileFacts, leaf: int, now_ms: int) -> bool:
        """Whether a touched leaf whose truth did not change needs no new due moment."""
        fold = self._steady.get(leaf)
        return fold is not None and fold.settled(facts.leaves[leaf], now_ms)

    def _flipped(self, facts: ProfileFacts, leaves: Iterable[int], now_ms: int) -> set[int]:
        """The leaves whose truth has changed. Stores the new truth."""
        one = Pass(facts, now_ms, {}, ())
        known = facts.true_leaves if facts.true_leaves is not None else set()
        flipped = {leaf for leaf in leaves if self._leaf_truths[leaf](one) != (leaf in known)}
        known ^= flipped
        return flipped

    def evaluate(self, facts: ProfileFacts, now_ms: int) -> frozenset[str]:
        """The segments that hold at `now_ms`."""
        decided = self.evaluate_some(facts, self.order, (), now_ms)
        return frozenset(segment for segment, holds in decided.items() if holds)

    def evaluate_some(
        self, facts: ProfileFacts, segments: Iterable[str], current: Container[str], now_ms: int
    ) -> dict[str, bool]:
        """The truth of these segments, in one pass. Other nested segments are taken from `current`."""
        return self._decide(facts, segments, {}, current, now_ms)

    def _decide(
        self,
        facts: ProfileFacts,
        segments: Iterable[str],
        decided: dict[str, bool],
        current: Container[str],
        now_ms: int,
    ) -> dict[str, bool]:
        """Evaluate these segments into `decided`. Others are taken from there, else from `current`."""
        one = Pass(facts, now_ms, decided, current)
        for segment in sorted(segments, key=self._rank.__getitem__):
            decided[segment] = self._truths[segment](one)
        return decided

    # Compiling

    def _ranked(self, rules: Mapping[str, Rule], touched: Set[str]) -> dict[str, int]:
        """Ranks by which nested segments come first. Only segments that name others, or are named, can make a circle or
        a gap."""
        if self._users.keys().isdisjoint(touched) and not any(
            segments_of(rules[one]) for one in touched & rules.keys()
        ):
            return {segment: self._rank.get(segment, 0) for segment in rules}
        return {segment: rank for rank, segment in enumerate(topological(rules))}

    def _uses_of(self, rule: Rule) -> Iterable[str]:
        """The segments that were the only ones with some leaf of the rule."""
        for leaf in leaves_in(rule):
            uses = self._uses.get(self._ids.get(leaf, -1), ())
            if len(uses) == 1:
                yield from uses

    def _leaves_below(self, rules: Iterable[str]) -> set[int]:
        """The leaves of segments, and of those that they name, directly or through others."""
        found: set[int] = set()
        seen: set[str] = set()
        waiting = list(rules)
        while waiting:
            segment = waiting.pop()
            if segment in seen or (rule := self.rules.get(segment)) is None:
                continue
            seen.add(segment)
            waiting.extend(segments_of(rule))
            found.update(self._ids[leaf] for leaf in leaves_in(rule))
        return found

    def _enlist(self, segment: str, rule: Rule) -> None:
        for nested in segments_of(rule):
            self._users.setdefault(nested, set()).add(segment)
        for leaf in leaves_in(rule):
            self._uses.setdefault(self._number(leaf), set()).add(segment)

    def _strike(self, segment: str, former: Rule, rule: Rule | None) -> None:
        """Forget what a segment's former rule contained and its present rule, if any, does not."""
        kept = set(leaves_in(rule)) if rule else set()
        for nested in segments_of(former) - (segments_of(rule) if rule else frozenset()):
            discard(self._users, nested, segment)
        for leaf in set(leaves_in(former)) - kept:
            i = self._ids[leaf]
            discard(self._uses, i, segment)
            if i not in self._uses:
                self._affected.pop(i, None)
                self._drop(leaf)
        if rule is None:
            del self._truths[segment], self._blank_truths[segment]

    def _blank_members(self) -> frozenset[str]:
        """The segments of an unknown profile: always the same ones."""
        return frozenset(segment for segment, holds in self._blank_truths.items() if holds)

    def _with_users(self, segments: Iterable[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(segments)
        while waiting:
            segment = waiting.pop()
            if segment not in found:
                found.add(segment)
                waiting.extend(self._users.get(segment, ()))
        return found

    def _truth(self, rule: Rule) -> Truth:
        match rule:
            case All(children=below):
                return truths.all_of([self._truth(child) for child in below])
            case Any_(children=below):
                return truths.any_of([self._truth(child) for child in below])
            case Not(child=child):
                truth = self._truth(child)
                return lambda one: not truth(one)
            case SegmentRef(segment=segment):
                return truths.nested(segment)
            case Computed():
                raise AssertionError("bound rules are for SQL")
            case leaf:
                i = self._ids[leaf]
                truth = self._leaf_truths[i]
                return truths.once(i, truth) if len(self._uses[i]) > 1 else truth


def _differ(known: Rule | None, rule: Rule) -> bool:
    return known is not rule and known != rule


def topological(rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Segment ids, nested ones first. Raises `InvalidRule` on a circle or an unknown segment."""
    below = {segment: sorted(segments_of(rule)) for segment, rule in rules.items()}
    if any(nested not in rules for named in below.values() for nested in named):
        raise InvalidRule(
            "rule: wanted segments that exist, got an unknown one; declare it first",
            code="unknown_segment",
        )
    try:
        return tuple(TopologicalSorter(below).static_order())
    except CycleError as error:
        raise InvalidRule(
            "rule: wanted segments that do not contain themselves, got a circle; remove one reference",
            code="segment_cycle",
        ) from error
