"""The migration's own state as seen on its two hosts: journal, copy, lock.

Part of Picture. Refuses a journal that cannot be trusted.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import ChainError, missing_tail, read_history
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError


class SeenState:
    """Journal and lock. `noted`: completions of this run that the journal may not have heard of yet."""

    def __init__(self, environment, seen, *, noted=(), take_over=""):
        authority = seen[environment.authority]["state"]
        copy = seen.get(environment.copy, {}).get("state") or {"records": [], "present": False}
        for state in (authority, copy):
            if state.get("problem"):
                raise PictureError(
                    state.get("code", "migration-journal"),
                    f"{state['problem']}. Do not edit it: look at it, move it away if it is damaged, and run again "
                    "(docs/codes.md says what its copy is good for).",
                )
        self.restore = []
        if not authority["records"] and copy["records"]:
            if take_over != environment.copy:
                raise PictureError(
                    "migration-journal",
                    f"{environment.authority} has no journal, but {environment.copy} has a copy with "
                    f"{len(copy['records'])} records. If {environment.authority} was rebuilt, run again with "
                    f"-e take_over={environment.copy}: the copy is then restored there.",
                )
            authority = {**authority, "records": copy["records"]}
            self.restore = copy["records"]
        try:
            self.missing = missing_tail(authority["records"], copy["records"])
        except ChainError as problem:
            raise PictureError(problem.code, problem.text) from problem
        self.records = authority["records"]
        self.tail = self.records[-1]["hash"] if self.records else ""
        self.lock = authority["lock"]
        self.history = self._read_history([*self.records, *noted])

    @staticmethod
    def _read_history(records):
        """Return the folded journal; raise PictureError at the record that is not what it says it is."""
        try:
            return read_history(records)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PictureError(
                "migration-journal",
                f"A record of the journal lacks or garbles what its event needs ({type(error).__name__}: {error}): it "
                "was not written by this toolkit. Restore the journal from its copy.",
            ) from error
