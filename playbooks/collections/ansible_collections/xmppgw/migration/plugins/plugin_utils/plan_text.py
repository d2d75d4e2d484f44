"""The plan for people: Markdown for a review, plain text for a terminal. Pure.

Both say the same in the same order; what has to be read before all else is the first line.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.planner import show

WIDTH = 118


def to_markdown(plan):
    """Return the plan as Markdown for a reviewer."""
    lines = [f"> **{_cell(notice)}**  " for notice in plan.get("notices", [])]
    lines += [""] if lines else []
    lines += [f"# Migration plan `{plan['digest'][:16]}…`", ""]
    lines += [f"- {name}: {value}" for name, value in _head(plan)]
    lines.append("")
    for step in plan["steps"]:
        lines += [f"## ({step['number']}/6) {step['name']}", ""]
        lines += [f"**{line}**\n" for line in _around(plan, step["number"])]
        if not step["actions"]:
            lines += ["Nothing to do.", ""]
            continue
        lines += _table(
            ("action", "host", "before", "after"),
            [(item["what"], item["host"] or "", show(item["before"]), show(item["after"])) for item in step["actions"]],
        )
    for title, headings, rows in _tables(plan):
        lines += [f"## {title}", "", *_table(headings, rows)]
    if "point_of_no_return" in plan:
        lines += ["## Point of no return", "", plan["point_of_no_return"]]
    return "\n".join(lines).rstrip() + "\n"


def to_text(plan):
    """Return the plan as plain lines for a terminal."""
    lines = [*plan.get("notices", []), f"Migration plan {plan['digest'][:16]}…"]
    lines += [f"  {name}: {value}" for name, value in _head(plan)]
    for step in plan["steps"]:
        lines += ["", f"({step['number']}/6) {step['name']}"]
        lines += [f"  * {line}" for line in _around(plan, step["number"])]
        for item in step["actions"]:
            lines += [f"  {item['what']}", f"      {show(item['before'])} -> {show(item['after'])}"]
        if not step["actions"]:
            lines.append("  nothing to do")
    for title, headings, rows in _tables(plan):
        lines += ["", title]
        for row in rows:
            first, *rest = [str(cell) for cell in row]
            lines.append(f"  {first}")
            lines += [f"      {name}: {cell}" for name, cell in zip(headings[1:], rest, strict=True) if cell]
    if "point_of_no_return" in plan:
        lines += ["", "Point of no return", f"  {plan['point_of_no_return']}"]
    return "\n".join(lines) + "\n"


def _head(plan):
    yield "Scenario", plan["scenario"]
    if plan.get("products"):
        yield "Products", plan["products"]
    yield "Digest", plan["digest"]
    if plan.get("maintenance_window"):
        yield "Maintenance window for steps 5 and 6", plan["maintenance_window"]


def _around(plan, number):
    """Yield what a reader of one step has to know beside its actions."""
    for hold in plan.get("holds", []):
        if hold["step"] == number:
            yield hold["why"]
    for wait in plan.get("expected_waits", []):
        if wait["step"] == number:
            yield f"about {wait['seconds']} s of waiting: {wait['reason']}"
    for item in plan.get("noticed", []):
        if item["step"] == number:
            yield f"noticed by {item['who']}: {item['what']}"


def _tables(plan):
    """Yield (title, headings, rows) of what does not belong to one step."""
    if plan.get("waves"):
        rows = [(wave["name"], wave["users"], wave["digest"][:16]) for wave in plan["waves"]]
        yield "Waves of users", ("wave", "users", "digest"), rows
    if plan.get("dns_writes"):
        rows = [
            (
                f"step {item['step']}: {item['name']}",
                show(item["before"]),
                show(item["after"]),
                item["prerequisite"],
                item["how"],
            )
            for item in plan["dns_writes"]
        ]
        yield "DNS writes", ("record", "before", "after", "only if", "how"), rows
    yield "Partners", *_partners(plan["partners"])
    if plan.get("accepted"):
        rows = [(item["code"], item["found"], item["means"], item["by"], item["why"]) for item in plan["accepted"]]
        yield "Accepted", ("code", "found", "means", "by", "why"), rows


def _partners(partners):
    """Return (headings, rows): the columns that every partner has, and those that some have."""
    known = ("allowed", "outcome", "switch", "why", "relay", "support", "group", "arrives_elsewhere")
    columns = [name for name in known if any(partner.get(name) for partner in partners)]
    rows = [(partner["domain"], *(_words(partner.get(name)) for name in columns)) for partner in partners]
    return ("partner", *columns), rows


def _words(value):
    if value is None:
        return ""
    return ", ".join(value) if isinstance(value, list) else str(value)


def _table(headings, rows):
    if not rows:
        return ["None.", ""]
    return [
        f"| {' | '.join(headings)} |",
        "|" + "---|" * len(headings),
        *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows),
        "",
    ]


def _cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")
