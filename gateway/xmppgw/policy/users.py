"""The users' table: one JSON file that says where each SIP user is homed and which access policy was granted.

`xmppgw user sync` writes it from a scheduled export of the platform; the front end's index, `policy explain` and the
guards R3 and R8 read it. Streamed in both directions: 200,000 users are never in memory at once.

    {"schema": 1, "users": [
    {"user": "alice@corp.example", "pool": "pool.corp.example", "site": "Redmond", "policy": "FedPic"},
    ...
    ]}

Users are sorted and unique, so that two tables are compared in one pass and a difference in the file is a difference in
the users. What a user's object leaves out has its default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from xmppgw.policy.streamed import JsonText, StreamedJsonError
from xmppgw.sip.uri import SipUri, UriError
from xmppgw.translate.addresses import UnmappableAddressError, jid_from_sip, sip_from_jid
from xmppgw.xmpp.address import JID

SCHEMA: Final = 1
#: More than five times what the toolkit is planned for; a file that goes on for ever ends here.
MAXIMUM_USERS: Final = 1_000_000

Name = Annotated[str, msgspec.Meta(max_length=255)]


class UsersProblem(ValueError):  # noqa: N818 - the house calls what is wrong with a file a problem
    """A users' table that is refused. `code` is stable and documented; `line` counts from 1, or is 0."""

    def __init__(self, code: str, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")
        self.code = code
        self.file = file
        self.line = line
        self.message = message


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One user of the SIP platform."""

    #: SIP address without its scheme, in lower case, escaped as in a SIP URI: `sip_address` makes it.
    user: Annotated[str, msgspec.Meta(min_length=3, max_length=1023)]
    #: FQDN of the pool on which the user is homed; empty: not known.
    pool: Name = ""
    #: Name of the pool's site, without `Site:`; empty: not known.
    site: Name = ""
    #: Name of the granted external access policy, without `tag:`; empty: none was granted.
    policy: Name = ""
    #: Whether the user is enabled on the platform.
    enabled: bool = True
    #: Whether the pool is a Survivable Branch Appliance or Server (R8).
    survivable_branch: bool = False
    #: `cloud`: homed at a hosting provider, not on this platform.
    hosting: Literal["on_premises", "cloud"] = "on_premises"
    #: Whether a name of the user has leading or trailing blanks, with which moving fails.
    blank_name: bool = False


_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]*@[a-z0-9-]+(\.[a-z0-9-]+)+")


def sip_address(text: str) -> str:
    """The table's form of a SIP address: no scheme, lower case. Raises ValueError with the reason.

    The same address always becomes the same text, and it is the one that stands behind the XMPP address which partners
    see (`key_of`).
    """
    bare = text[4:] if text[:4].lower() == "sip:" else text
    lowered = bare.lower()
    if _PLAIN.fullmatch(lowered) and "xn--" not in lowered:
        return lowered
    return str(sip_from_jid(_jid(bare))).removeprefix("sip:")


def key_of(address: str) -> str:
    """The bare XMPP address under which the gateway meets the SIP user `address`. Raises ValueError."""
    return address if _PLAIN.fullmatch(address) and "xn--" not in address else str(_jid(address))


def _jid(address: str) -> JID:
    if address != address.strip():
        raise ValueError(f"found blanks around {address.strip()[:80]!r}")
    try:
        # What stands outside of ASCII in an export is written escaped in SIP.
        escaped = "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in address)
        uri = SipUri.parse(f"sip:{escaped}")
        if uri.parameters or uri.port is not None or uri.headers or uri.password is not None:
            raise ValueError(f"{address[:80]!r} is not a plain SIP address")
        return jid_from_sip(uri)
    except UnmappableAddressError as error:
        raise ValueError(f"{address[:80]!r}: {error}") from None
    except (UriError, UnicodeError):
        raise ValueError(f"{address[:80]!r} is not a SIP address") from None


def read_users(path: str | Path) -> Iterator[User]:
    """Every user of the table at `path`, sorted by address. Nothing but the user at hand is kept.

    Raises UsersProblem: `users-unreadable`, `users-json`, `users-cut-off`, `users-schema`, `users-value`,
    `users-order`, `users-too-many`. The first problem ends the reading: whoever acts on users reads
    the table whole before acting.
    """
    name = str(path)
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            yield from _read(JsonText(file.read), name)
    except OSError as error:
        raise UsersProblem("users-unreadable", name, 0, f"cannot read it: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsersProblem("users-json", name, 0, f"not UTF-8: {error.reason}") from None
    except StreamedJsonError as error:
        code = "users-cut-off" if error.cut_off else "users-json"
        raise UsersProblem(code, name, error.line, str(error)) from None


def _read(text: JsonText, name: str) -> Iterator[User]:
    text.expect("{")
    if text.value() != "schema":
        raise UsersProblem("users-schema", name, text.line, 'found no {"schema": 1, "users": [...]}')
    text.expect(":")
    found = text.value()
    if found != SCHEMA or isinstance(found, bool):
        raise UsersProblem("users-schema", name, text.line, f"found schema {found!r:.40}, expected {SCHEMA}")
    text.expect(",")
    if text.value() != "users":
        raise UsersProblem("users-schema", name, text.line, "found no key `users` after `schema`")
    text.expect(":")
    before = ""
    for number, (line, user) in enumerate(text.rows(_users, lambda value, at: _user(value, name, at))):
        if number >= MAXIMUM_USERS:
            raise UsersProblem("users-too-many", name, line, f"found more than {MAXIMUM_USERS} users")
        if user.user <= before:
            reason = f"found {user.user} after {before}; users are sorted, each once"
            raise UsersProblem("users-order", name, line, reason)
        before = user.user
        yield user
    text.expect("}")
    text.end()


_decode_users: Final = msgspec.json.Decoder(list[User]).decode
_decode_objects: Final = msgspec.json.Decoder(list[dict[str, str | bool]]).decode


def _users(lines: str) -> list[User] | None:
    """The users of lines of flat objects without escapes, or None where anything may be wrong: `_user` says what."""
    text = f"[{lines.rstrip()[:-1]}]"
    try:
        users, objects = _decode_users(text), _decode_objects(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None
    # The decoder takes the last of two equal keys; then there are more keys in the text than in the objects.
    if '" :' in text or text.count('":') != sum(map(len, objects)):
        return None
    for user in users:
        if "xn--" in user.user or not _PLAIN.fullmatch(user.user):
            return None
    return users


def _user(value: object, name: str, line: int) -> User:
    try:
        user = msgspec.convert(value, User)
        if sip_address(user.user) != user.user:
            raise ValueError(f"found {user.user!r}, expected {sip_address(user.user)!r}")
    except ValueError as error:  # msgspec.ValidationError is one
        raise UsersProblem("users-value", name, line, str(error)) from None
    return user


def write_users(users: Iterable[User]) -> Iterator[bytes]:
    """The table as pieces of the file. `users` are sorted by address and unique, as `read_users` yields them."""
    encode = msgspec.json.Encoder().encode
    separator = b'{"schema": 1, "users": [\n'
    for user in users:
        yield separator + encode(user)
        separator = b",\n"
    yield (b"" if separator == b",\n" else separator) + b"\n]}\n"
