"""XMPP addresses: parsing and preparation of domain, localpart and resource (RFC 7622, RFC 6122, RFC 3454).

Called wherever an address or a domain enters: stream headers, stanzas, dialback, the federation document. Whatever is
compared in this code base has been through here first, and is then compared character by character.

Deployed servers (Prosody, ejabberd) still use the stringprep profiles of RFC 6122 on Unicode 3.2. Those rules are
applied here; where they and IDNA 2008 would see different domains (for example the German sharp s), the address is
refused rather than guessed: an identity that two servers read differently is no identity.
"""

from __future__ import annotations

import re
import stringprep
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import idna

PART_OCTETS = 1023
"""Longest part of an address in UTF-8 octets (RFC 7622 3.1)."""
DOMAIN_ASCII_OCTETS = 253
"""Longest domain name in its ASCII form (RFC 1035 2.3.4, without the root dot)."""
CACHED_ADDRESSES = 2048
"""Recently parsed addresses kept; a conversation repeats the same two. Bounded because peers choose the keys."""


class AddressError(ValueError):
    """Not an XMPP address. The message completes the sentence "the address is refused because it ..."."""


_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PLAIN_LOCAL = re.compile(r"[a-z0-9!#$%()*+,\-.;=?\[\\\]^_`{|}~]+")
_PLAIN_RESOURCE = re.compile(r"[\x20-\x7e]+")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_NODE_FORBIDDEN = frozenset("\"&'/:<>@")

_Table = Callable[[str], bool]
# RFC 3454 C.2.2 to C.9; C.1.2 and C.2.1 too, as every one of the three profiles prohibits them.
_PROHIBITED: tuple[_Table, ...] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def _prepare(text: str, *, fold: bool, spaces: bool, unassigned: bool) -> str:
    """Map, normalise, prohibit, check bidi: RFC 3454 section 2, with Unicode 3.2 as its tables demand.

    Args:
        text: as received.
        fold: apply table B.2 (case folding); resources keep their case.
        spaces: allow U+0020 (table C.1.1); only resources may hold it.
        unassigned: allow code points that Unicode 3.2 does not know (queries may, stored identities may not).
    """
    mapped: list[str] = []
    for character in text:
        if stringprep.in_table_b1(character):
            continue
        mapped.append(stringprep.map_table_b2(character) if fold else character)
    result = unicodedata.ucd_3_2_0.normalize("NFKC", "".join(mapped))
    for character in result:
        if not spaces and stringprep.in_table_c11(character):
            raise AddressError("contains a space")
        if any(prohibited(character) for prohibited in _PROHIBITED):
            raise AddressError(f"contains the prohibited character U+{ord(character):04X}")
        if not unassigned and stringprep.in_table_a1(character):
            raise AddressError(f"contains U+{ord(character):04X}, which Unicode 3.2 does not assign")
    _check_direction(result)
    return result


def _check_direction(text: str) -> None:
    """RFC 3454 section 6: right-to-left text neither mixes with left-to-right nor lacks its strong ends."""
    if not any(stringprep.in_table_d1(character) for character in text):
        return
    if any(stringprep.in_table_d2(character) for character in text):
        raise AddressError("mixes right-to-left and left-to-right characters")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise AddressError("does not begin and end with a right-to-left character")


def _check_length(text: str, part: str) -> None:
    if not text:
        raise AddressError(f"has an empty {part}")
    if len(text.encode("utf-8")) > PART_OCTETS:
        raise AddressError(f"has a {part} of more than {PART_OCTETS} octets")


