"""The Network resource: the lab's own network namespace with its bridges, and the controller's address on one of them.

No bridge ever gets a physical interface, so no packet for a lab address can leave the machine, lab up or down.
"""

from __future__ import annotations

import msgspec

from lab_provider import namespace
from lab_provider.kinds import Kind, Made, Properties
from lab_provider.places import NETNS


class Route(msgspec.Struct, forbid_unknown_fields=True):
    """Where the controller sends packets for the other networks."""

    to: str
    via: str


class NetworkInputs(msgspec.Struct, forbid_unknown_fields=True):
    """Bridges by name; `controller_bridge` carries the controller's own addresses (with prefix lengths)."""

    namespace: str
    bridges: list[str]
    controller_bridge: str
    controller_addresses: list[str]
    routes: list[Route] = msgspec.field(default_factory=list)


class Network(Kind[NetworkInputs]):
    """The namespace and everything in it that is not a host."""

    inputs_type = NetworkInputs
    replaced_by = frozenset({"namespace"})
    steady_outputs = frozenset({"path"})

    def create(self, name: str, inputs: NetworkInputs) -> Made:
        """Make namespace, bridges, addresses and routes; what is there already stays."""
        namespace.add(inputs.namespace)
        self._bring_up(inputs)
        return Made(inputs.namespace, {"path": str(NETNS / inputs.namespace)})

    def update(self, identity: str, old: NetworkInputs, new: NetworkInputs) -> Made:
        """Add what is new, remove the bridges that are gone; hosts on other bridges notice nothing."""
        present = namespace.links(identity)
        gone = [bridge for bridge in old.bridges if bridge not in new.bridges and bridge in present]
        namespace.ip(identity, [f"link delete {bridge}" for bridge in gone])
        self._bring_up(new)
        return Made(identity, {"path": str(NETNS / identity)})

    def _bring_up(self, inputs: NetworkInputs) -> None:
        name = inputs.namespace
        present = namespace.links(name)
        commands = ["link set lo up"]
        for bridge in inputs.bridges:
            if bridge not in present:
                address = namespace.hardware_address("bridge", bridge)
                commands.append(f"link add {bridge} address {address} type bridge mcast_snooping 0")
            commands.append(f"link set {bridge} up")
        device = inputs.controller_bridge
        commands.append(f"address flush dev {device} scope global")
        commands += [
            f"address add {address} dev {device}{' nodad' if ':' in address else ''}"
            for address in inputs.controller_addresses
        ]
        for command in commands:
            namespace.ip(name, [command])
        for route in inputs.routes:
            namespace.ip(name, [f"route replace {route.to} via {route.via}"])
        # The namespace is where the operator stands, not a router: only fw1 forwards.
        namespace.set_kernel_parameters(name, {"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"})

    def read(self, identity: str, inputs: NetworkInputs, outputs: Properties) -> Properties | None:
        """Gone as soon as the namespace or one of its bridges is missing; making it again only adds what is missing."""
        if not namespace.exists(identity) or not set(inputs.bridges) <= namespace.links(identity):
            return None
        return outputs

    def delete(self, identity: str, inputs: NetworkInputs) -> None:
        """Remove the namespace; bridges go with it."""
        namespace.delete(inputs.namespace)
