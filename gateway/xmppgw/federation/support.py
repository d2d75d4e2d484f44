"""Who has tried a partner's software with this gateway: us, Microsoft (Google Talk only), or nobody we know.

The plan and the letters call `support`. Microsoft tested and supported Google Talk alone and sends everyone else to the
vendor of the XMPP system; we say the same of whatever our own lab does not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from xmppgw.federation.partners import Partner

# What the lab's partners run (Debian 12), by name in lower case, with the release series that the tests meet.
TESTED: Final = {"prosody": "0.12", "ejabberd": "23"}


class Basis(StrEnum):
    """On whose word a partner's software works."""

    OURS = "tested by us"
    MICROSOFT = "tested by Microsoft"
    VENDOR = "ask the vendor"


@dataclass(frozen=True, slots=True)
class Support:
    """The basis, and the same in one line for people."""

    basis: Basis
    line: str


def support(partner: Partner) -> Support:
    """The support line of a partner, from `preset`, `software` and `version`."""
    if partner.preset == "google_talk":
        return Support(Basis.MICROSOFT, "tested by Microsoft (Google Talk), which has ended; obsolete")
    whom = f" ({partner.vendor_contact})" if partner.vendor_contact else ""
    if partner.software is None:
        return Support(Basis.VENDOR, f"ask the partner what it runs, then its vendor{whom}")
    named = f"{partner.software} {partner.version}" if partner.version else partner.software
    series = TESTED.get(partner.software.casefold())
    if series is None:
        return Support(Basis.VENDOR, f"{named}: not tested by us; ask the vendor{whom}")
    if partner.version is not None and (partner.version == series or partner.version.startswith(f"{series}.")):
        return Support(Basis.OURS, f"{named}: tested by us")
    why = "no version is given" if partner.version is None else "another version"
    return Support(Basis.VENDOR, f"{named}: tested by us with {series} ({why}); ask the vendor{whom}")
