#!/usr/bin/python
"""Make keys and certificate requests on this host, or put signed chains beside them. Keys never leave."""

from __future__ import annotations

DOCUMENTATION = r"""
module: key_and_request
short_description: Keys and requests made on their host, chains put beside them
description:
  - Without O(chains) it makes what is missing, a P-256 key and a request for each certificate, and returns the
    requests.
  - With O(chains) it checks that each chain belongs to the key here and writes it.
  - The action C(certificate_issue) has them signed in between.
options:
  certificates:
    description: Certificates by name. Keys subject, names, key, request, certificate (paths).
    type: dict
    required: true
  chains:
    description: Signed chains (PEM) by name.
    type: dict
    default: {}
  user:
    description: System user of the daemon, whose group may read the keys.
    type: str
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Make a key and a request
  xmppgw.migration.key_and_request:
    user: xmppgw-edge
    certificates:
      link:
        subject: edge1-int.corp.example
        names: [edge1-int.corp.example]
        key: /etc/xmppgw/tls/link.key
        request: /etc/xmppgw/tls/link.csr
        certificate: /etc/xmppgw/tls/link.crt
"""
RETURN = r"""
requests:
  description: Certificate requests (PEM) by name.
  type: dict
  returned: without chains
did:
  description: What was made or written.
  type: list
  returned: always
"""

import os  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import host_reading, host_writing  # noqa: E402

ARGUMENTS = {
    "certificates": {"type": "dict", "required": True},
    "chains": {"type": "dict", "default": {}},
    "user": {"type": "str", "required": True},
}


def make_key(path, group):
    """Make a P-256 key readable by root and `group`, unless a usable one is there."""
    if host_reading.public_half(path):
        return False
    text = host_writing.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
    host_writing.write_file(path, text, 0o640, group)
    return True


def standing_request(certificate):
    """Return the request that stands if it is for this key and these names, or None.

    A request that an authority was given days ago must stay what it is.
    """
    try:
        text = Path(certificate["request"]).read_text(encoding="ascii")
        shown = host_writing.run(["openssl", "req", "-in", certificate["request"], "-noout", "-pubkey", "-text"])
        ours = host_writing.run(["openssl", "pkey", "-in", certificate["key"], "-pubout"])
    except (OSError, host_writing.WriteError):
        return None
    names = [
        name.strip().removeprefix("DNS:") for line in shown.splitlines() if "DNS:" in line for name in line.split(",")
    ]
    same_key = ours.strip() in shown
    return text if same_key and sorted(names) == sorted(certificate["names"]) else None


def make_request(certificate):
    """Return a request (PEM) for the key, with the names wanted."""
    names = ",".join(f"DNS:{name}" for name in certificate["names"])
    return host_writing.run(
        [
            "openssl",
            "req",
            "-new",
            "-key",
            certificate["key"],
            "-subj",
            f"/CN={certificate['subject']}",
            "-addext",
            f"subjectAltName={names}",
        ]
    )


def belongs(chain, key_path):
    """Return True if the chain's first certificate carries the public half of the key."""
    handle, name = tempfile.mkstemp(prefix="xmppgw-chain-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(chain)
        public = host_writing.run(["openssl", "x509", "-in", name, "-noout", "-pubkey"])
        ours = host_writing.run(["openssl", "pkey", "-in", key_path, "-pubout"])
    finally:
        Path(name).unlink(missing_ok=True)
    return public.split() == ours.split()


def run(module):
    """Run the module."""
    wanted, chains = module.params["certificates"], module.params["chains"]
    group = module.params["user"]
    did, requests = [], {}
    try:
        host_writing.ensure_user(group)
        for name, certificate in sorted(wanted.items()):
            if chains:
                if not belongs(chains[name], certificate["key"]):
                    module.fail_json(
                        msg=f"[migration-certificate] The signed {name} certificate does not belong to "
                        f"{certificate['key']}.",
                        code="migration-certificate",
                    )
                if host_writing.write_file(certificate["certificate"], chains[name], 0o644):
                    did.append(f"wrote {certificate['certificate']}")
            else:
                if make_key(certificate["key"], group):
                    did.append(f"made {certificate['key']}")
                requests[name] = standing_request(certificate) or make_request(certificate)
                host_writing.write_file(certificate["request"], requests[name], 0o644)
    except host_writing.WriteError as problem:
        module.fail_json(msg=f"[migration-certificate] {problem}", code="migration-certificate")
    module.exit_json(changed=bool(did), did=did, requests=requests)
