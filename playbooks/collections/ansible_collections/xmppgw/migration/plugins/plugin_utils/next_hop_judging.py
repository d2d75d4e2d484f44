"""What a handshake with the SIP next hop showed: sentences on what is wrong, and one on what was found.

Pure; the guard `migration-next-hop` and the plan's notices call it.
"""

from __future__ import annotations

import datetime

from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from cryptography import x509

SOON = datetime.timedelta(days=14)
"""Shorter than this, and a certificate would end in the middle of a migration."""
NO_MATTER = ("certificate-due", "certificate-order", "certificate-foreign")
"""Findings on a chain that no handshake fails for; when it ends is judged by SOON."""


def judge(seen, now):
    """Return (problems, what was found). `seen`: what next_hop.shake returned; `now` is an aware datetime."""
    stage, problem = seen.get("stage", "none"), seen.get("problem", "")
    where = seen.get("where", "")
    found = described(seen)
    if stage == "none":
        return [], f"not tried: {problem}"
    if stage == "connect":
        return [f"{where} cannot be reached: {problem}"], found
    if stage == "tls":
        return [f"{where}: the handshake failed: {problem}{f' ({found})' if found else ''}"], found
    problems = []
    if stage == "mutual":
        problems.append(f"{where} refused our certificate: {problem}")
    elif stage == "answer":
        problems.append(f"{where} did not answer OPTIONS after the handshake: {problem}")
    return problems + leaf_problems(where, loaded(seen), now), found


def judge_unarmed(seen, name, roots, now):
    """Return the problems that show before a front end has a certificate: whether it is there, its chain and name.

    `seen`: what next_hop.seen_from_here returned; `roots`: PEM of those that our front ends will trust.
    """
    served = seen.get("served") or {}
    if "error" in served:
        return [f"{name} shows no certificate: {served['error']}"]
    if "chain" not in served:
        return []
    findings = judging.examine(served["chain"], {"names": [name], "usages": []}, roots, now)
    problems = [f"{name}: {item.text}" for item in findings if item.code not in NO_MATTER]
    return problems + leaf_problems(name, loaded({"certificate": served["chain"]}), now)


def not_tried(seen):
    """Return what was found of the next hop where mutual TLS was not tried yet, or "" where it was."""
    if seen.get("stage") != "none":
        return ""
    served = seen.get("served") or {}
    if "chain" in served:
        return described({"version": served["protocol"], "certificate": served["chain"]})
    return served.get("untried") or served.get("error") or seen.get("problem") or "nothing"


def leaf_problems(where, leaf, now):
    """Return what is wrong with the next hop's own certificate, whoever signed it."""
    if leaf is None:
        return []
    problems = []
    if leaf.not_valid_after_utc - now < SOON:
        problems.append(f"{where}: its certificate ends on {leaf.not_valid_after_utc:%Y-%m-%d}")
    missing = lacking_usages(leaf)
    if missing:
        problems.append(f"{where}: its certificate may not be used for {' and '.join(missing)}")
    return problems


def loaded(seen):
    """Return the next hop's certificate, or None."""
    try:
        return x509.load_pem_x509_certificate(seen.get("certificate", "").encode())
    except ValueError:
        return None


def lacking_usages(leaf):
    """Return the usages that a certificate lacks which both opens and accepts connections; none if it names none."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return []
    wanted = {"serverAuth": x509.ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": x509.ExtendedKeyUsageOID.CLIENT_AUTH}
    return [name for name, usage in wanted.items() if usage not in usages]


def described(seen):
    """Return what was found in one line."""
    leaf = loaded(seen)
    parts = [seen["version"]] if seen.get("version") else []
    if leaf is not None:
        try:
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            shown = ", ".join(names.get_values_for_type(x509.DNSName)[:5])
        except x509.ExtensionNotFound:
            shown = "no names"
        parts.append(f"certificate for {shown}, until {leaf.not_valid_after_utc:%Y-%m-%d}")
        parts.append(f"issued by {leaf.issuer.rfc4514_string()}")
    if seen.get("answer"):
        parts.append(f"OPTIONS answered {seen['answer']}")
    return "; ".join(parts)
