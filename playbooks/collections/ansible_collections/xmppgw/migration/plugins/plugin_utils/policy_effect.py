"""What the access policies of the document mean for whom, in lines. Pure; the action `policy_effect` calls it."""

from __future__ import annotations

from dataclasses import dataclass, field

from xmppgw.policy.effective import effective

NAMED = 3
"""Users named for each reason; the rest is a number, as there may be 200,000."""


@dataclass
class Effect:
    """Users counted by what holds for them."""

    allowed: dict = field(default_factory=dict)
    """Policy that decides to the number of users whom it lets exchange messages."""
    refused: dict = field(default_factory=dict)
    """Reason to [number of users, the first few of them]."""

    @property
    def users(self):
        """How many were looked at."""
        return sum(self.allowed.values()) + sum(count for count, _names in self.refused.values())


def effect(policies, users):
    """Return the Effect of `policies` on `users`. Who is refused for several reasons counts under the first."""
    found = Effect()
    for user in users:
        held = effective(policies, user, user.user)
        if held.allowed:
            found.allowed[held.policy] = found.allowed.get(held.policy, 0) + 1
            continue
        reason = held.obstacles[0].code
        key = f"{reason} ({held.policy})" if reason.startswith("policy") else reason
        counted = found.refused.setdefault(key, [0, []])
        counted[0] += 1
        if len(counted[1]) < NAMED:
            counted[1].append(user.user)
    return found


def lines(found):
    """Return the Effect as lines."""
    total = sum(found.allowed.values())
    text = [f"From now on {total} of {found.users} users may exchange messages with partners, once these are switched:"]
    text += [f"  {count:>7} by {policy}" for policy, count in sorted(found.allowed.items())]
    for reason, (count, names) in sorted(found.refused.items()):
        more = f" and {count - len(names)} more" if count > len(names) else ""
        text.append(f"  {count:>7} may not: {reason}: {', '.join(names)}{more}")
    return text


def lines_without_table(policy):
    """Return what can be said where no table of users is kept: the global policy holds for everybody."""
    if policy.open:
        return [
            "From now on every user may exchange messages with partners, once these are switched: the global policy"
        ]
    return ["Nobody may exchange messages with partners: the global policy has not both switches on"]
