"""The federation document's access policies in the form that decides.

Called by whoever decides or counts from a document: `policy.explanation`, the command line, the migration's plan. The
front end does not: it decides from its settings, and must not load the document's model.
"""

from __future__ import annotations

from xmppgw.federation.model import AccessPolicy, Federation
from xmppgw.policy.effective import Policies, Switches


def policies_of(federation: Federation) -> Policies:
    """Return the access policies of `federation`: global, of sites, of users."""
    described = federation.access_policies
    return Policies(
        _switches(described.global_),
        sites={each.name: _switches(each) for each in described.sites},
        users={each.name: _switches(each) for each in described.users},
        survivable_branch=described.survivable_branch,
    )


def _switches(policy: AccessPolicy) -> Switches:
    return Switches(policy.enable_federation_access, policy.enable_xmpp_access)
