"""The plan of a document as a value, and its two forms: JSON for programs, tables for people.

Called by `documents`. Everything in it is derived from the document alone; nothing is looked up, so a partner's outcome
is `unproved` here until a dry authentication from the edge has shown it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from xmppgw.cli.tables import table
from xmppgw.federation import (
    CertificateRequirement,
    Document,
    Endpoint,
    Method,
    Outcome,
    Partner,
    PortRule,
    Problem,
    RecordPlan,
    certificates,
    partner_outcome,
    ports,
    records,
)

SCHEMA: Final = 1
UNPROVED: Final = "unproved"


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from one document."""

    source: str
    document: Document
    certificates: Sequence[CertificateRequirement]
    ports: Sequence[PortRule]
    records: RecordPlan
    partners: Sequence[tuple[Partner, Outcome]]
    problems: Sequence[Problem]


def derive(document: Document, source: str, problems: Sequence[Problem]) -> Plan:
    """The plan of a document; `source` is its name, `problems` the warnings that came with it."""
    partners = sorted(document.federation.partners, key=lambda partner: partner.domain)
    outcomes = [(partner, partner_outcome(partner.tls, partner.sasl, partner.dialback)) for partner in partners]
    return Plan(source, document, certificates(document), ports(document), records(document), outcomes, problems)


def as_json(plan: Plan) -> dict[str, object]:
    """The plan as the JSON object that docs/federation.md describes."""
    federation = plan.document.federation
    return {
        "schema": SCHEMA,
        "document": plan.source,
        "scenario": federation.scenario.value,
        "sip_domains": list(federation.own_domains),
        "certificates": [
            {**asdict(needed), "certificate_file": needed.certificate_file, "key_file": needed.key_file}
            for needed in plan.certificates
        ],
        "ports": [{**asdict(rule), "direction": rule.direction} for rule in plan.ports],
        "dns": {
            "now": [asdict(record) for record in plan.records.now],
            "after": [asdict(record) for record in plan.records.after],
        },
        "partners": [_partner_json(partner, outcome) for partner, outcome in plan.partners],
        "problems": [problem.as_json() for problem in plan.problems],
    }


def _partner_json(partner: Partner, outcome: Outcome) -> dict[str, object]:
    return {
        "domain": partner.domain,
        "additional_domains": list(partner.additional_domains),
        "type": partner.type.value,
        "tls": partner.tls.value,
        "sasl": partner.sasl.value,
        "dialback": partner.dialback,
        "allowed": [method.value for method in Method if method in outcome.allowed],
        "expected": outcome.expected.value if outcome.expected else None,
        "outcome": UNPROVED,
        "switch": partner.switch.value,
        "why": outcome.rationale,
        "warnings": list(outcome.warnings),
    }


def as_text(plan: Plan, *, markdown: bool) -> str:
    """The plan as aligned text or Markdown."""
    federation = plan.document.federation
    heading = "## {}\n\n" if markdown else "{}\n\n"
    title = f"Plan of {plan.source}"
    parts = [f"# {title}\n" if markdown else f"{title}\n{'=' * len(title)}\n"]
    parts.append(
        f"Scenario {federation.scenario.value}; SIP domains {', '.join(federation.own_domains)}; "
        f"partners: {len(plan.partners)}.\n"
    )
    sections = (
        (
            "Certificates",
            ("name", "host", "subject", "names", "usages", "issuer", "step", "used for"),
            _certificate_rows(plan),
        ),
        ("Ports", ("application", "port", "source", "destination", "direction", "until", "purpose"), _port_rows(plan)),
        ("DNS, now and after", ("name", "type", "now", "after"), _record_rows(plan)),
        ("Partners", ("domain", "type", "allowed", "outcome", "switch", "why"), _partner_rows(plan)),
    )
    for name, header, rows in sections:
        parts.append(heading.format(name) + (table(header, rows, markdown=markdown) or "none\n"))
    parts.append(
        "S = SASL over TLS, T = dialback over TLS, C = dialback over plain TCP. "
        "An outcome is unproved, and counts as T, until the edge has tried it.\n"
    )
    if plan.problems:
        rows = [(problem.severity.value, problem.code, problem.path, problem.message) for problem in plan.problems]
        parts.append(
            heading.format("Worth knowing") + table(("severity", "code", "path", "what"), rows, markdown=markdown)
        )
    return "\n".join(parts)


def _certificate_rows(plan: Plan) -> list[tuple[str, ...]]:
    return [
        (
            needed.name,
            needed.host,
            needed.subject,
            ", ".join(needed.names),
            ", ".join(usage.value for usage in needed.usages),
            f"{needed.issuer} {needed.authority}",
            str(needed.step),
            needed.used_for,
        )
        for needed in plan.certificates
    ]


def _port_rows(plan: Plan) -> list[tuple[str, ...]]:
    return [
        (
            rule.application,
            f"{rule.transport} {rule.port}",
            _shown(rule.source),
            _shown(rule.destination),
            rule.direction,
            rule.until,
            rule.purpose,
        )
        for rule in plan.ports
    ]


def _shown(endpoint: Endpoint) -> str:
    addresses = [address for address in endpoint.addresses if address != endpoint.name]
    return f"{endpoint.name} ({', '.join(addresses)})" if addresses else endpoint.name


def _record_rows(plan: Plan) -> list[tuple[str, ...]]:
    now = {(record.name, record.type): record for record in plan.records.now}
    after = {(record.name, record.type): record for record in plan.records.after}
    rows: list[tuple[str, ...]] = []
    for name, kind in sorted(now.keys() | after.keys()):
        shown = [", ".join(table_[name, kind].values) if (name, kind) in table_ else "-" for table_ in (now, after)]
        rows.append((name, kind, *shown))
    return rows


def _partner_rows(plan: Plan) -> list[tuple[str, ...]]:
    return [
        (
            partner.domain,
            partner.type.value,
            outcome.letters,
            UNPROVED,
            partner.switch.value,
            "; ".join((outcome.rationale, *outcome.warnings)),
        )
        for partner, outcome in plan.partners
    ]
