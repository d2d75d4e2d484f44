"""A provider for `azure-native` that keeps resources on paper: files in `PAPER_CLOUD`, one for each. Only for tests.

It lets the real engine plan and apply the Azure stacks: identities and outputs follow from the inputs, a difference is
a difference of inputs, and what names a resource or its place means a new one. It checks nothing: whether Azure would
take a value, only Azure knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

here = Path(__file__).resolve().parent
sys.path = [str(here.parents[3] / "pulumi"), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]

from standalone.values import UNKNOWN, Properties, Value, contains_unknown, from_struct, to_struct  # noqa: E402

VERSION = "3.29.0"
SUBSCRIPTION = "33333333-3333-3333-3333-333333333333"
# Inputs that end in `Name` and are no part of a resource's path in Azure's interface.
NO_PATH = frozenset({"displayName", "groupShortName", "principalName"})
# Beyond its path, what Azure cannot change of a resource that stands.
PLACES = ("location", "resourceUri", "scope")
FIXED = {
    "compute:VirtualMachine": ("zones",),
    "dbforpostgresql:Server": ("availabilityZone", "network"),
    "network:PublicIPAddress": ("publicIPAddressVersion", "sku", "zones"),
    "authorization:RoleAssignment": ("principalId", "roleDefinitionId"),
}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleExamp"


class PaperCloud(provider_pb2_grpc.ResourceProviderServicer):
    """Resources by identity. A name in `PAPER_CLOUD/.dies` ends the process in the midst of that one's creation."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def GetPluginInfo(self, request, context):
        """Name the version that the program's SDK asks for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(self, request, context):
        """Take it."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):
        """Nothing of it matters here."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):
        """Previews are answered as Azure's provider does: what only Azure could tell stays unknown."""
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request, context):
        """Take every input."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, context):
        """Which inputs differ, and which of those mean a new resource."""
        old, new = from_struct(request.old_inputs), from_struct(request.news)
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        fixed = {*path_of(new), *PLACES, *FIXED.get(kind_of(request.urn), ())}
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        replaces = [key for key in changed if key in fixed]
        return provider_pb2.DiffResponse(changes=some if changed else none, diffs=changed, replaces=replaces)

    def Create(self, request, context):
        """Write the resource down."""
        inputs = from_struct(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_struct(plain(inputs)))
        if contains_unknown(inputs):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{request.urn} has a value that nobody knows")
        identity = identity_of(request.urn, inputs)
        if self._paper(identity).exists():
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{identity} exists already")
        outputs = self._write(identity, request.urn, inputs)
        dies = self._directory / ".dies"
        if dies.exists() and dies.read_text() == request.urn.rpartition("::")[2]:
            dies.unlink()
            os._exit(7)
        return provider_pb2.CreateResponse(id=identity, properties=to_struct(outputs))

    def Read(self, request, context):
        """What is written of it; an empty answer says that it is gone."""
        paper = self._paper(request.id)
        if not paper.exists():
            return provider_pb2.ReadResponse()
        found = json.loads(paper.read_text())
        inputs, outputs = to_struct(found["inputs"]), to_struct(found["outputs"])
        return provider_pb2.ReadResponse(id=request.id, inputs=inputs, properties=outputs)

    def Update(self, request, context):
        """Write it anew."""
        if request.preview:
            return provider_pb2.UpdateResponse(properties=to_struct(plain(from_struct(request.news))))
        outputs = self._write(request.id, request.urn, from_struct(request.news))
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request, context):
        """Tear the paper up."""
        self._paper(request.id).unlink()
        return empty_pb2.Empty()

    def Invoke(self, request, context):
        """The one question that the program asks: what the run command on a machine said."""
        said = {"instanceView": {"output": f"{HOST_KEY} {from_struct(request.args)['vmName']}\n"}}
        return provider_pb2.InvokeResponse(**{"return": to_struct(said)})

    def Cancel(self, request, context):
        """Nothing takes long here."""
        return empty_pb2.Empty()

    def _paper(self, identity: str) -> Path:
        return self._directory / f"{hashlib.sha256(identity.encode()).hexdigest()[:20]}.json"

    def _write(self, identity: str, urn: str, inputs: Properties) -> Properties:
        outputs = outputs_of(urn, inputs)
        paper = {"id": identity, "type": kind_of(urn), "inputs": inputs, "outputs": outputs}
        self._paper(identity).write_text(json.dumps(paper))
        return outputs


def kind_of(urn: str) -> str:
    """Return a resource's type without its parents' and the package's, such as `network:Subnet`."""
    return urn.split("::")[2].rpartition("$")[2].partition(":")[2]


