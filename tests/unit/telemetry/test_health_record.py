"""The line on a daemon's health: what daemons really serve, in the fields of the table and of the alerts."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from prometheus_client import Gauge

from xmppgw.cli.program import main
from xmppgw.telemetry import health_record
from xmppgw.telemetry.http import TelemetryServer
from xmppgw.telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_800_000_000.0
DAY = 86_400


def exposition(daemon: str, **values: float) -> bytes:
    metrics = Metrics(daemon)
    for name, value in values.items():
        metrics.observed(name, "a value", lambda value=value: value)  # type: ignore[misc]
    partner: Gauge = metrics.gauge("certificate_expiry_of", "labelled ones are about partners", ("partner",))
    partner.labels("partner.example").set(1.0)
    return metrics.exposition()


def health(**checks: bool) -> bytes:
    return json.dumps({"healthy": all(checks.values()), "checks": checks}).encode()


def test_a_daemon_that_is_well() -> None:
    metrics = exposition("frontend", certificate_expiry=NOW + 30 * DAY, oldest_waiting_seconds=12.5)
    fields = health_record.record("frontend", "fe1", health(store=True), metrics, NOW)
    assert fields == {
        "TimeGenerated": "2027-01-15T08:00:00+00:00",
        "host": "fe1",
        "daemon": "frontend",
        "ready": True,
        "reason": "",
        "certificate_days": 30.0,
        "queue_age_seconds": 12.5,
    }


def test_the_certificate_that_ends_first_counts_and_one_that_is_not_there_yet_does_not() -> None:
    metrics = exposition("edge", certificate_expiry=0.0, link_certificate_expiry=NOW + 5 * DAY)
    fields = health_record.record("edge", "edge1", health(taking_work=True), metrics, NOW)
    assert (fields["certificate_days"], fields["queue_age_seconds"]) == (5.0, None)
    metrics = exposition("edge", certificate_expiry=NOW - DAY, link_certificate_expiry=NOW + 5 * DAY)
    assert health_record.record("edge", "edge1", health(), metrics, NOW)["certificate_days"] == -1.0


def test_every_check_that_fails_is_named() -> None:
    fields = health_record.record("edge", "edge1", health(a=True, c=False, b=False), exposition("edge"), NOW)
    assert (fields["ready"], fields["reason"]) == (False, "b, c")


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"checks": 1}', b"\xff", b'{"checks": {}}'])
def test_an_answer_that_says_nothing_is_not_health(answer: bytes) -> None:
    assert health_record.record("edge", "edge1", answer, b"", NOW)["ready"] is False


@pytest.mark.parametrize("well", [True, False])
async def test_a_line_is_what_a_telemetry_server_says(tmp_path: Path, well: bool) -> None:
    server = TelemetryServer(lambda: exposition("frontend", oldest_waiting_seconds=7.0), lambda: {"store": well})
    port = await server.start("127.0.0.1", 0)
    file = tmp_path / "health.jsonl"
    arguments = ["health", "--daemon", "frontend", "--port", str(port), "--host", "fe1", "--append", str(file)]
    try:
        for _time in range(2):
            assert await asyncio.to_thread(main, arguments) == 0
    finally:
        await server.stop()
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    assert tuple(first) == health_record.FIELDS
    assert (second["ready"], second["reason"], second["queue_age_seconds"]) == (well, "" if well else "store", 7.0)


def test_silence_is_a_line_too(tmp_path: Path) -> None:
    file = tmp_path / "health.jsonl"
    assert main(["health", "--daemon", "edge", "--port", "1", "--host", "edge1", "--append", str(file)]) == 0
    fields = json.loads(file.read_text())
    assert fields["ready"] is False
    assert "refused" in fields["reason"]


def test_a_file_that_has_grown_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_record, "MAXIMUM_FILE_BYTES", 100)
    file = tmp_path / "health.jsonl"
    for _time in range(3):
        health_record.append(file, health_record.silence("edge", "edge1", "x" * 100, NOW))
    assert len(file.read_text().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["health.jsonl", "health.jsonl.1"]


def test_only_loopback_is_asked_and_a_file_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    arguments = ["health", "--daemon", "edge", "--port", "1", "--append", str(tmp_path / "no" / "such")]
    assert main(arguments) == 2
    with pytest.raises(SystemExit) as refused:
        main([*arguments, "--address", "192.0.2.1"])
    assert refused.value.code == 2


def test_the_table_and_the_alerts_have_just_these_fields() -> None:
    source = (ROOT / "pulumi/xmpp_infra/azure/monitoring.py").read_text()
    columns = re.search(r"COLUMNS: Final = \{(.*?)\}", source, re.DOTALL)
    assert columns is not None
    assert tuple(re.findall(r'"(\w+)": "\w+"', columns[1])) == health_record.FIELDS
    queries = re.findall(r"where (?:not\()?(\w+)|project ([\w, ]+)|by ([\w, ]+?) \|", source)
    named = {word for found in queries for part in found for word in re.split(r",\s*", part.strip()) if word}
    assert {"ready", "certificate_days", "queue_age_seconds", "reason"} <= named
    assert named - {"last"} <= set(health_record.FIELDS), named


def test_the_role_writes_where_the_collection_rule_reads() -> None:
    source = (ROOT / "pulumi/xmpp_infra/azure/monitoring.py").read_text()
    assert 'HEALTH_FILE: Final = "/var/log/xmppgw/health.jsonl"' in source
    assert "monitoring_log_directory: xmppgw\n" in (ROOT / "roles/monitoring/defaults/main.yml").read_text()
    unit = (ROOT / "roles/monitoring/templates/xmppgw-health.service.j2").read_text()
    assert "--append /var/log/{{ monitoring_log_directory }}/health.jsonl" in unit
