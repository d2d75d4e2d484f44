"""Routes, waves and the end of the legacy gateway on a Microsoft platform: the roles as they are, run on this machine.

A stand-in for Windows PowerShell plays the platform: what the scripts would move stands in one file, and -Show prints
it. The journal is a list in another file. No Windows was at hand; tests/unit/runbook judges the scripts themselves.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import extend, read_history
from ansible_collections.xmppgw.migration.plugins.plugin_utils import plan_users
from ansible_collections.xmppgw.migration.plugins.plugin_utils.picture import Picture

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[3]
AWAITED = 6
PARTNER = "partner1.example"
SHIM = """#!{python}
import pathlib, re, sys
state = pathlib.Path("{folder}/platform")
words = sys.argv[1:]
script = words[words.index("-File") + 1]
with open("{folder}/asked", "a") as log:
    log.write(" ".join([script.rpartition("/")[2], *words[words.index("-File") + 2 :]]) + "\\n")
rows = dict(line.split(" ", 1)[::-1] for line in state.read_text().splitlines())
if "-Show" in words:
    for key, value in rows.items():
        print("shows     " + value + " " + key, end="\\r\\n")
    sys.exit({show})
if not {deaf}:
    file = pathlib.Path("{folder}", "undone" if "-Undo" in words else "done")
    after = dict(line.split(" ", 1)[::-1] for line in file.read_text().splitlines())
    state.write_text("".join(value + " " + key + "\\n" for key, value in (rows | after).items()))
