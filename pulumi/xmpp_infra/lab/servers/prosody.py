"""What the Prosodies of the lab have in common: where the configuration lies and what their unit needs besides.

Called by the builders of the legacy gateway and of the partners. A host has one Prosody, Debian's own unit, or several,
each with a unit, directories and addresses of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from xmpp_infra.lab.content import FileSpec, HostContent

from .render import render

UNIT = "prosody.service"


@dataclass(frozen=True)
class Place:
    """Where one Prosody lives on its host; `name` also names its directories under /var/lib, /var/log and /run."""

    name: str
    configuration: str
    unit: str

    @property
    def data(self) -> str:
        """Its storage, and the socket of its shell."""
        return f"/var/lib/{self.name}"

    @property
    def debug_log(self) -> str:
        """Where it says which connection brought which stanza."""
        return f"/var/log/{self.name}/prosody.debug"


ALONE = Place("prosody", "/etc/prosody/prosody.cfg.lua", UNIT)


def one_of_several(label: str) -> Place:
    """The place of a Prosody that shares its host with others."""
    return Place(f"prosody-{label}", f"/etc/prosody/{label}.cfg.lua", f"prosody-{label}.service")


def content(template: str, *, place: Place = ALONE, **values: object) -> HostContent:
    """A Prosody configured by `template`; its secrets make the file readable by its own group only."""
    unit = render("prosody-unit.conf.j2", place=place, alone=place is ALONE)
    drop_in = f"/etc/systemd/system/{place.unit}" + (".d/lab.conf" if place is ALONE else "")
    return HostContent(
        files={
            place.configuration: FileSpec(render(template, place=place, **values), mode=0o640, group="prosody"),
            drop_in: FileSpec(unit),
        },
        units=(place.unit,),
    )
