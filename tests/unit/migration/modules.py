"""Runs a module of the collection in this process and returns what it printed."""

import io
import json
from contextlib import redirect_stdout

from ansible.module_utils.testing import patch_module_args


def run_module(module, check=False, **arguments):
    """Return the result of `module.main()` with these arguments."""
    printed = io.StringIO()
    with patch_module_args({**arguments, "_ansible_check_mode": check}), redirect_stdout(printed):
        try:
            module.main()
        except SystemExit:
            pass
        else:
            raise AssertionError("a module ends with exit_json or fail_json")
    return json.loads(printed.getvalue())
