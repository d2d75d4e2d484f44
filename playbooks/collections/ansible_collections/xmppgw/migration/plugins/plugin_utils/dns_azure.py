"""DNS provider `azure`: one write to Azure DNS that holds only while the RRset is the one that was read.

Used through dns_providers. Compare and swap is the record set's ETag: `If-Match` with the one that was read, and
`If-None-Match: *` for an RRset that must not be there yet. A write whose answer was lost is looked up, never assumed.
(learn.microsoft.com/rest/api/dns/record-sets)
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, rrsets
from ansible_collections.xmppgw.migration.plugins.plugin_utils.azure_rest import (
    AzureError,
    AzureRest,
    Uncertain,
    refused,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_changes import ChangeError

API_VERSION = "2018-05-01"
ATTEMPTS = 5
"""Writes tried while answers are lost, or only an ETag moves under us."""
NO_SUCH_PARENT = ("ParentResourceNotFound", "ResourceGroupNotFound", "SubscriptionNotFound")
"""Of a 404: it is not the record set that is missing. (A record set is never the first thing made in a zone.)"""
CHALLENGE = "_acme-challenge."
CHALLENGE_TTL = 60
"""Seconds; the authority's resolver may ask again after a failed try."""


@dataclass(frozen=True)
class Standing:
    """A record set as Azure has it. `etag` is empty where there is none; `metadata` is kept over a change."""

    etag: str = ""
    ttl: int = 0
    records: tuple = ()
    metadata: dict | None = None


