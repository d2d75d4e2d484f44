"""Which servers to look at from which host, what each should serve, and the verdict on what it does serve.

Used on the controller by the action `served`. Pure: document, what stands and what was served in, looks and verdicts
out.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils import wanted

from xmppgw.federation.model import LINK_PORT, S2S_PORT

SIP_PORT = 5061
SERVER = ["serverAuth"]
TLS_VERSIONS = ("TLSv1.2", "TLSv1.3")
"""What may be spoken; anything older is a finding."""


def looks(environment, host, stage, phases):
    """Return the looks from one host at `stage`. `phases`: partner to `legacy` or `gateway`, as the edge has them."""
    federation = environment.federation
    if host in environment.edges:
        return [*_at_legacy(federation, stage), *_at_edge(federation, host, stage, phases)]
    return _from_front_end(federation, host, stage)


def _at_legacy(federation, stage):
    if federation.legacy is None or stage >= 7:
        return
    gateway = federation.legacy.gateway
    yield {
        "name": f"{gateway.host}:s2s",
        "kind": "xmpp",
        "addresses": [str(address) for address in gateway.addresses],
        "port": gateway.port,
        "to": (*federation.own_domains, *federation.legacy_domains)[0],
        "fetch_ocsp": True,
        "about": None,
        "names": [*federation.own_domains, *federation.legacy_domains],
    }


def _at_edge(federation, host, stage, phases):
    edge = next(item for item in federation.edges if item.host == host)
    if stage < 5:
        return
    # Whoever is in phase `legacy` is joined to the legacy gateway: only as another one do we see our own certificate.
    ours = sorted(partner for partner, phase in phases.items() if phase == "gateway")
    if federation.legacy is not None and stage < 7 and not ours:
        return
    yield {
        "name": f"{host}:public",
        "kind": "xmpp",
        "addresses": [str(address) for address in edge.external_addresses],
        "port": S2S_PORT,
        "to": federation.own_domains[0],
        "from": ours[0] if ours else federation.partners[0].domain if federation.partners else "",
        "fetch_ocsp": True,
        "about": [host, "public"],
    }


def _from_front_end(federation, host, stage):
    pool, front_end = next((pool, item) for pool, item in federation.front_ends if item.host == host)
    found = []
    if stage >= 2:
        found += [
            {
                "name": f"{edge.host}:link",
                "kind": "tls",
                "addresses": [str(address) for address in edge.internal_addresses],
                "port": LINK_PORT,
                "server_name": edge.internal_fqdn,
                "certificate": "/etc/xmppgw/tls/link.crt",
                "key": "/etc/xmppgw/tls/link.key",
                "about": [edge.host, "link"],
            }
            for edge in federation.edges
        ]
    if stage >= 1:
        mine = {"certificate": "/etc/xmppgw/tls/sip.crt", "key": "/etc/xmppgw/tls/sip.key", "kind": "tls"}
        found.append(
            {
                "name": f"{host}:sip",
                "addresses": [str(address) for address in front_end.addresses],
                "port": SIP_PORT,
                "server_name": pool.fqdn,
                "about": [host, "sip"],
                **mine,
            }
        )
        hop = federation.sip.next_hop
        found.append(
            {
                "name": f"{hop.fqdn}:sip",
                "addresses": [hop.fqdn],
                "port": hop.port,
                "server_name": hop.fqdn,
                "about": None,
                "names": [hop.fqdn],
                **mine,
            }
        )
    return found


def awaited(environment, host, stage, looked_at):
    """Return {server: what has to come first} of one of our hosts' servers that are not looked at yet. `looked_at`:
    names of the looks that are made."""
    if host in environment.edges:
        link = {} if stage >= 2 else {f"{host}:link": "step 2 starts the edge"}
        first = "step 5 opens 5269" if stage < 5 else "step 6 answers here for a first partner"
        return link | ({} if f"{host}:public" in looked_at else {f"{host}:public": first})
    return {} if stage >= 1 else {f"{host}:sip": "step 1 starts the front end"}


def verdict(look, served, environment, standing, now):
    """Return what was served and what is wrong with it.

    `standing`: {(host, name): PEM} of what lies on our hosts. What is not ours is judged for its dates and its TLS
    version; its names, usages and chain are remarks: who trusts it, and for what, is known to those who use it.
    """
    result = {"name": look["name"], "ours": look["about"] is not None, "findings": [], "remarks": []}
    if "error" in served:
        return {**result, "findings": [{"code": "certificate-not-served", "text": served["error"]}]}
    result |= {key: served[key] for key in ("protocol", "cipher", "ocsp")}
    try:
        chain = judging.read_chain(served["chain"])
    except ValueError as error:
        return {**result, "findings": [{"code": "certificate-unreadable", "text": str(error)}]}
    result |= {
        "certificate": judging.describe(chain[0]),
        "chain": [judging.describe(item)["subject"] for item in chain],
    }
    findings, remarks = [], []
    if look["about"]:
        host, name = look["about"]
        item = environment.wanted_host(host)["certificates"][name]
        roots = wanted.roots(environment.authorities, item)
        findings += judging.examine(served["chain"], item, roots, now, exact=False)
        findings += _loaded(chain[0], standing.get((host, name)))
    else:
        findings += judging.dates(chain, now)
        remarks += judging.form(chain, {"names": look["names"], "usages": SERVER})
    if served["protocol"] not in TLS_VERSIONS:
        findings.append(judging.Finding("certificate-protocol", f"it speaks {served['protocol'] or 'no known TLS'}"))
    if served["ocsp"]["status"] == "revoked":
        findings.append(judging.Finding("certificate-revoked", f"OCSP ({served['ocsp']['how']}) says revoked"))
    return {
        **result,
        "findings": [finding.as_dict() for finding in findings],
        "remarks": [remark.as_dict() for remark in remarks],
    }


def _loaded(leaf, pem):
    try:
        lying = judging.read_chain(pem or "")[0]
    except ValueError:
        return []
    if judging.fingerprint(lying) == judging.fingerprint(leaf):
        return []
    return [
        judging.Finding(
            "certificate-not-loaded",
            f"it serves the certificate that ends {leaf.not_valid_after_utc:%Y-%m-%d}, another one lies on the host; "
            f"reload the daemon",
        )
    ]


def lines(found, awaited_):
    """Return verdicts, and what is not served yet, as text."""
    shown = [f"  {'served by':<34} {'TLS':<8} {'ends':<11} {'OCSP':<28} state"]
    for item in sorted(found, key=lambda entry: entry["name"]):
        ocsp = item.get("ocsp") or {"status": ""}
        ends = (item.get("certificate") or {}).get("not_after", "")[:10]
        said = [*item["findings"], *item["remarks"]]
        state = "; ".join(f"[{finding['code']}] {finding['text']}" for finding in said) or "good"
        shown.append(f"  {item['name']:<34} {item.get('protocol', ''):<8} {ends:<11} {ocsp['status'][:28]:<28} {state}")
    shown += [f"  {name:<34} not there yet: {why}" for name, why in sorted(awaited_.items())]
    return shown