print("done      it", end="\\r\\n")
sys.exit({status})
"""
JOURNAL = {
    "append": [
        {
            "name": "Write",
            "ansible.builtin.lineinfile": {
                "path": "{{ journal_file }}",
                "line": "{{ journal_bodies | to_json }}",
                "create": True,
                "regexp": "^$",
            },
            "delegate_to": "localhost",
        }
    ]
}
JOURNAL["note"] = JOURNAL["append"]


class Site:
    """A controller, perhaps a management host, and a platform."""

    def __init__(self, world, folder):
        self.world, self.folder = world, folder
        world.federation["routes"] = {"provider": "powershell"}
        world.federation["homing"] = {"provider": "powershell"}
        world.federation["drain"] = {"provider": "wait"}
        world.homing.clear()
        world.users(
            *({"user": f"{user}@corp.example", "pool": "pool-legacy.corp.example"} for user in ("alice", "bob"))
        )
        self.management = True
        self.status, self.show, self.deaf = 0, 0, False
        for name in ("platform", "done", "undone"):
            (folder / name).write_text("")
        tasks = folder / "roles" / "journal" / "tasks"
        tasks.mkdir(parents=True)
        for name, content in JOURNAL.items():
            (tasks / f"{name}.yml").write_text(yaml.safe_dump(content))

    def rows(self, name, **rows):
        """Let a file of the platform say {key: value}."""
        (self.folder / name).write_text("".join(f"{value} {key}\n" for key, value in rows.items()))

    @property
    def platform(self):
        return dict(line.split(" ", 1)[::-1] for line in (self.folder / "platform").read_text().splitlines())

    @property
    def asked(self):
        file = self.folder / "asked"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def journal(self):
        """What the run wrote, oldest first."""
        file = self.folder / "journal"
        lines = file.read_text().splitlines() if file.exists() else []
        return [body for line in lines for body in json.loads(line)]

    def play(self, *tasks, **variables):
        """Run tasks as a playbook does after it has looked and decided."""
        self.world.records = extend([], [{"time": "2027-01-15T07:00:00Z", **body} for body in self.journal])
        environment = self.world.environment()
        environment.groups = {**environment.groups, "platforms": []}
        seen = self.world.seen(environment)
        hosts = {host: {"migration_seen": {"seen": found}} for host, found in seen.items()}
        groups = {name: dict.fromkeys(members) for name, members in environment.groups.items()}
        groups["management"] = {"mgmt": None} if self.management else {}
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {
            "all": {
                "hosts": {"localhost": {}, **({"mgmt": {}} if self.management else {}), **hosts},
                "vars": {
                    **local,
                    "migration_document": str(self.folder / "federation.yml"),
                    "migration_roles": str(ROOT / "roles"),
                    "migration_authorities": environment.authorities,
                    "migration_wheelhouse": str(self.folder / "wheels"),
                    "migration_output": str(self.folder / "out"),
                    "journal_file": str(self.folder / "journal"),
                },
                "children": {name: {"hosts": members} for name, members in groups.items()},
            }
        }
        facts = {
            "management": "mgmt" if self.management else "",
            "platforms": [],
            "route_platforms": [],
            "providers": {"routes": self.world.federation["routes"]["provider"], "drain": "wait"},
            "own_domains": ["corp.example"],
            "journal": {"authority": "fe1", "copy": "fe1"},
        }
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
        play = [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "any_errors_fatal": True,
                "tasks": [
                    {"ansible.builtin.set_fact": {"migration": facts}},
                    *tasks,
                ],
                "vars": {
                    "sip_route_watch_seconds": 0,
                    **variables,
                },
            }
        ]
        (self.folder / "play.yml").write_text(yaml.safe_dump(play))
        self.put_shim()
        return subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                "-i",
                str(self.folder / "hosts.yml"),
                str(self.folder / "play.yml"),
            ],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "playbooks" / "ansible.cfg"),
                "ANSIBLE_ROLES_PATH": f"{self.folder / 'roles'}:{ROOT / 'roles'}",
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def put_shim(self):
        """Write the stand-in; it takes the folder of the scripts for C:/xmppgw."""
        (self.folder / "bin").mkdir(exist_ok=True)
        (self.folder / "C:" / "xmppgw").mkdir(parents=True, exist_ok=True)
        shim = self.folder / "bin" / "powershell.exe"
        shim.write_text(
            SHIM.format(python=sys.executable, folder=self.folder, status=self.status, show=self.show, deaf=self.deaf)
        )
        shim.chmod(0o755)

    def route(self, to="target", **variables):
        """Set the route of the partner as step 6 and the way back do."""
        return self.play(
            {
                "ansible.builtin.include_role": {
                    "name": "dns_cutover",
                    "tasks_from": "set_route",
                    "rolespec_validate": False,
                }
            },
            dns_cutover_partner={"domain": PARTNER},
            dns_cutover_route=to,
            **variables,
        )


@pytest.fixture
def site(world, tmp_path, monkeypatch):
    made = Site(world, tmp_path)
    made.rows("platform", **{PARTNER: "none"})
    made.rows("done", **{PARTNER: "ours"})
    made.rows("undone", **{PARTNER: "none"})
    return made


def said(done):
    return done.stdout + done.stderr


def test_a_route_is_moved_by_script_and_what_the_platform_then_shows_is_believed(site):
    """No export is there at all: the platform itself is asked, before and after."""
    done = site.route()
    assert done.returncode == 0, said(done)
    assert site.platform == {PARTNER: "ours"}
    assert [line.split()[1] for line in site.asked] == ["-Show", "-Apply", "-Show"]
    assert all(line.endswith(f"-Partner {PARTNER}") for line in site.asked)
    history = read_history(site.journal)
    assert (history.routes_asked, history.routes_seen[PARTNER]["to"]) == ({}, "target")


def test_a_route_that_stands_on_the_platform_is_left_alone(site):
    site.rows("platform", **{PARTNER: "ours"})
    done = site.route()
    assert done.returncode == 0, said(done)
    assert [line.split()[1] for line in site.asked] == ["-Show"]
    assert site.journal == []


def test_a_route_is_taken_back_though_an_export_says_that_it_never_moved(site):
    """There is no export, which counts as legacy; the platform shows what is true."""
    site.rows("platform", **{PARTNER: "ours"})
    done = site.route("legacy")
    assert done.returncode == 0, said(done)
    assert site.platform == {PARTNER: "none"}
    assert "-Apply -Undo" in site.asked[1]
    assert read_history(site.journal).routes_seen[PARTNER]["to"] == "legacy"


def test_a_script_that_ends_well_and_moves_nothing_is_an_error_and_not_somebodys_open_work(site):
    site.deaf = True
    done = site.route()
    assert done.returncode == 2, said(done)
    assert "migration-read-back" in said(done)
    assert PARTNER in read_history(site.journal).routes_asked, "nobody has seen where it leads since"


def test_a_platform_that_does_not_say_where_a_route_leads_stops_the_run_before_anything_is_done(site):
    site.show = 1
    done = site.route()
    assert "migration-platform-script" in said(done)
    site.show = 0
    site.rows("platform")
    done = site.route()
    assert "did not say what the platform has" in said(done)
    assert not [line for line in site.asked if "-Apply" in line]
    assert site.journal == []


# Nobody to ask: a person, and exports


def export(site, *hops, age=0.0):
    """Bring an export of the static routes; `hops`: (domain, next hop)."""
    routes = [
        {
            "MatchUri": domain,
            "MatchOnlyPhoneUri": False,
            "Transport": f"TransportChoice=Certificate=Microsoft.Rtc.UseDefaultCert;Fqdn={hop};Port=5061",
        }
        for domain, hop in hops
    ]
    folder = site.folder / "exports"
    folder.mkdir(exist_ok=True)
    path = folder / "Get-CsStaticRoutingConfiguration.json"
    unfinished = folder / ".unfinished"
    unfinished.write_text(json.dumps([{"Identity": "Global", "Route": routes}]))
    moment = time.time() - age
    os.utime(unfinished, (moment, moment))
    unfinished.replace(path)


OURS = (PARTNER, "fe-pool.corp.example")


@pytest.fixture
def lone(site):
    site.management = False
    return site


def test_without_anybody_to_ask_the_run_stops_until_a_newer_export_shows_the_route(lone):
    export(lone, age=1000)
    first = lone.route()
    assert first.returncode == AWAITED, said(first)
    assert "migration-handover" in said(first)
    assert "Then bring a new export" in said(first)
    assert lone.asked == []
    asked = read_history(lone.journal).routes_asked[PARTNER]
    assert asked["to"] == "target"

    export(lone, OURS, age=500)
    assert lone.route().returncode == AWAITED, "an export of before tells nothing"
    assert read_history(lone.journal).routes_asked[PARTNER] == asked, "asked for since the first time"

    export(lone, OURS)
    done = lone.route()
    assert done.returncode == 0, said(done)


def test_the_export_is_watched_for_as_long_as_was_said(lone):
    export(lone, age=1000)

    def once_asked():
        while not lone.journal:
            time.sleep(0.1)
        export(lone, OURS)

    person = threading.Thread(target=once_asked, daemon=True)
    person.start()
    done = lone.route(sip_route_watch_seconds=120)
    assert done.returncode == 0, said(done)
    assert read_history(lone.journal).routes_seen[PARTNER]["to"] == "target"


def test_a_route_that_somebody_may_be_moving_is_not_believed_to_be_where_the_old_export_has_it(lone):
    """Asked for, perhaps done, not seen; now it is to go back: the export of before says legacy, and proves nothing."""
    export(lone, age=1000)
    assert lone.route().returncode == AWAITED
    back = lone.route("legacy")
    assert back.returncode == AWAITED, said(back)
    assert "-Undo -Apply" in said(back)
    export(lone)
    assert lone.route("legacy").returncode == 0


# One partner of step 6


@pytest.fixture
def switching(site):
    """The role dns_cutover with what needs edges and partners replaced by a line in a file."""
    role = site.folder / "roles" / "dns_cutover"
    shutil.copytree(ROOT / "roles" / "dns_cutover", role)

    def record(word):
        return {
            "name": word,
            "ansible.builtin.lineinfile": {
                "path": str(site.folder / "did"),
                "line": word,
                "create": True,
                "regexp": "^$",
            },
        }

    here = {"ansible.builtin.set_fact": {"dns_cutover_arrival": {"state": "here", "reason": ""}}, "name": "Here"}
    stands = {
        "set_phase": [record("phase {{ dns_cutover_phase }}")],
        "bring_here": [here],
        "note_partner": [record("noted {{ dns_cutover_state }}")],
    }
    for name, tasks in stands.items():
        (role / "tasks" / f"{name}.yml").write_text(yaml.safe_dump(tasks))
    give_back = yaml.safe_load((role / "tasks" / "give_back.yml").read_text())
    kept = [task for task in give_back if "ansible.builtin.include_tasks" in task]
    (role / "tasks" / "give_back.yml").write_text(yaml.safe_dump(kept))
    prove = site.folder / "roles" / "federation" / "tasks"
    prove.mkdir(parents=True)
    verdicts = {"federation_judged": {"verdicts": {PARTNER: {"good": True, "why": ""}}}}
    (prove / "prove.yml").write_text(yaml.safe_dump([{"name": "Prove", "ansible.builtin.set_fact": verdicts}]))

    def switch():
        partner = {"domain": PARTNER, "domains": [PARTNER], "route_before": "legacy", "fingerprint": "f"}
        done = site.play(
            {"ansible.builtin.include_role": {"name": "dns_cutover", "tasks_from": "switch_partner"}},
            dns_cutover_partner=partner,
        )
        file = site.folder / "did"
        did = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return done, did

    return site, switch


def test_a_partner_is_switched_through_the_management_host(switching):
    site, switch = switching
    done, did = switch()
    assert done.returncode == 0, said(done)
    assert did == ["phase gateway", "noted gateway"]
    assert site.platform == {PARTNER: "ours"}


def test_a_partner_whose_route_did_not_move_is_given_back_as_the_platform_then_shows(switching):
    site, switch = switching
    site.deaf = True
    _done, did = switch()
    assert did == ["phase gateway", "phase legacy", "noted failed"]
    assert site.platform == {PARTNER: "none"}
    assert [line.split()[1] for line in site.asked] == ["-Show", "-Apply", "-Show", "-Show"]


def test_where_nobody_knows_what_the_platform_has_the_run_stops_and_notes_nothing(switching):
    """The script that moves it fails, and so does the one that takes it back: the journal says what was asked for."""
    site, switch = switching
    site.status = 1
    done, did = switch()
    assert done.returncode != 0
    assert did == ["phase gateway"]
    assert PARTNER in read_history(site.journal).routes_asked


def test_a_run_that_lost_the_lock_moves_nothing_back(switching):
    """The announcement is refused; whoever has the lock now may be switching this very partner."""
    site, switch = switching
    mine = {"owner": "ann@here", "host": "here", "pid": 7, "run": "r2", "start_text": "then", "seconds": 60}
    append = {"directory": str(site.folder / "state"), "lock": mine}
    refusing = [{"name": "Append", "xmppgw.migration.journal": append}]
    (site.folder / "roles" / "journal" / "tasks" / "append.yml").write_text(yaml.safe_dump(refusing))
    done, did = switch()
    assert done.returncode != 0
    assert "not this run's any more" in said(done)
    assert did == ["phase gateway"]
    assert [line.split()[1] for line in site.asked] == ["-Show"], "only looked at"


def test_a_partner_whose_route_waits_for_a_person_is_not_given_back_meanwhile(switching):
    site, switch = switching
    site.management = False
    done, did = switch()
    assert done.returncode == AWAITED, said(done)
    assert did == ["phase gateway"], "its stream stays at our edges, nothing is noted that is not so"
    assert read_history(site.journal).routes_asked[PARTNER]["to"] == "target"
    export(site, OURS)
    done, did = switch()
    assert done.returncode == 0, said(done)
    assert did == ["phase gateway", "noted gateway"]


# Waves


@pytest.fixture
def front_end(tmp_path):
    """A front end's control socket that says that all is well."""
    path = tmp_path / "control.sock"
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen()

    def answer():
        while True:
            try:
                connection, _peer = door.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(b'{"ok": true, "sip": {"state": "up"}, "queues": {}}\n')

    threading.Thread(target=answer, daemon=True).start()
    yield str(path)
    door.close()


