"""What must stand on each gateway host at each step, from the federation document.

Used on the controller only (it imports xmppgw): the planner compares it with what was seen, the actions
`gateway_host` and
`certificate` put it there. One place, so that plan and deed cannot differ.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.module_utils.host_reading import content_digest
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import OUR_OWN
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xmppgw.federation import certificates, edge_settings, front_end_settings
from xmppgw.telemetry.control_client import SOCKETS

UNIT_DIRECTORY = "/etc/systemd/system"
STORE = "/var/lib/xmppgw-frontend/store.sqlite"
"""Where the front end keeps what it has acknowledged."""
SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian keeps the roots of public authorities."""
DIALBACK_SECRET = "/etc/xmppgw/dialback.secret"  # noqa: S105 - a path

KINDS = {
    "edge": {
        "step": 2,
        "user": "xmppgw-edge",
        "settings": "/etc/xmppgw/edge.json",
        "service": "xmppgw-edge.service",
        "socket": "xmppgw-edge.socket",
        "socket_step": 5,
        "control_socket": SOCKETS["edge"],
    },
    "front_end": {
        "step": 1,
        "user": "xmppgw-frontend",
        "settings": "/etc/xmppgw/frontend.json",
        "service": "xmppgw-frontend.service",
        "socket": "xmppgw-frontend.socket",
        "socket_step": 1,
        "control_socket": SOCKETS["frontend"],
    },
}
"""Per kind of gateway host: its user, files and units. `socket_step`: when its port is opened (R5 for the edge)."""


class WantedError(Exception):
    """The document, the wheels or an authority cannot give what a host needs; the text says what to do."""

    code = "migration-prerequisite"


def kind_of(document, host):
    """Return `edge`, `front_end` or None for a host name of the inventory."""
    federation = document.federation
    if any(edge.host == host for edge in federation.edges):
        return "edge"
    if any(front_end.host == host for _pool, front_end in federation.front_ends):
        return "front_end"
    return None


def stages_of_settings(document, host, kind):
    """Return {step: settings} of the daemon's configuration: what it may know from which step on (R1, R5)."""
    if kind == "edge":
        # With the legacy gateway connected, every partner is joined to it until it is switched; 7: decommissioned.
        return {
            step: edge_settings(document, host, federation_enabled=step >= 5, legacy_connected=step < 7)
            for step in (2, 5, 7)
        }
    return {
        step: front_end_settings(document, host, policy_enabled=step >= 4, federation_enabled=step >= 5)
        for step in (1, 4, 5)
    }


