"""`xmppgw partner list` and `xmppgw partner letter`: who the partners are, and what each of them should be told.

Called by `program`. Reads the document and the certificate files that are named; writes to standard output, problems to
standard error. Nothing is sent to anybody.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from xmppgw.cli import documents
from xmppgw.cli.certificate_files import CertificateFileError, read_chain
from xmppgw.cli.output import bad_input, refuse, write_json
from xmppgw.cli.tables import code, table
from xmppgw.federation import Document, Examination, Method, Partner, examine_document, partner_outcome
from xmppgw.federation.letter import Letter, UnknownPartner, find_partner, partner_letter
from xmppgw.federation.names import domain_name
from xmppgw.federation.support import support

SCHEMA: Final = 1
# What Markdown takes for something else in running text.
_MARKDOWN: Final = frozenset("\\`*_{}[]<>#|~&!")
_TEMPLATES: Final = {"text": "letter.txt.j2", "markdown": "letter.md.j2"}


def show_partners(path: Path, form: str) -> int:
    """Print one line for each partner; return the exit status."""
    examination = examine_document(path)
    if examination.document is None:
        return documents.refuse(path, examination, form)
    partners = sorted(examination.document.federation.partners, key=lambda partner: partner.domain)
    if form == "json":
        write_json([_listed(partner) for partner in partners])
    else:
        header = ("domain", "further domains", "type", "group", "allowed", "switch", "support", "contact")
        rows = [_row(partner) for partner in partners]
        sys.stdout.write(table(header, rows, markdown=form == "markdown") or "no partners\n")
    return documents.status(examination)


def write_letter(path: Path, domain: str, certificate_files: Sequence[Path], form: str) -> int:
    """Print the letter to one partner; return the exit status."""
    examination = examine_document(path)
    if examination.document is None:
        return documents.refuse(path, examination, form)
    try:
        letter = _letter(examination.document, domain, certificate_files)
    except UnknownPartner:
        near = f"; `xmppgw partner list --document {path}` lists them all"
        return refuse([bad_input("letter-partner", str(path), f"{domain[:255]!r} is no partner of it{near}")], form)
    except CertificateFileError as error:
        return refuse([bad_input("letter-certificate", "--certificate", str(error))], form)
    if form == "json":
        write_json(letter_as_json(letter, examination))
    else:
        sys.stdout.write(letter_as_text(letter, form))
    return documents.status(examination)


def _letter(document: Document, domain: str, certificate_files: Sequence[Path]) -> Letter:
    try:
        wanted = domain_name(domain)
    except ValueError:
        raise UnknownPartner(domain) from None
    find_partner(document.federation, wanted)
    now = datetime.now(UTC)
    return partner_letter(document, wanted, [read_chain(file, document, now) for file in certificate_files])


def letter_as_json(letter: Letter, examination: Examination) -> dict[str, object]:
    """The letter as the JSON object that docs/federation.md describes."""
    partner = letter.partner
    return {
        "schema": SCHEMA,
        "partner": {
            "domain": partner.domain,
            "additional_domains": list(partner.additional_domains),
            "software": partner.software,
            "version": partner.version,
            "contact": _contact(partner),
        },
        "our_domains": list(letter.our_domains),
        "inbound": [asdict(place) for place in letter.inbound],
        "outbound": [{key: asdict(place)[key] for key in ("name", "ipv4", "ipv6")} for place in letter.outbound],
        "records": [asdict(change) for change in letter.records],
        "certificate": {
            "issuer": letter.issuer,
            "authority": letter.authority,
            "edges": [{**asdict(one), "issued": bool(one.chain)} for one in letter.certificates],
        },
        "allowed": [method.value for method in letter.methods],
        "remove": asdict(letter.old) if letter.old else None,
        "window": {"start": letter.window.start, "end": letter.window.end} if letter.window else None,
        "tests": [asdict(check) for check in letter.checks],
        "contact": letter.contact.model_dump() if letter.contact else None,
        "problems": [problem.as_json() for problem in examination.problems],
    }


def letter_as_text(letter: Letter, form: str) -> str:
    """The letter as plain text or Markdown."""
    environment = Environment(
        loader=PackageLoader("xmppgw.cli", "."),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML: texts go through `prose`, names and commands stand in code
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(prose=prose, code=code, fingerprint=fingerprint)
    return environment.get_template(_TEMPLATES[form]).render(letter=letter, partner=letter.partner)


def prose(value: object) -> str:
    """A text of somebody else's in the middle of a Markdown line: means nothing but itself."""
    text = " ".join(str(value).split())
    return "".join(f"\\{character}" if character in _MARKDOWN else character for character in text)


def fingerprint(sha256: str) -> str:
    """A fingerprint as certificate viewers show it: pairs in upper case between colons."""
    return ":".join(sha256[at : at + 2] for at in range(0, len(sha256), 2)).upper()


def _contact(partner: Partner) -> dict[str, object] | None:
    return partner.contact.model_dump() if partner.contact else None


def _listed(partner: Partner) -> dict[str, object]:
    found = support(partner)
    outcome = partner_outcome(partner.tls, partner.sasl, partner.dialback)
    return {
        "domain": partner.domain,
        "additional_domains": list(partner.additional_domains),
        "type": partner.type.value,
        "group": partner.group,
        "allowed": [method.value for method in Method if method in outcome.allowed],
        "switch": partner.switch.value,
        "support": {"basis": found.basis.value, "line": found.line},
        "contact": _contact(partner),
        "proof_exception": partner.proof_exception.model_dump() if partner.proof_exception else None,
    }


def _row(partner: Partner) -> tuple[str, ...]:
    contact = f"{partner.contact.name} <{partner.contact.email}>" if partner.contact else "-"
    return (
        partner.domain,
        ", ".join(partner.additional_domains) or "-",
        partner.type.value,
        partner.group or "-",
        partner_outcome(partner.tls, partner.sasl, partner.dialback).letters,
        partner.switch.value,
        support(partner).line,
        contact,
    )
