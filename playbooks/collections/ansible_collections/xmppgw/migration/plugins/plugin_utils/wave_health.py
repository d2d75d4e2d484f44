"""Whether a wave is healthy, from what platforms and front ends answered. Pure; the action `wave` calls it."""

from __future__ import annotations


def judge(entries, platforms, front_ends, *, maximum_failed=0, maximum_waiting=0):
    """Return {failed, left, waiting, problems}: users elsewhere on any platform, those who left all of them, messages
    in lanes, and what is wrong.

    `platforms`: results of platform_look; `front_ends`: results of gateway_control's status. Nothing in either is a
    problem of its own: a gate that nobody looked through is closed.
    """
    gone = left(platforms)
    failed = sorted({user for result in platforms for user in result.get("elsewhere") or []} - {*gone})
    problems = [
        f"{_place(result)} did not answer: {result['problem']}" for result in platforms if result.get("problem")
    ]
    if not platforms:
        problems.append("no platform was looked at")
    if len(failed) > maximum_failed:
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        problems.append(
            f"{len(failed)} of {len(entries)} users are not homed where planned (allowed: {maximum_failed}): "
            f"{', '.join(failed[:5])}{more}"
        )
    waiting = 0
    for result in front_ends:
        answer = result.get("answer") or {}
        sip = answer.get("sip") or {}
        if not answer.get("ok") or sip.get("state") != "up":
            problems.append(
                f"{_place(result)} does not reach the platform: {answer.get('reason') or sip or 'no answer'}"
            )
        waiting += sum(answer.get("queues", {}).values()) if answer.get("ok") else 0
    if waiting > maximum_waiting:
        problems.append(f"{waiting} messages wait in the front ends' lanes (allowed: {maximum_waiting})")
    return {"failed": failed, "left": gone, "waiting": waiting, "problems": problems}


def left(platforms):
    """Return the users who left, sorted: whom whoever could say so said to be gone, or whom no platform has a row of.

    Platforms that have a row of nobody who was asked for have lost their tables: then nobody left.
    """
    gone = {user for result in platforms for user in result.get("left") or []}
    if platforms and all("rows" in result and not result.get("problem") for result in platforms):
        known = {user for result in platforms for user in result["rows"]}
        missing = {user for result in platforms for user in result.get("elsewhere") or []} - known
        gone |= missing if known else set()
    return sorted(gone)


def _place(result):
    return next((str(value) for key, value in sorted(result.items()) if key.startswith("homing_")), "a host")
