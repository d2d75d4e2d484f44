"""The support line says on whose word a partner's software works, and never claims more than was tried."""

from __future__ import annotations

import pytest

from xmppgw.federation.partners import Partner
from xmppgw.federation.support import Basis, support


@pytest.mark.parametrize(
    ("software", "version", "basis"),
    [
        ("Prosody", "0.12", Basis.OURS),
        ("prosody", "0.12.3", Basis.OURS),
        ("ejabberd", "23.01", Basis.OURS),
        ("Prosody", "0.120", Basis.VENDOR),
        ("Prosody", "13.0.1", Basis.VENDOR),
        ("ejabberd", "230", Basis.VENDOR),
        ("Prosody", None, Basis.VENDOR),
        ("Openfire", "4.8", Basis.VENDOR),
        (None, None, Basis.VENDOR),
        (None, "0.12", Basis.VENDOR),
    ],
)
def test_only_what_the_lab_runs_counts_as_tested(software: str | None, version: str | None, basis: Basis) -> None:
    found = support(
        Partner(domain="p.example", software=software, version=version, vendor_contact="help@vendor.example")
    )
    assert found.basis is basis
    assert ("ask the vendor (help@vendor.example)" in found.line or software is None) == (basis is Basis.VENDOR)
    assert software is None or software in found.line


def test_microsoft_tested_google_talk_only() -> None:
    found = support(Partner(domain="gmail.com", preset="google_talk", software="Prosody", version="0.12"))
    assert found.basis is Basis.MICROSOFT
    assert "obsolete" in found.line
