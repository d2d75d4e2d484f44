"""What a kind of resource is to the provider: a typed set of inputs and five verbs, in plain Python values.

`provider.py` translates between this and Pulumi's property values; the kinds know nothing of gRPC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from lab_provider.places import Places

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Properties = dict[str, Value]
Inputs = TypeVar("Inputs", bound=msgspec.Struct)


class ResourceError(Exception):
    """A resource could not be made, changed or removed; the message is meant for the operator."""


@dataclass(frozen=True)
class Made:
    """A created resource: its id, what it shows besides its inputs, and complaints that do not undo the creation."""

    identity: str
    outputs: Properties = field(default_factory=dict)
    complaints: tuple[str, ...] = ()


class Kind(ABC, Generic[Inputs]):
    """One kind of resource. Verbs are idempotent: whatever a crash left, doing it again ends in the same place."""

    inputs_type: type[Inputs]
    # Inputs whose change means a new resource; the old one goes first, since names and addresses cannot be shared.
    replaced_by: frozenset[str] = frozenset()
    # Outputs that an update never changes; a preview may rely on them.
    steady_outputs: frozenset[str] = frozenset()

    def __init__(self, places: Places) -> None:
        self.places = places

    def decode(self, properties: Properties) -> Inputs:
        """Inputs from property values; raises msgspec.ValidationError naming the property that is wrong."""
        return msgspec.convert(properties, self.inputs_type)

    def repairs(self, outputs: Properties) -> set[str]:
        """Names of outputs which say that the resource needs an update although its inputs are unchanged."""
        return set()

    @abstractmethod
    def create(self, name: str, inputs: Inputs) -> Made:
        """Make the resource, or adopt what is there."""

    def update(self, identity: str, old: Inputs, new: Inputs) -> Made:
        """Change the resource in place. A kind that is always replaced does not have it."""
        raise ResourceError(f"{type(self).__name__} {identity} cannot be changed in place")

    @abstractmethod
    def read(self, identity: str, inputs: Inputs, outputs: Properties) -> Properties | None:
        """The outputs as they are now, None if the resource is gone."""

    @abstractmethod
    def delete(self, identity: str, inputs: Inputs) -> None:
        """Remove it; removing what is not there succeeds. The id is empty after a creation that was cut off."""
