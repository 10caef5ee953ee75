"""What may happen to an installation, drawn at random: events, time, stewards, edits of segments, restarts."""

from typing import Any

from tests.properties.installation import House
from tests.properties.pipeline_world import STEPS, Random, make_door, make_events, make_segments, nodes_hex
from tests.properties.segments_world import make_rules


class Life:
    """Draws what happens in an installation."""

    def __init__(self, r: Random, box: House) -> None:
        self.r, self.box, self.door = r, box, make_door()
        self.sent = 0
        for name, rule in make_segments(r).items():
            box.declare("segment", name, {"rule": rule})
        box.settle()

    def something_happens(self) -> None:
        happens = (self.events, self.time, self.merge, self.split, self.edit, self.delete, self.forget, self.restart)
        self.r.choices(happens, (8, 5, 2, 2, 1, 0.3, 1, 0.5))[0]()

    def events(self) -> None:
        number = self.r.choice((1, 3, 12))
        self.box.append(make_events(self.r, number, self.box.clock(), self.door, first=self.sent))
        self.sent += number

    def time(self) -> None:
        self.box.clock.now += self.r.choice(STEPS)

    def merge(self) -> None:
        profiles = sorted(self.box.live_profiles())
        if len(profiles) > 1:
            a, b = nodes_hex(self.r.sample(profiles, 2))
            self.box.command("merge", a=a, b=b)

    def split(self) -> None:
        graph = self.box.graph
        large = [nodes for p in sorted(self.box.live_profiles()) if len(nodes := graph.nodes_of(p)) > 1]
        if large:
            nodes = self.r.choice(large)
            self.box.command("split", nodes=nodes_hex(self.r.sample(nodes, self.r.randint(1, len(nodes) - 1))))

    def edit(self) -> None:
        """Another rule under the name of one that names no other."""
        rule: dict[str, Any] = make_rules(self.r)["s0"]
        self.box.declare("segment", self.r.choice(("s0", "buyers", "new")), {"rule": rule})

    def delete(self) -> None:
        if "s2" in self.box.rules():  # nothing names it
            self.box.registry.withdraw("segment", "s2", "tests")

    def forget(self) -> None:
        self.box.forget_states()

    def restart(self) -> None:
        self.box.restart()
