"""One SRV RRset changed and read back: by a signed update, by hand, and while somebody else writes there too.

The action itself, over name servers of paper. `time.sleep` is where the world goes on: whoever edits the zone does it
between two looks.
"""

import base64
from types import SimpleNamespace

import dns.message
import dns.rrset
import pytest
from ansible_collections.xmppgw.migration.plugins.action import dns_rrset
from ansible_collections.xmppgw.migration.plugins.callback.exit_status import CallbackModule
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_changes import ChangeError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_manual import Manual

NAME = "_xmpp-server._tcp.corp.example"
FIRST, SECOND = "203.0.113.53", "203.0.113.54"
DNS = SimpleNamespace(zones=["corp.example"], primary=FIRST, authoritative=[FIRST, SECOND], provider="manual")
LEGACY = {"ttl": 3, "records": ["0 0 5269 legacy1.corp.example."]}
OURS = {"ttl": 3, "records": ["10 10 5269 edge1.corp.example.", "10 20 5269 edge2.corp.example."]}


class Servers:
    """Name servers: what each serves, and what is still to happen to them."""

    def __init__(self):
        self.served = {FIRST: LEGACY, SECOND: LEGACY}
        self.to_come = []
        self.said = []

    def look(self, server, _zone, _name):
        return {"rrset": self.served[server], "soa": "soa", "negative_ttl": 3}

    def exchange(self, packets):
        return [{"answer": base64.b64encode(self.answer(packet)).decode()} for packet in packets]

    def answer(self, packet):
        query = dns.message.from_wire(base64.b64decode(packet["message"]))
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        rrset = self.served[packet["server"]]
        reply.answer.append(dns.rrset.from_text_list(f"{NAME}.", rrset["ttl"], "IN", "SRV", rrset["records"]))
        return reply.to_wire()

    def say(self, line):
        self.said.append(line)

    def goes_on(self, _seconds):
        assert self.to_come, "waits although nothing more will happen"
        self.to_come.pop(0)(self)


def set_to(server, rrset):
    return lambda servers: servers.served.__setitem__(server, rrset)


class Signed:
    """A provider whose update reaches the primary at once."""

    read_back_seconds = 30.0

    def __init__(self, servers):
        self.servers = servers

    def change(self, change):
        self.servers.served[FIRST] = change.after


@pytest.fixture
def servers(monkeypatch):
    made = Servers()
    monkeypatch.setattr(dns_rrset.time, "sleep", made.goes_on)
    return made


def change(servers, provider, *, checking=False, **arguments):
    """Run the action's change to our edges; its result."""
    action = dns_rrset.ActionModule.__new__(dns_rrset.ActionModule)
    action._task = SimpleNamespace(check_mode=checking)
    return action.change(DNS, servers, provider, {"name": NAME, "rrset": OURS, "expect": LEGACY, **arguments})


def test_by_hand_the_run_goes_on_when_every_server_has_every_record(servers):
    """A person edits a record at a time, and the second server follows later: nothing of that is somebody else."""
    half = {"ttl": 3, "records": [*LEGACY["records"], OURS["records"][0]]}
    servers.to_come = [set_to(FIRST, half), set_to(FIRST, OURS), set_to(SECOND, OURS)]
    result = change(servers, Manual(DNS, servers))
    assert (result["before"], result["after"], result["changed"]) == (LEGACY, OURS, True)
    assert servers.to_come == []
    assert f"  add     {NAME}. 3 IN SRV 10 20 5269 edge2.corp.example." in servers.said


def test_by_hand_a_run_that_waited_too_long_says_who_serves_what_and_the_next_one_goes_on(servers):
    with pytest.raises(ChangeError, match=f"{FIRST}, {SECOND} still serves TTL 3 0 0 5269 legacy1") as stopped:
        change(servers, Manual(DNS, servers), manual_seconds=-1)
    assert stopped.value.code == "migration-dns-manual"
    servers.served = {FIRST: OURS, SECOND: OURS}
    servers.said.clear()
    again = change(servers, Manual(DNS, servers), manual_seconds=-1)
    assert (again["changed"], again["waited_s"], servers.said) == (False, 0.0, [])


