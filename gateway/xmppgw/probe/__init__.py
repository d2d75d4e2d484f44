"""The probe: people keep chatting while the migration runs, and every message is accounted for.

`events` (what was written down) -> `ledger` (what became of each message) -> `timeline`, `plots`, `report` (what a
person reads). `hosts` and `runner` reach the lab; everything else is pure. The far ends of a measured message are
never our own stacks; see `pulumi/xmpp_infra/lab/people/agent.py` for the people.
"""
