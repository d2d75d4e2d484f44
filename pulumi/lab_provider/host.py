"""The Host resource: a Debian machine of the lab with its files, units and certificates, booted and answering.

Private keys and secrets are filled in on the way to the host's disk; the resource carries names and fingerprints.
"""

from __future__ import annotations

import msgspec

from lab_provider import image, machines, vault
from lab_provider.authority import authority_directory, certificate_files
from lab_provider.kinds import Kind, Made, Properties
from lab_provider.machines import File, Interface

AUTHORITIES = ("public", "private")


class InterfaceInputs(msgspec.Struct, forbid_unknown_fields=True):
    """Bridge and addresses with prefix lengths."""

    bridge: str
    addresses: list[str]


class FileInputs(msgspec.Struct, forbid_unknown_fields=True):
    """A file on the host; `mode` in octal digits; `content` may hold place-holders of secrets."""

    content: str
    mode: str = "0644"
    owner: str = "root"
    group: str = "root"


class HostInputs(msgspec.Struct, forbid_unknown_fields=True):
    """Everything that decides what a host is. Certificates and authorities are named with their fingerprints."""

    name: str
    namespace: str
    image: str
    image_digest: str
    interfaces: list[InterfaceInputs]
    gateways: list[str] = msgspec.field(default_factory=list)
    forwarding: bool = False
    files: dict[str, FileInputs] = msgspec.field(default_factory=dict)
    units: list[str] = msgspec.field(default_factory=list)
    first_boot: list[str] = msgspec.field(default_factory=list)
    certificates: dict[str, str] = msgspec.field(default_factory=dict)
    authorities: dict[str, str] = msgspec.field(default_factory=dict)
    ssh_public_key: str = ""


class Host(Kind[HostInputs]):
    """A lab host."""

    inputs_type = HostInputs
    replaced_by = frozenset({"name", "namespace", "image", "image_digest", "first_boot"})
    steady_outputs = frozenset({"host_key"})

    def decode(self, properties: Properties) -> HostInputs:
        """Inputs of a host; the name becomes an interface name, so it is short."""
        inputs = super().decode(properties)
        if not 1 <= len(inputs.name) <= 13 or not inputs.name.replace("-", "").isalnum():
            raise msgspec.ValidationError(f"`name` must be 1 to 13 letters, digits and hyphens, not {inputs.name!r}")
        if inputs.image not in image.RECIPES:
            raise msgspec.ValidationError(f"`image` must be one of {sorted(image.RECIPES)}, not {inputs.image!r}")
        return inputs

    def repairs(self, outputs: Properties) -> set[str]:
        """A host that is down is booted, one whose units failed gets them restarted."""
        wanted = {"state"} if outputs.get("state") != "running" else set()
        return wanted | ({"failed_units"} if outputs.get("failed_units") else set())

    def create(self, name: str, inputs: HostInputs) -> Made:
        """Build the disk, wire the host, boot it. Left-overs of an interrupted attempt are removed first."""
        with machines.exclusive(self.places, inputs.name):
            machines.delete(self.places, inputs.name)
            machines.build(
                self.places,
                inputs.name,
                image.RECIPES[inputs.image],
                files=self._files(inputs),
                units=inputs.units,
                first_boot=inputs.first_boot,
            )
            return self._boot(inputs)

    def update(self, identity: str, old: HostInputs, new: HostInputs) -> Made:
        """Write what changed and restart the host's units; a host that is down, or was rewired, is booted."""
        before, after = self._files(old, quiet=True), self._files(new)
        if old.authorities == new.authorities and old.certificates == new.certificates:
            changed = {path: file for path, file in after.items() if before.get(path) != file}
        else:
            changed = after
        dropped = [unit for unit in old.units if unit not in new.units]
        with machines.exclusive(self.places, identity):
            return self._change(old, new, changed, set(before) - set(after), dropped)

    def _change(
        self, old: HostInputs, new: HostInputs, changed: dict[str, File], removed: set[str], dropped: list[str]
    ) -> Made:
        identity = new.name
        same_wires = (old.interfaces, old.gateways, old.forwarding) == (new.interfaces, new.gateways, new.forwarding)
        if not same_wires or not machines.wired(self.places, identity):
            machines.stop(self.places, identity)
        machines.change(
            self.places,
            identity,
            image.RECIPES[new.image],
            files=changed,
            removed=removed,
            units=new.units,
            dropped_units=dropped,
        )
        if machines.running(self.places, identity) is None:
            return self._boot(new)
        return self._made(new)

    def read(self, identity: str, inputs: HostInputs, outputs: Properties) -> Properties | None:
        """Gone when the disk is not complete; `stopped` when it is there but not running inside the lab's network."""
        if not machines.built(self.places, identity):
            return None
        state = "running" if machines.wired(self.places, identity) else "stopped"
        return {**outputs, "host_key": machines.host_key(self.places, identity), "state": state}

    def delete(self, identity: str, inputs: HostInputs) -> None:
        """Power off, remove disk and wires. The name, not the id, since a killed run may not have learned the id."""
        with machines.exclusive(self.places, inputs.name):
            machines.delete(self.places, inputs.name)

    def _boot(self, inputs: HostInputs) -> Made:
        interfaces = [Interface(item.bridge, tuple(item.addresses)) for item in inputs.interfaces]
        machines.stop(self.places, inputs.name)
        machines.wire(self.places, inputs.name, interfaces, inputs.gateways, forwarding=inputs.forwarding)
        machines.boot(self.places, inputs.name, image.RECIPES[inputs.image])
        return self._made(inputs)

    def _made(self, inputs: HostInputs) -> Made:
        problems = machines.failed_units(self.places, inputs.name, inputs.units)
        outputs: Properties = {
            "host_key": machines.host_key(self.places, inputs.name),
            "state": "running",
            "failed_units": [*sorted(problems)],
        }
        complaints = tuple(f"on {inputs.name}, {unit} is {text.strip()}" for unit, text in sorted(problems.items()))
        return Made(inputs.name, outputs, complaints)

    def _files(self, inputs: HostInputs, *, quiet: bool = False) -> dict[str, File]:
        """Everything to put on the host's disk; `quiet` leaves out what is not there any more (for comparing)."""
        files = {
            path: File(vault.fill_in(self.places, spec.content).encode(), int(spec.mode, 8), spec.owner, spec.group)
            for path, spec in inputs.files.items()
        }
        files["/etc/hostname"] = File(f"{inputs.name}\n".encode())
        if inputs.ssh_public_key:
            files["/root/.ssh/authorized_keys"] = File(f"{inputs.ssh_public_key}\n".encode(), 0o600)
        for name in inputs.certificates:
            certificate, key = certificate_files(self.places, name)
            if quiet and not key.exists():
                continue
            files[f"/etc/ssl/lab/{name}.crt"] = File(certificate.read_bytes())
            files[f"/etc/ssl/lab/{name}.key"] = File(key.read_bytes(), 0o640, "root", "ssl-cert")
        for name in inputs.authorities:
            path = authority_directory(self.places, name) / "ca.pem"
            if quiet and not path.exists():
                continue
            files[f"/etc/ssl/lab/{name}-ca.pem"] = File(path.read_bytes())
            if name == "public":
                files["/usr/local/share/ca-certificates/lab-public-ca.crt"] = File(path.read_bytes())
        return files
