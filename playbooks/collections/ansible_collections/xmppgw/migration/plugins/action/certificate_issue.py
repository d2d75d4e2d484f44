"""Have signing requests turned into certificate chains by whoever issues them. Runs for a host, on the DNS writer."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import acme_protocol, environment, issuing, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_challenge import Challenges
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/certificate_issue.py."""

    def act(self, args, task_vars):
        """Return chains, and what is still awaited."""
        requests = dict(args["requests"])
        host = task_vars["inventory_hostname"]
        around = self.environment(task_vars)
        table = around.wanted_host(host)["certificates"]
        orders = [
            issuing.Order(host, name, table[name], request, wanted.roots(around.authorities, table[name]))
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
        challenges = _Lazy(lambda: self.challenges(around.federation.dns, task_vars))
        return issuing.Surroundings(
            authorities=around.authorities,
            folder=self.setting(task_vars, "migration_certificates"),
            settings=public.model_dump(mode="json"),
            account_folder=str(Path(self.setting(task_vars, "migration_secrets")).parent / "acme"),
            carry_https=lambda wish: self.carry(wish, trust, task_vars),
            publish_txt=lambda records: challenges().publish(records),
            withdraw_txt=lambda records: challenges().withdraw(records),
        )

    def challenges(self, dns, task_vars):
        """Return what publishes TXT records through the document's DNS provider."""
        if dns.provider != "rfc2136" or dns.tsig is None:
            raise issuing.IssuingError(
                f"acme needs DNS updates by RFC 2136; the document's DNS provider is {dns.provider}. Use `import`.",
                "migration-acme",
            )
        key = {
            "name": dns.tsig.name,
            "algorithm": dns.tsig.algorithm,
            "secret": environment.read_secret(self.setting(task_vars, "migration_secrets"), f"tsig/{dns.tsig.secret}"),
        }
        return Challenges(
            dns, key, lambda packets: self.remote("dns_exchange", {"packets": packets}, task_vars)["answers"]
        )

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


class _Lazy:
    """Makes a thing when it is first wanted: most orders need no DNS and no secret."""

    def __init__(self, make):
        self.make, self.made = make, None

    def __call__(self):
        if self.made is None:
            self.made = self.make()
        return self.made
