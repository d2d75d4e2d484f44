"""Component: Key Vault, for what must be shared: the disks' key, the private CA's key, and secrets that two hosts need.

Never a host's private key: those are made where they are used. No secret's value is in this program; the edges share
the dialback secret through Ansible, and the vault holds what a pipeline must hand to it.
"""

from __future__ import annotations

import pulumi
from pulumi import Input, ResourceOptions
from pulumi_azure_native import compute, keyvault

from xmpp_infra.azure.config import AzureConfig
from xmpp_infra.azure.naming import VAULT_LENGTH, Naming
from xmpp_infra.azure.roles import (
    KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER,
    KEY_VAULT_CRYPTO_USER,
    KEY_VAULT_SECRETS_USER,
    assign,
)

# A deleted vault keeps its name for this long; shorter, and a mistake could not be taken back.
SOFT_DELETE_DAYS = 90


class AzureVault(pulumi.ComponentResource):
    """The vault, the key that encrypts the disks, and the private CA's key; both keys never leave it."""

    def __init__(
        self,
        name: str,
        config: AzureConfig,
        *,
        naming: Naming,
        group: Input[str],
        tags: dict[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:azure:Vault", name, None, opts)
        child, kept = ResourceOptions(parent=self), ResourceOptions(parent=self, protect=True)
        self.vault = keyvault.Vault(
            "vault",
            vault_name=naming.worldwide("kv", VAULT_LENGTH),
            resource_group_name=group,
            location=config.location,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=config.tenant,
                sku=keyvault.SkuArgs(family="A", name=keyvault.SkuName.PREMIUM),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=SOFT_DELETE_DAYS,
                enable_purge_protection=True,
                enabled_for_disk_encryption=True,
                public_network_access="Enabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    default_action=keyvault.NetworkRuleAction.DENY,
                    bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
                    ip_rules=[keyvault.IPRuleArgs(value=str(network)) for network in config.vault_networks],
                ),
            ),
            tags=tags,
            opts=kept,
        )
        disks = self._key("disks", group, tags, kept, kty="RSA-HSM", size=3072, operations=["wrapKey", "unwrapKey"])
        self.authority = self._key(
            "private-ca", group, tags, kept, kty="EC-HSM", curve="P-256", operations=["sign", "verify"]
        )
        self.disk_encryption_set = compute.DiskEncryptionSet(
            "disks",
            disk_encryption_set_name=naming.of("des"),
            resource_group_name=group,
            location=config.location,
            encryption_type="EncryptionAtRestWithPlatformAndCustomerKeys",
            identity=compute.EncryptionSetIdentityArgs(type="SystemAssigned"),
            active_key=compute.KeyForDiskEncryptionSetArgs(
                key_url=disks.key_uri_with_version, source_vault=compute.SourceVaultArgs(id=self.vault.id)
            ),
            rotation_to_latest_key_version_enabled=True,
            tags=tags,
            opts=child,
        )
        self.ready = assign(
            "disks-may-use-their-key",
            role=KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER,
            principal=self.disk_encryption_set.identity.apply(
                lambda identity: identity.principal_id if identity else ""
            ),
            scope=self.vault.id,
            reason="disks are encrypted with a key of our own",
            opts=child,
        )
        for number, deployer in enumerate(config.deployers):
            for what, role, reason in (
                ("sign", KEY_VAULT_CRYPTO_USER, "the pipeline signs gateway certificates with the private CA"),
                ("read", KEY_VAULT_SECRETS_USER, "the pipeline hands shared secrets to the hosts"),
            ):
                assign(
                    f"deployer-{number}-may-{what}",
                    role=role,
                    principal=deployer,
                    scope=self.vault.id,
                    reason=reason,
                    opts=child,
                )
        self.register_outputs({"vault_uri": self.vault.properties.vault_uri})

    def _key(
        self,
        name: str,
        group: Input[str],
        tags: dict[str, str],
        opts: ResourceOptions,
        *,
        kty: str,
        operations: list[str],
        curve: str | None = None,
        size: int | None = None,
    ) -> keyvault.Key:
        return keyvault.Key(
            name,
            key_name=name,
            vault_name=self.vault.name,
            resource_group_name=group,
            properties=keyvault.KeyPropertiesArgs(
                kty=kty,
                curve_name=curve,
                key_size=size,
                key_ops=list(operations),
                attributes=keyvault.KeyAttributesArgs(enabled=True, exportable=False),
            ),
            tags=tags,
            opts=opts,
        )
