"""Texts of the document that are neither names nor addresses of hosts: users, moments, lines for people, group names.

The model uses these as field types, each with one canonical form. Blanks around a value are refused and not cut
off: the platform keeps them (`Move-CsLegacyUser` fails on such names), and two readers would see two different values.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from xmppgw.federation.names import domain_name

# RFC 6122 2.3: 1,023 octets; a SIP user part longer than this is no person's.
_LONGEST_USER_PART: Final = 256
# RFC 3261 25.1 `user` without escapes, parameters and password: what a platform gives people as an address.
_USER_PART: Final = re.compile(r"[a-z0-9!$&'*+,=._~#-]+\Z")
_LONGEST_LINE: Final = 200
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]\Z")
_GROUP: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")
_USERS_TABLE: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.table$")
# What `playbooks/partner.yml` takes for every partner.
EVERY_GROUP: Final = "all"


def _wrong_user(reason: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_user", "{reason}", {"reason": reason})


def _wrong_text(reason: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_text", "{reason}", {"reason": reason})


def user_address(value: str) -> str:
    """The canonical form of a user's address, `user@domain` in lower case; raises what pydantic calls `wrong_user`.

    The platform compares SIP addresses of people without case.
    """
    shown = value[:80]
    if value != value.strip():
        raise _wrong_user(f"found blanks around {shown.strip()!r}; the platform's own tools fail on such names")
    if value[:4].lower() == "sip:":
        raise _wrong_user(f"found {shown!r}, expected the address without `sip:`")
    user, at, domain = value.rpartition("@")
    if not at or not user:
        raise _wrong_user(f"found {shown!r}, expected user@domain")
    user = user.lower()
    if len(user) > _LONGEST_USER_PART or not _USER_PART.match(user):
        found = "blanks" if any(character.isspace() for character in user) else "characters that no user's address has"
        raise _wrong_user(f"found {found} in {shown!r}")
    try:
        return f"{user}@{domain_name(domain)}"
    except PydanticCustomError as error:
        raise _wrong_user(f"in {shown!r}: {error.message()}") from None


def moment(value: str) -> str:
    """A moment as ISO 8601 with its offset from UTC, such as 2026-12-05T22:00:00+01:00; raises `wrong_time`."""
    wrong = "found {found}, expected a moment like 2026-12-05T22:00:00+01:00"
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("wrong_time", wrong, {"found": repr(value[:40])}) from None
    if parsed.tzinfo is None:
        raise PydanticCustomError("wrong_time", wrong + ", with the offset from UTC", {"found": repr(value[:40])})
    return parsed.isoformat()


def time_of_day(value: str) -> str:
    """A time of day as HH:MM, on the clock of the host that it is about; raises `wrong_time`."""
    if _TIME_OF_DAY.match(value):
        return value
    raise PydanticCustomError(
        "wrong_time", "found {found}, expected a time of day like 02:00", {"found": repr(value[:40])}
    )


def line(value: str) -> str:
    """One line of text for people: 1 to 200 printable characters without blanks around them."""
    if not value:
        raise _wrong_text("expected a text, or no such key")
    if value != value.strip():
        raise _wrong_text("expected no blanks around it")
    if len(value) > _LONGEST_LINE or not value.isprintable():
        raise _wrong_text(f"expected one line of at most {_LONGEST_LINE} printable characters")
    return value


def email_address(value: str) -> str:
    """An address that a person may write to; only its shape is looked at."""
    user, at, domain = line(value).rpartition("@")
    if not at or not user or any(character.isspace() for character in user):
        raise _wrong_text("expected an e-mail address")
    return f"{user}@{domain_name(domain)}"


def group_name(value: str) -> str:
    """The name of a group of partners, such as canary."""
    if value == EVERY_GROUP:
        raise _wrong_text("expected another name: `all` means every partner")
    if not _GROUP.match(value):
        raise _wrong_text("expected at most 32 lower-case letters, digits and hyphens")
    return value


def users_table(value: str) -> str:
    """The name of the users' table: a file beside the document, so that no document can point elsewhere.

    Beside the document is often `group_vars`, whose .json, .yml, .yaml and nameless files Ansible loads as variables of
    every host. A table of 200,000 users is none.
    """
    if not _USERS_TABLE.match(value):
        raise _wrong_text(
            "expected the name of a file beside this one that ends with .table, such as users.table: Ansible would "
            "load what is called .json or .yml here as variables. Rename a table that is called so"
        )
    return value


def https_address(value: str) -> str:
    """The URL of a service over HTTPS, without user, query and fragment."""
    match = re.fullmatch(r"https://([^/?#@\s:]+)(:[0-9]{1,5})?(/[!-~]*)?", value)
    port = int(match[2][1:]) if match and match[2] else 443
    if match is None or any(mark in value for mark in "?#@") or not 0 < port < 65536:
        raise _wrong_text("expected an address like https://ca.example/directory")
    domain_name(match[1])
    return value


UserAddress = Annotated[str, AfterValidator(user_address)]
Moment = Annotated[str, AfterValidator(moment)]
TimeOfDay = Annotated[str, AfterValidator(time_of_day)]
Line = Annotated[str, AfterValidator(line)]
EmailAddress = Annotated[str, AfterValidator(email_address)]
GroupName = Annotated[str, AfterValidator(group_name)]
HttpsAddress = Annotated[str, AfterValidator(https_address)]
UsersTable = Annotated[str, AfterValidator(users_table), Field(json_schema_extra={"pattern": _USERS_TABLE.pattern})]
