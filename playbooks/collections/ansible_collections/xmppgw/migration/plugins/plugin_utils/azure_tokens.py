"""Tokens for Azure: whose identity a request carries, and how the token is come by. Nothing here is stored or shown.

Used by `azure_rest` on the controller. `managed_identity` is asked from the DNS writer's machine, whose identity it is;
`federated` exchanges the token that a pipeline was given (OIDC, RFC 7523) for one of Azure's; `environment` takes one
that somebody else fetched (`az account get-access-token`).
"""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.module_utils.https_carrying import METADATA

IDENTITY_VERSION = "2018-02-01"
"""API version of the machine's identity service."""
ENVIRONMENT = {"management": "AZURE_ACCESS_TOKEN", "vault": "AZURE_VAULT_ACCESS_TOKEN"}
"""Audience to the variable that holds a token for it: Azure makes one token for one audience."""
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenError(Exception):
    """No token can be had; the text says why and what to do."""


class Tokens:
    """One token for each audience, fetched when it is first wanted. `carry`: request -> {status, headers, body}."""

    def __init__(self, settings, carry, environment):
        self.settings, self.carry, self.environment, self.kept = settings, carry, environment, {}

    def get(self, audience):
        """Return a token for `management` or `vault`; raise TokenError."""
        if audience not in self.kept:
            fetch = {
                "environment": self._from_environment,
                "managed_identity": self._of_the_machine,
                "federated": self._exchanged,
            }[self.settings.credential]
            self.kept[audience] = fetch(audience)
        return self.kept[audience]

    def forget(self, audience):
        """Drop a token that was refused. Returns whether another one may be had."""
        self.kept.pop(audience, None)
        return self.settings.credential != "environment"

    def _from_environment(self, audience):
        name = ENVIRONMENT[audience]
        if not self.environment.get(name):
            raise TokenError(
                f"{name} is not set: put the output of `az account get-access-token --resource "
                f"{getattr(self.settings, audience)} --query accessToken --output tsv` there, or choose another "
                f"azure.credential"
            )
        return self.environment[name]

    def _of_the_machine(self, audience):
        asked = {"api-version": IDENTITY_VERSION, "resource": f"{getattr(self.settings, audience)}"}
        if self.settings.client:
            asked["client_id"] = self.settings.client
        wish = {"method": "GET", "url": f"{METADATA}oauth2/token?{urllib.parse.urlencode(asked)}"}
        return self._read({**wish, "headers": {"Metadata": "true"}}, "the identity service of the DNS writer's machine")

    def _exchanged(self, audience):
        tenant = self.settings.tenant or self.environment.get("AZURE_TENANT_ID")
        client = self.settings.client or self.environment.get("AZURE_CLIENT_ID")
        assertion = self._assertion()
        if not tenant or not client:
            raise TokenError("azure.credential federated needs azure.tenant and azure.client, or AZURE_TENANT_ID and "
                             "AZURE_CLIENT_ID in the environment")  # fmt: skip
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "scope": f"{getattr(self.settings, audience)}/.default",
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion,
        }
        wish = {
            "method": "POST",
            "url": f"{self.settings.login}/{tenant}/oauth2/v2.0/token",
            "body": urllib.parse.urlencode(form).encode(),
            "content_type": "application/x-www-form-urlencoded",
        }
        return self._read(wish, self.settings.login)

    def _assertion(self):
        """The pipeline's own token: from the file that workload identity names, or as GitLab hands it out."""
        path = self.environment.get("AZURE_FEDERATED_TOKEN_FILE")
        try:
            token = Path(path).read_text(encoding="ascii").strip() if path else self.environment.get("AZURE_ID_TOKEN")
        except (OSError, ValueError) as error:
            raise TokenError(f"AZURE_FEDERATED_TOKEN_FILE: {error}") from error
        if not token:
            raise TokenError(
                "azure.credential federated needs the pipeline's OIDC token: name its file in "
                "AZURE_FEDERATED_TOKEN_FILE, or put it into AZURE_ID_TOKEN"
            )
        return token

    def _read(self, wish, whom):
        answer = self.carry(wish)
        if "error" in answer:
            raise TokenError(f"{whom}: {answer['error']}")
        try:
            found = json.loads(answer["body"])
            if answer["status"] == 200:
                return str(found["access_token"])
            reason = str(found.get("error_description") or found.get("error") or "no reason given").splitlines()[0]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            reason = "no answer in JSON that has a token"
        raise TokenError(f"{whom} answered {answer['status']}: {reason}")
