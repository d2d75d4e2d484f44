"""Have signing requests turned into certificate chains by whoever issues them. Runs for a host, on the DNS writer."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import acme_protocol, dns_providers, issuing, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.azure_rest import AzureRest
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_challenge import Challenges
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_world import World
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/certificate_issue.py."""

    def act(self, args, task_vars):
        """Return chains, and what is still awaited."""
        requests = dict(args["requests"])
        host = task_vars["inventory_hostname"]
        around = self.environment(task_vars)
        table = around.wanted_host(host)["certificates"]
        stands = task_vars["hostvars"][host]["migration_seen"]["seen"]["gateway"]["certificates"]
        orders = [
            issuing.Order(
                host,
                name,
                table[name],
                request,
                wanted.roots(around.authorities, table[name]),
                (stands.get(name) or {}).get("pem") or "",
            )
            for name, request in sorted(requests.items())
        ]
        if self.checking or not orders:
            return {"changed": False, "chains": {}, "awaited": {}}
        outcome = issuing.obtain(orders, self.surroundings(around, task_vars), datetime.datetime.now(datetime.UTC))
        return {"changed": False, "chains": outcome.chains, "awaited": outcome.awaited}

    def surroundings(self, around, task_vars):
        """Return what the issuers work with."""
        public = around.federation.certificates.public
        trust = None
        if public.directory_authority:
            trust = wanted.authority_certificate(around.authorities, public.directory_authority)
        world = World(self, task_vars, around.federation, around.authorities)
        challenges = _Lazy(lambda: self.challenges(around.federation.dns, world))
        return issuing.Surroundings(
            authorities=around.authorities,
            folder=self.setting(task_vars, "migration_certificates"),
            settings=public.model_dump(mode="json"),
            account_folder=str(Path(self.setting(task_vars, "migration_secrets")).parent / "acme"),
            carry_https=lambda wish: self.carry(wish, trust, task_vars),
            publish_txt=lambda records: challenges().publish(records),
            withdraw_txt=lambda records: challenges().withdraw(records),
            vault_keys=vault_keys(around.federation.certificates),
            azure=_Lazy(lambda: AzureRest(world.azure, world.carry_https, world.pause)),
        )

    def challenges(self, dns, world):
        """Return what publishes TXT records through the document's DNS provider."""
        provider = dns_providers.provider_of(dns, world)
        if not hasattr(provider, "texts"):
            raise issuing.IssuingError(
                f"acme needs a DNS provider that writes; the document's is {dns.provider}. Use the issuer `import`.",
                "migration-acme",
            )
        return Challenges(provider, world.exchange)

    def carry(self, wish, trust, task_vars):
        """Send one request from the DNS writer; return the Answer."""
        answer = self.remote(
            "https_exchange",
            {
                "method": wish.method,
                "url": wish.url,
                "body": base64.b64encode(wish.body).decode() if wish.body else "",
                "content_type": acme_protocol.JOSE if wish.body else "",
                "accept": wish.accept,
                "trust": trust,
            },
            task_vars,
        )["answer"]
        if "error" in answer:
            raise acme_protocol.AcmeError(answer["error"])
        return acme_protocol.Answer(answer["status"], answer["headers"], base64.b64decode(answer["body"]))


def vault_keys(certificates):
    """Return authority to the address of its key in Key Vault, as the document's part `certificates` says."""
    return {issuer.authority: issuer.key for issuer in (certificates.internal, certificates.of_link) if issuer.key}


class _Lazy:
    """Makes a thing when it is first wanted: most orders need no DNS and no secret."""

    def __init__(self, make):
        self.make, self.made = make, None

    def __call__(self):
        if self.made is None:
            self.made = self.make()
        return self.made
