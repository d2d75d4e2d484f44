"""Facts on partners that several guards look at."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Partners:
    """What guards look at."""

    configured: list = field(default_factory=list)
    """Partners in the configuration that stands on our edges and front ends."""


def read(picture):
    """Return the Partners of a Picture."""
    return Partners(configured=picture.gateways.configured_partners())
