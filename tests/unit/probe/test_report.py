"""The report of a told migration: what its three faces say, and that they say nothing else."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

from tests.unit.probe.story import GATEWAYS, START, circumstances, lines_of, step_lines

from xmppgw.probe.events import Relayed
from xmppgw.probe.ledger import classify
from xmppgw.probe.report import Report, build, from_json, to_html, to_json, to_markdown
from xmppgw.probe.steps import read_course


def told(drop: int = 0, twice: int = 0, **changes: object) -> Report:
    """The story's report, with so many deliveries taken out of it or told twice."""
    events, relayed = lines_of(length=140.0)
    received = [event for event in events if event.e == "received" and event.direction == "xmpp_to_sip"]
    gone = {id(event) for event in received[:drop]}
    events = [event for event in events if id(event) not in gone] + received[drop : drop + twice]
    course = read_course(step_lines(), START + 150)
    return build(classify(events, relayed, GATEWAYS, course.kills), course, circumstances(**changes))


def test_json_has_what_programs_rely_on() -> None:
    report = json.loads(to_json(told()))
    assert {"schema", "scenario", "plan_digest", "engine", "steps", "probe", "dns", "certificates", "hosts"} <= set(
        report
    )
    assert [(step["number"], step["state"]) for step in report["steps"]] == [(n, "done") for n in range(1, 7)]
    assert {"number", "name", "state", "changed", "duration_s", "waited_s"} <= set(report["steps"][0])
    probe = report["probe"]
    counted = {"sent", "delivered", "returned", "returned_though_delivered", "lost", "duplicated", "reordered"}
    assert counted | {"unprotected", "longest_gap_s", "control_gap_s", "through"} <= set(probe)
    assert probe["lost"] == probe["duplicated"] == 0
    assert probe["sent"] == probe["delivered"] == sum(way["sent"] for way in probe["per_direction"].values())
    assert set(probe["per_direction"]) == {"xmpp_to_sip", "sip_to_xmpp"}
    assert set(probe["per_partner"]) == {"partner1.example", "partner2.example"}
    for way in probe["per_direction"].values():
        assert way["through"]["legacy"] > 0
        assert way["through"]["target"] > 0


def test_a_lost_and_a_doubled_message_are_said_first() -> None:
    report = told(drop=1, twice=2)
    assert (report.probe.lost, report.probe.duplicated) == (1, 2)
    for face in (to_html(report), to_markdown(report)):
        assert "1 lost" in face
        assert "2 doubled" in face
    assert told().verdict != report.verdict


def test_what_ended_in_a_partners_own_server_is_said_beside_the_zero() -> None:
    events, relayed = lines_of(length=140.0)
    gone = next(event for event in events if event.e == "sent" and event.direction == "xmpp_to_sip")
    events = [event for event in events if event.e != "received" or event.id != gone.id]
    relayed[gone.partner].append(Relayed(id=gone.id, address=""))
    course = read_course(step_lines(), START + 150)
    report = build(classify(events, relayed, GATEWAYS, course.kills), course, circumstances())
    assert (report.probe.lost, report.probe.unprotected, report.verdict.good) == (0, 1, True)
    for face in (to_html(report), to_markdown(report)):
        assert "0 lost, 0 doubled, 1 unprotected" in face


def test_html_is_one_file_that_loads_nothing() -> None:
    page = to_html(told())
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|url\((?!#)|@import|<script[^>]+src""", page)
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_what_a_host_said_is_text_in_every_face() -> None:
    report = told(command="<script>alert(1)</script> | pipe")
    assert "<script>alert" not in to_html(report)
    assert "what step 1 does first, on <host>" not in to_html(report)


def test_the_report_can_be_made_anew_from_its_json() -> None:
    report = told()
    again = from_json(to_json(report))
    assert to_html(again) == to_html(report)
    assert to_markdown(again) == to_markdown(report)
