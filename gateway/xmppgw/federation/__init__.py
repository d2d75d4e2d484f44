"""The federation document and what follows from it: one file, one model, one place for every derived name and number.

CLI, Pulumi program, Ansible plug-ins and the daemons' configuration are all made from what is exported here.
Pure: no socket, no clock, no randomness; only `loader` opens a file.
"""

from xmppgw.federation.certificates import CertificateRequirement, Usage, authority_file, certificates
from xmppgw.federation.loader import examine_document, load_document
from xmppgw.federation.model import Document, Federation, Partner, Requirement
from xmppgw.federation.outcome import Method, Outcome, partner_outcome
from xmppgw.federation.ports import Endpoint, PortRule, Zone, ports
from xmppgw.federation.problems import CODES, DocumentProblems, Problem, Severity
from xmppgw.federation.records import DnsRecord, RecordPlan, records, srv_name
from xmppgw.federation.schema import document_schema
from xmppgw.federation.settings import edge_settings, front_end_settings
from xmppgw.federation.validation import Examination, examine_bytes

__all__ = [
    "CODES",
    "CertificateRequirement",
    "DnsRecord",
    "Document",
    "DocumentProblems",
    "Endpoint",
    "Examination",
    "Federation",
    "Method",
    "Outcome",
    "Partner",
    "PortRule",
    "Problem",
    "RecordPlan",
    "Requirement",
    "Severity",
    "Usage",
    "Zone",
    "authority_file",
    "certificates",
    "document_schema",
    "edge_settings",
    "examine_bytes",
    "examine_document",
    "front_end_settings",
    "load_document",
    "partner_outcome",
    "ports",
    "records",
    "srv_name",
]
