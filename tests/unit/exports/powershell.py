"""Writes objects as PowerShell does: Export-Csv, ConvertTo-Json and Export-Clixml, in its encodings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

NAMESPACE = "http://schemas.microsoft.com/powershell/2004/04"
PREFIX = "Microsoft.Rtc.Management.WritableConfig.Settings"
TYPES = {
    "Get-CsXmppAllowedPartner": f"{PREFIX}.XmppFederation.XmppAllowedPartner",
    "Get-CsXmppGatewayConfiguration": f"{PREFIX}.XmppFederation.XmppGatewaySettings",
    "Get-CsExternalAccessPolicy": "Microsoft.Rtc.Management.WritableConfig.Policy.ExternalAccess.ExternalAccessPolicy",
    "Get-CsUser": "Microsoft.Rtc.Management.ADConnect.Schema.OCSADUser",
    "Get-CsSipDomain": f"{PREFIX}.SipDomain.SipDomain",
    "Get-CsPool": "Microsoft.Rtc.Management.Xds.DisplayPool",
    "Get-CsSite": "Microsoft.Rtc.Management.Xds.DisplaySite",
    "Get-CsAllowedDomain": f"{PREFIX}.Edge.AllowedDomain",
    "Get-CsAccessEdgeConfiguration": f"{PREFIX}.Edge.AccessEdgeSettings",
    "Get-CsStaticRoutingConfiguration": f"{PREFIX}.SipProxy.StaticRoutingSettings",
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-16-be-mark")


@dataclass(frozen=True)
class Enum:
    name: str
    number: int


Object = Mapping[str, Any]


def encoded(text: str, encoding: str) -> bytes:
    if encoding == "utf-16-be-mark":
        return b"\xfe\xff" + text.encode("utf-16-be")
    return b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16" else text.encode(encoding)


def csv_of(
    cmdlet: str, objects: Sequence[Object], *, typed: bool = True, delimiter: str = ",", ends: str = "\r\n"
) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, list | tuple):
            value = "System.Collections.Generic.List`1[System.String]"
        if isinstance(value, Enum):
            value = value.name
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"'

    lines = [f"#TYPE {TYPES[cmdlet]}"] if typed else []
    lines.append(delimiter.join(f'"{name}"' for name in objects[0]))
    lines += [delimiter.join(cell(value) for value in each.values()) for each in objects]
    return ends.join(lines) + ends


def json_of(objects: Sequence[Object], *, style: str = "7", numbers: bool = True) -> str:
    def value(item: Any) -> Any:
        if isinstance(item, Enum):
            return item.number if numbers else item.name
        if isinstance(item, list | tuple):
            return (
                [value(each) for each in item]
                if style != "5.1"
                else {"value": [value(e) for e in item], "Count": len(item)}
            )
        if isinstance(item, Mapping):
            return {name: value(each) for name, each in item.items()}
        return item

    items: Any = [value(each) for each in objects]
    if style == "5.1":
        items = {"value": items, "Count": len(items)}
    elif len(items) == 1:
        items = items[0]
    return json.dumps(items, indent=4, ensure_ascii=style == "5.1")


def clixml_of(cmdlet: str, objects: Sequence[Object], *, prefix: str = "") -> str:
    writer = _Clixml(f"{prefix}{TYPES[cmdlet]}")
    body = "\n".join(writer.top(each) for each in objects)
    return f'<Objs Version="1.1.0.1" xmlns="{NAMESPACE}">\n{body}\n</Objs>'


class _Clixml:
    def __init__(self, name: str) -> None:
        self.name = name
        self.objects = 0
        self.types: dict[tuple[str, ...], int] = {}

    def top(self, item: Object) -> str:
        properties = "".join(self.value(name, value) for name, value in item.items())
        names = (f"{self.name}#Decorated", self.name, "System.Object")
        return f'  <Obj RefId="{self.next()}">{self.type(names)}<ToString>x</ToString><Props>{properties}</Props></Obj>'

    def next(self) -> int:
        self.objects += 1
        return self.objects - 1

    def type(self, names: tuple[str, ...]) -> str:
        if names in self.types:
            return f'<TNRef RefId="{self.types[names]}" />'
        self.types[names] = len(self.types)
        inner = "".join(f"<T>{escape(name)}</T>" for name in names)
        return f'<TN RefId="{self.types[names]}">{inner}</TN>'

    def value(self, name: str, value: Any) -> str:
        key = f' N="{self.text(name)}"' if name else ""
        if value is None:
            return f"<Nil{key} />"
        if isinstance(value, bool):
            return f"<B{key}>{str(value).lower()}</B>"
        if isinstance(value, int):
            return f"<U32{key}>{value}</U32>"
        if isinstance(value, str):
            return f"<S{key}>{self.text(value)}</S>"
        if isinstance(value, Enum):
            kind = self.type((f"Microsoft.Rtc.{name}", "System.Enum", "System.ValueType", "System.Object"))
            inner = f"<ToString>{value.name}</ToString><I32>{value.number}</I32>"
            return f'<Obj{key} RefId="{self.next()}">{kind}{inner}</Obj>'
        if isinstance(value, Mapping):
            inner = "".join(self.value(each, item) for each, item in value.items())
            kind = self.type((f"Microsoft.Rtc.{name}", "System.Object"))
            return f'<Obj{key} RefId="{self.next()}">{kind}<ToString>{name}</ToString><Props>{inner}</Props></Obj>'
        kind = self.type(("System.Collections.Generic.List`1[[System.String]]", "System.Object"))
        items = "".join(self.value("", each) for each in value)
        return f'<Obj{key} RefId="{self.next()}">{kind}<LST>{items}</LST></Obj>'

    def text(self, text: str) -> str:
        def unit(match: re.Match[str]) -> str:
            data = match[0].encode("utf-16-be")
            return "".join(f"_x{data[i]:02X}{data[i + 1]:02X}_" for i in range(0, len(data), 2))

        # What XML cannot hold, and what would be read as an escape, is escaped; characters beyond the plane as halves.
        return escape(
            re.sub("[\x00-\x1f\x7f-\x9f\U00010000-\U0010ffff]|_(?=x[0-9A-Fa-f]{4}_)", unit, text), {'"': "&quot;"}
        )


# A small deployment, with everything that the forms can get wrong.

REQUIRED, OPTIONAL, NOT_SUPPORTED = Enum("Required", 0), Enum("Optional", 1), Enum("NotSupported", 2)
FEDERATED, VERIFIED, UNVERIFIED = Enum("Federated", 0), Enum("PublicVerified", 1), Enum("PublicUnverified", 2)


def partner(domain: str, **changes: Any) -> dict[str, Any]:
    return {
        "Identity": domain,
        "Domain": domain,
        "AdditionalDomains": [],
        "Description": None,
        "PartnerType": FEDERATED,
        "TlsNegotiation": REQUIRED,
        "SaslNegotiation": REQUIRED,
        "SupportDialbackNegotiation": True,
        "EnableKeepAlive": True,
        "ConnectionLimit": None,
        "ProxyFqdn": None,
        **changes,
    }


DEPLOYMENT: dict[str, list[dict[str, Any]]] = {
    "Get-CsXmppAllowedPartner": [
        partner("partner1.example", AdditionalDomains=["chat.partner1.example", "partner1.net"],
                SaslNegotiation=OPTIONAL),
        partner("partner2.example", Description='Line one\r\nline "two"; äöü 🎉', ProxyFqdn="xmpp.partner2.example",
                ConnectionLimit=7, PartnerType=UNVERIFIED),
        partner("gmail.com", TlsNegotiation=NOT_SUPPORTED, SaslNegotiation=NOT_SUPPORTED, EnableKeepAlive=False),
    ],
    "Get-CsXmppGatewayConfiguration": [
        {"Identity": "Global", "ConnectionLimit": 1000, "PartnerConnectionLimit": 30, "KeepAliveInterval": 300,
         "StreamEstablishmentTimeout": 60, "StreamInactivityTimeout": 600, "SubscriptionRefreshInterval": 28800,
         "DialbackPassphrase": "hunter2", "EnableLoggingAllMessageBodies": False},
    ],
    "Get-CsExternalAccessPolicy": [
        {"Identity": "Global", "Description": None, "EnableFederationAccess": True, "EnableXmppAccess": False},
        {"Identity": "Site:Redmond", "Description": None, "EnableFederationAccess": True, "EnableXmppAccess": True},
        {"Identity": "Tag:FedPic", "Description": None, "EnableFederationAccess": True, "EnableXmppAccess": True},
    ],
    "Get-CsSipDomain": [
        {"Identity": "branch.example", "Name": "branch.example", "IsDefault": False},
        {"Identity": "corp.example", "Name": "corp.example", "IsDefault": True},
    ],
    "Get-CsPool": [
        {"Identity": "pool.corp.example", "Fqdn": "pool.corp.example", "Site": "Site:Redmond",
         "Services": ["UserServer:pool.corp.example", "Registrar:pool.corp.example"], "Computers": ["fe.corp.example"]},
        {"Identity": "sba1.corp.example", "Fqdn": "sba1.corp.example", "Site": "Site:Berlin",
         "Services": ["Registrar:sba1.corp.example", "MediationServer:sba1.corp.example"], "Computers": ["x.y"]},
    ],
    "Get-CsSite": [
        {"Identity": "Site:Redmond", "SiteId": 1, "Pools": ["pool.corp.example"],
         "XmppExternalFederationRoute": "EdgeServer:edge.corp.example"},
    ],
    "Get-CsAccessEdgeConfiguration": [
        {"Identity": "Global", "AllowFederatedUsers": True, "EnablePartnerDiscovery": True},
    ],
    "Get-CsAllowedDomain": [
        {"Identity": "sip.example", "Domain": "sip.example", "ProxyFqdn": None,
         "VerificationLevel": Enum("UseSourceVerification", 2), "MarkForMonitoring": False},
    ],
    "Get-CsStaticRoutingConfiguration": [
        {"Identity": "Global", "Route": [{"MatchUri": "*.partner9.example", "Fqdn": "gw.corp.example"}]},
    ],
    "Get-CsUser": [
        {"Identity": "CN=Alice", "SipAddress": "sip:Alice@corp.example", "RegistrarPool": "pool.corp.example",
         "ExternalAccessPolicy": "FedPic", "Enabled": True, "HostingProvider": "SRV:", "DisplayName": "Alice"},
        {"Identity": "CN=Bob", "SipAddress": "sip:bob@branch.example", "RegistrarPool": "sba1.corp.example",
         "ExternalAccessPolicy": None, "Enabled": True, "HostingProvider": "SRV:", "DisplayName": " Bob"},
        {"Identity": "CN=Carol", "SipAddress": "sip:carol@corp.example", "RegistrarPool": None,
         "ExternalAccessPolicy": None, "Enabled": False, "HostingProvider": "sipfed.online.lync.com",
         "DisplayName": "Carol"},
        {"Identity": "CN=Dave", "SipAddress": None, "RegistrarPool": None, "ExternalAccessPolicy": None,
         "Enabled": False, "HostingProvider": None, "DisplayName": "Dave"},
    ],
}  # fmt: skip
