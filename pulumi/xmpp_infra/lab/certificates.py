"""Component: the lab's CAs, the certificates of its stand-ins, and the controller's SSH key."""

from __future__ import annotations

import pulumi
from pulumi import ResourceOptions

from xmpp_infra.lab.content import CertificateSpec
from xmpp_infra.lab.resources import Certificate, CertificateAuthority, SshKey

AUTHORITIES = {
    "public": "Lab Public CA (stands for public CAs)",
    "private": "Lab Private CA (the organisation's own)",
    "link": "Lab Link CA (between our own daemons)",
    "pinned": "Own CA of pinned.example",
    "dialback": "Own CA of dialback.example, known to nobody else",
}
NOT_ON_STAND_INS = frozenset({"link"})
"""Whom no stand-in trusts; the gateway's roles put it on the gateway's hosts, and roll it over there."""


class LabCertificates(pulumi.ComponentResource):
    """What must exist before a host can be given its identity."""

    def __init__(self, name: str, wanted: list[CertificateSpec], opts: ResourceOptions | None = None) -> None:
        super().__init__("xmppgw:lab:Certificates", name, None, opts)
        child = ResourceOptions(parent=self)
        self.authorities = {
            authority: CertificateAuthority(f"{authority}-ca", authority=authority, common_name=common_name, opts=child)
            for authority, common_name in AUTHORITIES.items()
        }
        self.certificates = {
            spec.name: Certificate(
                spec.name,
                certificate=spec.name,
                authority=self.authorities[spec.authority],
                authority_name=spec.authority,
                dns_names=spec.dns_names,
                server_auth=spec.server_auth,
                client_auth=spec.client_auth,
                opts=child,
            )
            for spec in wanted
        }
        self.ssh_key = SshKey("controller", opts=child)
        self.register_outputs({})
