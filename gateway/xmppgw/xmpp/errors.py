"""The conditions with which XMPP says no, as tables: stream errors, stanza errors, SASL failures, dialback errors.

Read by the stream machines, the stanza checks, the translation tables and the daemons' logs. Holds data and the
functions that turn a condition into its element; decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .element import NS_DIALBACK, NS_SASL, NS_SERVER, NS_STANZA_ERRORS, NS_STREAM, NS_STREAM_ERRORS, XML_LANG, Element


class Severity(IntEnum):
    """How loudly a daemon reports a closed stream; greater is louder. The values are those of syslog, turned round."""

    ROUTINE = 1
    """Part of normal life: a peer restarts, a certificate is renewed."""
    PEER = 2
    """The peer did something wrong, or wants what we do not give."""
    OURS = 3
    """Says that we did something wrong, or are in trouble."""


@dataclass(frozen=True, slots=True)
class StreamCondition:
    """One row of RFC 6120 4.9.3.

    Attributes:
        name: the element's name.
        sent: severity when we send it.
        received: severity when a peer sends it to us (what is the peer's fault when sent is ours when received).
        meaning: for people.
    """

    name: str
    sent: Severity
    received: Severity
    meaning: str


STREAM_CONDITIONS: dict[str, StreamCondition] = {
    condition.name: condition
    for condition in (
        StreamCondition("bad-format", Severity.PEER, Severity.OURS, "the XML cannot be processed"),
        StreamCondition("bad-namespace-prefix", Severity.PEER, Severity.OURS, "an unsupported namespace prefix"),
        StreamCondition("conflict", Severity.PEER, Severity.ROUTINE, "another stream has taken this one's place"),
        StreamCondition("connection-timeout", Severity.ROUTINE, Severity.ROUTINE, "the other side did not answer"),
        StreamCondition("host-gone", Severity.ROUTINE, Severity.PEER, "the domain is no longer served here"),
        StreamCondition("host-unknown", Severity.PEER, Severity.PEER, "the domain is not served here"),
        StreamCondition("improper-addressing", Severity.PEER, Severity.OURS, "from or to is missing or wrong"),
        StreamCondition("internal-server-error", Severity.OURS, Severity.PEER, "a fault inside the server"),
        StreamCondition("invalid-from", Severity.PEER, Severity.OURS, "from is not a domain proved on this stream"),
        StreamCondition("invalid-namespace", Severity.PEER, Severity.OURS, "a wrong stream or content namespace"),
        StreamCondition("invalid-xml", Severity.PEER, Severity.OURS, "the XML does not follow its schema"),
        StreamCondition("not-authorized", Severity.PEER, Severity.OURS, "data before authentication, or none possible"),
        StreamCondition("not-well-formed", Severity.PEER, Severity.OURS, "the XML is not well-formed"),
        StreamCondition("policy-violation", Severity.PEER, Severity.OURS, "a local policy forbids it"),
        StreamCondition("remote-connection-failed", Severity.PEER, Severity.PEER, "dialback could not ask the server"),
        StreamCondition("reset", Severity.ROUTINE, Severity.ROUTINE, "security context must be established anew"),
        StreamCondition("resource-constraint", Severity.OURS, Severity.PEER, "the server lacks resources"),
        StreamCondition("restricted-xml", Severity.PEER, Severity.OURS, "a comment, DTD, entity or instruction"),
        StreamCondition("see-other-host", Severity.ROUTINE, Severity.ROUTINE, "use another host"),
        StreamCondition("system-shutdown", Severity.ROUTINE, Severity.ROUTINE, "the server is being stopped"),
        StreamCondition("undefined-condition", Severity.PEER, Severity.PEER, "not one of the defined conditions"),
        StreamCondition("unsupported-encoding", Severity.PEER, Severity.OURS, "not UTF-8"),
        StreamCondition("unsupported-feature", Severity.PEER, Severity.PEER, "a mandatory feature is missing"),
        StreamCondition("unsupported-stanza-type", Severity.PEER, Severity.OURS, "an element that is no stanza"),
        StreamCondition("unsupported-version", Severity.PEER, Severity.PEER, "the stream version is not supported"),
    )
}
"""All 25 conditions of RFC 6120 4.9.3 by name."""

# COMPAT: RFC 3920 servers still send the old name. May go when none is left.
_OLD_STREAM_NAMES = {"xml-not-well-formed": "not-well-formed"}


STANZA_ERROR_TYPES: dict[str, str] = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}
"""Every stanza error condition with its default type (RFC 6120 8.3.3)."""

SASL_FAILURES: frozenset[str] = frozenset(
    {
        "aborted",
        "account-disabled",
        "credentials-expired",
        "encryption-required",
        "incorrect-encoding",
        "invalid-authzid",
        "invalid-mechanism",
        "malformed-request",
        "mechanism-too-weak",
        "not-authorized",
        "temporary-auth-failure",
    }
)
"""RFC 6120 6.5."""

DIALBACK_ERROR_TYPES: dict[str, str] = {
    "forbidden": "auth",
    "item-not-found": "cancel",
    "not-acceptable": "cancel",
    "not-authorized": "auth",
    "policy-violation": "cancel",
    "remote-connection-failed": "wait",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
}
"""Conditions inside `<db:result type='error'>` and `<db:verify type='error'>` (XEP-0220 2.4) with their types."""


def stream_error(condition: str, text: str = "") -> Element:
    """The `<stream:error/>` element.

    Args:
        condition: a key of `STREAM_CONDITIONS`.
        text: for the administrator of the peer; never names one of our hosts.
    """
    if condition not in STREAM_CONDITIONS:
        raise ValueError(f"{condition!r} is not a stream error condition")
    error = Element("error", NS_STREAM, None, [Element(condition, NS_STREAM_ERRORS)])
    if text:
        error.children.append(Element("text", NS_STREAM_ERRORS, {XML_LANG: "en"}, [text]))
    return error


def read_stream_error(error: Element) -> tuple[str, str]:
    """Condition and text of a received `<stream:error/>`; unknown conditions read as `undefined-condition` (4.9.2)."""
    condition, text = "undefined-condition", ""
    for child in error.elements():
        if child.namespace != NS_STREAM_ERRORS:
            continue
        if child.name == "text":
            text = child.text[:MAX_ERROR_TEXT]
            continue
        name = _OLD_STREAM_NAMES.get(child.name, child.name)
        if name in STREAM_CONDITIONS:
            condition = name
    return condition, text


MAX_ERROR_TEXT = 256
"""Characters of a peer's error text that are kept; it is shown to people and written to logs."""


def stanza_error(condition: str, text: str = "", error_type: str | None = None, namespace: str = NS_SERVER) -> Element:
    """The `<error/>` child of a stanza of type error.

    Args:
        condition: a key of `STANZA_ERROR_TYPES`.
        text: for the sender.
        error_type: another type than the condition's default.
        namespace: of the stanza it goes into.
    """
    default = STANZA_ERROR_TYPES.get(condition)
    if default is None:
        raise ValueError(f"{condition!r} is not a stanza error condition")
    error = Element("error", namespace, {"type": error_type or default}, [Element(condition, NS_STANZA_ERRORS)])
    if text:
        error.children.append(Element("text", NS_STANZA_ERRORS, {XML_LANG: "en"}, [text]))
    return error


def read_stanza_error(stanza: Element) -> tuple[str, str]:
    """Condition and text of a stanza of type error; `undefined-condition` where it says nothing known."""
    error = stanza.child("error")
    if error is None:
        return "undefined-condition", ""
    condition, text = "undefined-condition", ""
    for child in error.elements():
        if child.namespace != NS_STANZA_ERRORS:
            continue
        if child.name == "text":
            text = child.text[:MAX_ERROR_TEXT]
        elif child.name in STANZA_ERROR_TYPES:
            condition = child.name
    return condition, text


def sasl_failure(condition: str, text: str = "") -> Element:
    """The `<failure/>` that answers an `<auth/>` (RFC 6120 6.4.5)."""
    if condition not in SASL_FAILURES:
        raise ValueError(f"{condition!r} is not a SASL failure condition")
    failure = Element("failure", NS_SASL, None, [Element(condition, NS_SASL)])
    if text:
        failure.children.append(Element("text", NS_SASL, {XML_LANG: "en"}, [text]))
    return failure


def dialback_error(name: str, attributes: dict[str, str], condition: str) -> Element:
    """A `<db:result/>` or `<db:verify/>` of type error (XEP-0220 2.4.1)."""
    error_type = DIALBACK_ERROR_TYPES.get(condition)
    if error_type is None:
        raise ValueError(f"{condition!r} is not a dialback error condition")
    return Element(
        name,
        NS_DIALBACK,
        {**attributes, "type": "error"},
        [Element("error", NS_SERVER, {"type": error_type}, [Element(condition, NS_STANZA_ERRORS)])],
    )


def read_dialback_error(element: Element) -> str:
    """The condition inside a dialback element of type error, or `undefined-condition`."""
    for child in element.elements():
        if child.name == "error":
            for condition in child.elements():
                if condition.namespace == NS_STANZA_ERRORS and condition.name in STANZA_ERROR_TYPES:
                    return condition.name
    return "undefined-condition"
