"""One request to Azure: authorised, repeated while Azure asks for patience, answered or refused in plain words.

Used on the controller by the DNS provider `azure` and by the issuer `key_vault`. Requests leave from the DNS writer
(`carry`). A request that may have had its effect although no answer came is never repeated here: its caller looks.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import os
from dataclasses import dataclass

from ansible_collections.xmppgw.migration.plugins.plugin_utils.azure_tokens import TokenError, Tokens

PATIENCE = 180.0
"""Seconds in all that one change waits because Azure asked for it (429 or 503 with Retry-After)."""
FIRST_PAUSE = 1.0
"""Seconds before the second try where Azure named none; doubled from then on."""


class AzureError(Exception):
    """Azure refused, or cannot be reached; the text says why and what to do. Nothing was changed by this request."""


class Uncertain(Exception):  # noqa: N818 - neither done nor refused
    """No answer, or one that says nothing on the effect: the request may have been carried out or not."""


@dataclass(frozen=True)
class Answer:
    """What came back; `value` is the JSON object, empty where there was none."""

    status: int
    headers: dict
    value: dict


class AzureRest:
    """Asks. `settings`: the document's part `azure`; `carry`: sends one request; `pause(seconds, reason)` waits."""

    def __init__(self, settings, carry, pause, environment=os.environ):
        self.settings, self.carry, self.pause = settings, carry, pause
        self.tokens = Tokens(settings, carry, environment)
        self.waited = 0.0

    def ask(self, method, url, *, audience="management", body=None, headers=None):
        """Return the Answer, whatever its status below 500; raise AzureError, or Uncertain."""
        fresh, pause = True, FIRST_PAUSE
        while True:
            answer = self._send(method, url, audience, body, headers or {})
            if answer.status == 401 and fresh and self.tokens.forget(audience):
                fresh = False
            elif answer.status in (429, 503):
                self._wait(answer, url, pause)
                pause *= 2
            elif answer.status in (401, 403):
                raise AzureError(f"{url} refused this identity ({_reason(answer)}): docs/azure.md names the roles")
            elif answer.status >= 500:
                raise Uncertain(f"{url} answered {_reason(answer)}")
            else:
                return answer

    def _send(self, method, url, audience, body, headers):
        wish = {"method": method, "url": url, "headers": dict(headers)}
        try:
            wish["bearer"] = self.tokens.get(audience)
        except TokenError as problem:
            raise AzureError(str(problem)) from problem
        if body is not None:
            wish |= {"body": json.dumps(body).encode(), "content_type": "application/json"}
        found = self.carry(wish)
        if "error" in found:
            raise Uncertain(found["error"])
        try:
            value = json.loads(found["body"] or b"{}")
        except ValueError:
            value = {}
        return Answer(found["status"], found["headers"], value if isinstance(value, dict) else {})

    def _wait(self, answer, url, otherwise):
        seconds = retry_after(answer.headers.get("retry-after", ""), datetime.datetime.now(datetime.UTC))
        seconds = otherwise if seconds is None else seconds
        if self.waited + seconds > PATIENCE:
            raise AzureError(
                f"{url} is throttled ({_reason(answer)}): it asks for {seconds:.0f} s more after {self.waited:.0f} s, "
                f"and {PATIENCE:.0f} s are allowed in all. Run again later"
            )
        self.waited += seconds
        self.pause(seconds, f"Azure asks for patience ({answer.status})")


def retry_after(text, now):
    """Return the seconds that a Retry-After header names (RFC 9110 section 10.2.3), None for an unreadable one."""
    if text.strip().isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max((moment.astimezone(datetime.UTC) - now).total_seconds(), 0.0)


def _reason(answer):
    """Status, and code and message as Azure's interfaces word an error."""
    problem = answer.value.get("error")
    problem = problem if isinstance(problem, dict) else answer.value
    words = ": ".join(str(problem[key]) for key in ("code", "message") if problem.get(key))
    return f"{answer.status} {words}".strip()


def refused(answer, url):
    """Return an answer that was not foreseen as the error that it is."""
    return AzureError(f"{url} answered {_reason(answer)}")
