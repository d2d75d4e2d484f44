"""What a module that runs on a host is given, and how it ends.

Such a module has `ARGUMENTS` (Ansible's argument_spec), `run(module)`, and what else of Ansible's it means:
`SUPPORTS_CHECK_MODE`, `MUTUALLY_EXCLUSIVE`. Its arguments are checked on the controller, with Ansible's own library;
none of that library is carried to the host, because importing it there takes ten times as long as what the module does.
"""

from __future__ import annotations


class Ended(BaseException):
    """The module has said what came of it; nothing in between may take that for an error."""

    def __init__(self, result):
        super().__init__(result.get("msg", ""))
        self.result = result


class HostTask:
    """The arguments (checked and whole), whether nothing may be changed, and the two ways to end."""

    def __init__(self, params, check_mode):
        self.params = params
        self.check_mode = check_mode

    def exit_json(self, **result):
        """End well."""
        raise Ended(result)

    def fail_json(self, msg, **result):
        """End with a sentence about what was found and what to do."""
        raise Ended({**result, "failed": True, "msg": msg})


def perform(module, params, check_mode):
    """Run a module; return its result."""
    if check_mode and not getattr(module, "SUPPORTS_CHECK_MODE", False):
        return {"changed": False, "skipped": True, "msg": "this module does nothing in check mode"}
    try:
        module.run(HostTask(params, check_mode))
    except Ended as end:
        return {"changed": False, **end.result}
    raise AssertionError("a module ends with exit_json or fail_json")
