"""The plan of a document as a value, and its two forms: JSON for programs, tables for people.

Called by `documents`. Everything in it is derived from the document alone; nothing is looked up, so a partner's outcome
is `unproved` here until a dry authentication from the edge has shown it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from xmppgw.cli.population import Population
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
from xmppgw.federation.noticed import noticed, notices
from xmppgw.federation.support import support

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
    population: Population | None


def derive(document: Document, source: str, problems: Sequence[Problem], population: Population | None = None) -> Plan:
    """The plan of a document; `source` is its name, `problems` the warnings that came with it."""
    partners = sorted(document.federation.partners, key=lambda partner: partner.domain)
    outcomes = [(partner, partner_outcome(partner.tls, partner.sasl, partner.dialback)) for partner in partners]
    return Plan(
        source, document, certificates(document), ports(document), records(document), outcomes, problems, population
    )


def as_json(plan: Plan) -> dict[str, object]:
    """The plan as the JSON object that docs/federation.md describes."""
    federation = plan.document.federation
    return {
        "schema": SCHEMA,
        "document": plan.source,
        "scenario": federation.scenario.value,
        "sip_domains": list(federation.own_domains),
        "legacy_domains": list(federation.legacy_domains),
        "notices": notices(plan.document),
        **summaries_json(plan),
        "users": _users_json(plan),
        "noticed": [asdict(one) for one in noticed(plan.document)],
        "partners": [_partner_json(partner, outcome) for partner, outcome in plan.partners],
        "problems": [problem.as_json() for problem in plan.problems],
    }


def summaries_json(plan: Plan) -> dict[str, object]:
    """The three summaries of the planning guide: certificates, ports, DNS."""
    return {
        "certificates": [
            {**asdict(needed), "certificate_file": needed.certificate_file, "key_file": needed.key_file}
            for needed in plan.certificates
        ],
        "ports": [{**asdict(rule), "direction": rule.direction} for rule in plan.ports],
        "dns": {
            "now": [asdict(record) for record in plan.records.now],
            "after": [asdict(record) for record in plan.records.after],
        },
    }


def _users_json(plan: Plan) -> dict[str, object]:
    users = plan.document.federation.users
    return {
        "counts": asdict(plan.population) if plan.population else None,
        "waves": {
            "pilot": sorted(users.waves.pilot),
            "size": users.waves.size,
            "pause_seconds": users.waves.pause_seconds,
            "health": users.waves.health.model_dump(),
            "at_least": _least_waves(plan),
        },
        "exceptions": [exception.model_dump(mode="json") for exception in users.exceptions],
    }


def _least_waves(plan: Plan) -> int | None:
    """How many waves step 3 takes at the least: a batch is what stays the same when users come and go, so not full."""
    if plan.population is None:
        return None
    pilot, size = len(plan.document.federation.users.waves.pilot), plan.document.federation.users.waves.size
    return (pilot > 0) + -(-max(0, plan.population.to_move - pilot) // size)


def _partner_json(partner: Partner, outcome: Outcome) -> dict[str, object]:
    supported = support(partner)
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
        "group": partner.group,
        "support": {"basis": supported.basis.value, "line": supported.line},
        "proof_exception": partner.proof_exception.model_dump() if partner.proof_exception else None,
        "why": outcome.rationale,
        "warnings": list(outcome.warnings),
    }


def as_text(plan: Plan, *, markdown: bool) -> str:
    """The plan as aligned text or Markdown."""
    federation = plan.document.federation
    heading = "## {}\n\n" if markdown else "{}\n\n"
    title = f"Plan of {plan.source}"
    # Before the title: whoever reads nothing else reads this.
    parts = [f"{'**' * markdown}{notice}{'**' * markdown}\n" for notice in notices(plan.document)]
    parts.append(f"# {title}\n" if markdown else f"{title}\n{'=' * len(title)}\n")
    parts.append(
        f"Scenario {federation.scenario.value}; SIP domains {', '.join(federation.own_domains)}; "
        f"partners: {len(plan.partners)}.\n"
    )
    parts.append(summaries_text(plan, markdown=markdown))
    sections: tuple[tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]], ...] = (
        ("Users", ("what", "how many", "note"), _user_rows(plan)),
        (
            "What will be noticed, and by whom",
            ("step", "who", "what"),
            [(str(one.step), one.who, one.what) for one in noticed(plan.document)],
        ),
        (
            "Partners",
            ("domain", "type", "group", "allowed", "outcome", "switch", "support", "why"),
            _partner_rows(plan),
        ),
    )
    for name, header, rows in sections:
        parts.append(heading.format(name) + (table(header, rows, markdown=markdown) or "none\n"))
    parts.append(
        "S = SASL over TLS, T = dialback over TLS, C = dialback over plain TCP. "
        "An outcome is unproved, and counts as T, until the edge has tried it.\n"
    )
    if plan.problems:
        found = [(problem.severity.value, problem.code, problem.path, problem.message) for problem in plan.problems]
        parts.append(
            heading.format("Worth knowing") + table(("severity", "code", "path", "what"), found, markdown=markdown)
        )
    return "\n".join(parts)


def summaries_text(plan: Plan, *, markdown: bool) -> str:
    """The three summaries of the planning guide as aligned text or Markdown."""
    heading = "## {}\n\n" if markdown else "{}\n\n"
    sections = (
        (
            "Certificates",
            ("name", "host", "subject", "names", "usages", "issuer", "step", "used for"),
            _certificate_rows(plan),
        ),
        ("Ports", ("application", "port", "source", "destination", "direction", "until", "purpose"), _port_rows(plan)),
        ("DNS, now and after", ("name", "type", "now", "after"), _record_rows(plan)),
    )
    return "\n".join(
        heading.format(name) + (table(header, rows, markdown=markdown) or "none\n") for name, header, rows in sections
    )


def _user_rows(plan: Plan) -> list[tuple[str, ...]]:
    users, population = plan.document.federation.users, plan.population
    rows: list[tuple[str, ...]] = []
    if population is None:
        rows.append(("all users", "unknown", "no users.export; the platform is asked when step 3 is planned"))
    else:
        rows += [
            ("all users", str(population.total), ""),
            ("to move in step 3", str(population.to_move), f"{_least_waves(plan)} waves or more"),
            ("on the target pool", str(population.on_target_pool), ""),
            ("allowed to use XMPP", str(population.with_xmpp), "by their effective policy"),
        ]
        found = (
            ("homed in the cloud", population.in_cloud, "not on this platform"),
            ("disabled", population.disabled, "on the platform"),
            (
                "on Survivable Branch Appliances",
                population.survivable_branch,
                "no XMPP unless you decide otherwise (R8)",
            ),
            (
                "names with blanks around them",
                population.blank_names,
                "the platform's tools fail on them: rename first",
            ),
            ("in no SIP domain of the document", population.of_foreign_domains, "not touched"),
        )
        rows += [(what, str(number), note) for what, number, note in found if number]
    rows += [
        (
            "pilot wave",
            str(len(users.waves.pilot)),
            ", ".join(users.waves.pilot[:5]) + ", …" * (len(users.waves.pilot) > 5),
        ),
        ("users of a batch, at most", str(users.waves.size), f"then {users.waves.pause_seconds} s pause"),
    ]
    reasons = Counter(exception.reason.value for exception in users.exceptions)
    rows += [(f"exceptions: {reason}", str(number), "") for reason, number in sorted(reasons.items())]
    return rows


def _certificate_rows(plan: Plan) -> list[tuple[str, ...]]:
    return [
        (
            needed.name,
            needed.host,
            needed.subject,
            ", ".join(needed.names),
            ", ".join(usage.value for usage in needed.usages),
            f"{needed.issuer} {needed.authority}".strip(),
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
            partner.group or "-",
            outcome.letters,
            UNPROVED if partner.proof_exception is None else f"{UNPROVED}, excepted by {partner.proof_exception.by}",
            partner.switch.value,
            support(partner).line,
            "; ".join((outcome.rationale, *outcome.warnings)),
        )
        for partner, outcome in plan.partners
    ]