def render_units(roles, kind, settings):
    """Return {path: text} of the host's systemd units, rendered from the role's templates."""
    environment = Environment(  # noqa: S701 - unit files, not HTML
        loader=FileSystemLoader(str(Path(roles) / kind / "templates")),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    listen = settings["listen"] if kind == "edge" else settings["sip"]["listen"]
    texts = {}
    for name in (KINDS[kind]["service"], KINDS[kind]["socket"]):
        texts[f"{UNIT_DIRECTORY}/{name}"] = environment.get_template(f"{name}.j2").render(
            listen=listen, user=KINDS[kind]["user"], settings_path=KINDS[kind]["settings"]
        )
    return texts


def release(wheelhouse):
    """Return {version, wheels, files} of the bundled wheels; `wheels` is the digest over what they contain.

    The digest reads each wheel's RECORD, not the archive: the same content built twice is the same release.
    """
    files = sorted(Path(wheelhouse).glob("*.whl"))
    ours = [path for path in files if path.name.startswith("xmppgw-")]
    if len(ours) != 1:
        raise WantedError(
            f"{wheelhouse} holds {len(ours)} xmppgw wheels, expected 1: run `make lab` or `make setup`, which "
            f"builds them"
        )
    content = hashlib.sha256()
    for path in files:
        with zipfile.ZipFile(path) as archive:
            record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
            content.update(path.name.encode() + b"\0" + hashlib.sha256(archive.read(record)).digest())
    return {
        "version": ours[0].name.split("-")[1],
        "wheels": content.hexdigest(),
        "files": [str(path) for path in files],
    }


def authority_certificate(authorities, name):
    """Return the PEM of a named authority; `authorities` maps names to folders with ca.pem.

    While it is rolled over (authority_rollover) two are trusted; the one that signs comes first.
    """
    folder = authorities.get(name)
    if folder is None:
        raise WantedError(f"no folder is configured for the certificate authority {name!r} (migration_authorities)")
    folder = Path(folder)
    others = [folder / phase / "ca.pem" for phase in ("next", "previous")]
    try:
        texts = [path.read_text(encoding="ascii") for path in (folder / "ca.pem", *filter(Path.exists, others))]
    except (OSError, ValueError) as error:
        raise WantedError(f"certificate authority {name!r}: {error}") from error
    # In the middle of the switch the next one is the present one already.
    return "".join(dict.fromkeys(texts))


def roots(authorities, item):
    """Return the PEM of the roots at which the chain of a certificate (an entry of the table) must end.

    A public authority needs no folder: then it is one that the controller's system trusts.
    """
    if item["authority"] in authorities or item["issuer"] in OUR_OWN:
        return authority_certificate(authorities, item["authority"])
    try:
        return Path(SYSTEM_TRUST).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise WantedError(
            f"the roots that this controller trusts: {error}; install ca-certificates, or name a folder with ca.pem "
            f"for {item['authority']!r} in migration_authorities"
        ) from error


def wanted_host(document, host, *, roles, authorities, release_wanted):
    """Return everything that must stand on `host`, by step. See planner.gateway_actions for the shape."""
    kind = kind_of(document, host)
    if kind is None:
        raise WantedError(f"{host} is neither an edge nor a front end of the federation document")
    facts = KINDS[kind]
    stages = stages_of_settings(document, host, kind)
    files = {
        facts["settings"]: {
            step: file(json.dumps(settings, indent=2, sort_keys=True) + "\n", 0o640, facts["user"])
            for step, settings in stages.items()
        }
    }
    issuers = document.federation.certificates
    # A public authority is in the system's trust; only those of our own are named.
    of_ours = {
        issuers.internal.authority,
        issuers.of_link.authority,
        issuers.public.authority if kind == "edge" else None,
    }
    names = {name for name in of_ours if name is not None}
    for name in sorted(names):
        files[f"/etc/xmppgw/ca/{name}.pem"] = {facts["step"]: file(authority_certificate(authorities, name), 0o644)}
    if kind == "edge":
        # A partner's own authority is looked at once the partner is admitted.
        own = {partner.authority for partner in document.federation.partners if partner.authority is not None}
        for name in sorted(own - names):
            files[f"/etc/xmppgw/ca/{name}.pem"] = {5: file(authority_certificate(authorities, name), 0o644)}
    for path, text in render_units(roles, kind, stages[max(stages)]).items():
        files[path] = {facts["step"]: file(text, 0o644)}
    socket = {
        step: "enabled" if step >= facts["socket_step"] else "disabled"
        for step in (facts["step"], facts["socket_step"])
    }
    return {
        "kind": kind,
        "step": facts["step"],
        "user": facts["user"],
        "settings": facts["settings"],
        "service": facts["service"],
        "control_socket": facts["control_socket"],
        "version": release_wanted["version"],
        "wheels": release_wanted["wheels"],
        "files": files,
        "units": {facts["socket"]: socket, facts["service"]: {facts["step"]: "enabled"}},
        "certificates": {
            requirement.name: {
                "step": requirement.step,
                "authority": requirement.authority,
                "issuer": requirement.issuer,
                "subject": requirement.subject,
                "names": list(requirement.names),
                "usages": [usage.value for usage in requirement.usages],
                "certificate": requirement.certificate_file,
                "key": requirement.key_file,
                "request": requirement.request_file,
            }
            for requirement in certificates(document)
            if requirement.host == host
        },
    }


def file(content, mode, group="root"):
    """Return one file as it must be; `digest` is how it is compared."""
    return {"content": content, "mode": mode, "group": group, "digest": content_digest(content.encode(), mode, group)}


def digests(wanted):
    """Return `wanted` with files reduced to their digests, as the planner compares them."""
    return {
        **wanted,
        "files": {
            path: {step: item["digest"] for step, item in stages.items()} for path, stages in wanted["files"].items()
        },
    }


def at_stage(stages, step):
    """Return what must hold at `step`: the value of the latest stage up to it, or None before the first."""
    reached = [number for number in stages if number <= step]
    return stages[max(reached)] if reached else None


def facts_in_force(wanted, stage):
    """Return what the daemon's status must say once the configuration of `stage` is in force."""
    settings = json.loads(at_stage(wanted["files"][wanted["settings"]], stage)["content"])
    facts = {"partners": len(settings["partners"])}
    if wanted["kind"] == "edge":
        return {**facts, "federation_enabled": settings["federation_enabled"]}
    policies = settings["access_policy"]
    scoped = {scope: len(policies.get(scope, {})) for scope in ("sites", "users")}
    return {**facts, "access_policy": policies["global"], "policies": scoped}


def what_to_read(wanted):
    """Return the arguments with which `host_state` looks at a gateway host."""
    return {
        "files": sorted([*wanted["files"], *([DIALBACK_SECRET] if wanted["kind"] == "edge" else [])]),
        "units": sorted(wanted["units"]),
        "certificates": {
            name: {"certificate": item["certificate"], "key": item["key"]}
            for name, item in wanted["certificates"].items()
        },
        "settings": wanted["settings"],
        "control_socket": wanted["control_socket"],
        "commands": ["status", "streams", "phases"] if wanted["kind"] == "edge" else ["status"],
    }
