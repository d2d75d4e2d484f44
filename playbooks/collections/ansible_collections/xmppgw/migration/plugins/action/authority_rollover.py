"""One phase of replacing a private authority by its successor, on the controller."""

from __future__ import annotations

import datetime

from ansible_collections.xmppgw.migration.plugins.plugin_utils import authority_rollover as rollover
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/authority_rollover.py."""

    def act(self, args, task_vars):
        """Do the phase unless it was done."""
        around = self.environment(task_vars)
        issuer = around.federation.certificates.of_link
        if issuer.issuer != "private_ca":
            raise IssuingError(
                f"the link's certificates come from {issuer.issuer}; only a private_ca is rolled over here",
                "migration-rollover",
            )
        if issuer.authority == around.federation.certificates.internal.authority:
            raise IssuingError(
                f"{issuer.authority} signs the SIP certificates too, and the SIP platform trusts it: give the link an "
                f"authority of its own (certificates.link in the federation document), run migrate.yml, then roll over",
                "migration-rollover",
            )
        folder = around.authorities.get(issuer.authority)
        if folder is None:
            raise IssuingError(f"no folder is configured for {issuer.authority!r} (migration_authorities)")
        before = rollover.phase_of(folder)
        changed = False
        if not self.checking:
            now = datetime.datetime.now(datetime.UTC)
            changed = {
                "begin": lambda: rollover.begin(folder, now),
                "switch": lambda: rollover.switch(folder),
                "finish": lambda: rollover.finish(folder),
            }[args["phase"]]()
        after = rollover.phase_of(folder)
        return {"changed": changed, "authority": issuer.authority, "before": before, "after": after}
