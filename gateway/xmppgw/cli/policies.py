"""`xmppgw policy explain USER`: which policy decides for a user, how every gate stands, and what to change.

Called by `program`, and by `explaining` for a pair of addresses. Exit status 0: no gate is closed; 1: one is; 2: bad
input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic_core import PydanticCustomError

from xmppgw.cli.exits import FINE, REFUSED
from xmppgw.cli.output import refuse, write_json
from xmppgw.cli.tables import code, table
from xmppgw.federation import Examination, Problem, Severity, examine_document
from xmppgw.federation.names import domain_name
from xmppgw.policy.explanation import Explanation, explain
from xmppgw.policy.users import User, UsersProblem, read_users, sip_address

SCHEMA: Final = 1


def main(arguments: Sequence[str]) -> int:
    """Run the verb; its exit status."""
    parser = argparse.ArgumentParser(prog="xmppgw policy", description="Say who may use XMPP federation, and why.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    one = actions.add_parser("explain", help="which policy decides for a user, and how every gate stands")
    one.add_argument("user", metavar="USER", help="SIP address, with or without sip:")
    one.add_argument("--document", type=Path, required=True, metavar="PATH")
    one.add_argument(
        "--users", type=Path, metavar="FILE", help="users' table; default users.export beside the document"
    )
    one.add_argument("--partner", metavar="DOMAIN", help="also look at the gates of this XMPP domain")
    one.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parsed = parser.parse_args(arguments)
    examination = examine_document(parsed.document)
    asked = _Asked(parsed.user, parsed.partner, parsed.document, parsed.users)
    return _explain(examination, asked, parsed.format)


def explain_pair(sender: str, recipient: str, path: Path, users: Path | None, form: str) -> int:
    """Print how the gates stand for a message from `sender` to `recipient`, one of whom is a SIP user of ours."""
    examination = examine_document(path)
    document = examination.document
    ours = {domain.name for domain in document.federation.sip_domains} if document is not None else set()
    user, remote = (recipient, sender) if _domain(recipient) in ours else (sender, recipient)
    return _explain(examination, _Asked(user, _domain(remote), path, users), form)


def _domain(address: str) -> str:
    """What stands behind the @ and before the resource, for comparing; whether it is a domain is judged later."""
    return address.partition("/")[0].rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was typed."""

    user: str
    partner: str | None
    document: Path
    users: Path | None


def _explain(examination: Examination, asked: _Asked, form: str) -> int:
    problems = [each for each in examination.problems if each.severity is Severity.ERROR]
    address, domain = _names(asked.user, asked.partner, problems)
    if examination.document is None or problems:
        return refuse(problems, form)
    federation = examination.document.federation
    users = asked.users
    if users is None and federation.users.export is not None:
        users = asked.document.parent / federation.users.export
    try:
        user = _find(address, users) if users is not None else None
    except UsersProblem as problem:
        message = Problem(problem.code, Severity.ERROR, problem.file, problem.line, "", problem.message, "")
        return refuse([message], form)
    found = explain(federation, address, user, table=users is not None, partner=domain)
    _print(found, form)
    return FINE if found.allowed else REFUSED


def _names(written: str, partner: str | None, problems: list[Problem]) -> tuple[str, str | None]:
    address, domain = "", None
    try:
        address = sip_address(written)
    except ValueError as error:
        problems.append(Problem("wrong-user", Severity.ERROR, "", 0, "USER", str(error), "write user@domain"))
    try:
        domain = domain_name(partner) if partner is not None else None
    except PydanticCustomError as error:
        problems.append(Problem("wrong-name", Severity.ERROR, "", 0, "--partner", error.message(), "name a domain"))
    return address, domain


def _find(address: str, users: Path) -> User | None:
    # Read to the end: a table that is broken further on must not look like one that does not know the user.
    found = None
    for user in read_users(users):
        if user.user == address:
            found = user
    return found


def _print(found: Explanation, form: str) -> None:
    if form == "json":
        value = {
            "schema": SCHEMA,
            "user": found.user,
            "allowed": found.allowed,
            "scope": found.effective.scope.value,
            "policy": found.effective.policy,
            "enable_federation_access": found.effective.switches.enable_federation_access,
            "enable_xmpp_access": found.effective.switches.enable_xmpp_access,
            "decided_by": found.closed.name if found.closed else None,
            "gates": [asdict(gate) for gate in found.gates],
        }
        write_json(value)
        return
    markdown = form == "markdown"
    name = code(found.user) if markdown else found.user
    verdict = "may use XMPP federation, as far as is known" if found.allowed else "may not use XMPP federation"
    switches = found.effective.switches
    print(f"{name} {verdict}.")
    print(
        f"Decided by {found.effective.policy} (scope {found.effective.scope}): EnableFederationAccess "
        f"{switches.enable_federation_access}, EnableXmppAccess {switches.enable_xmpp_access}."
    )
    if found.closed:
        print(f"The first closed gate is {found.closed.name}: {found.closed.found}. To open it: {found.closed.change}.")
    print()
    rows = [(gate.name, gate.state.value, gate.found, gate.change) for gate in found.gates]
    sys.stdout.write(table(("gate", "state", "found", "what to change"), rows, markdown=markdown))
