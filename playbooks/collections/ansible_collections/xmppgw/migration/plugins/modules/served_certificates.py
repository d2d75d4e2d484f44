#!/usr/bin/python
"""Connect from this host to servers and hand back the certificates that they really serve."""

from __future__ import annotations

DOCUMENTATION = r"""
module: served_certificates
short_description: Certificates as they are really served
description:
  - Connects to each server, by STARTTLS where it speaks XMPP, and returns chain, TLS version, cipher and OCSP (stapled,
    or fetched from the responder). Judges nothing.
options:
  looks:
    description: >-
      Servers to look at. Keys name, kind (C(tls) or C(xmpp)), addresses (tried in order), port, server_name, to and
      from (XMPP), certificate and key (paths, where the server asks for one), fetch_ocsp.
    type: list
    elements: dict
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Look at the link
  xmppgw.migration.served_certificates:
    looks: [{name: link, kind: tls, addresses: [198.51.100.11], port: 23456, server_name: edge1-int.corp.example}]
"""
RETURN = r"""
served:
  description: For each look its name, and chain (PEM), protocol, cipher and ocsp, or error.
  type: list
  returned: always
"""

from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils.served_certificates import first_that_answers  # noqa: E402

ARGUMENTS = {"looks": {"type": "list", "elements": "dict", "required": True}}
SUPPORTS_CHECK_MODE = True

AT_ONCE = 8


def run(module):
    """Run the module."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        served = list(pool.map(first_that_answers, module.params["looks"]))
    module.exit_json(changed=False, served=served)
