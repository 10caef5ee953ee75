"""The audit on a real Kafka: several processes write at the same time, and what is done to the topic is found."""

import pytest

from deploy.kafka.broker import Broker
from eventlog.kafka.client import ClientName
from privacy.audit import Auditor
from privacy.chain import Checked, check, mark_of
from schemas.topics import AUDIT
from tests.kafka.fixtures import CLIENTS, isolated_logs
from tests.unit.test_audit_chain import KEY, SECRET, TAMPERED, entry, written


@pytest.mark.parametrize("client", CLIENTS)
def test_several_writers_have_chains_of_their_own(kafka: Broker, client: ClientName) -> None:
    with isolated_logs(kafka) as open_log:
        auditors = [Auditor(open_log(client=client), SECRET) for _ in range(3)]
        for future in [auditors[n % 3].record(entry(n)) for n in range(60)]:
            future.result(30)
        log = open_log(client=client)
        done = check(log, KEY, Checked(), 1_000)
        assert (done.entries, done.chains, done.broken) == (60, 3, 0)
        for n in range(20):
            auditors[n % 3].record(entry(n)).result(30)  # each finds nothing under way
        assert check(log, KEY, done, 1_000).broken == 0


def test_what_is_done_to_the_topic_is_found(kafka: Broker) -> None:
    with isolated_logs(kafka) as open_log:
        messages = written(open_log())
    for case in ("one removed", "one changed", "two changed places", "garbage inserted"):
        tamper, place = TAMPERED[case]
        with isolated_logs(kafka) as open_log:
            log = open_log()
            log.append(AUDIT, tamper(messages))
            assert check(log, KEY, Checked(), 1_000).faults[0].offset == place
    with isolated_logs(kafka) as open_log:
        log = open_log()
        log.append(AUDIT, messages[:-1])
        done = check(log, KEY, Checked(), 1_000)
        assert (done.broken, done.head == mark_of(KEY, messages[-1][1])) == (0, False)
