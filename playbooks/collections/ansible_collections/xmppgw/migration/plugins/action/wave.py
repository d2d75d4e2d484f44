"""Say which wave begins, and judge whether it is healthy before the next one may begin."""

from __future__ import annotations

import time

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    handing_over,
    newest_word,
    steps_file,
    wave_health,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import some
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()


class ActionModule(MigrationAction):
    """See modules/wave.py."""

    def act(self, args, task_vars):
        """Begin a wave, or judge one."""
        wave = {key: args["wave"][key] for key in ("wave", "number", "of")}
        users, left = len(args["wave"]["entries"]), list(args["wave"].get("left") or [])
        if args["event"] == "started":
            more = f"{' back' if args.get('back') else ''}{_words(left)}"
            display.display(f"      wave {wave['number']} of {wave['of']} ({wave['wave']}): moving {users} users{more}")
            steps_file.write("wave_started", **wave, users=users, back=bool(args.get("back")))
            return {"changed": False, "started": time.time()}
        environment = self.environment(task_vars)
        limits = environment.federation.users.waves.health
        platforms = handing_over.answered(environment, list(args.get("platforms") or []))
        if platforms is None:
            history = self.picture(task_vars).history
            found = newest_word.elsewhere(
                environment, history, "homing", args["wave"]["entries"], since=float(args.get("begun") or "inf")
            )
            platforms = [dict(zip(("elsewhere", "left"), found, strict=True))]
        verdict = wave_health.judge(
            args["wave"]["entries"],
            platforms,
            list(args.get("front_ends") or []),
            maximum_failed=limits.maximum_failed,
            maximum_waiting=limits.maximum_waiting,
        )
        seconds = round(time.time() - float(args["begun"]), 2) if args.get("begun") else 0.0
        left = sorted({*left, *verdict["left"]})
        facts = {**{key: verdict[key] for key in ("failed", "waiting", "problems")}, "left": left}
        steps_file.write("wave_finished", **wave, users=users, seconds=seconds, back=bool(args.get("back")), **facts)
        if verdict["problems"]:
            return {
                "failed": True,
                "code": "migration-wave",
                "msg": f"[migration-wave] Wave {wave['number']} of {wave['of']} ({wave['wave']}) is not healthy:\n    "
                + "\n    ".join(verdict["problems"])
                + "\n    now:   repair what is named here and run the same playbook again: it goes on with this wave.",
                **facts,
            }
        display.display(
            f"      wave {wave['number']} of {wave['of']}: healthy after {seconds:.0f} s{_words(left)}", color="green"
        )
        return {"changed": False, "seconds": seconds, **facts}


def _words(left):
    """Return what a wave's line says of those who left the platform."""
    return f"; not on the platform any more: {some(left)}" if left else ""
