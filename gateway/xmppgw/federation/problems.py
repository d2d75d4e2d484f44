"""What can be wrong with a federation document, and how it is said.

Everyone who reads a document (CLI, Pulumi program, Ansible plug-ins, daemons) reports its problems in this one shape.
A code is part of the interface: it is documented in docs/codes.md, never renamed and never reused for something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Severity(StrEnum):
    """How much a problem matters."""

    ERROR = "error"  # the document cannot be used
    REFUSED = "refused"  # the document is well formed; a guard does not let this migration happen
    WARNING = "warning"  # usable; a person should know


@dataclass(frozen=True, slots=True)
class Code:
    """One entry of the catalogue in docs/codes.md."""

    severity: Severity
    meaning: str
    remedy: str


def _error(meaning: str, remedy: str) -> Code:
    return Code(Severity.ERROR, meaning, remedy)


def _warning(meaning: str, remedy: str) -> Code:
    return Code(Severity.WARNING, meaning, remedy)


CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        # The file.
        "file-missing": _error("There is no such file.", "Name the document with `--document PATH`."),
        "file-unreadable": _error("The file exists but cannot be read.", "Check its owner and mode."),
        "file-not-regular": _error("The path is a directory, not a document.", "Name the file inside it."),
        "file-too-large": _error(
            "The file is larger than 8 MiB.",
            "A document with 10,000 partners needs about 2 MiB: is this the right file?",
        ),
        "file-encoding": _error(
            "The file is not plain UTF-8 (a byte order mark, UTF-16, or bytes that no UTF-8 text contains).",
            "Save it as UTF-8 without a byte order mark.",
        ),
        # YAML.
        "yaml-syntax": _error("The text is not YAML.", "Repair the line that is named; what follows it was not read."),
        "yaml-tab": _error("A tab stands where YAML wants spaces.", "Indent with spaces."),
        "yaml-duplicate-key": _error(
            "A mapping has the same key twice; other readers would silently keep the last.", "Keep one of them."
        ),
        "yaml-key": _error("A key is not a plain text.", "Write the key as a word, in quotes if need be."),
        "yaml-tag": _error(
            "A value carries a tag, or is of a kind (date, binary, set) that the document does not use.",
            "Remove the tag; put dates and the like in quotes.",
        ),
        "yaml-alias": _error(
            "An alias names an anchor that is not (yet) there.", "Define the anchor first, or write the value out."
        ),
        "yaml-too-complex": _error(
            "The document is nested too deeply, or its aliases expand to too much.",
            "Write the values out instead of repeating aliases.",
        ),
        "yaml-documents": _error(
            "The file holds more than one YAML document.", "Remove the `---` that starts the second."
        ),
        "yaml-not-mapping": _error("The document is empty, a list or a single value.", "Start it with `federation:`."),
        "template": _error(
            "A value contains `{{` or `{%`: Ansible would expand it, the other readers of this file would not.",
            "Write the value itself.",
        ),
        # The model.
        "unknown-key": _error("No such key exists here.", "Use the key that is suggested, or remove it."),
        "missing-key": _error("A required key is missing.", "Add it."),
        "wrong-type": _error(
            "The value is of the wrong type.",
            "Write the type that is expected; quote texts that YAML takes for numbers.",
        ),
        "wrong-value": _error("The value is of the right type but not one that is allowed.", "Use one that is."),
        "wrong-name": _error(
            "The value is not a usable host or domain name.", "Write the plain name, without blanks or a final dot."
        ),
        "wrong-address": _error(
            "The value is not a usable IP address.", "Write one IPv4 or IPv6 address, without brackets, zone or prefix."
        ),
        "wrong-user": _error(
            "The value is not a usable address of a user.", "Write user@domain, without `sip:` and without blanks."
        ),
        "wrong-time": _error(
            "The value is not a usable moment or time of day.",
            "Write moments with date, time and offset, in quotes: '2026-12-05T22:00:00+01:00'.",
        ),
        # Rules across fields.
        "duplicate-domain": _error(
            "A domain is listed twice.", "Keep one entry; further domains go into `additional_domains`."
        ),
        "own-domain-is-partner": _error(
            "A partner's domain is one of our own SIP domains.", "Remove it from the partners."
        ),
        "duplicate-host": _error("Two hosts share an inventory name.", "Give each host a name of its own."),
        "duplicate-fqdn": _error(
            "Two parts share a host name that must tell them apart.", "Give each a name of its own."
        ),
        "duplicate-address": _error("Two hosts share an address.", "Give each host an address of its own."),
        "partner-unreachable": _error(
            "The partner's TLS, SASL and dialback settings leave no way to authenticate.",
            "Allow dialback, or TLS together with SASL.",
        ),
        "partner-switch": _error(
            "`switch: before_dns` needs a partner that authenticates us by certificate.",
            "Allow SASL over TLS for it, or use `switch: with_dns`.",
        ),
        "next-hop-not-peer": _error(
            "The SIP next hop is not among `sip.peers`, so its own requests would be refused.", "Add it to `sip.peers`."
        ),
        "dns-incomplete": _error("The DNS provider needs settings that are missing.", "Add the keys that are named."),
        "dns-settings": _error(
            "The DNS provider has settings that belong to another one.", "Remove them, or choose that provider."
        ),
        "dns-primary": _error(
            "`dns.primary` is not one of `dns.authoritative`.", "Add it: every write is read back from it."
        ),
        "dns-zone": _error("A name lies in none of `dns.zones`.", "Add the zone, or move the name into a listed one."),
        "dns-ttl": _error(
            "The TTL during the migration is longer than the normal one.", "Make `dns.ttl.migration` the smaller."
        ),
        "legacy-missing": _error(
            "The scenario moves something away from a legacy gateway, and none is described.",
            "Add the section `legacy`.",
        ),
        "domain-owner": _error(
            "The owners of the SIP domains do not fit the scenario.",
            "In `coexist` each gateway owns at least one SIP domain; in `replace` ours owns all.",
        ),
        "maintenance-window": _error(
            "The maintenance window does not end after it starts.", "Correct `start` or `end`; mind their offsets."
        ),
        "foreign-user": _error(
            "A user who is named here is in none of our SIP domains.", "Name users of `sip_domains` only."
        ),
        "duplicate-user": _error("A user is named twice in the same list.", "Keep one entry."),
        "interruption": _error(
            "An accepted interruption lacks who accepted it, or how long it is expected to last.",
            "Add `by` and `minutes` to the exception.",
        ),
        "pilot-unknown": _error(
            "The pilot names a SIP domain or a partner that the document does not have.",
            "Name one of `sip_domains` that our gateway owns, and one of `partners`.",
        ),
        "duplicate-policy": _error(
            "Two access policies of one scope share a name.", "Keep one; the platform compares names without case."
        ),
        "policy-users": _error(
            "There are policies of sites or users, and no table that says whose they are.",
            "Run `xmppgw user sync --apply` and name its file in `users.export`.",
        ),
        "preset": _error(
            "The partner's settings are not those of the preset that it names.",
            "Set what the preset is documented with, or remove `preset`.",
        ),
        "partner-pins": _error(
            "A partner has pins or an authority of its own, and may do without any certificate; or it has both.",
            "Set `tls: required`; keep `pins` or `authority`.",
        ),
        "issuer-incomplete": _error(
            "The certificate issuer needs settings that are missing.", "Add the keys that are named."
        ),
        "issuer-settings": _error(
            "The certificate issuer has settings that belong to another one.", "Remove them, or choose that issuer."
        ),
        "issuer-dns": _error(
            "The issuer `acme` proves names by DNS-01, and the DNS provider cannot write records.",
            "Use `dns.provider: rfc2136` or `azure`, or the issuer `import`.",
        ),
        "drain-quiet-minute": _error(
            "The drain restarts the legacy proxy service, and no quiet minute is set for that.",
            "Add `quiet_minute`: what is in flight in that minute cannot be protected.",
        ),
        # Warnings.
        "partner-settings": _warning(
            "The partner's settings work, but not quite as one may think.",
            "Read the reason; `xmppgw plan` lists all partners.",
        ),
        "partner-plain-tcp": _warning(
            "The partner may exchange messages with us without any encryption.",
            "Set `tls: required` unless the partner cannot.",
        ),
        "policy-closed": _warning(
            "The global access policy lets nobody use XMPP federation: both switches are needed.",
            "Set both `enable_federation_access` and `enable_xmpp_access`, if that is meant.",
        ),
        "next-hop-not-target": _warning(
            "The SIP next hop is not the target platform's pool.", "Check `sip.next_hop.fqdn` against `target.pool`."
        ),
        "preset-obsolete": _warning(
            "The preset is a documented recipe whose service has ended.",
            "Ask the partner what it runs today; remove it if nobody uses it.",
        ),
        "text-only": _warning(
            "The SIP next hop is a Microsoft platform, and this version carries text only: presence and contacts stop"
            " working at the switch.",
            "Tell the users; a migration wants `-e accept=text-only`.",
        ),
        "moved-users-unserved": _warning(
            "The legacy gateway does not serve users who have moved, and nothing says how they keep XMPP.",
            "Name `pilot.users` to prove the contrary, replace the gateway in place first, use `coexist`, or accept an"
            " interruption by name in `users.exceptions`.",
        ),
        "migration-r7-unknown": _warning(
            "Nobody has said whether the legacy edge has one FQDN for all services; the federation route could not be"
            " moved then (R7). A migration refuses.",
            "Look (`Get-CsService -EdgeServer`, Topology Builder), then say `single_edge_fqdn: false`, or name the"
            " three in `legacy.edge`; or `-e accept=migration-r7-unknown`.",
        ),
        # Guards that need nothing but the document.
        "migration-r7": Code(
            Severity.REFUSED,
            "The legacy edge has one FQDN for all services: moving the federation route is not supported then (R7).",
            "Move the users and decommission the legacy edge first, or give its services names of their own.",
        ),
        "not-in-this-version": Code(
            Severity.REFUSED,
            "The document asks for something that can be planned but that this version cannot carry out: several front"
            " ends, for which there is no common store yet.",
            "Plan with it; before migrating, choose what this version has, or update.",
        ),
        "federation-forbidden": Code(
            Severity.REFUSED,
            "`AllowFederatedUsers` is off on the platform: nobody's policy lets anything through then.",
            "`Set-CsAccessEdgeConfiguration -AllowFederatedUsers $true`; it opens SIP federation too.",
        ),
        "public-private-ca": Code(
            Severity.REFUSED,
            "Our own CA would sign what partners see, and not every partner has confirmed that it pins it.",
            "Use `acme` or `import`; or have each partner pin the certificate and set `pins_our_certificate`.",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it stands, what was found, what was expected, what to do.

    `line` counts from 1; 0 means that the problem is not tied to a line. `path` is written like
    `federation.partners[3].tls`, and is empty for problems of the file itself.
    """

    code: str
    severity: Severity
    file: str
    line: int
    path: str
    message: str
    hint: str

    def as_json(self) -> dict[str, str | int]:
        """The problem as the JSON object that docs/codes.md promises."""
        return {**asdict(self), "severity": self.severity.value}

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f" {self.path}:" if self.path else ""
        return f"{place}: {self.severity.value} [{self.code}]{where} {self.message}" + (
            f"\n    {self.hint}" if self.hint else ""
        )


class DocumentProblems(Exception):  # noqa: N818 - "the document's problems" is what the caller catches and prints
    """Raised by `load_document`: every problem of the document, sorted by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def codes_table() -> str:
    """The catalogue as the Markdown table of docs/codes.md; a test compares the two."""
    rows = [f"| `{name}` | {code.severity.value} | {code.meaning} | {code.remedy} |" for name, code in CODES.items()]
    return "\n".join(("| code | severity | meaning | what to do |", "|---|---|---|---|", *rows))
