"""What is done on hosts: units in order, certificates judged and issued, streams and tables read."""

import base64
import datetime
import hashlib
import json
import os
import socket
import threading

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import host_reading, legacy, readiness, tables
from ansible_collections.xmppgw.migration.plugins.modules import (
    gateway_control,
    host_configuration,
    platform_table,
    users_index,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils import issuer_private_ca, issuing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.migration.modules import run_module

SERVICE, SOCKET = "xmppgw-edge.service", "xmppgw-edge.socket"


def calls(states, wanted, *, files=False, unit=False, reload=False):
    return host_configuration.plan_units(
        dict(zip((SERVICE, SOCKET), states, strict=True)),
        dict(zip((SERVICE, SOCKET), wanted, strict=True)),
        SERVICE,
        files_changed=files,
        unit_changed=unit,
        reload=reload,
    )


@pytest.mark.parametrize(
    ("states", "wanted", "more", "expected"),
    [
        # Step 2: the service alone.
        (("disabled", "disabled"), ("enabled", "disabled"), {}, [("enable", SERVICE), ("start", SERVICE)]),
        # Step 5: a socket cannot start under a running service.
        (
            ("enabled", "disabled"),
            ("enabled", "enabled"),
            {"files": True},
            [("stop", SERVICE), ("enable", "--now", SOCKET), ("enable", SERVICE), ("start", SERVICE)],
        ),
        # Taken back: a service keeps what its socket passed to it, so it is stopped before and started after.
        (
            ("enabled", "enabled"),
            ("enabled", "disabled"),
            {},
            [("stop", SERVICE), ("disable", "--now", SOCKET), ("enable", SERVICE), ("start", SERVICE)],
        ),
        (("enabled", "enabled"), ("enabled", "enabled"), {}, []),
        (("enabled", "enabled"), ("enabled", "enabled"), {"files": True}, [("reload", SERVICE)]),
        (("enabled", "enabled"), ("enabled", "enabled"), {"reload": True}, [("reload", SERVICE)]),
        (("enabled", "enabled"), ("enabled", "enabled"), {"unit": True}, [("enable", SERVICE), ("restart", SERVICE)]),
        (("enabled, outdated", "enabled"), ("enabled", "enabled"), {}, [("enable", SERVICE), ("restart", SERVICE)]),
        (
            ("enabled", "enabled"),
            ("disabled", "disabled"),
            {},
            [("disable", "--now", SERVICE), ("disable", "--now", SOCKET)],
        ),
        (("disabled", "disabled"), ("disabled", "disabled"), {}, []),
    ],
)
def test_units_change_in_the_only_order_that_works(states, wanted, more, expected):
    assert calls(states, wanted, **more) == expected


@pytest.mark.parametrize(
    ("file_state", "active_state", "expected"),
    [
        ("enabled", "active", "enabled"),
        ("disabled", "inactive", "disabled"),
        ("", "", "disabled"),
        ("enabled", "failed", "enabled, failed"),
        ("disabled", "active", "disabled, active"),
    ],
)
def test_a_unit_in_one_word(file_state, active_state, expected):
    assert host_reading.summarise_unit(file_state, active_state) == expected


def test_mode_and_group_count_as_content(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0o640)
    first = host_reading.file_digest(path)
    path.chmod(0o644)
    assert host_reading.file_digest(path) != first
    assert host_reading.file_digest(tmp_path / "absent") is None


def test_listening_ports_are_read_from_the_kernels_table():
    table = (
        "  sl  local_address rem_address   st\n"
        "   0: 00000000:1495 00000000:0000 0A 0:0\n"
        "   1: 0100007F:1F9A 0100007F:C001 01 0:0\n"
    )
    assert host_reading.parse_listening(table) == {0x1495}


# Certificates


NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
WANTED = {"subject": "edge1.corp.example", "names": ["edge1.corp.example", "corp.example"], "usages": ["serverAuth"]}


def authority(name="CA"):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def request(key, names=("wrong.example",)):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def public_digest(key):
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def issued():
    ca, key = authority(), ec.generate_private_key(ec.SECP256R1())
    chain = issuer_private_ca.issue(request(key), WANTED, ca, NOW)
    return ca, key, chain


def test_names_and_usages_come_from_the_document_not_from_the_request(issued):
    _ca, _key, chain = issued
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert names == WANTED["names"]
    assert [usage.dotted_string for usage in usages] == ["1.3.6.1.5.5.7.3.1"]  # serverAuth alone


def test_an_issued_certificate_is_good(issued):
    ca, key, chain = issued
    seen = {"pem": chain, "public_key": public_digest(key)}
    assert issuing.problem_of(seen, WANTED, pem(ca[0]), NOW) is None


def test_what_is_wrong_with_a_certificate_is_said(issued):
    ca, key, chain = issued
    good = {"pem": chain, "public_key": public_digest(key)}
    other = authority("CA")
    late = NOW + datetime.timedelta(days=61)
    problems = [
        issuing.problem_of(None, WANTED, pem(ca[0]), NOW),
        issuing.problem_of({**good, "public_key": None}, WANTED, pem(ca[0]), NOW),
        issuing.problem_of({**good, "public_key": "0" * 64}, WANTED, pem(ca[0]), NOW),
        issuing.problem_of({**good, "pem": "garbage"}, WANTED, pem(ca[0]), NOW),
        issuing.problem_of(good, WANTED, pem(other[0]), NOW),
        issuing.problem_of(good, {**WANTED, "names": ["corp.example"]}, pem(ca[0]), NOW),
        issuing.problem_of(good, {**WANTED, "usages": ["serverAuth", "clientAuth"]}, pem(ca[0]), NOW),
        issuing.problem_of(good, WANTED, pem(ca[0]), late),
    ]
    assert problems == [
        "absent",
        "its key is absent",
        "its first certificate does not belong to the key on the host",
        "there is no PEM certificate in it",
        "not signed by the configured authority",
        "names are corp.example, edge1.corp.example",
        "its extended key usage lacks clientAuth; it has serverAuth",
        "ends 2027-02-19",
    ]


def test_a_request_that_its_own_key_did_not_sign_is_refused():
    whole = base64.b64decode("".join(request(ec.generate_private_key(ec.SECP256R1())).splitlines()[1:-1]))
    broken = whole[:-1] + bytes([whole[-1] ^ 1])
    text = (
        "-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(broken).decode()
        + "-----END CERTIFICATE REQUEST-----\n"
    )
    with pytest.raises(issuing.IssuingError, match="not signed with its own key"):
        issuer_private_ca.issue(text, WANTED, authority(), NOW)


# What stand-ins and daemons say


def test_streams_of_the_legacy_gateway():
    listed = legacy.parse_sessions(
        ["Result: streams=in partner1.example corp.example s2sin5;out corp.example partner2.example s2sout6"]
    )
    found = {"s2sin5": ("partner1.example", "corp.example")}
    assert legacy.inbound(listed, ["partner1.example"], ["corp.example"]) == found
    assert legacy.inbound(listed, ["partner2.example"], ["corp.example"]) == {}
    assert legacy.inbound(listed, ["partner1.example"], ["branch.example"]) == {}
    assert legacy.parse_sessions(["Result: streams="]) == []
    with pytest.raises(legacy.LegacyError):
        legacy.parse_sessions(["Sorry, I couldn't understand that"])


def test_a_platforms_table():
    dumped = [{"entry": 1, "size": 1, "slot": [{"name": "alice", "value": "pool-legacy", "type": "str"}]}]
    assert tables.parse_dump(dumped) == {"alice": "pool-legacy"}
    assert tables.parse_dump(None) == {}


@pytest.fixture
def platform(monkeypatch):
    state = {"homing": {"alice": "pool-legacy", "bob": "pool-target"}}
    written = []
    monkeypatch.setattr(tables.Platform, "dump", lambda _self, table: dict(state[table]))

    def write(_self, table, key, value):
        written.append(key)
        state[table][key] = value

    monkeypatch.setattr(tables.Platform, "write", write)
    return state, written


ENTRIES = [{"key": "bob", "value": "pool-target"}, {"key": "alice", "value": "pool-target"}]


def test_a_table_is_written_only_where_it_differs_and_read_back(platform):
    state, written = platform
    first = run_module(platform_table, table="homing", entries=ENTRIES)
    assert (first["changed"], written, state["homing"]["alice"]) == (True, ["alice"], "pool-target")
    assert "alice -> pool-target" in first["diff"]["after"]
    assert run_module(platform_table, table="homing", entries=ENTRIES)["changed"] is False


def test_a_table_in_check_mode_is_not_written(platform):
    _state, written = platform
    assert run_module(platform_table, table="homing", entries=ENTRIES, check=True)["changed"] is True
    assert written == []


def test_a_write_that_does_not_stand_is_a_failure(platform, monkeypatch):
    monkeypatch.setattr(tables.Platform, "write", lambda *_: None)
    failed = run_module(platform_table, table="homing", entries=ENTRIES)
    assert (failed["failed"], failed["code"]) == (True, "migration-read-back")


@pytest.fixture
def daemon(tmp_path):
    """A control socket that gives the answers it is told to, the last one for ever."""
    answers, path = [], str(tmp_path / "control.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                connection.sendall(json.dumps(answer).encode() + b"\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path, answers
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(timeout=5)


STREAM = {"local": "corp.example", "remote": "partner1.example", "direction": "in", "method": "external"}


def test_the_module_waits_until_the_stream_is_there(daemon):
    path, answers = daemon
    answers += [{"ok": True, "streams": []}, {"ok": True, "streams": [STREAM]}]
    done = run_module(
        gateway_control,
        socket=path,
        request={"command": "streams"},
        expect="inbound",
        domains=["partner1.example"],
        limit=20,
    )
    assert done["reached"]
    assert done["waited_s"] > 0


def test_the_module_gives_up_when_its_time_is_over_and_says_what_it_saw(daemon):
    path, answers = daemon
    answers.append({"ok": True, "streams": [STREAM]})
    failed = run_module(
        gateway_control, socket=path, request={"command": "streams"}, expect="inbound", domains=["other.example"]
    )
    assert failed["failed"]
    assert "partner1.example" in failed["msg"]


def test_a_daemon_that_is_not_there_is_a_reason_not_a_traceback(tmp_path):
    failed = run_module(gateway_control, socket=str(tmp_path / "absent"), request={"command": "status"})
    assert failed["failed"]
    assert "No such file" in failed["msg"]
    allowed = run_module(
        gateway_control, socket=str(tmp_path / "absent"), request={"command": "status"}, required=False
    )
    assert (allowed["reached"], allowed["changed"]) == (False, False)


def test_a_stream_that_is_not_authenticated_is_not_an_arrival():
    pending = {"ok": True, "streams": [{**STREAM, "method": "none"}]}
    assert not readiness.EXPECTATIONS["inbound"](pending, ["partner1.example"])
    assert readiness.EXPECTATIONS["no_inbound"](pending, ["partner1.example"])


def test_queues_are_empty_for_one_partner_or_for_all():
    answer = {"ok": True, "queues": {"partner1.example": 0, "partner2.example": 3}}
    drained = readiness.EXPECTATIONS["drained"]
    assert drained(answer, ["partner1.example", "chat.partner1.example"])
    assert not drained(answer, ["partner2.example"])
    assert not drained(answer, [])
    assert drained({"ok": True, "queues": {"partner1.example": 0}}, [])
    assert not drained({"ok": False}, ["partner1.example"])


def test_a_connection_that_is_only_joined_to_legacy_is_no_arrival_either():
    joined = {"ok": True, "streams": [{**STREAM, "method": "spliced"}]}
    assert not readiness.EXPECTATIONS["inbound"](joined, ["partner1.example"])
    assert not readiness.EXPECTATIONS["no_spliced"](joined, ["partner1.example"])
    assert readiness.EXPECTATIONS["no_spliced"](joined, ["partner2.example"])


@pytest.mark.parametrize(("said", "changed"), [("{index}: up to date", False), ("{index}: 3 users", True)])
def test_a_table_that_was_only_written_anew_changes_nothing(tmp_path, said, changed):
    table, index, program = tmp_path / "users.json", tmp_path / "users.sqlite", tmp_path / "xmppgw"
    index.write_text("")
    table.write_text("")
    program.write_text(f"#!/bin/sh\necho '{said.format(index=index)}'\n")
    program.chmod(0o755)
    arguments = {"table": str(table), "index": str(index), "program": str(program)}
    os.utime(index, (1, 1))
    assert run_module(users_index, **arguments)["changed"] is changed
    os.utime(table, (0, 0))
    assert run_module(users_index, **arguments)["changed"] is False