def test_waiting_for_a_person_ends_a_run_with_a_status_of_its_own(servers, monkeypatch):
    document = SimpleNamespace(federation=SimpleNamespace(dns=DNS))
    monkeypatch.setattr(dns_rrset.environment, "read_document", lambda _path: document)
    action = dns_rrset.ActionModule.__new__(dns_rrset.ActionModule)
    action._task = SimpleNamespace(check_mode=False)
    monkeypatch.setattr(action, "setting", lambda _variables, _name: {}, raising=False)
    monkeypatch.setattr(dns_rrset, "World", lambda *_: servers)
    result = action.act({"name": NAME, "rrset": OURS, "manual_seconds": -1}, {})
    assert (result["failed"], result["code"], result["exit_status"]) == (True, "migration-dns-manual", 6)
    callback = CallbackModule()
    callback.v2_runner_item_on_failed(SimpleNamespace(result=result))
    callback.v2_runner_on_failed(SimpleNamespace(result={"failed": True}))
    with pytest.raises(SystemExit) as ended:
        callback.v2_playbook_on_stats(SimpleNamespace(failures={"localhost": 1}, dark={}))
    assert ended.value.code == 6


@pytest.mark.parametrize(
    ("events", "failures", "status"),
    [
        ([("ok", 3)], {}, 3),
        ([("ok", 3), ("failed", 0)], {"h": 1}, None),
        ([("ok", 3), ("unreachable", 0)], {}, None),
        ([("failed", 6)], {"h": 1}, 6),
        # Rescued: somebody is still awaited, and the run went on to its end.
        ([("failed", 6), ("ok", 0)], {}, 6),
        ([("failed", 6), ("failed", 0)], {"h": 1}, None),
        # The rescue gives up with the same words.
        ([("failed", 6), ("again", 0)], {"h": 1}, 6),
    ],
)
def test_a_failure_that_asks_for_no_status_is_not_hidden_by_an_earlier_one(events, failures, status):
    callback, found = CallbackModule(), None
    for number, (event, asked) in enumerate(events):
        result = {"exit_status": asked, "msg": "0" if event == "again" else str(number)}
        told = event.replace("again", "failed")
        getattr(callback, f"v2_runner_on_{told}")(SimpleNamespace(result=result))
    dark = {"h": 1} if events[-1][0] == "unreachable" else {}
    try:
        callback.v2_playbook_on_stats(SimpleNamespace(failures=failures, dark=dark))
    except SystemExit as ended:
        found = ended.code
    assert found == status


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({**LEGACY, "ttl": 7}, "TTL 3 became 7"),
        ({"ttl": 3, "records": [*LEGACY["records"], "5 5 5269 other.example."]}, "added 5 5 5269 other.example."),
        ({"ttl": 3, "records": ["0 0 5269 other.example."]}, "removed 0 0 5269 legacy1.corp.example."),
    ],
)
def test_what_somebody_else_changed_since_the_plan_is_named_and_nothing_is_written(servers, found, words):
    servers.served = {FIRST: found, SECOND: found}
    result = change(servers, Signed(servers))
    assert (result["failed"], result["code"]) == (True, "migration-foreign-srv")
    assert words in result["msg"]
    assert servers.served[FIRST] == found


def test_what_somebody_else_changes_while_the_servers_follow_is_named(servers):
    servers.to_come = [set_to(SECOND, {**LEGACY, "ttl": 7})]
    with pytest.raises(ChangeError, match=f"{SECOND} came to serve something else: .*TTL 3 became 7") as refused:
        change(servers, Signed(servers))
    assert refused.value.code == "migration-foreign-srv"


def test_a_server_that_does_not_follow_is_named_with_what_it_serves(servers):
    provider = Signed(servers)
    provider.read_back_seconds = -1.0
    with pytest.raises(ChangeError, match=f"{SECOND} still serves TTL 3 0 0 5269 legacy1.corp.example") as late:
        change(servers, provider)
    assert late.value.code == "migration-read-back"


def test_check_mode_says_the_difference_and_writes_nothing(servers):
    result = change(servers, Signed(servers), checking=True)
    assert result["changed"]
    assert "edge2.corp.example." in result["diff"]["after"]
    assert servers.served == {FIRST: LEGACY, SECOND: LEGACY}
