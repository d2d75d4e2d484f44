"""What every stand-in gets: whole, shown to nobody who should not see it, accepted by the programs that read it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import dns.zone
import jinja2
import pytest
import yaml

from xmpp_infra.lab.content import SECRET_OPEN, FileSpec
from xmpp_infra.lab.servers import HOSTS, LAB, content
from xmpp_infra.lab.servers.render import render

FILES = [(host, path) for host in HOSTS for path in content(host).files]
KAMAILIOS = ("legacy1", "pool-legacy", "pool-target", "users")


def text(host: str, path: str) -> str:
    """A file as the host will read it, with made-up secrets."""
    raw = content(host).files[path].content
    return re.sub(rf"{SECRET_OPEN}tsig/.*?@@", "A" * 43 + "=", raw).replace("@@", "")


def judged_by(*command: str | Path) -> None:
    """The program's own check of its configuration accepts it; skipped where the program is not installed."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed here")
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, f"{' '.join(map(str, command))}:\n{result.stdout}{result.stderr}"


@pytest.mark.parametrize(("host", "path"), FILES)
def test_a_file_is_filled_in_and_keeps_its_secrets(host: str, path: str) -> None:
    file = content(host).files[path]
    assert path.startswith("/")
    assert file.content.endswith("\n")
    assert "{{" not in file.content
    assert "{%" not in file.content
    if SECRET_OPEN in file.content:
        assert file.mode & 0o007 == 0, f"{host}:{path} shows a secret to everybody"


def test_a_forgotten_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("bridge.service.j2", program="x")


def test_other_hosts_get_nothing_from_here() -> None:
    assert content("fe1").files == {}
    assert content("edge1").units == ()


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_has_units_and_no_file_twice(host: str) -> None:
    assert content(host).units
    assert all(isinstance(file, FileSpec) for file in content(host).files.values())


def test_the_bridge_stays_a_bridge() -> None:
    program = content("legacy1").files["/usr/local/lib/legacy-gateway/bridge.py"].content
    assert len(program.splitlines()) <= 155
    compile(program, "bridge.py", "exec")


def test_certificates_carry_the_names_their_peers_ask_for() -> None:
    names = {spec.name: (spec.authority, spec.dns_names) for host in HOSTS for spec in content(host).certificates}
    assert names == {
        "backup": ("public", ("backup.example", "xmpp.backup.example")),
        "dialback": ("dialback", ("dialback.example", "xmpp.dialback.example")),
        "legacy1": ("public", ("corp.example", "branch.example", "legacy1.corp.example")),
        "legacy1-sip": ("private", ("legacy1.corp.example",)),
        "partner1": ("public", ("partner1.example", "xmpp.partner1.example")),
        "partner2": ("public", ("partner2.example", "xmpp.partner2.example")),
        "pinned": ("pinned", ("pinned.example", "xmpp.pinned.example")),
        "static": ("public", ("static.example", "xmpp.static.example")),
        "pool-legacy": ("private", ("pool-legacy.corp.example",)),
        "pool-target": ("private", ("pool-target.corp.example",)),
        "users": ("private", ("users.corp.example",)),
    }


def test_both_ends_of_a_shared_secret_name_it_alike() -> None:
    wanted = {f"xmpp/{user}@{partner.domain}" for partner in LAB.partners for user in partner.users}
    held = {
        name
        for host in ("partner1", "partner2", "partner3")
        for file in content(host).files.values()
        for name in re.findall(rf"{SECRET_OPEN}(xmpp/.*?)@@", file.content)
    }
    assert held == wanted
    attached = [text("legacy1", path) for path in ("/etc/prosody/prosody.cfg.lua", "/etc/legacy-gateway/bridge.json")]
    assert all("component/legacy1" in one for one in attached)


@pytest.mark.parametrize("host", KAMAILIOS)
def test_kamailio_accepts_its_configuration(host: str, tmp_path: Path) -> None:
    # The advertised name must resolve when the file is read; on the host it does, here only "localhost" surely does.
    configuration = re.sub(r"advertise \S+?:", "advertise localhost:", text(host, "/etc/kamailio/kamailio.cfg"))
    file = tmp_path / "kamailio.cfg"
    file.write_text(configuration, encoding="utf-8")
    judged_by("kamailio", "-c", "-f", file)


@pytest.mark.parametrize("host", ["dns1", "dns2"])
def test_knot_accepts_its_configuration(host: str, tmp_path: Path) -> None:
    configuration = text(host, "/etc/knot/knot.conf").replace("/var/lib/knot", str(tmp_path))
    configuration = configuration.replace("user: knot:knot", "").replace("/run/knot", str(tmp_path))
    file = tmp_path / "knot.conf"
    file.write_text(configuration, encoding="utf-8")
    judged_by("knotc", "-c", file, "conf-check")


@pytest.mark.parametrize("zone", [LAB.top_level, *LAB.zones])
def test_a_zone_begins_with_its_name_servers(zone: str) -> None:
    parsed = dns.zone.from_text(text("dns1", f"/var/lib/knot/zones/{zone}.zone"), origin=zone, relativize=False)
    servers = {str(record.target) for record in parsed.find_rdataset(f"{zone}.", "NS")}
    assert servers == {"dns1.corp.example.", "dns2.corp.example."}
    if zone in (LAB.sip_domain, LAB.top_level):
        assert [str(record) for record in parsed.find_rdataset("dns1.corp.example.", "AAAA")] == ["2001:db8:1::53"]