def move(site, control, entry="main", **variables):
    """Move the waves that the plan has, as step 3 does."""
    environment = site.world.environment()
    environment.groups = {**environment.groups, "platforms": []}
    picture = Picture(environment, site.world.seen(environment), site.world.now)
    waves = plan_users.to_move_back(picture) if entry == "back" else plan_users.to_move(picture)
    return site.play(
        {"ansible.builtin.include_role": {"name": "homing", "tasks_from": entry}},
        homing_provider=site.world.federation["homing"]["provider"],
        homing_management="mgmt" if site.management else "",
        homing_waves=waves,
        homing_back=entry == "back",
        homing_pool="pool-target",
        homing_control_socket=control,
        **variables,
    )


def users_on(pool, *users):
    return {f"{user}@corp.example": pool for user in users}


def test_a_wave_that_the_management_host_moved_is_done_though_the_table_of_users_is_old(site, front_end):
    site.rows("platform", **users_on("pool-legacy.corp.example", "alice", "bob"))
    site.rows("done", **users_on("Pool-Target.corp.example", "alice", "bob"))
    done = move(site, front_end)
    assert done.returncode == 0, said(done)
    assert [line.split()[1] for line in site.asked] == ["-Show", "-Apply", "-Show", "-Show"]
    # The next step, and the next run, count them as moved although no table says so yet.
    site.world.records = extend([], [{"time": "t", **body} for body in site.journal])
    environment = site.world.environment()
    environment.groups = {**environment.groups, "platforms": []}
    picture = Picture(environment, site.world.seen(environment), site.world.now)
    assert picture.platforms.users_at("pool-legacy") == []
    assert plan_users.to_move(picture) == []
    # And back, by what the platform shows: the old table says that they never left.
    site.rows("undone", **users_on("pool-legacy.corp.example", "alice", "bob"))
    back = move(site, front_end, "back")
    assert back.returncode == 0, said(back)
    assert set(site.platform.values()) == {"pool-legacy.corp.example"}
    assert [body["event"] for body in site.journal][-2:] == ["wave_return_asked", "wave_undone"]


