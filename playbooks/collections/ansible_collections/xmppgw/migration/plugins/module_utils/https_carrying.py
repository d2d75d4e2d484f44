"""Carries one HTTPS request that somebody else made: bytes to a server, status, headers and bytes back.

Used by the module `https_exchange` on the DNS writer. It knows no key and no account; signing and reading happen on the
controller.
"""

from __future__ import annotations

import base64
import re
import ssl
import urllib.error
import urllib.request

ANSWER_LIMIT = 256 * 1024
"""Octets of one answer; a certificate chain has a few thousand."""
KEPT = ("replay-nonce", "location", "retry-after", "content-type", "link", "etag")
METADATA = "http://169.254.169.254/metadata/identity/"
"""Where Azure gives a machine the tokens of its own identity: link-local and always plain (nobody else can answer)."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send a signed request to somebody whom nobody named."""

    def redirect_request(self, *_args, **_more):
        return None


def carry(request, *, trust=None, timeout=30.0):
    """Send {method, url, body (base64), content_type, accept, headers, bearer}; return {status, headers, body (base64)}
    or {error}.

    `trust`: the roots to trust (PEM), else the system's.
    """
    own_machine = request["url"].startswith(METADATA)
    if not request["url"].startswith("https://") and not own_machine:
        return {"error": f"{request['url']} is not https"}
    headers = {"User-Agent": "xmppgw", "Accept-Language": "en", **(request.get("headers") or {})}
    if request.get("bearer"):
        if not re.fullmatch(r"[!-~]+", request["bearer"]):
            # Python's own error would quote it.
            return {"error": f"{request['url']}: the token holds a blank, a line's end or another sign that none has"}
        headers["Authorization"] = f"Bearer {request['bearer']}"
    for key, header in (("content_type", "Content-Type"), ("accept", "Accept")):
        if request.get(key):
            headers[header] = request[key]
    body = base64.b64decode(request["body"]) if request.get("body") else None
    try:
        context = ssl.create_default_context(cadata=trust)
        handlers = [_NoRedirect, urllib.request.HTTPSHandler(context=context)]
        if own_machine:
            handlers.append(urllib.request.ProxyHandler({}))  # a proxy would be told the token
        opener = urllib.request.build_opener(*handlers)
        message = urllib.request.Request(  # noqa: S310 - the scheme was checked above
            request["url"], data=body, headers=headers, method=request["method"]
        )
        try:
            answer = opener.open(message, timeout=timeout)
        except urllib.error.HTTPError as refusal:
            answer = refusal  # 400 and more have a body that says why
        with answer:
            data = answer.read(ANSWER_LIMIT + 1)
            if len(data) > ANSWER_LIMIT:
                return {"error": f"{request['url']}: the answer is longer than {ANSWER_LIMIT} octets"}
            found = {name: answer.headers[name] for name in KEPT if answer.headers.get(name)}
            return {"status": answer.status, "headers": found, "body": base64.b64encode(data).decode()}
    except (OSError, ValueError) as error:
        return {"error": f"{request['url']}: {getattr(error, 'reason', error)}"}
