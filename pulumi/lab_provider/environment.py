"""The Environment resource: the stack's output object as a file (`.lab/outputs.json`), and pinned SSH host keys.

Either engine makes it; the inventory plug-in reads the file without knowing which engine ran.
"""

from __future__ import annotations

import json

import msgspec

from lab_provider.kinds import Kind, Made, Properties
from lab_provider.places import write_private


class EnvironmentInputs(msgspec.Struct, forbid_unknown_fields=True):
    """`document` is the output object; `known_hosts` maps each host key to the names it may answer to."""

    document: dict[str, object]
    known_hosts: dict[str, list[str]]


class Environment(Kind[EnvironmentInputs]):
    """The two files by which the playbooks find the lab."""

    inputs_type = EnvironmentInputs
    steady_outputs = frozenset({"path"})

    def create(self, name: str, inputs: EnvironmentInputs) -> Made:
        """Write both files."""
        outputs = self.places.lab / "outputs.json"
        known_hosts = self.places.lab / "ssh" / "known_hosts"
        write_private(outputs, self._document(inputs), 0o644)
        write_private(known_hosts, self._known_hosts(inputs))
        return Made("environment", {"path": str(outputs)})

    def update(self, identity: str, old: EnvironmentInputs, new: EnvironmentInputs) -> Made:
        """Write both files again."""
        return self.create(identity, new)

    def read(self, identity: str, inputs: EnvironmentInputs, outputs: Properties) -> Properties | None:
        """Gone when a file is missing or says something else."""
        try:
            same = (self.places.lab / "outputs.json").read_bytes() == self._document(inputs)
            same = same and (self.places.lab / "ssh" / "known_hosts").read_bytes() == self._known_hosts(inputs)
        except FileNotFoundError:
            return None
        return outputs if same else None

    def delete(self, identity: str, inputs: EnvironmentInputs) -> None:
        """Remove both files."""
        (self.places.lab / "outputs.json").unlink(missing_ok=True)
        (self.places.lab / "ssh" / "known_hosts").unlink(missing_ok=True)

    def _document(self, inputs: EnvironmentInputs) -> bytes:
        return json.dumps(inputs.document, indent=1, sort_keys=True).encode() + b"\n"

    def _known_hosts(self, inputs: EnvironmentInputs) -> bytes:
        lines = [f"{','.join(sorted(names))} {key}\n" for key, names in inputs.known_hosts.items()]
        return "".join(sorted(lines)).encode()
