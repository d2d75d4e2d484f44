"""Names and tags as Azure's Cloud Adoption Framework abbreviates them: kind, workload, environment, region, instance.

Source: learn.microsoft.com/azure/cloud-adoption-framework, "Abbreviation recommendations" and "Define your naming
convention". A name is computed here and nowhere else, so that a resource keeps it for life.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

# Key Vault and PostgreSQL names are unique worldwide: the tenant's digest keeps two organisations apart.
VAULT_LENGTH: Final = 24


@dataclass(frozen=True, slots=True)
class Naming:
    """What every name of one stack has in common."""

    workload: str
    environment: str
    location_code: str
    tenant: str

    def of(self, kind: str, instance: str = "") -> str:
        """Return a name, such as `nsg-xmppgw-prod-weu-edges`; `kind` is the framework's abbreviation."""
        parts = [kind, self.workload, self.environment, self.location_code, *([instance] if instance else [])]
        return "-".join(parts)

    def worldwide(self, kind: str, length: int = 63) -> str:
        """Return a name that no other organisation has, of at most `length` characters."""
        digest = hashlib.sha256(self.tenant.encode()).hexdigest()[:6]
        return f"{kind}-{self.workload}-{self.environment}-{digest}"[:length].rstrip("-")


def tags(environment: str, workload: str, own: dict[str, str], **more: str) -> dict[str, str]:
    """Return the tags of a resource: the organisation's, what it belongs to, and who manages it."""
    return {**own, "environment": environment, "workload": workload, "managed-by": "pulumi", **more}