def test_somebody_who_left_holds_up_neither_a_wave_nor_its_way_back(site, front_end):
    """The table of users is old and has him still; the platform, asked, does not."""
    site.rows("platform", **users_on("pool-legacy.corp.example", "alice"), **users_on("gone", "bob"))
    site.rows("done", **users_on("pool-target.corp.example", "alice"))
    done = move(site, front_end)
    assert done.returncode == 0, said(done)
    assert "not on the platform any more: bob@corp.example" in said(done)
    ended = site.journal[-1]
    assert (ended["event"], ended["failed"], ended["left"]) == ("wave_done", [], ["bob@corp.example"])
    site.world.records = extend([], [{"time": "t", **body} for body in site.journal])
    site.rows("undone", **users_on("pool-legacy.corp.example", "alice"))
    back = move(site, front_end, "back")
    assert back.returncode == 0, said(back)
    assert site.platform["alice@corp.example"] == "pool-legacy.corp.example"


def test_a_platform_that_shows_nobody_at_all_stops_the_wave(site, front_end):
    site.rows("platform", **users_on("gone", "alice", "bob"))
    done = move(site, front_end)
    assert done.returncode not in {0, AWAITED}, said(done)
    assert "-Show found none of its users" in said(done)
    assert not [line for line in site.asked if "-Apply" in line]


