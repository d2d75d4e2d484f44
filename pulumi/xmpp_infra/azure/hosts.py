"""Components: one gateway host (interfaces, addresses, machine, host key), and the hosts of one role over the zones."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import compute, managedidentity, network

from xmpp_infra.azure.cloud_init import encoded
from xmpp_infra.azure.config import Access, Machines
from xmpp_infra.azure.naming import Naming

# Debian 12 with Azure's agent and cloud-init, second generation (secure boot).
IMAGE = {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest"}
FAMILIES = (4, 6)
# The public half only. Run by Azure's agent on the machine; the answer is the run command's output.
SHOW_HOST_KEY = "cat /etc/ssh/ssh_host_ed25519_key.pub"


@dataclass(frozen=True, slots=True)
class Place:
    """One interface: its subnet, its addresses as the federation document says them, whether the Internet sees it."""

    name: str
    subnet: Input[str]
    addresses: tuple[str, ...]
    public: bool = False


@dataclass(frozen=True, slots=True)
class Common:
    """What all hosts of a stack share."""

    group: Input[str]
    location: str
    naming: Naming
    tags: Mapping[str, str]
    access: Access
    disk_encryption_set: Input[str]
    zones_of_addresses: Sequence[str]


class AzureHost(pulumi.ComponentResource):
    """A machine. `public_addresses` has one entry per address family for an edge and none for a front end."""

    host_key: Output[str]
    public_addresses: dict[int, network.PublicIPAddress]

    def __init__(
        self,
        name: str,
        common: Common,
        machines: Machines,
        *,
        zone: str,
        places: Sequence[Place],
        security_group: Input[str],
        role: str,
        dns_name: str = "",
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:azure:Host", name, None, opts)
        self._name, self._common, self._dns_name = name, common, dns_name
        self._tags = {**common.tags, "role": role}
        self._child = ResourceOptions(parent=self)
        self.public_addresses = {}
        self.identity = managedidentity.UserAssignedIdentity(
            name,
            resource_name_=common.naming.of("id", name),
            resource_group_name=common.group,
            location=common.location,
            tags=self._tags,
            opts=self._child,
        )
        interfaces = [self._interface(place, security_group) for place in places]
        self.machine = self._machine(machines, zone, interfaces)
        self.host_key = self._host_key()
        self.register_outputs({"host_key": self.host_key})

    def _interface(self, place: Place, security_group: Input[str]) -> network.NetworkInterface:
        configurations = []
        for family in FAMILIES:
            for number, address in enumerate(_of_family(place.addresses, family)):
                public = self._public_address(family) if place.public and number == 0 else None
                configurations.append(
                    network.NetworkInterfaceIPConfigurationArgs(
                        name=f"ipv{family}-{number}",
                        primary=family == FAMILIES[0] and number == 0,
                        private_ip_address=address,
                        private_ip_address_version=f"IPv{family}",
                        private_ip_allocation_method=network.IPAllocationMethod.STATIC,
                        subnet=network.SubnetArgs(id=place.subnet),
                        public_ip_address=network.PublicIPAddressArgs(id=public.id) if public is not None else None,
                    )
                )
        return network.NetworkInterface(
            f"{self._name}-{place.name}",
            network_interface_name=self._common.naming.of("nic", f"{self._name}-{place.name}"),
            resource_group_name=self._common.group,
            location=self._common.location,
            enable_accelerated_networking=True,
            enable_ip_forwarding=False,
            ip_configurations=configurations,
            network_security_group=network.NetworkSecurityGroupArgs(id=security_group),
            tags=self._tags,
            opts=self._child,
        )

    def _public_address(self, family: int) -> network.PublicIPAddress:
        # Partners, their firewalls and the letters name it: it must outlive the machine, and any mistake here.
        reverse = f"{self._dns_name}." if self._dns_name and family == FAMILIES[0] else None
        label = self._common.naming.of("xmpp", self._name)
        made = network.PublicIPAddress(
            f"{self._name}-ipv{family}",
            public_ip_address_name=self._common.naming.of("pip", f"{self._name}-ipv{family}"),
            resource_group_name=self._common.group,
            location=self._common.location,
            public_ip_address_version=f"IPv{family}",
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            sku=network.PublicIPAddressSkuArgs(name="Standard", tier="Regional"),
            zones=list(self._common.zones_of_addresses),
            # Azure sets a reverse name for IPv4 only, and only where the forward record exists by then.
            dns_settings=network.PublicIPAddressDnsSettingsArgs(domain_name_label=label, reverse_fqdn=reverse)
            if reverse
            else None,
            tags=self._tags,
            opts=ResourceOptions.merge(
                self._child, ResourceOptions(protect=True, ignore_changes=["dnsSettings.reverseFqdn"])
            ),
        )
        self.public_addresses[family] = made
        return made

    def _machine(
        self, machines: Machines, zone: str, interfaces: Sequence[network.NetworkInterface]
    ) -> compute.VirtualMachine:
        common, access = self._common, self._common.access
        keys = [
            compute.SshPublicKeyArgs(key_data=key, path=f"/home/{access.user}/.ssh/authorized_keys")
            for key in access.public_keys
        ]
        return compute.VirtualMachine(
            self._name,
            vm_name=common.naming.of("vm", self._name),
            resource_group_name=common.group,
            location=common.location,
            zones=[zone],
            hardware_profile=compute.HardwareProfileArgs(vm_size=machines.size),
            identity=compute.VirtualMachineIdentityArgs(
                type=compute.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[self.identity.id]
            ),
            network_profile=compute.NetworkProfileArgs(
                network_interfaces=[
                    compute.NetworkInterfaceReferenceArgs(id=interface.id, primary=number == 0, delete_option="Detach")
                    for number, interface in enumerate(interfaces)
                ]
            ),
            os_profile=compute.OSProfileArgs(
                computer_name=self._name,
                admin_username=access.user,
                custom_data=encoded(self._name),
                linux_configuration=compute.LinuxConfigurationArgs(
                    disable_password_authentication=True,
                    provision_vm_agent=True,
                    ssh=compute.SshConfigurationArgs(public_keys=keys),
                    patch_settings=compute.LinuxPatchSettingsArgs(
                        assessment_mode="AutomaticByPlatform",
                        patch_mode="AutomaticByPlatform",
                        # A migration or a partner must not meet a reboot that nobody chose.
                        automatic_by_platform_settings=compute.LinuxVMGuestPatchAutomaticByPlatformSettingsArgs(
                            reboot_setting="Never", bypass_platform_safety_checks_on_user_schedule=False
                        ),
                    ),
                ),
            ),
            storage_profile=compute.StorageProfileArgs(
                image_reference=compute.ImageReferenceArgs(**IMAGE),
                os_disk=compute.OSDiskArgs(
                    name=common.naming.of("osdisk", self._name),
                    create_option="FromImage",
                    caching=compute.CachingTypes.READ_WRITE,
                    disk_size_gb=machines.disk_gib,
                    delete_option="Detach",
                    managed_disk=compute.ManagedDiskParametersArgs(
                        storage_account_type="Premium_LRS",
                        disk_encryption_set=compute.DiskEncryptionSetParametersArgs(id=common.disk_encryption_set),
                    ),
                ),
            ),
            security_profile=compute.SecurityProfileArgs(
                encryption_at_host=True,
                security_type="TrustedLaunch",
                uefi_settings=compute.UefiSettingsArgs(secure_boot_enabled=True, v_tpm_enabled=True),
            ),
            # Without an account of its own, Azure keeps the console's log and picture itself.
            diagnostics_profile=compute.DiagnosticsProfileArgs(
                boot_diagnostics=compute.BootDiagnosticsArgs(enabled=True)
            ),
            tags=self._tags,
            opts=ResourceOptions.merge(
                self._child,
                # A newer image or cloud-config is for new machines; the ones that stand are Ansible's.
                ResourceOptions(ignore_changes=["osProfile", "storageProfile"]),
            ),
        )

    def _host_key(self) -> Output[str]:
        """The machine's public host key, read through Azure's own agent, so that nobody trusts on first use."""
        common = self._common
        asked = compute.VirtualMachineRunCommandByVirtualMachine(
            f"{self._name}-host-key",
            run_command_name="host-key",
            vm_name=self.machine.name,
            resource_group_name=common.group,
            location=common.location,
            source=compute.VirtualMachineRunCommandScriptSourceArgs(script=SHOW_HOST_KEY),
            timeout_in_seconds=120,
            treat_failure_as_deployment_failure=True,
            tags=self._tags,
            opts=ResourceOptions(parent=self, depends_on=[self.machine]),
        )
        answered = compute.get_virtual_machine_run_command_by_virtual_machine_output(
            expand="instanceView",
            resource_group_name=common.group,
            run_command_name=asked.name,
            vm_name=self.machine.name,
        )
        host_key: Output[str] = answered.apply(lambda answer: _key_of(answer.instance_view.output))
        return host_key


def _key_of(output: str | None) -> str:
    kind, _, rest = (output or "").strip().partition(" ")
    if kind != "ssh-ed25519" or not rest:
        raise ValueError(f"the host did not show its ed25519 key; its answer was {output!r:.200}")
    return f"{kind} {rest.split()[0]}"


def _of_family(addresses: Sequence[str], family: int) -> list[str]:
    return [address for address in addresses if ipaddress.ip_address(address).version == family]


def zone_of(machines: Machines, number: int) -> str:
    """Return the availability zone of a role's `number`-th host; stable when hosts are added at the end."""
    return machines.zones[number % len(machines.zones)]
