"""Domain names and IP addresses as the document may write them, in one canonical form.

The model uses these as field types. A domain is kept in the form that DNS, certificates and SIP share: lower case,
A-labels (RFC 5890), no final dot. An address is kept as `ipaddress` prints it. Nothing is looked up.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final

import idna
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

# RFC 1035 2.3.4: 255 octets on the wire are 253 characters of text.
_LONGEST_NAME: Final = 253
_PLAIN_NAME: Final = re.compile(r"(?=.{1,253}\Z)(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+\Z")
# An inventory name: what Ansible, systemd-nspawn and a DNS label all accept.
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


def _wrong_name(reason: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_name", "{reason}", {"reason": reason})


def _wrong_address(reason: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_address", "{reason}", {"reason": reason})


def domain_name(value: str) -> str:
    """The canonical form of a domain name of two or more labels; raises what pydantic reports as `wrong_name`."""
    if _PLAIN_NAME.match(value) and "xn--" not in value and not value[-1].isdigit():
        return value
    if not value:
        raise _wrong_name("the name is empty")
    if value != value.strip():
        raise _wrong_name(f"found blanks around {value.strip()!r}")
    if value.endswith("."):
        raise _wrong_name(f"found a final dot in {value!r}; names are written without it")
    if is_address(value):
        raise _wrong_name(f"found the IP address {value!r}, expected a name")
    if any(mark in value for mark in "/:@*"):
        raise _wrong_name(f"found {value!r}, expected a plain domain name without scheme, port, user or wildcard")
    try:
        ascii_form = idna.encode(value.lower(), uts46=True).decode("ascii") if value else ""
    except (idna.IDNAError, UnicodeError) as error:
        raise _wrong_name(f"{value[:80]!r} is not a domain name: {str(error)[:120]}") from None
    if len(ascii_form) > _LONGEST_NAME or not _PLAIN_NAME.match(ascii_form):
        if "." not in ascii_form:
            raise _wrong_name(f"found {value!r}, expected a name of at least two labels, such as corp.example")
        raise _wrong_name(f"{value[:80]!r} is not a domain name")
    return ascii_form


def host_name(value: str) -> str:
    """The inventory name of a host: lower-case letters, digits and hyphens; raises `wrong_name`."""
    if _HOST.match(value):
        return value
    if value != value.strip():
        raise _wrong_name(f"found blanks around {value.strip()!r}")
    raise _wrong_name(f"found {value[:80]!r}, expected an inventory name of lower-case letters, digits and hyphens")


def is_address(value: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def address(value: str) -> str:
    """The canonical text of an IP address that a host can have; raises what pydantic reports as `wrong_address`."""
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        shown = value[:80]
        if value != value.strip():
            raise _wrong_address(f"found blanks around {shown.strip()!r}") from None
        if value.startswith("["):
            raise _wrong_address(f"found {shown!r}, expected the IPv6 address without brackets") from None
        if "/" in value:
            raise _wrong_address(f"found {shown!r}, expected one address, not a network") from None
        raise _wrong_address(f"found {shown!r}, expected an IPv4 or IPv6 address") from None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id:
            raise _wrong_address(f"found {value!r}, expected an address without a zone (%{parsed.scope_id})")
        if parsed.ipv4_mapped:
            raise _wrong_address(f"found {value!r}, expected the IPv4 address {parsed.ipv4_mapped} itself")
    if parsed.is_unspecified or parsed.is_multicast:
        raise _wrong_address(f"found {value!r}, expected the address of one host")
    return str(parsed)


def domain_name_or_address(value: str) -> str:
    """Either of the two; raises `wrong_name` or `wrong_address`."""
    return address(value) if ":" in value or value[-1:].isdigit() else domain_name(value)


DomainName = Annotated[str, AfterValidator(domain_name)]
HostName = Annotated[str, AfterValidator(host_name)]
Address = Annotated[str, AfterValidator(address)]
DomainNameOrAddress = Annotated[str, AfterValidator(domain_name_or_address)]
