"""SASL EXTERNAL between servers (RFC 6120 6, RFC 4422 appendix A, XEP-0178 3): what to send, how to judge what came.

Called by the stream machines. The certificate has been judged elsewhere; here only the authorisation identity is.
"""

from __future__ import annotations

import base64
import binascii

from .address import AddressError, prepare_domain
from .element import NS_SASL, Element

MECHANISM = "EXTERNAL"
MAX_IDENTITY_LENGTH = 4096
"""Characters of base64 that are decoded; a domain needs at most 1364."""


class SaslRefusedError(Exception):
    """The attempt fails.

    Attributes:
        condition: a SASL failure condition (RFC 6120 6.5).
        text: for the peer's administrator.
    """

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{condition}: {text}")
        self.condition = condition
        self.text = text


def mechanisms() -> Element:
    """The feature that offers EXTERNAL."""
    return Element("mechanisms", NS_SASL, None, [Element("mechanism", NS_SASL, None, [MECHANISM])])


def offers_external(features: Element) -> bool:
    """Whether a peer's `<stream:features/>` offer EXTERNAL."""
    offered = features.child("mechanisms", NS_SASL)
    if offered is None:
        return False
    return any(child.name == "mechanism" and child.text.strip() == MECHANISM for child in offered.elements())


def auth_element(domain: str) -> Element:
    """`<auth/>` of the originating server.

    The identity is spelt out although it equals the stream's `from`: older peers want it (XEP-0178 3).
    """
    identity = base64.b64encode(domain.encode("utf-8")).decode("ascii")
    return Element("auth", NS_SASL, {"mechanism": MECHANISM}, [identity])


def decode_strictly(text: str) -> bytes:
    """Base64 without forgiveness: foreign characters and misplaced padding are errors (RFC 6120 13.9.1).

    Raises:
        SaslRefusedError: `incorrect-encoding`.
    """
    if len(text) > MAX_IDENTITY_LENGTH:
        raise SaslRefusedError("malformed-request", "the initial response is too long")
    try:
        raw = text.encode("ascii")
        decoded = base64.b64decode(raw, validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise SaslRefusedError("incorrect-encoding", "the initial response is not base64") from None
    if base64.b64encode(decoded) != raw:
        # Non-zero bits behind the last octet: two texts for one identity (RFC 4648 3.5).
        raise SaslRefusedError("incorrect-encoding", "the initial response is not canonical base64")
    return decoded


def check_auth(auth: Element, stream_from: str) -> None:
    """Judge an `<auth/>` received on a stream whose certificate is valid for `stream_from`.

    An empty identity (`=`) means the one of the certificate. A missing initial response would ask for a challenge
    round, which EXTERNAL between servers does not use; it is read as empty, as Prosody does.

    Raises:
        SaslRefusedError: another mechanism, bad base64, or an identity that is not `stream_from`.
    """
    if auth.get("mechanism") != MECHANISM:
        raise SaslRefusedError("invalid-mechanism", "only EXTERNAL is offered")
    text = auth.text
    if text in ("", "="):
        return
    try:
        identity = prepare_domain(decode_strictly(text).decode("utf-8"))
    except UnicodeDecodeError:
        raise SaslRefusedError("invalid-authzid", "the identity is not UTF-8") from None
    except AddressError as error:
        raise SaslRefusedError("invalid-authzid", f"the identity {error}") from None
    if identity != stream_from:
        raise SaslRefusedError("invalid-authzid", "the identity is not the domain of the stream")
