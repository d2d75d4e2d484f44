"""Component: the lab's hosts with what they carry; what each stand-in runs comes from `servers` and `people`."""

from __future__ import annotations

import pulumi
from pulumi import ResourceOptions

from lab_provider import firewall as firewall_rules
from lab_provider import image
from xmpp_infra.config import StackConfig
from xmpp_infra.lab import acme, people, servers
from xmpp_infra.lab.certificates import NOT_ON_STAND_INS, LabCertificates
from xmpp_infra.lab.content import FileSpec, HostContent
from xmpp_infra.lab.dns import record_sets
from xmpp_infra.lab.network import LabNetwork
from xmpp_infra.lab.resources import FileArgs, Host, InterfaceArgs

SSHD = """\
# Written by the lab stack: keys only, and nothing that asks DNS before it answers.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxSessions 64
MaxStartups 64
"""


def content(config: StackConfig, host: str) -> HostContent:
    """Everything that a host carries beyond its image."""
    own = HostContent(_common_files(config, host))
    if host == config.firewall:
        rules = FileSpec(firewall_rules.BASE, mode=0o755)
        return own.merged_with(HostContent({"/etc/nftables.conf": rules}, units=("nftables.service",)))
    own = own.merged_with(servers.content(host, legacy_serves_all=config.legacy_gateway == "both"))
    if "authorities" in config.hosts[host].groups:
        own = own.merged_with(acme.content(config, host))
    return own.merged_with(people.content()) if "people" in config.hosts[host].groups else own


def _common_files(config: StackConfig, host: str) -> dict[str, FileSpec]:
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback", *_own_names(config, host)]
    files = {
        "/etc/hosts": FileSpec("\n".join(lines) + "\n"),
        "/etc/ssh/sshd_config.d/lab.conf": FileSpec(SSHD),
    }
    if config.dns is not None:
        resolver = f"nameserver {config.dns.resolver}\noptions timeout:1 attempts:3\n"
        files["/etc/resolv.conf"] = FileSpec(resolver)
    return files


def _own_names(config: StackConfig, host: str) -> list[str]:
    """The host's own name, known before any name server runs; every other name is asked of the resolver."""
    rows = [] if config.dns is None else [row for rows in record_sets(config, config.dns).values() for row in rows]
    own = [row for row in rows if row.type in ("A", "AAAA") and row.name.partition(".")[0] == host]
    if own:
        return [f"{address} {row.name} {host}" for row in own for address in row.values]
    network = next(iter(config.hosts[host].addresses))
    return [f"{address} {host}" for address in config.both(config.hosts[host].addresses[network][0])]


class LabHosts(pulumi.ComponentResource):
    """All hosts; they boot side by side."""

    def __init__(
        self,
        name: str,
        config: StackConfig,
        *,
        contents: dict[str, HostContent],
        network: LabNetwork,
        certificates: LabCertificates,
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:lab:Hosts", name, None, opts)
        child = ResourceOptions(parent=self, depends_on=[network.network])
        authorities = {
            name: authority.fingerprint
            for name, authority in certificates.authorities.items()
            if name not in NOT_ON_STAND_INS
        }
        self.hosts: dict[str, Host] = {}
        for host, wanted in config.hosts.items():
            carried = contents[host]
            interfaces: list[InterfaceArgs] = [
                {"bridge": bridge, "addresses": config.interface(host, bridge)} for bridge in wanted.addresses
            ]
            self.hosts[host] = Host(
                host,
                namespace=config.namespace,
                image=wanted.image,
                image_digest=image.RECIPES[wanted.image].digest,
                interfaces=interfaces,
                gateways=config.gateways(host),
                forwarding=host == config.firewall,
                files={path: _file(spec) for path, spec in sorted(carried.files.items())},
                units=carried.units,
                first_boot=carried.first_boot,
                certificates={
                    spec.name: certificates.certificates[spec.name].fingerprint for spec in carried.certificates
                },
                authorities=authorities,
                ssh_public_key=certificates.ssh_key.public_key,
                opts=child,
            )
        self.register_outputs({})


def _file(spec: FileSpec) -> FileArgs:
    return {"content": spec.content, "mode": f"{spec.mode:04o}", "owner": spec.owner, "group": spec.group}
