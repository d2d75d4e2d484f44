"""Role assignments: which identity may do what on which resource, with a name that stays the same for ever."""

from __future__ import annotations

import uuid
from typing import Final

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import authorization

# Azure's built-in roles (learn.microsoft.com/azure/role-based-access-control/built-in-roles); the same ids everywhere.
KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER: Final = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
KEY_VAULT_CRYPTO_USER: Final = "12338af0-0e69-4776-bea7-57ae8d297424"
KEY_VAULT_SECRETS_USER: Final = "4633458b-17de-408a-b874-0445c86b69e6"
DNS_ZONE_CONTRIBUTOR: Final = "befefa01-2a29-4197-83a8-272ff33ce314"
# Any constant of ours: role assignments are named by GUID, and a random one would be a new resource on every machine.
NAMES: Final = uuid.UUID("6f1d7a3e-0c55-5b0e-9c55-0e7c6b6f2a11")


def assign(
    name: str,
    *,
    role: str,
    principal: Input[str],
    scope: Input[str],
    principal_type: str = "ServicePrincipal",
    reason: str,
    opts: ResourceOptions,
) -> authorization.RoleAssignment:
    """Let `principal` do what `role` allows on `scope`, and say why."""
    identity = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}/{name}"
    subscription = Output.from_input(scope).apply(lambda path: "/".join(path.split("/")[:3]))
    return authorization.RoleAssignment(
        name,
        role_assignment_name=str(uuid.uuid5(NAMES, identity)),
        role_definition_id=Output.concat(subscription, "/providers/Microsoft.Authorization/roleDefinitions/", role),
        principal_id=principal,
        principal_type=principal_type,
        scope=scope,
        description=reason,
        opts=opts,
    )
