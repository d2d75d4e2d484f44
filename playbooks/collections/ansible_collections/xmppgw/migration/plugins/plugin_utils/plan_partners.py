"""What steps 5 and 6 do for partners: who is proved, who is switched and in which order, who stays and why.

Used by the picture for the plan, by status, and by the actions of partner.yml. Pure: what was seen and what the journal
says in, actions and descriptions out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CANARY = "canary"
"""The group that is switched first (`group` of a partner in the federation document)."""


@dataclass(frozen=True)
class Standing:
    """Where one partner stands, as seen on the hosts and as the journal has it."""

    routes: dict
    """Platform to `legacy`, `target` or None: the next hop of its SIP route."""
    phases: dict
    """Edge to `legacy` or `gateway`; edges that do not answer are left out."""
    spliced: int = 0
    """Its connections that our edges join to the legacy gateway: its server follows DNS."""
    inbound: int = 0
    """Its streams that end at our edges. One that was opened before its phase went back to legacy stays open."""
    kept: tuple = ()
    """Edges that answer it themselves though they know a legacy gateway. One that knows none answers everybody so, and
    has nobody to give it to."""
    record: dict = field(default_factory=dict)
    """The latest `partner_switched` of the journal: state, reason, at, fingerprint."""
    held: str | None = None
    """Why it is held back, if it is."""
    proof: dict | None = None
    """The latest proof: outcome, why, fingerprint."""
    relay: str | None = None
    """What the legacy gateway said to a wrong key: `invalid`, something else, or None if it was not asked."""

    @property
    def routed(self):
        """Whether every platform sends to us."""
        return bool(self.routes) and set(self.routes.values()) == {"target"}

    @property
    def answered_here(self):
        """Whether every edge that answers terminates its streams."""
        return bool(self.phases) and set(self.phases.values()) == {"gateway"}

    @property
    def switched(self):
        """Whether nothing is left to do for it."""
        return self.routed and self.answered_here

    @property
    def touched(self):
        """Whether anything of it is at our side, so that rollback has something to give back."""
        return "target" in self.routes.values() or bool(self.kept) or self.inbound > 0


def stays(standing, fingerprint, *, retry=False):
    """Return why a partner is left with the legacy gateway by this run, or "".

    One that could not be switched is tried again when its entry has changed, when its server was seen to follow DNS, or
    when somebody asks for it (partner.yml): otherwise every run would close its streams once more.
    """
    if standing.held is not None:
        return f"held: {standing.held}"
    state = standing.record.get("state")
    same_entry = standing.record.get("fingerprint") == fingerprint
    if retry or state not in ("static?", "failed") or not same_entry or standing.switched:
        return ""
    if state == "static?" and standing.spliced:
        return ""
    return f"{state}: {standing.record.get('reason') or 'see the journal'}"


def in_order(partners):
    """Return partners (dictionaries with domain and group) as they are switched: canaries first, the others by name."""
    return sorted(partners, key=lambda partner: (partner.get("group") != CANARY, partner["domain"]))


def kinds_to_do(standing, fingerprint, *, before_dns, dns_moves, retry=False):
    """Return the kinds of action, by step, that one partner still needs: [(5, "prove"), (6, "drain"), ...]."""
    if stays(standing, fingerprint, retry=retry):
        return []
    needed = []
    if not standing.routed and (standing.proof or {}).get("fingerprint") != fingerprint:
        needed.append((5, "prove"))
    if before_dns and not standing.routed:
        needed.append((5, "route"))
    if not standing.switched or dns_moves:
        needed.append((6, "drain"))
    if not standing.routed and not before_dns:
        needed.append((6, "route"))
    return needed


def relay_words(partner, standing):
    """Return what happens to messages for a dialback partner between its switch and its route, or "" for others."""
    if standing.switched or not ({"T", "C"} & set(partner["allowed"])):
        return ""
    if standing.relay == "invalid":
        return "keys of the legacy gateway are relayed"
    if standing.relay is None:
        return "relay of the legacy gateway's keys not checked yet (step 5 does)"
    return f"outbound interrupted while it is switched: the legacy gateway's keys cannot be relayed ({standing.relay})"


def switch_words(partner, standing, fingerprint):
    """Return how and whether a partner is switched, as the plan's table says it."""
    if standing.switched:
        return "switched"
    return stays(standing, fingerprint).partition(":")[0] or partner["switch"]


def why_words(partner, standing, fingerprint):
    """Return the plan's reason for a partner: what its settings allow, what keeps it."""
    words = [partner["rationale"], "" if standing.switched else stays(standing, fingerprint)]
    return "; ".join(word for word in words if word)


def elsewhere_words(partner, standing):
    """Return what arrives at the wrong gateway between a partner's route and the SRV records, or "" for nothing."""
    if standing.switched or partner["switch"] != "before_dns":
        return ""
    return "until step 6 its errors, receipts and pings arrive at the legacy gateway"


DOINGS = ("hold", "release", "switch", "return")
"""What playbooks/partner.yml does with one partner, a group, or all."""


class PartnerRefusalError(Exception):
    """What was asked for cannot be done; `code` is stable, the text says what to do."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text


def choose(partners, *, partner="", group=""):
    """Return the partners (dictionaries with domain, domains, group) that were asked for, in switching order.

    `partner` is one domain, `group` a group's name or `all`. Raises PartnerRefusalError unless exactly one is given and
    names somebody.
    """
    if bool(partner) == bool(group):
        raise PartnerRefusalError(
            "migration-partner-choice", "Give either -e partner=DOMAIN or -e group=NAME (`all` for every partner)."
        )
    wanted = partner.strip().lower().rstrip(".")
    chosen = [item for item in partners if (wanted in item["domains"] if partner else group in ("all", item["group"]))]
    if chosen:
        return in_order(chosen)
    known = (
        sorted(item["domain"] for item in partners) if partner else sorted({str(item["group"]) for item in partners})
    )
    what = f"{partner} is no partner" if partner else f"no partner is in the group {group}"
    raise PartnerRefusalError(
        "migration-partner-choice", f"{what} of the federation document; it has {', '.join(known)}."
    )


def may(do, *, step_6_done, no_way_back):
    """Raise PartnerRefusalError if `do` cannot be done now."""
    if do not in DOINGS:
        raise PartnerRefusalError("migration-partner-choice", f"-e do= takes {', '.join(DOINGS)}; found {do!r}.")
    if no_way_back and do in ("hold", "return"):
        raise PartnerRefusalError(
            "migration-decommissioned",
            "The legacy gateway was decommissioned, or its end was begun: nobody can be left with it any more.",
        )
    if do == "switch" and not step_6_done:
        raise PartnerRefusalError(
            "migration-partner-order",
            "A partner is switched after step 6 has moved the SRV records. Run migrate.yml; who is held stays where it "
            "is meanwhile.",
        )


def to_give_back(do, chosen):
    """Return the partners of which something is to be given back to the legacy gateway."""
    return [item for item in chosen if item["touched"]] if do == "return" else []


def records_of(do, chosen, *, why):
    """Return the journal's records that announce `do`. `chosen` carry domain and held."""
    if do in ("hold", "return"):
        return [{"event": "partner_held", "partner": item["domain"], "why": why} for item in chosen if not item["held"]]
    return [{"event": "partner_released", "partner": item["domain"]} for item in chosen if item["held"]]
