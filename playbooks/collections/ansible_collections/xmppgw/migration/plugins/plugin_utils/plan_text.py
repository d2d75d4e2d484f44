"""The plan as Markdown for a reviewer. Pure."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.planner import show


def to_markdown(plan):
    """Return the plan as Markdown for a reviewer."""
    lines = [
        f"# Migration plan `{plan['digest'][:16]}…`",
        "",
        f"Scenario: {plan['scenario']}",
        "",
        f"Digest: `{plan['digest']}`",
        "",
    ]
    for step in plan["steps"]:
        lines += [f"## ({step['number']}/6) {step['name']}", ""]
        if not step["actions"]:
            lines += ["Nothing to do.", ""]
            continue
        lines += ["| action | before | after |", "|---|---|---|"]
        lines += [
            f"| {_cell(item['what'])} | {_cell(show(item['before']))} | {_cell(show(item['after']))} |"
            for item in step["actions"]
        ]
        lines.append("")
    lines += ["## Partners", "", "| partner | allowed | outcome | switch | why |", "|---|---|---|---|---|"]
    lines += [
        f"| {partner['domain']} | {', '.join(partner['allowed'])} | {partner['outcome']} | {partner['switch']} | "
        f"{_cell(partner['why'])} |"
        for partner in plan["partners"]
    ]
    return "\n".join(lines) + "\n"


def _cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")
