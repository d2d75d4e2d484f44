"""What the Prosodies of the lab have in common: where the configuration lies and what their unit needs besides.

Called by the builders of the legacy gateway and of partner1.
"""

from __future__ import annotations

from xmpp_infra.lab.content import FileSpec, HostContent

from .render import render

UNIT = "prosody.service"
_DROP_IN = "/etc/systemd/system/prosody.service.d/lab.conf"

# `+`: as root. The directories of the accounts were made with the host, as root; Prosody writes beside them.
_UNIT_TEXT = """\
[Unit]
Wants=
After=network.target

[Service]
SupplementaryGroups=ssl-cert
ExecStartPre=+/usr/bin/install -d -o prosody -g prosody -m 0750 /var/lib/prosody /var/log/prosody
ExecStartPre=+/usr/bin/chown -R prosody:prosody /var/lib/prosody
Restart=always
RestartSec=200ms
"""


def content(template: str, **values: object) -> HostContent:
    """A Prosody configured by `template`; its secrets make the file readable by its own group only."""
    return HostContent(
        files={
            "/etc/prosody/prosody.cfg.lua": FileSpec(render(template, **values), mode=0o640, group="prosody"),
            _DROP_IN: FileSpec(_UNIT_TEXT),
        },
        units=(UNIT,),
    )
