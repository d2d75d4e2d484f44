#!/usr/bin/python
"""Carry one HTTPS request from this host; the controller makes and reads it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: https_exchange
short_description: Carry one HTTPS request
description:
  - Sends a ready request to an ACME authority or to Azure and hands back status, headers and body. Keeps nothing,
    follows no redirect.
options:
  method:
    description: Method of the request.
    type: str
    choices: [GET, HEAD, POST, PUT, DELETE]
    required: true
  url:
    description: Where to; https only, save for the machine's own identity service on Azure.
    type: str
    required: true
  body:
    description: Body, base64.
    type: str
    default: ""
  content_type:
    description: Type of the body.
    type: str
    default: ""
  accept:
    description: Type of answer that is wanted.
    type: str
    default: ""
  headers:
    description: Further headers, such as preconditions; nothing secret.
    type: dict
    default: {}
  bearer:
    description: Token with which the request is authorised.
    type: str
  trust:
    description: Roots to trust (PEM); without it those of this host's system.
    type: str
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Read a directory
  xmppgw.migration.https_exchange:
    method: GET
    url: https://acme.example/directory
"""
RETURN = r"""
answer:
  description: Status, headers and body (base64), or error.
  type: dict
  returned: always
"""

from ansible_collections.xmppgw.migration.plugins.module_utils.https_carrying import carry  # noqa: E402

ARGUMENTS = {
    "method": {"type": "str", "choices": ["GET", "HEAD", "POST", "PUT", "DELETE"], "required": True},
    "url": {"type": "str", "required": True},
    "body": {"type": "str", "default": ""},
    "content_type": {"type": "str", "default": ""},
    "accept": {"type": "str", "default": ""},
    "headers": {"type": "dict", "default": {}},
    "bearer": {"type": "str", "no_log": True},
    "trust": {"type": "str"},
}
SUPPORTS_CHECK_MODE = True


def run(module):
    """Run the module."""
    request = dict(module.params)
    module.exit_json(changed=False, answer=carry(request, trust=request.pop("trust")))
