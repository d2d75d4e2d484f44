"""What a machine is told at its first boot: no more than lets Ansible in. Everything else is Ansible's."""

from __future__ import annotations

import base64
from typing import Final

import yaml

# Ansible needs a Python; ACL lets it become another user; the rest of the image stays as Debian made it.
PACKAGES: Final = ("acl", "python3")


def cloud_config(host: str) -> str:
    """Return a host's cloud-config document: its name, Python, and an SSH server that takes keys only."""
    document = {
        "hostname": host,
        "package_update": True,
        "packages": list(PACKAGES),
        "ssh_pwauth": False,
        "disable_root": True,
        # One host key, of the kind that the outputs carry; it is made on the host and never leaves it.
        "ssh_deletekeys": True,
        "ssh_genkeytypes": ["ed25519"],
    }
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=True)


def encoded(host: str) -> str:
    """Return the same in the form of `customData`: base64, at most 64 KiB."""
    return base64.b64encode(cloud_config(host).encode()).decode()
