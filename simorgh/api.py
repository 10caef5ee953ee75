"""The role `api`: the profile API over a cluster's tables, and its answers about replays, which a worker does."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from eventlog.port import EventLog
from profile_api.deps import Projections
from profile_api.readiness import Readiness, keys_are_known, log_takes_events, tables_answer
from profile_api.watch import watch
from schemas import topics
from simorgh.cluster import opened
from simorgh.faces import api_deps
from simorgh.front import Stop, binds, run_app
from simorgh.positions import StagePositions, ViewsHold
from simorgh.settings import Settings
from simorgh.stores import heavy_queries, open_warehouse
from stream_processors.flow.events import GROUP as EVENTS_GROUP
from stream_processors.flow.topology import TOPOLOGY, projections
from stream_processors.host import generation
from stream_processors.host.generation import GenerationLog, LiveGeneration
from warehouse.client import OtherTables

STAGES = projections(TOPOLOGY)


def api(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer the profile API until SIGTERM."""
    from profile_api.app import create_api  # declares its routes when it is imported: not for the other roles

    addresses = binds(settings, host, port)
    with opened(settings) as base:
        live = LiveGeneration(base.log)
        warehouse = open_warehouse(settings)
        try:
            with suppress(OtherTables):  # a worker builds others; until then queries of these may fail
                warehouse.migrate(live.number)
            log = StagePositions(GenerationLog(base.log, live), STAGES)
            holds = ViewsHold(log)
            live.moved.append(holds.forget)
            live.follow()
            reader = warehouse.reader(live)
            heavy, stop = heavy_queries(settings, reader), Stop()
            deps = api_deps(
                log,
                base.declarations,
                settings,
                secret=base.secret,
                reader=reader,
                generation=live,
                projections=Projections(
                    stages=STAGES,
                    shown=holds.positions,
                    visible_within=30.0,
                    replay=lambda: replay(base.log, live),
                    replay_state=lambda: replay_state(base.log, live),
                ),
                readiness=Readiness(
                    {
                        "log": log_takes_events(base.log, topics.REGISTRY),
                        "keys": keys_are_known(base.keyring),
                        "warehouse": tables_answer(reader, lambda: warehouse.damage(live.number)),
                    }
                ),
                heavy=heavy,
                stopping=stop.asked.is_set,
            )
            stop.at_once.append(heavy.close)
            app = create_api(deps)
            watch(app, deps.metrics)
            run_app(app, addresses, lambda: ready(addresses[0].url), settings, deps.metrics, stop)
        finally:
            live.close()
            warehouse.close()


# ---- replay: requested here, done by a worker


def replay(log: EventLog, live: LiveGeneration) -> dict[str, Any]:
    """Request a replay; returns its state. Raises `Conflict` (`replay_running`) if one is running."""
    generation.want(log)
    return replay_state(log, live)


def replay_state(log: EventLog, live: LiveGeneration) -> dict[str, Any]:
    """The state of the current or latest replay. Once it is done, this process reads the new tables."""
    stands = generation.wanted(log)
    live.look()
    if stands.is_under_way:
        done = GenerationLog(log, lambda: stands.wanted).committed(EVENTS_GROUP, topics.EVENTS)
        total = GenerationLog(log, lambda: stands.live).committed(EVENTS_GROUP, topics.EVENTS)
        return {"state": "running", "done": min(sum(done), sum(total)), "total": sum(total)}
    if stands.wanted > stands.live:
        return {"state": "failed", "reason": "see the workers' logs"}
    return {"state": "done", "generation": stands.live} if stands.wanted else {"state": "idle"}
