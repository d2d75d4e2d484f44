"""`xmppgw policy explain USER`: which policy decides for a user, how every gate stands, and what to change.

Called by `program`. Exit status 0: no gate is closed; 1: one is; 2: bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec
from pydantic_core import PydanticCustomError

from xmppgw.cli.exits import BAD_INPUT, FINE, REFUSED
from xmppgw.cli.tables import code, table
from xmppgw.federation import Problem, Severity, examine_document
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
    return _explain(parsed.user, parsed.document, parsed.users, parsed.partner, parsed.format)


def _explain(written: str, path: Path, users: Path | None, partner: str | None, form: str) -> int:
    examination = examine_document(path)
    problems = [each for each in examination.problems if each.severity is Severity.ERROR]
    address, domain = _names(written, partner, problems)
    if examination.document is None or problems:
        return _refuse(problems, form)
    federation = examination.document.federation
    if users is None and federation.users.export is not None:
        users = path.parent / federation.users.export
    try:
        user = _find(address, users) if users is not None else None
    except UsersProblem as problem:
        message = Problem(problem.code, Severity.ERROR, problem.file, problem.line, "", problem.message, "")
        return _refuse([message], form)
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
            "gates": [asdict(gate) for gate in found.gates],
        }
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
        return
    markdown = form == "markdown"
    name = code(found.user) if markdown else found.user
    verdict = "may use XMPP federation, as far as is known" if found.allowed else "may not use XMPP federation"
    switches = found.effective.switches
    print(f"{name} {verdict}.")
    print(
        f"Decided by {found.effective.policy} (scope {found.effective.scope}): EnableFederationAccess "
        f"{switches.enable_federation_access}, EnableXmppAccess {switches.enable_xmpp_access}.\n"
    )
    rows = [(gate.name, gate.state.value, gate.found, gate.change) for gate in found.gates]
    sys.stdout.write(table(("gate", "state", "found", "what to change"), rows, markdown=markdown))


def _refuse(problems: Sequence[Problem], form: str) -> int:
    if form == "json":
        encoded = msgspec.json.encode([problem.as_json() for problem in problems])
        sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")
    else:
        sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return BAD_INPUT
