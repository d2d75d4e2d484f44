"""What every action of this collection starts with: arguments, the environment from the task's variables, plain
failures.

Used on the controller only.
"""

from __future__ import annotations

import time
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    dns_messages,
    environment,
    host_calls,
    issuing,
    picture,
    wanted,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

LONGEST_WATCH = 24 * 3600
"""Seconds; whoever needs longer ends the run and starts it again."""
PROBLEMS = (PictureError, wanted.WantedError, issuing.IssuingError, dns_messages.DnsError)


class MigrationAction(ActionBase):
    """An action whose failures are sentences with a code, never a traceback."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Call `act` with the task's arguments and variables, and turn known problems into failures."""
        super().run(tmp, task_vars)
        try:
            return self.act(dict(self._task.args), task_vars)
        except ModuleFailed as failure:
            return {"changed": False, **failure.result}
        except PROBLEMS as problem:
            return {"failed": True, "code": problem.code, "msg": f"[{problem.code}] {problem}"}

    def act(self, args, task_vars):
        """Do the work; return the result."""
        raise NotImplementedError

    def setting(self, task_vars, name):
        """Return a templated variable of the run; fail if it is not defined."""
        if name not in task_vars:
            raise AnsibleActionFail(f"{name} is not defined: it belongs in the inventory's group_vars/all")
        return self._templar.template(task_vars[name])

    def secrets_file(self, task_vars):
        """Return a readable file with the secrets; one that ansible-vault encrypted is decrypted for this run only."""
        path = self.setting(task_vars, "migration_secrets")
        try:
            return self._loader.get_real_file(path)
        except AnsibleError as problem:
            raise PictureError(
                "migration-secret",
                f"{path} cannot be read: {problem}. Name the right file in migration_secrets; give the password of an "
                "encrypted one with --vault-password-file.",
            ) from None

    def environment(self, task_vars):
        """Return the Environment of this run."""
        refuse_stray_words(task_vars)
        path = self.setting(task_vars, "migration_document")
        document, problems = environment.examine(path)
        if as_bool(task_vars.get("rehearsal")):
            document = environment.narrowed_to_the_pilot(document)
        return environment.Environment(
            document,
            {name: list(hosts) for name, hosts in task_vars["groups"].items()},
            roles=self.setting(task_vars, "migration_roles"),
            authorities=dict(self.setting(task_vars, "migration_authorities")),
            wheelhouse=self.setting(task_vars, "migration_wheelhouse"),
            folder=Path(path).parent,
            problems=problems,
            exports=self.folder(task_vars, "migration_exports", "exports"),
            evidence=self.folder(task_vars, "migration_evidence", "evidence"),
            watch=watch_seconds(task_vars.get("watch")),
        )

    def folder(self, task_vars, name, default):
        """Return a folder that the inventory may name; without that, `default` beside the inventory."""
        return self.setting(task_vars, name) if name in task_vars else Path(task_vars["inventory_dir"]) / default

    def picture(self, task_vars, again=(), noted=()):
        """Return the Picture from what `observe` registered on every host, newer observations (`again`) on top.

        `noted`: completions of this run, of which the journal may not have heard yet.
        """
        seen = {}
        for host in task_vars["groups"]["all"]:
            found = task_vars["hostvars"][host].get("migration_seen") or {}
            if "seen" in found:
                seen[host] = found["seen"]
        for result in again:
            seen[result["host"]] = result["seen"]
        return picture.Picture(
            self.environment(task_vars),
            seen,
            time.time(),
            noted=list(noted),
            take_over=str(task_vars.get("take_over") or ""),
            pilot_only=as_bool(task_vars.get("pilot")),
        )

    def remote(self, name, arguments, task_vars):
        """Run one of our modules on the task's host; fail as it failed."""
        sent = host_calls.carried(name, arguments)
        answer = self._execute_module(module_name="xmppgw.migration.on_host", module_args=sent, task_vars=task_vars)
        result = host_calls.without_secrets(name, sent["arguments"], answer)
        if result.get("failed") or result.get("unreachable"):
            raise ModuleFailed(result)
        return result

    @property
    def checking(self):
        """True in check mode."""
        return self._task.check_mode


class OnHost(MigrationAction):
    """The action of a module that works on a host and needs nothing from the controller but its arguments."""

    def act(self, args, task_vars):
        """Run the module that the task names."""
        return self.remote(self._task.action.rpartition(".")[2], args, task_vars)


def refuse_stray_words(task_vars):
    """Refuse `-e why=several words`: the first would be taken for all of it, and Ansible keeps the others here."""
    stray = task_vars.get("_raw_params")
    if stray:
        raise PictureError(
            "migration-arguments",
            f"-e was given words without a name: {stray}. A value with blanks needs quotes of its own: "
            "-e \"why='several words'\"",
        )


def watch_seconds(value):
    """Return the whole seconds of `-e watch=SECONDS`, 0 to a day; absent is 0."""
    text = "0" if value is None else str(value).strip()
    if not (text.isdecimal() and int(text) <= LONGEST_WATCH):
        raise PictureError(
            "migration-watch", f"watch takes whole seconds from 0 to {LONGEST_WATCH}, found {text!r}: -e watch=600"
        )
    return int(text)


def as_bool(value):
    """Return what `-e name=true` means; absent is false."""
    return boolean(value, strict=False) if value is not None else False


class ModuleFailed(Exception):  # noqa: N818 - carries a result, is no error of ours
    """A module on the host failed; its own result is the best account of it."""

    def __init__(self, result):
        super().__init__(result.get("msg", ""))
        self.result = result
