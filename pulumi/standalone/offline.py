"""Stands where a cloud's provider would, in a preview: takes what the program wants, makes nothing, asks nobody.

Used by `run` for packages that the project has no plug-in for. What such a resource would tell after its creation is
unknown, and the program sees it so, as in a preview on the real engine. It never applies anything.
"""

from __future__ import annotations

from standalone.plugin import Difference, Found, Known, ProviderError
from standalone.values import Properties


class OfflineProvider:
    """Implements `plugin.Provider` for previews."""

    def check(self, urn: str, old: Properties, new: Properties) -> tuple[Properties, list[tuple[str, str]]]:
        """Take the inputs as they are; what the cloud would say of them, only the cloud knows."""
        del urn, old
        return new, []

    def diff(self, known: Known, new: Properties, ignore: list[str]) -> Difference:
        """Which inputs differ, by name."""
        names = {name for name in {*known.inputs, *new} - set(ignore) if known.inputs.get(name) != new.get(name)}
        return Difference(bool(names), tuple(sorted(names)))

    def create(self, urn: str, inputs: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Return what is known before anything is made: the plain values, and the name that the program chose."""
        self._only_preview(urn, preview)
        return "", _foreseen(urn, inputs)

    def read(self, known: Known) -> Found:
        """Say what is known already."""
        return Found(known.id, known.outputs, known.inputs)

    def update(self, known: Known, new: Properties, ignore: list[str], *, preview: bool) -> Properties:
        """Return the same of the new inputs."""
        del ignore
        self._only_preview(known.urn, preview)
        return _foreseen(known.urn, new)

    def delete(self, known: Known) -> None:
        """Refuse: nothing was ever made."""
        self._only_preview(known.urn, False)

    def _only_preview(self, urn: str, preview: bool) -> None:
        if not preview:
            package = urn.split("::")[-2].rpartition("$")[2].partition(":")[0]
            raise ProviderError(f"package {package!r} can only be previewed here; applying it needs the pulumi command")


def _foreseen(urn: str, inputs: Properties) -> Properties:
    """Outputs that follow from inputs. Nested ones do not: a provider may answer in another shape than it was asked."""
    plain: Properties = {key: value for key, value in inputs.items() if isinstance(value, str | int | float | bool)}
    # Resource managers call a resource's own name `<kind>Name` in the request and `name` in the answer.
    kind = urn.split("::")[-2].rpartition(":")[2]
    own = next((value for key, value in plain.items() if key.lower() == f"{kind}name".lower()), None)
    return plain if own is None else {**plain, "name": own}