def test_by_hand_somebody_who_left_is_told_by_a_newer_table_and_an_empty_one_tells_nothing(lone, front_end):
    lone.world.federation["homing"] = {"provider": "manual"}
    os.utime(lone.folder / "users.table", (1, 1))
    assert move(lone, front_end).returncode == AWAITED
    lone.world.records = extend([], [{"time": "t", **body} for body in lone.journal])
    lone.world.users({"user": "zoe@corp.example", "pool": "pool.elsewhere.example"})
    lone.world.federation["users"]["exceptions"] = [{"user": "zoe@corp.example", "reason": "cloud"}]
    stopped = move(lone, front_end)
    assert stopped.returncode == AWAITED, said(stopped)
    assert "not done yet: alice@corp.example, bob@corp.example" in said(stopped)
    lone.world.users({"user": "alice@corp.example", "pool": "pool-target.corp.example"})
    done = move(lone, front_end)
    assert done.returncode == 0, said(done)
    assert "moving 1 users; not on the platform any more: bob@corp.example" in said(done)
    assert read_history(lone.journal).homes_left.keys() == {"bob@corp.example"}


def test_a_wave_by_hand_waits_for_a_newer_table_and_so_does_its_way_back(lone, front_end):
    lone.world.federation["homing"] = {"provider": "manual"}
    table = lone.folder / "users.table"
    os.utime(table, (1, 1))
    first = move(lone, front_end)
    assert first.returncode == AWAITED, said(first)
    order = (lone.folder / "out" / "runbook" / "homing-batch-all.txt").read_text().splitlines()
    assert order[0].startswith("foreach ($user in @('alice@corp.example', 'bob@corp.example')) { Export-CsUserData ")
    assert order[1:] == [f"Home {user}@corp.example on pool-target.corp.example" for user in ("alice", "bob")]
    moved = [{"user": f"{user}@corp.example", "pool": "pool-target.corp.example"} for user in ("alice", "bob")]
    lone.world.users(*moved)
    done = move(lone, front_end)
    assert done.returncode == 0, said(done)
    lone.world.records = extend([], [{"time": "t", **body} for body in lone.journal])
    back = move(lone, front_end, "back")
    assert back.returncode == AWAITED, said(back)
    assert "wave_return_asked" in {body["event"] for body in lone.journal}


