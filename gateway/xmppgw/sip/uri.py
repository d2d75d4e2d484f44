"""SIP and SIPS URIs: parsing, serialising, escaping and comparison (RFC 3261 section 19.1).

Called by `sip.message` for every address in a message and by `translate.addresses`. It never resolves a name and never
repairs what it is given: an address that the grammar does not allow is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAXIMUM_URI_LENGTH = 2048
"""Characters. RFC 3261 sets no bound; RFC 4475's longest valid Request-URI needs about 700."""

CACHED_URIS = 2048
"""Recently read URIs kept; a conversation repeats the same two. Bounded because peers choose the keys."""

_UNRESERVED = "A-Za-z0-9\\-_.!~*'()"
_ESCAPED = "%[0-9A-Fa-f]{2}"
_USER = re.compile(rf"(?:[{_UNRESERVED}&=+$,;?/]|{_ESCAPED})+")
_PASSWORD = re.compile(rf"(?:[{_UNRESERVED}&=+$,]|{_ESCAPED})*")
_PARAMETER = re.compile(rf"(?:[{_UNRESERVED}\[\]/:&+$]|{_ESCAPED})+")
_HEADER = re.compile(rf"(?:[{_UNRESERVED}\[\]/?:+$]|{_ESCAPED})*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_OTHER_URI = re.compile(r"[!-~]+")
# COMPAT: the underscore is in no host name grammar, but Windows host names carry it into Via and Contact.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_\-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9])?)*\.?")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]")
_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")

_UNRESERVED_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")
_USER_CHARACTERS = _UNRESERVED_CHARACTERS | frozenset("&=+$,;?/")
_PARAMETER_CHARACTERS = _UNRESERVED_CHARACTERS | frozenset("[]/:&+$")

# RFC 3261 19.1.4: a URI with one of these never equals a URI without it.
_NEVER_IGNORED = ("user", "ttl", "method", "maddr", "transport")


class UriError(ValueError):
    """The text is not a URI that the SIP grammar allows. Answered with 400."""


class UnknownSchemeError(UriError):
    """A well-formed URI whose scheme is not `sip` or `sips`. In a Request-URI answered with 416."""

    def __init__(self, scheme: str) -> None:
        super().__init__(f"the URI scheme {scheme[:32]!r} is not sip or sips")
        self.scheme = scheme


def escape_user(value: str) -> str:
    """Percent-encode `value` (UTF-8) so that it may stand as the user part of a SIP URI.

    Raises:
        UriError: `value` holds a lone surrogate.
    """
    return _escape(value, _USER_CHARACTERS)


def escape_parameter(value: str) -> str:
    """Percent-encode `value` (UTF-8) so that it may stand as the value of a URI parameter."""
    return _escape(value, _PARAMETER_CHARACTERS)


def unescape(value: str) -> bytes:
    """Undo percent-encoding, once. A second layer (`%2541`) is left as it is (RFC 4475 section 3.1.1.3)."""
    if "%" not in value:
        return value.encode("ascii")
    return _PERCENT.sub(lambda found: chr(int(found[1], 16)), value).encode("latin-1")


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Split and check `host[:port]`; the host keeps its spelling, an IPv6 reference its brackets.

    Raises:
        UriError: not a host name, IPv4 address or IPv6 reference, or a port outside 1..65535.
    """
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise UriError(f"{text[:64]!r} is not host:port")
    host, digits = found[1], found[2]
    pattern = _IPV6 if host.startswith("[") else _HOST
    if len(host) > 255 or pattern.fullmatch(host) is None:
        raise UriError(f"{host[:64]!r} is not a host")
    if digits is None:
        return host, None
    port = int(digits)
    if not 0 < port < 65536:
        raise UriError(f"{port} is not a port")
    return host, port


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of a scheme that this stack does not speak, kept as it came (RFC 3261 allows any in From and To).

    Attributes:
        scheme: lower case.
        text: the whole URI.
    """

    scheme: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class SipUri:
    """A sip: or sips: URI. Construct it from checked parts, or by `parse`.

    Attributes:
        scheme: "sip" or "sips".
        user: the user part as it stands on the wire (percent-encoded), or None. See `user_text`.
        host: host name, IPv4 address or bracketed IPv6 reference, in its original spelling.
        port: 1..65535, or None where the URI names none (which is not the same as 5060 or 5061).
        parameters: (name in lower case, value or None), in their order.
        headers: (name, value) of the part behind `?`, still percent-encoded.
        password: as on the wire, or None. Nobody should use it (RFC 3261 section 19.1.1).
    """

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    parameters: tuple[tuple[str, str | None], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    password: str | None = None

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Parse an absolute SIP or SIPS URI without surrounding space or angle brackets.

        Raises:
            UnknownSchemeError: a URI of another scheme.
            UriError: anything else.
        """
        return _parse(text)

    @classmethod
    def _read(cls, text: str) -> SipUri:
        if len(text) > MAXIMUM_URI_LENGTH:
            raise UriError(f"the URI has {len(text)} characters, at most {MAXIMUM_URI_LENGTH} are read")
        found = _SCHEME.match(text)
        if found is None:
            raise UriError(f"{text[:64]!r} has no scheme")
        scheme = found[1].lower()
        rest = text[found.end() :]
        if scheme not in ("sip", "sips"):
            if not _OTHER_URI.fullmatch(rest) or "<" in rest or ">" in rest or '"' in rest:
                raise UriError(f"{text[:64]!r} is not a URI")
            raise UnknownSchemeError(scheme)
        user: str | None = None
        password: str | None = None
        before, at, after = rest.partition("@")
        if at:
            user, colon, secret = before.partition(":")
            if _USER.fullmatch(user) is None:
                raise UriError(f"{user[:64]!r} is not the user part of a SIP URI")
            if colon:
                if _PASSWORD.fullmatch(secret) is None:
                    raise UriError("the password part of the URI is not allowed by its grammar")
                password = secret
            rest = after
        rest, question, header_part = rest.partition("?")
        host_port, semicolon, parameter_part = rest.partition(";")
        host, port = parse_host_port(host_port)
        parameters = _parse_parameters(parameter_part) if semicolon else ()
        headers = _parse_headers(header_part) if question else ()
        return cls(scheme, user, host, port, parameters, headers, password)

    def parameter(self, name: str) -> str | None:
        """The value of a parameter ("" if it is there without a value), or None if it is not there."""
        for key, value in self.parameters:
            if key == name:
                return value or ""
        return None

    @property
    def user_text(self) -> str:
        """The user part, unescaped, as text. Raises `UriError` where it is absent or is not UTF-8."""
        if self.user is None:
            raise UriError("the URI has no user part")
        try:
            return unescape(self.user).decode("utf-8")
        except UnicodeDecodeError:
            raise UriError("the user part is not UTF-8") from None

    def equivalent(self, other: SipUri) -> bool:
        """Whether both name the same resource by the comparison rules of RFC 3261 section 19.1.4."""
        if (
            self.scheme != other.scheme
            or self.host.lower() != other.host.lower()
            or self.port != other.port
            or _comparable(self.user) != _comparable(other.user)
            or _comparable(self.password) != _comparable(other.password)
        ):
            return False
        ours = {name: _comparable(value) for name, value in self.parameters}
        theirs = {name: _comparable(value) for name, value in other.parameters}
        for name in _NEVER_IGNORED:
            if (name in ours) != (name in theirs):
                return False
        if any(_folded(ours[name]) != _folded(theirs[name]) for name in ours.keys() & theirs.keys()):
            return False
        return _header_set(self.headers) == _header_set(other.headers)

    def __str__(self) -> str:
        parts = [self.scheme, ":"]
        if self.user is not None:
            parts.append(self.user)
            if self.password is not None:
                parts += (":", self.password)
            parts.append("@")
        parts.append(self.host)
        if self.port is not None:
            parts.append(f":{self.port}")
        for name, value in self.parameters:
            parts.append(f";{name}" if value is None else f";{name}={value}")
        if self.headers:
            parts += ("?", "&".join(f"{name}={value}" for name, value in self.headers))
        return "".join(parts)


@lru_cache(maxsize=CACHED_URIS)
def _parse(text: str) -> SipUri:
    return SipUri._read(text)


def parse_any(text: str) -> SipUri | OtherUri:
    """Parse a URI of any scheme, as From and To may hold. Raises `UriError` where it is none."""
    try:
        return SipUri.parse(text)
    except UnknownSchemeError as other:
        return OtherUri(other.scheme, text)


def _parse_parameters(text: str) -> tuple[tuple[str, str | None], ...]:
    parameters: list[tuple[str, str | None]] = []
    seen: set[str] = set()
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = name.lower()
        if _PARAMETER.fullmatch(name) is None or (equals and _PARAMETER.fullmatch(value) is None):
            raise UriError(f"{part[:64]!r} is not a URI parameter")
        if name in seen:
            raise UriError(f"the URI parameter {name[:64]!r} stands there twice")
        seen.add(name)
        parameters.append((name, value if equals else None))
    return tuple(parameters)


def _parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not equals or not name or _HEADER.fullmatch(name) is None or _HEADER.fullmatch(value) is None:
            raise UriError(f"{part[:64]!r} is not a header of a URI")
        headers.append((name, value))
    return tuple(headers)


def _escape(value: str, allowed: frozenset[str]) -> str:
    if allowed.issuperset(value):
        return value
    try:
        encoded = value.encode("utf-8")
    except UnicodeEncodeError:
        raise UriError("the text holds a lone surrogate, which UTF-8 cannot carry") from None
    return "".join(chr(byte) if chr(byte) in allowed else f"%{byte:02X}" for byte in encoded)


def _comparable(part: str | None) -> str | None:
    """Decode the escapes of characters that mean the same without them, and write the others in one spelling."""
    if part is None or "%" not in part:
        return part

    def same(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if character in _UNRESERVED_CHARACTERS else f"%{found[1].upper()}"

    return _PERCENT.sub(same, part)


def _folded(value: str | None) -> str | None:
    return value if value is None else value.lower()


def _header_set(headers: tuple[tuple[str, str], ...]) -> frozenset[tuple[str, str | None]]:
    return frozenset((name.lower(), _comparable(value)) for name, value in headers)