def path_of(inputs: Properties) -> list[str]:
    """Return the inputs that Azure has in a resource's path."""
    return sorted(key for key in inputs if key.endswith("Name") and key not in NO_PATH)


def identity_of(urn: str, inputs: Properties) -> str:
    """Return an identity of the form that Azure's have; the same inputs always give the same."""
    group = inputs.get("resourceGroupName", "none")
    path = "/".join(str(inputs[key]) for key in [*path_of(inputs), *PLACES, "recordType"] if key in inputs)
    service, _, kind = kind_of(urn).partition(":")
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.{service}/{kind}/{path}"


def plain(inputs: Properties) -> Properties:
    """Return what Azure answers as it was asked. Lists and mappings come back in other shapes, some of them."""
    return {key: value for key, value in inputs.items() if isinstance(value, str | int | float | bool)}


def own_name(kind: str, inputs: Properties) -> Value:
    """Return what Azure calls `name` in its answer."""
    short = {"VirtualMachine": "vmName", "UserAssignedIdentity": "resourceName", "ScheduledQueryRule": "ruleName"}
    short |= {"VirtualMachineRunCommandByVirtualMachine": "runCommandName", "RecordSet": "relativeRecordSetName"}
    named = short.get(kind.partition(":")[2], f"{kind.partition(':')[2]}Name").lower()
    return next((value for key, value in inputs.items() if key.lower() == named), UNKNOWN)


def outputs_of(urn: str, inputs: Properties) -> Properties:
    """Return what Azure would tell of it: its plain inputs, its name, and what Azure chooses."""
    kind, digest = kind_of(urn), hashlib.sha256(identity_of(urn, inputs).encode()).hexdigest()
    principal = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    address = f"198.51.100.{int(digest[:2], 16)}" if inputs.get("publicIPAddressVersion") == "IPv4" else "2001:db8::1"
    identities: Properties = {f"/{principal}": {"principalId": principal}}
    chosen: dict[str, Properties] = {
        # Asked as a list of identities, answered as a mapping of what they are.
        "compute:VirtualMachine": {"identity": {"type": "UserAssigned", "userAssignedIdentities": identities}},
        "compute:DiskEncryptionSet": {"identity": {"type": "SystemAssigned", "principalId": principal}},
        "managedidentity:UserAssignedIdentity": {"principalId": principal, "clientId": principal},
        "network:PublicIPAddress": {"ipAddress": address},
        "keyvault:Key": {"keyUriWithVersion": f"https://paper.vault.azure.net/keys/{digest[:8]}/{digest[8:16]}"},
        "keyvault:Vault": {"properties": {"vaultUri": "https://paper.vault.azure.net/"}},
        "dns:Zone": {"nameServers": [f"ns{number}-01.azure-dns.com." for number in range(1, 5)]},
        "dbforpostgresql:Server": {"fullyQualifiedDomainName": "paper.postgres.database.azure.com"},
    }
    name = own_name(kind, inputs)
    return {**plain(inputs), **({} if name == UNKNOWN else {"name": name}), **chosen.get(kind, {})}


def main() -> None:
    """Print the port, serve until the engine ends this process."""
    server = grpc.server(ThreadPoolExecutor(16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(PaperCloud(Path(os.environ["PAPER_CLOUD"])), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    threading.Event().wait()


main()
