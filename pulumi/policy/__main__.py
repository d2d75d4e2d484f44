"""The CrossGuard pack: `pulumi preview --policy-pack pulumi/policy`. Only here is it built, as that never returns."""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

# The engine starts this folder as a program; the package is its parent's.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policy.rules import POLICIES, Policy, Resource, Severity

LEVELS = {Severity.MANDATORY: EnforcementLevel.MANDATORY, Severity.ADVISORY: EnforcementLevel.ADVISORY}


def crossguard(policy: Policy) -> ResourceValidationPolicy:
    """One of our policies in CrossGuard's form."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(args.urn, args.resource_type, args.name, args.props, bool(args.opts and args.opts.protect))
        for message in policy.check(resource):
            report(f"[{policy.code}] {message}")

    return ResourceValidationPolicy(
        name=policy.code,
        description=f"{policy.sentence} ({policy.link})",
        enforcement_level=LEVELS[policy.severity],
        validate=validate,
    )


if __name__ == "__main__":
    PolicyPack(name="xmpp-federation", policies=[crossguard(each) for each in POLICIES])
