"""What every part of the model is made of: the base class, and the types that several parts share.

The model's modules build on it. Strict, frozen and closed: no value is converted, changed later, or let in unasked.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from xmppgw.federation.texts import EmailAddress, Line

# RFC 6120 14.7; MS planning guide (XMPP proxy to gateway, SIP over mutual TLS).
S2S_PORT: Final = 5269
LINK_PORT: Final = 23456
SIP_TLS_PORT: Final = 5061

Port = Annotated[int, Field(ge=1, le=65535, description="TCP or UDP port")]
SrvNumber = Annotated[int, Field(ge=0, le=65535, description="priority or weight of an SRV record (RFC 2782)")]
# A day; the cut-over waits for it.
TimeToLive = Annotated[int, Field(ge=0, le=86400, description="seconds")]
# Names the secret; the value lives in an encrypted file or a store, never here.
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")]
# SHA-256 of a leaf certificate (DER), as `openssl x509 -fingerprint -sha256` prints it without colons, in lower case.
Pin = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A mapping of the document."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", populate_by_name=False, use_attribute_docstrings=True
    )


class Contact(Part):
    """A person, or a desk, whom others may ask."""

    name: Line
    email: EmailAddress
    telephone: Line | None = None