# The end of the legacy gateway


def end(site, provider, **variables):
    return site.play(
        {"ansible.builtin.include_role": {"name": "legacy_gateway", "tasks_from": "hand_over"}},
        legacy_gateway_provider=provider,
        legacy_gateway_management="mgmt" if site.management else "",
        **variables,
    )


def partners_of(site, value):
    return {partner["domain"]: value for partner in site.world.federation["partners"]}


def test_the_native_partners_are_removed_and_a_person_confirms_what_no_cmdlet_does(site):
    site.rows("platform", **partners_of(site, "there"))
    site.rows("done", **partners_of(site, "gone"))
    stopped = end(site, "powershell")
    assert stopped.returncode == AWAITED, said(stopped)
    assert set(site.platform.values()) == {"gone"}
    assert "clear XMPP federation; then publish the topology" in said(stopped)
    assert "-e legacy_off=confirmed" in said(stopped)
    assert not read_history(site.journal).native_gone
    done = end(site, "powershell", legacy_off="confirmed")
    assert done.returncode == 0, said(done)
    assert read_history(site.journal).native_gone


def test_a_native_partner_that_is_still_there_is_not_confirmed_away(site):
    site.rows("platform", **partners_of(site, "there"))
    site.deaf = True
    done = end(site, "powershell", legacy_off="confirmed")
    assert "migration-read-back" in said(done)
    assert site.journal == []


def test_without_a_management_host_the_end_is_a_written_order_and_nothing_runs_here(lone):
    stopped = end(lone, "manual")
    assert stopped.returncode == AWAITED, said(stopped)
    order = (lone.folder / "out" / "runbook" / "decommission.txt").read_text()
    assert ".\\native.ps1 -Apply" in order
    assert "XMPP Translating Gateway Proxy" in order
    script = (lone.folder / "out" / "runbook" / "native.ps1").read_bytes()
    assert script.startswith(b"\xef\xbb\xbf# ")
    assert script.count(b"\n") == script.count(b"\r\n")
    assert end(lone, "manual", legacy_off="confirmed").returncode == 0
    assert lone.asked == []


def test_edges_that_forget_a_gateway_which_is_not_the_labs_switch_nothing_off(lone):
    role = lone.folder / "roles" / "legacy_gateway"
    shutil.copytree(ROOT / "roles" / "legacy_gateway", role)
    tasks = yaml.safe_load((role / "tasks" / "main.yml").read_text())
    assert "xmppgw.migration.gateway_host" in tasks[0]
    (role / "tasks" / "main.yml").write_text(yaml.safe_dump(tasks[1:]))
    done = lone.play({"ansible.builtin.include_role": {"name": "legacy_gateway"}}, legacy_gateway_provider="manual")
    assert done.returncode == 0, said(done)
    assert "changed=0" in said(done)