def test_the_negative_ttl_is_three_seconds_in_every_zone() -> None:
    for zone in LAB.zones:
        soa = re.search(r"^@ (\d+) IN SOA .* (\d+)$", text("dns1", f"/var/lib/knot/zones/{zone}.zone"), re.MULTILINE)
        assert soa is not None
        assert min(map(int, soa.groups())) == 3


def test_unbound_accepts_its_configuration(tmp_path: Path) -> None:
    configuration = text("dns1", "/etc/unbound/unbound.conf").replace("username: unbound", 'username: ""')
    file = tmp_path / "unbound.conf"
    anchor = tmp_path / "lab-anchors.ds"
    anchor.write_text(f"corp.example. DS 4971 13 2 {'c6' * 32}\n", encoding="ascii")
    file.write_text(configuration.replace("/etc/unbound", str(tmp_path)), encoding="utf-8")
    judged_by("unbound-checkconf", file)


def test_the_stubborn_partners_resolver_is_accepted_and_names_the_old_gateway(tmp_path: Path) -> None:
    configuration = text("partner3", "/etc/unbound/unbound.conf")
    for domain in LAB.sip_domains:
        assert f"_xmpp-server._tcp.{domain}. 60 IN SRV 0 0 5269 {LAB.legacy_fqdn}." in configuration
    file = tmp_path / "unbound.conf"
    file.write_text(
        configuration.replace("/etc/unbound", str(tmp_path)).replace("username: unbound", 'username: ""'),
        encoding="utf-8",
    )
    judged_by("unbound-checkconf", file)


def test_the_primary_signs_what_a_migration_writes_and_nothing_else() -> None:
    signed = re.findall(r"- domain: (\S+)\n    dnssec-signing: on", text("dns1", "/etc/knot/knot.conf"))
    assert tuple(signed) == LAB.sip_domains
    assert "dnssec-signing" not in text("dns2", "/etc/knot/knot.conf")
    keys = [command for command in content("dns1").first_boot if " generate " in command]
    assert [command.split()[3] for command in keys] == signed


PROSODIES = [(host, path) for host, path in FILES if path.endswith(".cfg.lua")]


@pytest.mark.parametrize(("host", "path"), PROSODIES)
def test_lua_accepts_prosodys_configuration(host: str, path: str, tmp_path: Path) -> None:
    file = tmp_path / "prosody.cfg.lua"
    file.write_text(text(host, path), encoding="utf-8")
    judged_by("luac5.4", "-p", file)


def test_servers_on_one_host_share_neither_address_nor_directory() -> None:
    places = [text("partner3", path) for host, path in PROSODIES if host == "partner3"]
    assert len(places) == len(LAB.on_host("partner3")) > 1
    for key in ("interfaces = ", "data_path = ", "filename = ", "pidfile = "):
        values = [next(line for line in place.splitlines() if key in line) for place in places]
        assert len(set(values)) == len(places), f"{key}: {values}"


def test_a_legacy_gateway_of_one_pool_knows_no_user_of_the_other() -> None:
    """From Lync 2013 on, a user who is moved leaves the legacy gateway."""
    path = "/etc/kamailio/kamailio.cfg"

    def pool(host: str, *, serves_all: bool) -> str:
        return content(host, legacy_serves_all=serves_all).files[path].content

    refusal, stranger = "does not serve this pool", "Not a user of this gateway"
    assert [refusal in pool("pool-target", serves_all=mode) for mode in (True, False)] == [False, True]
    assert [stranger in pool("pool-legacy", serves_all=mode) for mode in (True, False)] == [False, True]
    assert refusal not in pool("pool-legacy", serves_all=False)


@pytest.mark.parametrize("host", ["pool-legacy", "pool-target"])
def test_kamailio_accepts_the_pools_of_such_a_gateway(host: str, tmp_path: Path) -> None:
    configuration = content(host, legacy_serves_all=False).files["/etc/kamailio/kamailio.cfg"].content
    file = tmp_path / "kamailio.cfg"
    file.write_text(re.sub(r"advertise \S+?:", "advertise localhost:", configuration), encoding="utf-8")
    judged_by("kamailio", "-c", "-f", file)


def test_ejabberd_logs_what_it_receives_and_wants_encryption() -> None:
    configuration = yaml.safe_load(text("partner2", "/etc/ejabberd/ejabberd.yml"))
    assert configuration["loglevel"] == "debug"
    assert configuration["s2s_use_starttls"] == "required"
    assert "mod_s2s_dialback" in configuration["modules"]
    assert not any("shaper" in listener for listener in configuration["listen"])


def test_partner1_takes_only_good_certificates_and_limits_nobody() -> None:
    configuration = text("partner1", "/etc/prosody/prosody.cfg.lua")
    assert "s2s_secure_auth = true" in configuration
    assert "s2s_require_encryption = true" in configuration
    assert '"dialback"' in configuration
    assert '"limits"' not in configuration.replace('-- As Debian ships it, without "limits"', "")