def _encodable(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise AddressError("contains a surrogate code point") from None


def _prepare_label(label: str) -> str:
    """One label as a U-label in normal form."""
    if label.isascii():
        label = label.lower()
        if not _LABEL.fullmatch(label):
            raise AddressError(f"has {label[:63]!r} in its domain, which is not a host name label")
        if not label.startswith("xn--"):
            return label
    try:
        unicode_label = idna.ulabel(label) if label.isascii() else label
        prepared = _prepare(unicode_label, fold=True, spaces=False, unassigned=True)
        mapped = idna.uts46_remap(unicode_label, std3_rules=True, transitional=False)
        if prepared != mapped:
            raise AddressError("has a domain that IDNA 2003 and IDNA 2008 read differently")
        if prepared.isascii():
            return _prepare_label(prepared)
        return idna.ulabel(idna.alabel(prepared))
    except (idna.IDNAError, UnicodeError) as error:
        raise AddressError(f"has a domain that is not a domain name: {error}") from None


@lru_cache(maxsize=CACHED_ADDRESSES)
def prepare_domain(text: str) -> str:
    """The normal form of a domain: lower case U-labels, no trailing dot. Idempotent.

    Raises:
        AddressError: it is no domain name, or too long, or ambiguous between IDNA 2003 and 2008.
    """
    # Before any work proportional to the text: four times the octets covers every mapping that can shorten it.
    if len(text) > PART_OCTETS:
        raise AddressError(f"has a domain of more than {PART_OCTETS} octets")
    _encodable(text)
    labels = _DOTS.split(text)
    if len(labels) > 1 and not labels[-1]:
        labels.pop()  # RFC 7622 3.2: one trailing dot is stripped
    domain = ".".join([_prepare_label(label) for label in labels])
    _check_length(domain, "domain")
    if len(domain_to_ascii(domain)) > DOMAIN_ASCII_OCTETS:
        raise AddressError(f"has a domain of more than {DOMAIN_ASCII_OCTETS} octets in DNS")
    return domain


def domain_to_ascii(domain: str) -> str:
    """The A-label form of a prepared domain: what DNS, SNI and certificates use."""
    if domain.isascii():
        return domain
    return ".".join(label if label.isascii() else idna.alabel(label).decode("ascii") for label in domain.split("."))


def prepare_local(text: str) -> str:
    """Nodeprep (RFC 6122 appendix A): folded, normalised, without `" & ' / : < > @` and spaces.

    Raises:
        AddressError: empty, too long, or a prohibited character.
    """
    if len(text) > PART_OCTETS:
        raise AddressError(f"has a localpart of more than {PART_OCTETS} octets")
    if _PLAIN_LOCAL.fullmatch(text):
        return text
    _encodable(text)
    prepared = _prepare(text, fold=True, spaces=False, unassigned=False)
    wrong = _NODE_FORBIDDEN.intersection(prepared)
    if wrong:
        raise AddressError(f"has {min(wrong)!r} in its localpart")
    _check_length(prepared, "localpart")
    return prepared


def prepare_resource(text: str) -> str:
    """Resourceprep (RFC 6122 appendix B): normalised, case kept.

    Raises:
        AddressError: empty, too long, or a prohibited character.
    """
    if len(text) > PART_OCTETS:
        raise AddressError(f"has a resource of more than {PART_OCTETS} octets")
    if _PLAIN_RESOURCE.fullmatch(text):
        return text
    _encodable(text)
    # Clients put whatever today's Unicode has into resources, and a resource is nobody's identity.
    prepared = _prepare(text, fold=False, spaces=True, unassigned=True)
    _check_length(prepared, "resource")
    return prepared


@dataclass(frozen=True, slots=True)
class JID:
    """A prepared address. Build it with `JID.parse`; the constructor does not check.

    Attributes:
        local: localpart, or the empty string.
        domain: normal form of `prepare_domain`.
        resource: resource, or the empty string.
    """

    local: str
    domain: str
    resource: str = ""

    @staticmethod
    def parse(text: str) -> JID:
        """Read `[local@]domain[/resource]`.

        Raises:
            AddressError: not an address.
        """
        return _parse(text)

    @property
    def bare(self) -> JID:
        """Without the resource."""
        return JID(self.local, self.domain) if self.resource else self

    @property
    def is_domain(self) -> bool:
        """Whether it is a server's own address."""
        return not self.local and not self.resource

    def with_resource(self, resource: str) -> JID:
        """The same address with another resource (prepared here)."""
        return JID(self.local, self.domain, prepare_resource(resource))

    def __str__(self) -> str:
        text = f"{self.local}@{self.domain}" if self.local else self.domain
        return f"{text}/{self.resource}" if self.resource else text


@lru_cache(maxsize=CACHED_ADDRESSES)
def _parse(text: str) -> JID:
    if len(text) > 3 * PART_OCTETS + 2:
        raise AddressError("is too long")
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@")
    if not at:
        local, domain = "", rest
    elif not local:
        raise AddressError("has an empty localpart")
    if slash and not resource:
        raise AddressError("has an empty resource")
    return JID(
        prepare_local(local) if local else "",
        prepare_domain(domain),
        prepare_resource(resource) if resource else "",
    )
