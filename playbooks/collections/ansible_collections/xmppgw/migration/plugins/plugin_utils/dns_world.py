"""What DNS providers and issuers need of a run: packets and requests carried by the DNS writer, secrets, time.

Made by the actions `dns_rrset` and `certificate_issue` on the controller; tests have a world of their own.
"""

from __future__ import annotations

import base64
import time

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, environment, wanted

display = Display()


class World:
    """The run around a provider. `federation`: the document's; `authorities`: name to folder with ca.pem."""

    def __init__(self, action, task_vars, federation, authorities):
        self.action, self.task_vars = action, task_vars
        self.dns, self.azure = federation.dns, federation.azure
        self.authorities = authorities

    def exchange(self, packets):
        """Carry packets from the DNS writer; return the answers."""
        return self.action.remote("dns_exchange", {"packets": packets}, self.task_vars)["answers"]

    def look(self, server, zone, name):
        """Return {rrset, soa, negative_ttl} as one server has them."""
        questions = [dns_messages.question(server, name, "SRV"), dns_messages.question(server, zone, "SOA")]
        srv, soa = self.exchange(questions)
        apex = dns_messages.read_rrset(soa, zone, "SOA")
        return {
            "rrset": dns_messages.read_rrset(srv, name, "SRV")["rrset"],
            "soa": apex.get("soa"),
            "negative_ttl": apex["negative_ttl"],
        }

    def resolve(self, name):
        """Return the IPv4 addresses of a host, as the first of the document's resolvers says; raise DnsError."""
        if not self.dns.resolvers:
            raise dns_messages.DnsError(f"dns.resolvers is empty: nobody can be asked for the addresses of {name}")
        (answer,) = self.exchange([dns_messages.question_to_resolver(self.dns.resolvers[0], name, "A")])
        found = dns_messages.read_answer(answer, name, "A")["rrset"]
        if found is None:
            raise dns_messages.DnsError(f"{self.dns.resolvers[0]} knows no address of {name}")
        return found["records"]

    def carry_https(self, wish):
        """Send one request to Azure from the DNS writer; return {status, headers, body} or {error}."""
        trust = None
        if self.azure.authority:
            trust = wanted.authority_certificate(self.authorities, self.azure.authority)
        sent = {
            "method": wish["method"],
            "url": wish["url"],
            "headers": wish.get("headers") or {},
            "body": base64.b64encode(wish.get("body") or b"").decode(),
            "content_type": wish.get("content_type", ""),
            "accept": "application/json",
            "bearer": wish.get("bearer"),
            "trust": trust,
        }
        answer = self.action.remote("https_exchange", sent, self.task_vars)["answer"]
        return answer if "error" in answer else {**answer, "body": base64.b64decode(answer["body"])}

    def pause(self, seconds, reason):
        """Wait, and say why."""
        self.say(f"waiting {seconds:.0f} s: {reason}")
        time.sleep(seconds)

    def secret(self, name):
        """Return a named secret."""
        return environment.read_secret(self.action.secrets_file(self.task_vars), name)

    def say(self, line):
        """Show a line to whoever runs this."""
        display.display(f"      {line}", color="yellow")
