"""What follows from the small document: certificates, ports, DNS records, the daemons' settings, the schema."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml
from tests.unit.federation.documents import ROOT, SMALL, SMALL_FILE, changed, examine

from xmppgw.edge.settings import decode_edge_settings
from xmppgw.federation import (
    Document,
    certificates,
    document_schema,
    edge_settings,
    front_end_settings,
    load_document,
    ports,
    records,
)
from xmppgw.frontend.settings import decode_front_end_settings


@pytest.fixture(scope="module")
def document() -> Document:
    return load_document(SMALL_FILE)


class TestCertificates:
    def test_every_host_gets_what_it_needs_in_the_step_that_makes_the_host(self, document: Document) -> None:
        found = {
            (c.name, c.host): (c.step, c.names, [u.value for u in c.usages], c.authority)
            for c in certificates(document)
        }
        assert found == {
            ("link", "edge1"): (2, ("edge1-int.corp.example",), ["serverAuth", "clientAuth"], "private"),
            ("link", "fe1"): (1, ("fe1.corp.example",), ["serverAuth", "clientAuth"], "private"),
            ("public", "edge1"): (4, ("edge1.corp.example", "corp.example"), ["serverAuth"], "public"),
            ("sip", "fe1"): (1, ("fe-pool.corp.example", "fe1.corp.example"), ["serverAuth", "clientAuth"], "private"),
        }

    def test_the_public_certificate_names_every_sip_domain(self) -> None:
        text = changed(
            ("    - name: corp.example\n", "    - name: corp.example\n    - name: sub.corp.example\n"),
        )
        public = next(c for c in certificates(examine(text).require()) if c.name == "public")
        assert public.names == ("edge1.corp.example", "corp.example", "sub.corp.example")
        assert public.subject == "edge1.corp.example"

    def test_the_sip_certificate_is_the_pools_and_names_every_member(self) -> None:
        text = changed(
            ("  edges:\n", "        - {host: fe0, fqdn: fe0.corp.example, addresses: [198.51.100.81]}\n  edges:\n")
        )
        found = {c.host: (c.subject, c.names) for c in certificates(examine(text).require()) if c.name == "sip"}
        pool, fe0, fe1 = "fe-pool.corp.example", "fe0.corp.example", "fe1.corp.example"
        assert found == {"fe0": (pool, (pool, fe0, fe1)), "fe1": (pool, (pool, fe1, fe0))}

    def test_further_names_stand_behind_the_ones_that_partners_look_for(self) -> None:
        text = changed(("authority: public}", "authority: public, names: [xmpp.corp.example, corp.example]}"))
        public = next(c for c in certificates(examine(text).require()) if c.name == "public")
        assert public.names == ("edge1.corp.example", "corp.example", "xmpp.corp.example")

    def test_an_acme_certificate_of_a_public_authority_names_none(self) -> None:
        acme = "public: {issuer: acme, directory: 'https://ca.example/directory'}"
        document = examine(changed(("public: {issuer: private_ca, authority: public}", acme))).require()
        assert [(c.issuer, c.authority) for c in certificates(document) if c.name == "public"] == [("acme", "")]
        tls = edge_settings(document, "edge1", federation_enabled=True)["tls"]
        assert isinstance(tls, dict)
        assert tls["trust"] == ["/etc/ssl/certs/ca-certificates.crt"]

    def test_one_authority_for_both_kinds_still_gives_the_link_both_usages(self) -> None:
        text = changed(
            ("public: {issuer: private_ca, authority: public}", "public: {issuer: private_ca, authority: private}")
        )
        found = {c.name: len(c.usages) for c in certificates(examine(text).require())}
        assert found == {"link": 2, "public": 1, "sip": 2}

    def test_the_files_of_a_host_do_not_collide(self, document: Document) -> None:
        paths = [
            (c.host, path) for c in certificates(document) for path in (c.certificate_file, c.key_file, c.request_file)
        ]
        assert len(paths) == len(set(paths))


class TestPorts:
    def test_the_table(self, document: Document) -> None:
        found = {(r.code, r.transport, r.port, r.source.name, r.destination.name, r.until) for r in ports(document)}
        edge, inside, fe = "edge1.corp.example", "edge1-int.corp.example", "fe1.corp.example"
        legacy, target, old = "legacy1.corp.example", "pool-target.corp.example", "pool-legacy.corp.example"
        assert found == {
            ("s2s-in", "tcp", 5269, "partners", edge, "always"),
            ("s2s-out", "tcp", 5269, edge, "partners", "always"),
            ("revocation", "tcp", 80, edge, "any", "always"),
            ("link", "tcp", 23456, fe, inside, "always"),
            ("sip-out", "tcp", 5061, fe, target, "always"),
            ("sip-in", "tcp", 5061, target, fe, "always"),
            ("sip-in", "tcp", 5061, old, fe, "always"),
            *(
                ("dns", transport, 53, host, "203.0.113.55", "always")
                for transport in ("tcp", "udp")
                for host in (edge, fe)
            ),
            *(
                ("dns-update", transport, 53, "DNS writer", server, "always")
                for transport in ("tcp", "udp")
                for server in ("203.0.113.53", "203.0.113.54")
            ),
            ("legacy-splice", "tcp", 5269, edge, legacy, "decommission"),
            ("legacy-verify", "tcp", 5269, edge, legacy, "decommission"),
            ("legacy-s2s-in", "tcp", 5269, "partners", legacy, "decommission"),
            ("legacy-s2s-out", "tcp", 5269, legacy, "partners", "decommission"),
            *(
                ("legacy-sip", "tcp", 5061, *pair, "decommission")
                for pool in (target, old)
                for pair in ((pool, legacy), (legacy, pool))
            ),
        }

    def test_the_internet_reaches_nothing_but_5269(self, document: Document) -> None:
        assert {(r.port, r.destination.zone.value) for r in ports(document) if r.source.zone.value == "internet"} == {
            (5269, "perimeter")
        }

    def test_a_fixed_server_on_another_port_gets_its_row(self) -> None:
        servers = '[{host: xmpp.partner1.example, port: 5999}, {host: "2001:db8::9"}]'
        text = changed(("dialback: false}", f"dialback: false, servers: {servers}}}"))
        rows = {
            (r.port, r.destination.name, r.destination.addresses)
            for r in ports(examine(text).require())
            if r.code == "s2s-out-fixed"
        }
        assert rows == {(5999, "xmpp.partner1.example", ()), (5269, "2001:db8::9", ("2001:db8::9",))}

    def test_once_the_legacy_gateway_is_gone_its_ports_are(self, document: Document) -> None:
        gone = ports(examine(changed(("single_edge_fqdn: false", "decommissioned: true"))).require())
        assert gone == [row for row in ports(document) if row.until == "always"]

    def test_no_row_twice_and_always_in_the_same_order(self, document: Document) -> None:
        rows = ports(document)
        assert len(rows) == len(set(rows))
        assert rows == ports(load_document(SMALL_FILE))


class TestRecords:
    def test_only_the_service_record_moves_and_addresses_appear(self, document: Document) -> None:
        plan = records(document)
        moving = {after.name: (now and now.values, after.values) for now, after in plan.moving if after}
        assert moving["_xmpp-server._tcp.corp.example"] == (
            ("10 10 5269 legacy1.corp.example.",),
            ("10 10 5269 edge1.corp.example.",),
        )
        assert [name for name, (now, _) in moving.items() if now] == ["_xmpp-server._tcp.corp.example"]
        assert "legacy1.corp.example" not in moving

    def test_every_edge_is_in_the_service_record_and_the_pool_lists_its_members(self) -> None:
        text = changed(
            (
                "  sip:\n    next_hop",
                "    - {host: edge2, fqdn: edge2.corp.example, internal_fqdn: edge2-int.corp.example,\n"
                "       priority: 20, weight: 0,\n"
                "       external_addresses: [198.51.100.12], public_addresses: [203.0.113.77],\n"
                "       internal_addresses: [198.51.100.13]}\n"
                "  sip:\n    next_hop",
            ),
            ("  edges:\n", "        - {host: fe2, fqdn: fe2.corp.example, addresses: [198.51.100.81]}\n  edges:\n"),
        )
        after = {(r.name, r.type): r.values for r in records(examine(text).require()).after}
        assert after["_xmpp-server._tcp.corp.example", "SRV"] == (
            "10 10 5269 edge1.corp.example.",
            "20 0 5269 edge2.corp.example.",
        )
        assert after["edge2.corp.example", "A"] == ("203.0.113.77",)
        assert after["fe-pool.corp.example", "A"] == ("198.51.100.80", "198.51.100.81")
        assert ("edge2.corp.example", "AAAA") not in after


COEXIST = (
    ("scenario: replace", "scenario: coexist"),
    ("    - name: corp.example\n", "    - name: corp.example\n    - {name: sub.corp.example, owner: legacy}\n"),
)


class TestCoexistence:
    """What the legacy gateway owns is left alone in every table."""

    def test_only_our_domains_are_named_in_certificates_and_settings(self) -> None:
        document = examine(changed(*COEXIST)).require()
        assert not [c for c in certificates(document) if "sub.corp.example" in c.names]
        assert edge_settings(document, "edge1", federation_enabled=True)["own_domains"] == ["corp.example"]
        front_end = front_end_settings(document, "fe1", policy_enabled=True, federation_enabled=True)
        assert front_end["own_domains"] == ["corp.example"]

    def test_its_records_stay(self) -> None:
        plan = records(examine(changed(*COEXIST)).require())
        name = "_xmpp-server._tcp.sub.corp.example"
        for when in (plan.now, plan.after):
            assert [r.values for r in when if r.name == name] == [("10 10 5269 legacy1.corp.example.",)]
        assert name not in {after.name for _, after in plan.moving if after}
        assert "_xmpp-server._tcp.corp.example" in {after.name for _, after in plan.moving if after}

    def test_its_ports_stay_open_when_the_splice_is_gone(self) -> None:
        found = {(r.code, r.until) for r in ports(examine(changed(*COEXIST)).require()) if r.code.startswith("legacy-")}
        assert found == {
            ("legacy-splice", "decommission"),
            ("legacy-verify", "decommission"),
            ("legacy-s2s-in", "always"),
            ("legacy-s2s-out", "always"),
            ("legacy-sip", "always"),
        }


class TestSettings:
    def test_a_partners_own_authority_is_a_file_of_its_own(self) -> None:
        text = changed(("dialback: false}", "dialback: false, authority: theirs}"))
        partners = edge_settings(examine(text).require(), "edge1", federation_enabled=True)["partners"]
        assert isinstance(partners, list)
        found = [partner.get("authority", "the system's") for partner in partners if isinstance(partner, dict)]
        assert found == ["/etc/xmppgw/ca/theirs.pem", "the system's"]

    def test_the_edge_knows_no_partner_and_no_public_certificate_before_federation_is_enabled(
        self, document: Document
    ) -> None:
        settings = decode_edge_settings(json.dumps(edge_settings(document, "edge1", federation_enabled=False)).encode())
        assert settings.partners == ()
        assert settings.tls is None
        assert settings.dialback_secret_file is None
        assert settings.listen == ()
        assert not settings.federation_enabled

    def test_the_edge_with_federation(self, document: Document) -> None:
        settings = decode_edge_settings(json.dumps(edge_settings(document, "edge1", federation_enabled=True)).encode())
        assert settings.node == "edge1.corp.example"
        assert settings.own_domains == ("corp.example",)
        assert [one.address for one in settings.listen] == ["198.51.100.10", "2001:db8:2::10"]
        assert {one.port for one in settings.listen} == {5269}
        assert settings.link.peers == ("fe1.corp.example",)
        assert settings.tls is not None
        assert settings.tls.certificate == "/etc/xmppgw/tls/public.crt"
        assert "/etc/xmppgw/ca/public.pem" in settings.tls.trust
        assert [(p.domain, p.tls, p.sasl, p.dialback) for p in settings.partners] == [
            ("partner1.example", "required", "required", False),
            ("partner2.example", "required", "optional", True),
        ]

    @pytest.mark.parametrize(("policy", "federation"), [(False, False), (True, False), (True, True)])
    def test_the_front_end_step_by_step(self, document: Document, *, policy: bool, federation: bool) -> None:
        raw = front_end_settings(document, "fe1", policy_enabled=policy, federation_enabled=federation)
        settings = decode_front_end_settings(json.dumps(raw).encode())
        everyone = settings.access_policy.everyone
        assert (everyone.enable_federation_access, everyone.enable_xmpp_access) == (policy, policy)
        assert len(settings.partners) == (2 if federation else 0)
        assert settings.links[0].server_name == "edge1-int.corp.example"
        assert settings.sip.next_hop.host == "pool-target.corp.example"

    def test_a_policy_that_the_document_leaves_closed_stays_closed(self) -> None:
        text = changed(("enable_xmpp_access: true", "enable_xmpp_access: false"))
        raw = front_end_settings(examine(text).require(), "fe1", policy_enabled=True, federation_enabled=True)
        assert raw["access_policy"] == {"global": {"enable_federation_access": True, "enable_xmpp_access": False}}

    def test_fixed_servers_and_pins_reach_the_edge(self) -> None:
        pin = "ab" * 32
        text = changed(
            ("dialback: false}", f"dialback: false, servers: [{{host: 203.0.113.11, port: 5299}}], pins: [{pin}]}}")
        )
        raw = edge_settings(examine(text).require(), "edge1", federation_enabled=True)
        partner = decode_edge_settings(json.dumps(raw).encode()).partners[0]
        assert [(server.host, server.port) for server in partner.addresses] == [("203.0.113.11", 5299)]
        assert partner.pins == (pin,)

    @pytest.mark.parametrize("host", ["edge2", "fe1", ""])
    def test_a_host_that_is_no_edge(self, document: Document, host: str) -> None:
        with pytest.raises(KeyError, match="not an edge"):
            edge_settings(document, host, federation_enabled=True)

    def test_a_host_that_is_no_front_end(self, document: Document) -> None:
        with pytest.raises(KeyError, match="not a front end"):
            front_end_settings(document, "edge1", policy_enabled=True, federation_enabled=True)


class TestSchema:
    def test_the_committed_schema_is_current(self) -> None:
        committed = (ROOT / "docs/federation.schema.json").read_text()
        assert committed == document_schema(), "write it anew: .venv/bin/xmppgw schema > docs/federation.schema.json"

    def test_it_accepts_the_small_document(self) -> None:
        jsonschema.validate(yaml.safe_load(SMALL), json.loads(document_schema()))

    @pytest.mark.parametrize(
        "change", [("scenario: replace", "scenarios: replace"), ("version: 1", "version: 2"), ("port: 5061", "port: 0")]
    )
    def test_it_refuses_what_the_model_refuses(self, change: tuple[str, str]) -> None:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(changed(change)), json.loads(document_schema()))

    def test_every_key_is_explained_or_speaks_for_itself(self) -> None:
        schema = json.loads(document_schema())
        assert all(definition.get("description") for definition in schema["$defs"].values())