class AzureDns:
    """See dns_providers."""

    read_back_seconds = 180.0
    """Until every authoritative server must serve the change: Azure promises 60 seconds."""

    def __init__(self, dns, world):
        self.dns, self.world = dns, world
        self.rest = AzureRest(world.azure, world.carry_https, world.pause)
        self._known_servers = {}

    @staticmethod
    def how(dns):
        """Return how a change is made, for the plan."""
        return (
            f"one write to Azure DNS (resource group {dns.azure.resource_group}), if the record set's ETag is the "
            f"one that was read"
        )

    def change(self, change):
        """Make the change; look again where an answer was lost or only the ETag moved. Raises ChangeError."""
        url = self._url(change.zone, "SRV", _relative(change.name, change.zone))
        before, after = _canonical(change.before), _canonical(change.after)
        lost = ""
        for _attempt in range(ATTEMPTS):
            try:
                standing = self._read(url, "SRVRecords", _service_text)
                shown = _shown(standing)
                if shown == after:
                    return
                if shown != before:
                    raise ChangeError("migration-write-conflict", self._conflict(change, before, shown))
                self._write(url, standing, after, "SRVRecords", _service_fields)
            except Uncertain as problem:
                lost = f" The last answer was lost: {problem}."
                self.world.pause(1.0, "looking again: no answer came")
            except AzureError as problem:
                text = f"{change.name}: {problem}. Nothing was written."
                raise ChangeError("migration-dns-update", text) from problem
        raise ChangeError(
            "migration-dns-update",
            f"{change.name} was not seen to change in {ATTEMPTS} attempts.{lost} Run again: what stands is read first.",
        )

    def _conflict(self, change, before, shown):
        words = "; ".join(rrsets.differences(before, shown))
        return (
            f"Azure has another {change.name} than the servers of the document serve: {words}. Somebody changed it "
            f"just now, or {change.zone} is delegated elsewhere and the zone in resource group "
            f"{self.dns.azure.resource_group} is not the one in use. Nothing was written."
        )

    def texts(self, records, verb):
        """Add or delete TXT values ({name: [text]}), one value beside others' values. Raises DnsError."""
        for name, values in sorted(records.items()):
            zone, relative, group = self._home_of(name)
            url = self._url(zone, "TXT", relative, group)
            try:
                self._one_text(url, name, values, verb)
            except AzureError as problem:
                raise dns_messages.DnsError(f"{name}: {problem}") from problem

    def _one_text(self, url, name, values, verb):
        lost = ""
        for _attempt in range(ATTEMPTS):
            try:
                standing = self._read(url, "TXTRecords", lambda record: "".join(record.get("value") or []))
                others = [text for text in standing.records if text not in values]
                wanted = [*others, *values] if verb == "add" else others
                if sorted(wanted) == sorted(standing.records):
                    return
                after = {"ttl": standing.ttl or CHALLENGE_TTL, "records": wanted} if wanted else None
                self._write(url, standing, after, "TXTRecords", lambda text: {"value": [text]})
            except Uncertain as problem:
                lost = f" ({problem})"
                self.world.pause(1.0, "looking again: no answer came")
        raise AzureError(f"TXT {name} was not seen to change in {ATTEMPTS} attempts{lost}")

    def servers(self, name):
        """Return the addresses of the servers that must serve a challenge: of its own zone, where it has one."""
        zone, _relative_name, group = self._home_of(name)
        if zone in self.dns.zones:
            return list(self.dns.authoritative)
        if zone not in self._known_servers:
            self._known_servers[zone] = self._look_for_servers(zone, group)
        return self._known_servers[zone]

    def _look_for_servers(self, zone, group):
        url = f"{self._zone_url(zone, group)}?api-version={API_VERSION}"
        try:
            answer = self.rest.ask("GET", url)
            if answer.status != 200:
                raise refused(answer, url)
        except (AzureError, Uncertain) as problem:
            raise dns_messages.DnsError(f"{zone}: {problem}") from problem
        names = (answer.value.get("properties") or {}).get("nameServers") or []
        return [address for server in sorted(names) for address in self.world.resolve(server.rstrip("."))]

    def _home_of(self, name):
        """Return (zone, relative name, resource group) of a challenge."""
        if self.dns.azure.challenge_resource_group and name.startswith(CHALLENGE):
            return name, "@", self.dns.azure.challenge_resource_group
        zone = dns_messages.zone_of(name, self.dns.zones)
        return zone, _relative(name, zone), self.dns.azure.resource_group

    def _zone_url(self, zone, group):
        return (
            f"{self.world.azure.management}/subscriptions/{self.dns.azure.subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.Network/dnsZones/{zone}"
        )

    def _url(self, zone, kind, relative, group=None):
        base = self._zone_url(zone, group or self.dns.azure.resource_group)
        return f"{base}/{kind}/{relative}?api-version={API_VERSION}"

    def _read(self, url, key, text_of):
        answer = self.rest.ask("GET", url)
        if answer.status == 404 and _code(answer) in NO_SUCH_PARENT:
            raise AzureError(
                f"{url.partition('?')[0]}: {_code(answer)}. Either dns.azure names the wrong subscription or resource "
                f"group, or the zone is delegated elsewhere: then name the provider that serves it"
            )
        if answer.status == 404:
            return Standing()
        if answer.status != 200:
            raise refused(answer, url)
        properties = answer.value.get("properties") or {}
        etag = str(answer.value.get("etag") or answer.headers.get("etag") or "")
        try:
            records = tuple(sorted(text_of(record) for record in properties.get(key) or []))
            ttl = int(properties["TTL"])
        except (KeyError, TypeError, ValueError) as error:
            raise AzureError(f"{url} answered with a record set that cannot be read ({error!r})") from error
        if not etag:
            raise AzureError(f"{url} answered without an ETag: a write could not be made conditional")
        return Standing(etag, ttl, records, properties.get("metadata"))

    def _write(self, url, standing, after, key, fields_of):
        """Send one conditional write; a precondition that failed (412) is nothing but a reason to look again."""
        condition = {"If-Match": standing.etag} if standing.etag else {"If-None-Match": "*"}
        if after is None:
            answer = self.rest.ask("DELETE", url, headers=condition)
        else:
            properties = {"TTL": after["ttl"], key: [fields_of(record) for record in after["records"]]}
            if standing.metadata:
                properties["metadata"] = standing.metadata
            answer = self.rest.ask("PUT", url, body={"properties": properties}, headers=condition)
        if answer.status not in (200, 201, 202, 204, 409, 412):
            raise refused(answer, url)


def _code(answer):
    problem = answer.value.get("error")
    problem = problem if isinstance(problem, dict) else answer.value
    return str(problem.get("code") or "")


def _relative(name, zone):
    return "@" if name == zone else name.removesuffix(f".{zone}")


def _canonical(rrset):
    return rrset and {"ttl": int(rrset["ttl"]), "records": sorted(rrset["records"])}


def _shown(standing):
    return {"ttl": standing.ttl, "records": list(standing.records)} if standing.etag else None


def _service_text(record):
    target = str(record["target"]).rstrip(".").lower()
    return f"{int(record['priority'])} {int(record['weight'])} {int(record['port'])} {target}."


def _service_fields(text):
    priority, weight, port, target = text.split()
    numbers = {"priority": int(priority), "weight": int(weight), "port": int(port)}
    return {**numbers, "target": target.rstrip(".")}
