"""The benchmarks still run and count what they say they count; their numbers are nobody's business here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.benchmarks import calls, codec, measure, path, planning, users
from tests.benchmarks.measure import Measurement

from xmppgw.cli.documents import examine
from xmppgw.edge.settings import decode_edge_settings
from xmppgw.frontend.settings import decode_front_end_settings


def test_the_large_environment_is_one_that_can_be_planned(tmp_path: Path) -> None:
    examination, population = examine(planning.write_environment(tmp_path, partners=30, users=100))
    assert examination.problems == ()
    assert examination.document is not None
    assert len(examination.document.federation.partners) == 30
    assert population is not None
    assert (population.total, population.to_move, population.with_xmpp) == (100, 100, 100)


def test_every_codec_benchmark_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROUND_SECONDS", 0.001)
    monkeypatch.setattr(measure, "REPEATS", 2)
    found = codec.run()
    assert len({one.name for one in found}) == len(found) == 10
    assert all(one.value > 0 for one in found)


def test_the_benchmark_of_users_runs() -> None:
    found = {one.name: one.value for one in users.run(users=200, few=20)}
    assert found["the same export again: users changed"] == 0
    assert len(found) == 6


def test_the_benchmark_of_calls_runs() -> None:
    assert len(calls.run(few=0, many=1)) == 3


def test_the_table_has_every_measurement_under_its_group() -> None:
    text = measure.table(
        [
            Measurement("A", "one", 1234.5, "1/s", 0.1),
            Measurement("A", "two", 0.5, "s"),
            Measurement("B", "three", 2, ""),
        ]
    )
    assert [line.split()[0] for line in text.splitlines() if line] == ["A", "one", "two", "B", "three"]
    assert "1,234" in text and "spread 10%" in text


def test_processes_are_measured_by_what_the_kernel_says() -> None:
    own = os.getpid()
    assert own in measure.family(own)
    assert measure.processor_seconds([own]) > 0
    assert measure.resident_mebibytes(own) > 1


def test_the_sent_messages_are_distinct_and_as_many_as_asked() -> None:
    data = b"".join(path._stanzas(path.BATCH * 2 + 1))
    assert data.count(b"<message ") == data.count(b"</message>") == path.BATCH * 2 + 1
    ids = [part.split(b"'", 1)[0] for part in data.split(b" id='")[1:]]
    assert len(set(ids)) == len(ids)


def test_the_daemons_accept_the_settings_that_are_measured(tmp_path: Path) -> None:
    files = path._credentials(tmp_path, path.Authorities())
    assert decode_edge_settings(json.dumps(path._edge_settings(tmp_path, files)).encode()).federation_enabled
    assert decode_front_end_settings(json.dumps(path._front_end_settings(tmp_path, files)).encode()).links
