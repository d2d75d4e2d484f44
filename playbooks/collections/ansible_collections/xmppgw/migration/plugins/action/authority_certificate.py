"""Make the certificate of an authority whose key lies in Key Vault. Runs for the DNS writer: requests leave there."""

from __future__ import annotations

import datetime
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.action.certificate_issue import vault_keys
from ansible_collections.xmppgw.migration.plugins.plugin_utils.azure_rest import AzureRest
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_world import World
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuer_key_vault import make_authority
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.key_vault import CODE, VaultKey
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/authority_certificate.py."""

    def act(self, _args, task_vars):
        """Return the authorities whose certificate was made."""
        around = self.environment(task_vars)
        keys = vault_keys(around.federation.certificates)
        if not keys:
            raise IssuingError("no authority of the document has its key in Key Vault (certificates.*.key)", CODE)
        absent = sorted(set(keys) - set(around.authorities))
        if absent:
            raise IssuingError(f"no folder is configured for {', '.join(absent)} (migration_authorities)", CODE)
        made = {name: Path(around.authorities[name]) for name in sorted(keys)}
        made = {name: folder for name, folder in made.items() if not (folder / "ca.pem").exists()}
        if not self.checking:
            world = World(self, task_vars, around.federation, around.authorities)
            rest = AzureRest(world.azure, world.carry_https, world.pause)
            for name, folder in made.items():
                make_authority(name, folder, VaultKey(rest, keys[name]), datetime.datetime.now(datetime.UTC))
        return {"changed": bool(made), "made": sorted(made)}
