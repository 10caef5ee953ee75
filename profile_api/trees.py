"""The rules of declared segments and the computations of declared traits as trees: each is parsed once as long as its
declaration lasts."""

from typing import Final

from registry.models import SegmentDeclaration, TraitDeclaration
from schemas.errors import InvalidRule
from segments.computed import parse_computation, units_of
from segments.rule import parse_rule
from segments.tree import Computation, Rule, segments_of

_MOST_KEPT: Final = 10_000


class Trees:
    """May be called from any thread: two that ask at once for the same both parse it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[SegmentDeclaration, Rule, frozenset[str]]] = {}
        self._computations: dict[str, tuple[TraitDeclaration, Computation]] = {}

    def keep(self, segment: SegmentDeclaration, rule: Rule) -> None:
        """A rule that was parsed already, as a segment's, if a segment was declared with it."""
        if segment.rule == rule.written:
            self._keep(segment, rule)

    def tree(self, segment: SegmentDeclaration) -> Rule:
        """Raises `InvalidRule` for a rule that only an earlier version accepts."""
        return self._parsed(segment)[1]

    def names(self, segment: SegmentDeclaration) -> frozenset[str]:
        """The segments that it names; none if its rule cannot be read."""
        try:
            return self._parsed(segment)[2]
        except InvalidRule:  # it is set aside
            return frozenset()

    def computation(self, trait: TraitDeclaration) -> Computation:
        """Raises `InvalidRule` for one that only an earlier version accepts."""
        known = self._computations.get(trait.id)
        if known is None or known[0] is not trait:
            if len(self._computations) >= _MOST_KEPT:
                self._computations = {}
            known = self._computations[trait.id] = trait, parse_computation(trait.compute)
        return known[1]

    def read_by(self, trait: TraitDeclaration) -> frozenset[str]:
        """The segments that it names, and the traits that it reads, by their `unit`; none if it cannot be read."""
        try:
            return units_of(self.computation(trait))
        except InvalidRule:  # it is set aside
            return frozenset()

    def _parsed(self, segment: SegmentDeclaration) -> tuple[SegmentDeclaration, Rule, frozenset[str]]:
        known = self._known.get(segment.id)
        if known is None or known[0] is not segment:
            return self._keep(segment, parse_rule(segment.rule))
        return known

    def _keep(self, segment: SegmentDeclaration, rule: Rule) -> tuple[SegmentDeclaration, Rule, frozenset[str]]:
        if len(self._known) >= _MOST_KEPT:  # of segments that are gone, too
            self._known = {}
        known = self._known[segment.id] = segment, rule, segments_of(rule)
        return known
