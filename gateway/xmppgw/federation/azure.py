"""What the federation document says about Azure: who we are there, where the zones lie, which key signs.

Part of the model. Names only: no token and no secret ever stands in the document.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from xmppgw.federation.parts import Part, SecretName
from xmppgw.federation.texts import HttpsAddress

Guid = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
# Azure Resource Manager's rules for names: no full stop at the end.
ResourceGroup = Annotated[str, StringConstraints(pattern=r"^[-\w.()]{0,89}[-\w()]$")]

# <vault>/keys/<name>, with or without a version; without one the newest signs.
_KEY: Final = re.compile(r"https://[^/]+/keys/[0-9A-Za-z-]{1,127}(/[0-9a-f]{32})?\Z")


def _key_of_a_vault(value: str) -> str:
    if not _KEY.match(value):
        reason = f"found {value[:120]!r}, expected https://<vault>/keys/<name>, with a version or without"
        raise PydanticCustomError("wrong_text", "{reason}", {"reason": reason})
    return value


KeyVaultKey = Annotated[HttpsAddress, AfterValidator(_key_of_a_vault)]


class Azure(Part):
    """How Azure's interfaces are reached: the identity of whoever asks, and the cloud that is asked."""

    credential: Literal["managed_identity", "federated", "environment"] = "managed_identity"
    """managed_identity: of the DNS writer's machine; federated: the pipeline's OIDC token is exchanged; environment:
    a token that somebody else fetched"""
    client: Guid | None = None
    """managed_identity: which one, where the machine has several; federated: the application, else AZURE_CLIENT_ID"""
    tenant: Guid | None = None
    """federated: else AZURE_TENANT_ID"""
    management: HttpsAddress = "https://management.azure.com"
    """the resource manager of the cloud: another one for sovereign clouds and for Azure Stack Hub"""
    login: HttpsAddress = "https://login.microsoftonline.com"
    """federated: where a token is exchanged"""
    vault: HttpsAddress = "https://vault.azure.net"
    """whom a token for Key Vault is made out to"""
    authority: SecretName | None = None
    """the authority that signed the certificates of these servers, where it is no public one (Azure Stack Hub)"""


class AzureZones(Part):
    """Where Azure DNS has our zones."""

    subscription: Guid
    resource_group: ResourceGroup
    challenge_resource_group: ResourceGroup | None = None
    """where the zones `_acme-challenge.<edge>` lie, if the edges' challenges are delegated to zones of their own"""
