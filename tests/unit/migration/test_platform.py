"""The SIP platform: handshakes with the next hop, the first act's evidence, what exports say, work handed over."""

import datetime
import json
import socket
import ssl
import threading

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import next_hop
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    exported_platform,
    guards,
    handing_over,
    newest_word,
    next_hop_judging,
    plan_outlook,
    policy_effect,
    whole_plan,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from xmppgw.policy.effective import Policies, Switches
from xmppgw.policy.users import User

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
BOTH = (x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH)


class Authority:
    """Signs what the tests need."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), self.key, ca=True
        )
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, *, ca=False, names=(), days=90, usages=BOTH):
        issuer = subject if ca else self.certificate.subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + days * DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name, **more):
        """Write a certificate and its key; return their paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(x509.Name([]), key, names=[name], **more)
        paths = self.folder / f"{self.name}-{name}.crt", self.folder / f"{self.name}-{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ours")


class Platform:
    """One TLS server for one connection after another, that answers OPTIONS once it accepted the client."""

    def __init__(self, certificate, trusted, says=b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.context.load_verify_locations(trusted)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.says = says
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _peer = self.door.accept()
            except OSError:
                return
            with connection:
                try:
                    with self.context.wrap_socket(connection, server_side=True) as secured:
                        if secured.recv(4096):
                            secured.sendall(self.says)
                except OSError:
                    continue


@pytest.fixture
def shaken(tmp_path, authority):
    """Run a handshake of a front end with a platform; what the module found."""
    doors = []

    def shake(*, server=None, trusted=None, ours=None, server_name="pool.example", **more):
        platform = Platform(server or authority.issue("pool.example"), (trusted or authority).path, **more)
        doors.append(platform.door)
        certificate, key = ours or authority.issue("fe1.example")
        hop = {"host": "127.0.0.1", "port": platform.port, "server_name": server_name}
        sip = {"certificate": str(certificate), "key": str(key), "ca": str(authority.path), "next_hop": hop}
        path = tmp_path / "frontend.json"
        path.write_text(json.dumps({"node": "fe1.example", "sip": sip}))
        return next_hop.shake(path)

    yield shake
    for door in doors:
        door.close()


def test_a_handshake_is_completed_and_our_certificate_accepted(shaken):
    seen = shaken()
    assert (seen["stage"], seen["version"], seen["answer"]) == ("done", "TLSv1.3", "SIP/2.0 200 OK")
    problems, found = next_hop_judging.judge(seen, NOW)
    assert problems == []
    assert "certificate for pool.example" in found


def test_a_platform_that_does_not_trust_us_is_told_from_one_that_we_do_not_trust(shaken, tmp_path):
    other = Authority(tmp_path, "theirs")
    refused = shaken(trusted=other)
    assert refused["stage"] == "mutual"
    assert "refused our certificate" in next_hop_judging.judge(refused, NOW)[0][0]
    strange = shaken(server=other.issue("pool.example"))
    assert strange["stage"] == "tls"
    (problem,), found = next_hop_judging.judge(strange, NOW)
    assert "the handshake failed" in problem
    assert "issued by CN=theirs" in found


def test_a_name_that_is_not_the_next_hops_fails_the_handshake(shaken):
    assert shaken(server_name="elsewhere.example")["stage"] == "tls"


def test_an_answer_that_is_no_sip_is_said(shaken):
    seen = shaken(says=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert seen["stage"] == "answer"
    assert "did not answer OPTIONS" in next_hop_judging.judge(seen, NOW)[0][0]


def test_dates_and_usages_are_judged(shaken, authority):
    soon = shaken(server=authority.issue("pool.example", days=3))
    assert "ends on" in next_hop_judging.judge(soon, NOW)[0][0]
    half = shaken(server=authority.issue("pool.example", usages=(x509.ExtendedKeyUsageOID.SERVER_AUTH,)))
    assert "may not be used for clientAuth" in next_hop_judging.judge(half, NOW)[0][0]


def test_nobody_there_and_nothing_of_ours_yet(tmp_path):
    assert next_hop.shake(tmp_path / "none.json")["stage"] == "none"
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    (tmp_path / "ca").write_text("")
    sip = {name: str(tmp_path / "ca") for name in ("certificate", "key", "ca")}
    sip["next_hop"] = {"host": "127.0.0.1", "port": port, "server_name": "x"}
    (tmp_path / "f.json").write_text(json.dumps({"node": "n", "sip": sip}))
    seen = next_hop.shake(tmp_path / "f.json")
    assert seen["stage"] == "connect"
    assert "cannot be reached" in next_hop_judging.judge(seen, NOW)[0][0]


@pytest.fixture
def glimpsed(tmp_path, authority):
    """Look at a platform from a front end that has nothing yet; the problems, and what the plan says of it."""
    doors = []

    def glimpse(*, server=None, name="pool.example", listening=True):
        if listening:
            platform = Platform(server or authority.issue("pool.example"), authority.path)
            doors.append(platform.door)
            port = platform.port
        else:
            with socket.create_server(("127.0.0.1", 0)) as door:
                port = door.getsockname()[1]
        wanted = {"name": name, "kind": "tls", "addresses": ["127.0.0.1"], "port": port, "server_name": name}
        seen = next_hop.seen_from_here(tmp_path / "none.json", wanted)
        roots = authority.path.read_text()
        return next_hop_judging.judge_unarmed(seen, name, roots, NOW), next_hop_judging.not_tried(seen)

    yield glimpse
    for door in doors:
        door.close()


def test_before_we_have_a_certificate_the_platforms_own_is_looked_at(glimpsed):
    problems, said = glimpsed()
    assert problems == []
    assert "certificate for pool.example" in said


def test_what_no_front_end_would_trust_is_known_before_step_1(glimpsed, authority, tmp_path):
    stranger = Authority(tmp_path, "theirs").issue("pool.example")
    assert "missing" in glimpsed(server=stranger)[0][0]
    assert "does not name elsewhere.example" in glimpsed(name="elsewhere.example")[0][0]
    assert "ends on" in glimpsed(server=authority.issue("pool.example", days=3))[0][0]
    assert "shows no certificate" in glimpsed(listening=False)[0][0]


def test_a_host_without_openssl_looks_at_nothing_and_says_so(glimpsed, monkeypatch):
    monkeypatch.setattr(next_hop.shutil, "which", lambda name: None)
    assert glimpsed(listening=False) == ([], "there is no openssl on this host")


def test_with_our_certificate_nothing_is_left_to_say(shaken):
    assert next_hop_judging.not_tried(shaken()) == ""


# Guards


def codes(picture, step, *, preflight=False):
    return [refusal.code for refusal in guards.judge(guards.situation_of(picture, step, preflight=preflight))]


def test_a_next_hop_that_refuses_us_stops_preflight(world):
    picture = world.picture()
    picture.seen["fe1"]["next_hop"] = {"stage": "connect", "where": "pool:5061", "problem": "refused"}
    assert codes(picture, 2, preflight=True) == ["migration-next-hop"]


def test_a_next_hop_that_nobody_will_trust_stops_preflight_before_step_1(world, tmp_path):
    ours = world.environment().front_ends[0]

    def served_by(authority):
        picture = world.picture()
        certificate, _key = authority.issue(picture.environment.next_hop["name"], days=2000)
        served = {"chain": certificate.read_text(), "protocol": "TLSv1.2"}
        picture.seen[ours]["next_hop"] = {"stage": "none", "problem": "no certificate yet", "served": served}
        plan = plan_outlook.with_outlook(whole_plan.plan_of(picture), picture, [], [], None)
        said = [notice for notice in plan["notices"] if "mutual TLS" in notice]
        return codes(picture, 1, preflight=True), said

    refused, notices = served_by(Authority(tmp_path, "theirs"))
    assert refused == ["migration-next-hop"]
    assert [notice.partition(":")[0] for notice in notices] == ["NOT TRIED"]
    trusted = Authority(tmp_path, "trusted")
    (tmp_path / "ca" / "private" / "ca.pem").write_text(trusted.path.read_text())
    refused, (notice,) = served_by(trusted)
    assert refused == []
    assert f"mutual TLS from {ours} to" in notice
    assert "TLSv1.2; certificate for" in notice


@pytest.fixture
def microsoft(world):
    world.federation["sip"]["next_hop"]["platform"] = "microsoft"
    world.federation["pilot"] = {"users": ["alice@corp.example"], "partner": "partner1.example"}

    def refused(step=5, **more):
        situation = guards.situation_of(world.picture(), step, **more)
        return [item for item in guards.judge(situation) if item.code == "migration-route-evidence"]

    return world.first_act, refused


def test_step_5_wants_the_first_acts_evidence_on_a_microsoft_platform(microsoft):
    prove, refused = microsoft
    assert "there is no" in refused()[0].found
    assert refused(step=4) == []
    assert "there is no" in refused(preflight=True)[0].found
    prove()
    assert refused() == refused(preflight=True) == []


@pytest.mark.parametrize(
    ("act", "word"),
    [
        ({"winner": "native_partner"}, "allowed partner wins"),
        ({"winner": "nobody"}, "not what the runbook"),
        ({"schema": 2}, "not what the runbook"),
        ({"pool": "other.example"}, "about the pool"),
        ({"partner": "partner2.example"}, "about the partner"),
    ],
)
def test_evidence_of_something_else_is_no_evidence(microsoft, act, word):
    prove, refused = microsoft
    prove(**act)
    assert word in refused()[0].found


def test_another_platform_needs_no_evidence(world):
    assert "migration-route-evidence" not in codes(world.picture(), 5)


# A platform that cannot be asked


@pytest.fixture
def exported(world, tmp_path):
    """The world without platform hosts: users' table and exports instead."""
    world.federation["homing"], world.federation["routes"] = {"provider": "powershell"}, {"provider": "manual"}
    world.federation["users"] = {"export": "users.table"}
    rows = [{"user": f"{user}@corp.example", "pool": "pool-legacy.corp.example"} for user in ("alice", "bob")]
    rows.append({"user": "carol@corp.example", "pool": "pool-target.corp.example"})
    (tmp_path / "users.table").write_text(json.dumps({"schema": 1, "users": rows}))

    def picture():
        made = world.picture()
        made.environment.groups = {**made.environment.groups, "platforms": []}
        made.environment.folder, made.environment.exports = tmp_path, tmp_path / "exports"
        made.environment.check_inventory()
        return made

    return picture


def test_who_is_homed_where_is_known_from_the_users_table(exported):
    assert exported().platforms.tables("homing") == {
        "export": {
            "alice@corp.example": "pool-legacy",
            "bob@corp.example": "pool-legacy",
            "carol@corp.example": "pool-target",
        }
    }


def test_a_partner_leads_to_us_when_all_its_domains_do(exported, world, tmp_path):
    world.federation["partners"][0]["additional_domains"] = ["chat.partner1.example"]
    first, second, *_ = (partner["domain"] for partner in world.federation["partners"])

    def route(domain, hop):
        transport = f"TransportChoice=Certificate=Microsoft.Rtc.UseDefaultCert;Fqdn={hop};Port=5061"
        return {"MatchUri": domain, "MatchOnlyPhoneUri": False, "Transport": transport}

    (tmp_path / "exports").mkdir()

    routes = [route(first, "fe-pool.corp.example"), route(second, "FE-POOL.corp.example")]
    path = tmp_path / "exports" / "Get-CsStaticRoutingConfiguration.json"
    path.write_text(json.dumps([{"Identity": "Global", "Route": routes}]))
    seen = exported().platforms.tables("route")["export"]
    assert (seen[first], seen[second]) == ("legacy", "target")
    routes.append(route("chat.partner1.example", "fe-pool.corp.example"))
    path.write_text(json.dumps([{"Identity": "Global", "Route": routes}]))
    assert exported().platforms.tables("route")["export"][first] == "target"


def test_without_a_users_table_nobody_knows(exported, world):
    del world.federation["users"]["export"]
    with pytest.raises(PictureError, match=r"users\.export"):
        exported_platform.homing(exported().environment)


def test_work_is_handed_over_as_a_script_or_as_a_list(exported):
    environment = exported().environment
    entries = [{"key": "alice@corp.example", "value": "pool-target", "home": "pool-legacy"}]
    script = handing_over.order(environment, kind="homing", provider="powershell", subject="0-pilot", entries=entries)
    assert script.file == "homing-0-pilot.ps1"
    assert ",@('alice@corp.example', 'pool-legacy.corp.example')" in script.content.decode()
    assert script.lines == ("In the management shell of the platform, run: .\\homing-0-pilot.ps1 -Apply",)
    listed = handing_over.order(environment, kind="homing", provider="manual", subject="0-pilot", entries=entries)
    assert listed.lines[-1] == "Home alice@corp.example on pool-target.corp.example"


def test_an_order_keeps_the_contact_lists_first_as_the_script_does(exported, world):
    entries = [
        {"key": f"{user}@corp.example", "value": "pool-target", "home": "pool-legacy"} for user in ("alice", "o'neil")
    ]

    def order(**more):
        return handing_over.order(
            exported().environment, kind="homing", provider="manual", subject="0-pilot", entries=entries, **more
        )

    first, *rest = order().content.decode().splitlines()
    assert "@('alice@corp.example', 'o''neil@corp.example')" in first
    assert "Export-CsUserData -PoolFqdn 'pool-legacy.corp.example' " in first
    assert len(rest) == 2
    assert "Export-CsUserData" not in order(back=True).content.decode()
    world.federation["legacy"]["product"] = "lync2010"
    assert "with the tools of Lync Server 2010" in order().lines[0]


def test_work_is_taken_back_by_the_same_script(exported):
    entries = [{"key": "alice@corp.example", "value": "pool-legacy"}]
    order = handing_over.order(
        exported().environment, kind="homing", provider="powershell", subject="0-pilot", entries=entries, back=True
    )
    assert order.lines[0].endswith("-Undo -Apply")
    assert "'pool-legacy.corp.example'" in order.content.decode()
    route = handing_over.order(
        exported().environment,
        kind="route",
        provider="powershell",
        subject="partner1.example",
        entries=[{"key": "partner1.example", "value": "legacy"}],
        back=True,
    )
    assert [line.partition(", run: ")[2] for line in route.lines] == [
        ".\\routes.ps1 -Partner partner1.example -Undo -Apply"
    ]


@pytest.mark.parametrize("provider", ["powershell", "manual"])
def test_that_a_route_is_used_is_shown_by_a_pilot_and_by_nobody_here(exported, world, provider):
    world.federation["pilot"] = {"users": ["alice@corp.example"], "partner": "partner1.example"}
    route = handing_over.order(
        exported().environment,
        kind="route",
        provider=provider,
        subject="partner1.example",
        entries=[{"key": "partner1.example", "value": "target"}],
    )
    assert route.lines[-1].startswith("Afterwards alice@corp.example writes to somebody at partner1.example;")


def test_what_is_not_done_is_known_from_looks_or_from_exports(exported, world):
    picture = exported()
    entries = [{"key": user, "value": "pool-target"} for user in ("alice@corp.example", "carol@corp.example")]
    assert handing_over.answered(picture.environment, []) is None
    assert newest_word.elsewhere(picture.environment, picture.history, "homing", entries)[0] == ["alice@corp.example"]
    looks = [{"elsewhere": ["bob"], "problem": ""}, {"skipped": True}, {"elsewhere": [], "problem": "away"}]
    answered = handing_over.answered(world.environment(), looks)
    assert handing_over.open_entries(answered, "homing") == (["bob"], ["away"])
    route = [{"key": "partner1.example", "value": "legacy"}, {"key": "partner2.example", "value": "target"}]
    assert newest_word.elsewhere(picture.environment, picture.history, "route", route) == (["partner2.example"], [])


# What the policies mean


def test_the_effect_of_the_policies_is_told_in_numbers_with_a_few_names():
    on, off = Switches(True, True), Switches(True, False)
    policies = Policies(on, sites={"Berlin": off}, users={"Closed": off, "Open": on})
    users = [User(user=f"u{number}@corp.example") for number in range(5)]
    users += [User(user=f"b{number}@corp.example", site="Berlin") for number in range(4)]
    users += [User(user="open@corp.example", site="Berlin", policy="Open"), User(user="x@corp.example", enabled=False)]
    found = policy_effect.effect(policies, users)
    assert found.allowed == {"Global": 5, "tag:Open": 1}
    assert {reason: count for reason, (count, _names) in found.refused.items()} == {
        "policy (site:Berlin)": 4,
        "user-disabled": 1,
    }
    text = "\n".join(policy_effect.lines(found))
    assert "6 of 11 users" in text
    assert "b0@corp.example, b1@corp.example, b2@corp.example and 1 more" in text


def test_without_a_table_the_global_policy_is_all_there_is(world):
    document = world.environment().federation
    assert "every user" in policy_effect.lines_without_table(document.access_policies.global_)[0]
    closed = type(document.access_policies.global_)()
    assert "Nobody" in policy_effect.lines_without_table(closed)[0]
