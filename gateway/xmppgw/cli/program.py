"""Reads the command line and hands over to the verb. Imports a verb's code only when it is asked for.

Exit status of every verb: 0 fine, 1 refused, 2 bad input. Bad input never ends in a traceback.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from xmppgw.cli.exits import BAD_INPUT

# In a clone, the lab's document is what people mean when they name none.
DEFAULT_DOCUMENT: Final = Path("inventories/lab/group_vars/all/federation.yml")

# Verbs that other rooms implement: verb -> (module, whether its main wants the verb itself, help).
_HANDED_OVER: Final = {
    "edge": ("xmppgw.edge.main", False, "run the edge (XMPP proxy) daemon; see `xmppgw edge --help`"),
    "frontend": (
        "xmppgw.frontend.main",
        False,
        "run the front end (XMPP gateway) daemon; see `xmppgw frontend --help`",
    ),
    "runbook": ("xmppgw.cli.runbook", False, "write the SIP platform's runbook; see `xmppgw runbook --help`"),
    "probe": (
        "xmppgw.probe.__main__",
        False,
        "run a command while people of the lab chat, and report what it cost them; see `xmppgw probe --help`",
    ),
    "explain": (
        "xmppgw.cli.explaining",
        False,
        "say which rule decided about a message, or a pair of addresses; see `xmppgw explain --help`",
    ),
    "status": ("xmppgw.telemetry.control_client", True, "show streams, links and queues of a daemon on this host"),
    "drain": ("xmppgw.telemetry.control_client", True, "let a daemon on this host finish what is in flight"),
    "import-legacy": (
        "xmppgw.cli.importing",
        False,
        "turn exports of the old platform into a federation document; see `xmppgw import-legacy --help`",
    ),
    "policy": ("xmppgw.cli.policies", False, "say who may use XMPP federation, and why; see `xmppgw policy --help`"),
    "user": ("xmppgw.cli.users", False, "keep the table of SIP users; see `xmppgw user --help`"),
    "health": (
        "xmppgw.telemetry.health_record",
        False,
        "append one line on a daemon's health to a file; see `xmppgw health --help`",
    ),
    "control": ("xmppgw.telemetry.control_client", True, "send any command to a daemon on this host"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader has gone (`xmppgw plan | head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in _HANDED_OVER:
        name, wants_verb, _ = _HANDED_OVER[arguments[0]]
        status = import_module(name).main(arguments if wants_verb else arguments[1:])
        assert isinstance(status, int)
        return status
    parsed = _parser().parse_args(arguments)
    if parsed.verb in ("check", "plan", "partner", "firewall"):
        path = parsed.document or (DEFAULT_DOCUMENT if DEFAULT_DOCUMENT.exists() else None)
        if path is None:
            print(
                f"xmppgw {parsed.verb}: name a document with --document PATH (no {DEFAULT_DOCUMENT} here)",
                file=sys.stderr,
            )
            return BAD_INPUT
        return _about_a_document(parsed, path)
    if parsed.verb == "schema":
        from xmppgw.federation.schema import document_schema  # noqa: PLC0415

        sys.stdout.write(document_schema())
        return 0
    from xmppgw.cli import capture  # noqa: PLC0415

    return capture.inspect(parsed.protocol, parsed.file, parsed.format)


def _about_a_document(parsed: argparse.Namespace, path: Path) -> int:
    if parsed.verb == "firewall":
        return _about_firewalls(parsed, path)
    form: str = parsed.format
    if parsed.verb == "partner":
        from xmppgw.cli import letters  # noqa: PLC0415

        if parsed.what == "list":
            return letters.show_partners(path, form)
        return letters.write_letter(path, parsed.domain, parsed.certificate, form)
    from xmppgw.cli import documents  # noqa: PLC0415 - pydantic and the model cost a quarter of a second

    if parsed.verb == "check":
        return documents.check(path, form)
    return documents.plan(path, form, summaries=parsed.summaries)


def _about_firewalls(parsed: argparse.Namespace, path: Path) -> int:
    from xmppgw.cli import firewall  # noqa: PLC0415
    from xmppgw.federation.host_firewall import Surroundings  # noqa: PLC0415

    if parsed.what == "request":
        return firewall.request(path, parsed.format)
    around = Surroundings(tuple(parsed.administrators), tuple(parsed.time_servers), parsed.writes_dns)
    return firewall.rules(path, parsed.host, around)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xmppgw",
        description="The XMPP federation gateway and what plans its migration.",
        epilog="Exit status: 0 fine, 1 refused, 2 bad input.",
    )
    parser.add_argument("--version", action="version", version=f"xmppgw {_version()}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in (
        ("check", "report every problem of a federation document"),
        ("plan", "derive certificates, ports, DNS records and partner outcomes from a federation document"),
    ):
        sub = verbs.add_parser(verb, help=text, description=text[0].upper() + text[1:] + ".")
        _add_document(sub)
        if verb == "plan":
            sub.add_argument("--summaries", action="store_true", help="only the three tables of the planning guide")
    partner = verbs.add_parser("partner", help="list the partners, or write the letter that one of them should get")
    about = partner.add_subparsers(dest="what", required=True, metavar="list|letter")
    _add_document(about.add_parser("list", help="one line for each partner"))
    letter = about.add_parser("letter", help="our new addresses, certificate, what to remove, a test to run, a contact")
    letter.add_argument("domain", metavar="DOMAIN", help="the partner's domain, or one of its additional domains")
    letter.add_argument(
        "--certificate",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="the chain that an edge shows, PEM, leaf first; once for each edge; without it: not issued yet",
    )
    _add_document(letter)
    _add_firewall(verbs.add_parser("firewall", help="ask for firewall rules, or print a host's own"))
    verbs.add_parser("schema", help="print the JSON schema of the federation document")
    sub = verbs.add_parser("inspect", help="parse one captured message as the daemons would")
    sub.add_argument("protocol", choices=("sip", "xmpp"))
    sub.add_argument("file", type=Path, metavar="FILE")
    sub.add_argument("--format", choices=("text", "json"), default="text")
    for verb, (_, _, text) in _HANDED_OVER.items():
        verbs.add_parser(verb, help=text, add_help=False)
    return parser


def _add_firewall(firewall: argparse.ArgumentParser) -> None:
    about = firewall.add_subparsers(dest="what", required=True, metavar="request|rules")
    asked = about.add_parser("request", help="every connection that the organisation's firewalls must let through")
    _add_document(asked, forms=("text", "markdown", "csv", "json"))
    own = about.add_parser("rules", help="one host's own nftables file, closed but for its rows of the port table")
    own.add_argument("host", metavar="HOST", help="inventory name of an edge or a front end")
    own.add_argument(
        "--administrators", action="append", default=[], metavar="NETWORK", help="who may open SSH; may be repeated"
    )
    own.add_argument(
        "--time-servers", action="append", default=[], metavar="NETWORK", help="who is asked for the time (NTP)"
    )
    own.add_argument("--writes-dns", action="store_true", help="the host changes DNS and orders certificates")
    _add_document(own, forms=())


def _add_document(sub: argparse.ArgumentParser, *, forms: tuple[str, ...] = ("text", "markdown", "json")) -> None:
    sub.add_argument(
        "--document",
        type=Path,
        metavar="PATH",
        help=f"federation document; default {DEFAULT_DOCUMENT} where that exists, else required",
    )
    if forms:
        sub.add_argument("--format", choices=forms, default="text")


def _version() -> str:
    try:
        return version("xmppgw")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "(not installed)"
