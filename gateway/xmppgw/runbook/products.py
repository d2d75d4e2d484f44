"""What the Microsoft products can do that the runbook needs: names, shells, cmdlets. From Microsoft's documentation.

Sources: the cmdlets' pages (`applicable:` lines of Move-CsUser, Move-CsLegacyUser, Export-CsUserData,
New-CsTrustedApplicationPool, New-CsStaticRoute, New-CsXmppAllowedPartner) and the migration guides named in
docs/runbook.md. Pure data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xmppgw.federation.model import Product


@dataclass(frozen=True, slots=True)
class Facts:
    """One product."""

    name: str
    shell: str
    """where the scripts are run; empty where the product has no cmdlets"""
    move: str
    """the cmdlet that moves a user away from this product"""
    moves_back: bool
    """whether the same cmdlet can return a user to it"""
    user_data: bool
    """`Export-CsUserData` exists (Lync Server 2013 and later)"""
    native_gateway: bool
    """has an XMPP gateway of its own, which `New-CsXmppAllowedPartner` configures"""

    @property
    def cmdlets(self) -> bool:
        """Whether there is a management shell at all."""
        return bool(self.shell)


_LYNC: Final = "Lync Server Management Shell"
_SKYPE: Final = "Skype for Business Server Management Shell"

PRODUCTS: Final = {
    Product.OCS2007R2: Facts("Office Communications Server 2007 R2", "", "Move-CsLegacyUser", False, False, False),
    Product.LYNC2010: Facts("Lync Server 2010", _LYNC, "Move-CsUser", True, False, False),
    Product.LYNC2013: Facts("Lync Server 2013", _LYNC, "Move-CsUser", True, True, True),
    Product.SFB2015: Facts("Skype for Business Server 2015", _SKYPE, "Move-CsUser", True, True, True),
    Product.SFB2019: Facts("Skype for Business Server 2019", _SKYPE, "Move-CsUser", True, True, False),
    Product.SFBSE: Facts("Skype for Business Server Subscription Edition", _SKYPE, "Move-CsUser", True, True, False),
}
"""Every product of the document's model. From 2019 on there is no native gateway any more."""
