"""DNS provider `azure`: compare and swap by ETag, against a server that answers, fails, throttles and races."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import https_carrying
from ansible_collections.xmppgw.migration.plugins.plugin_utils import azure_rest, dns_messages, dns_providers
from ansible_collections.xmppgw.migration.plugins.plugin_utils.azure_tokens import TokenError, Tokens
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_azure import AzureDns
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_changes import Change, ChangeError

from .azure_cloud import CHALLENGES, GROUP, SUBSCRIPTION, Azure, World

NAME, RELATIVE = "_xmpp-server._tcp.corp.example", "_xmpp-server._tcp"
LEGACY = [{"priority": 10, "weight": 10, "port": 5269, "target": "legacy1.corp.example"}]
OURS = [{"priority": 10, "weight": 10, "port": 5269, "target": "edge1.corp.example"}]
BEFORE = {"ttl": 60, "records": ["10 10 5269 legacy1.corp.example."]}
AFTER = {"ttl": 60, "records": ["10 10 5269 edge1.corp.example."]}
CHANGE = Change("corp.example", NAME, BEFORE, AFTER, "")


def dns(**more):
    zones = SimpleNamespace(subscription=SUBSCRIPTION, resource_group=GROUP, challenge_resource_group=None)
    for name, value in more.items():
        setattr(zones, name, value)
    return SimpleNamespace(
        provider="azure", primary=None, authoritative=["203.0.113.53"], zones=["corp.example"], azure=zones
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    made = Azure(tmp_path_factory.mktemp("cloud"))
    yield made
    made.stop()


@pytest.fixture
def cloud(running, monkeypatch):
    for records in running.zones.values():
        records.clear()
    running.requests.clear()
    running.troubles.clear()
    running.refused_tokens.clear()
    running.before_write = None
    monkeypatch.setenv("AZURE_ACCESS_TOKEN", running.token())
    running.put(RELATIVE, 60, LEGACY, metadata={"managed-by": "migration"})
    return running


def provider(cloud, world=None):
    return dns_providers.provider_of(dns(), world or World(cloud))


def test_a_change_is_one_write_under_the_etag_that_was_read_and_is_read_back(cloud):
    etag = cloud.zones[GROUP, "corp.example"]["SRV", RELATIVE]["etag"]
    provider(cloud).change(CHANGE)
    assert cloud.record(RELATIVE) == {"TTL": 60, "SRVRecords": OURS, "metadata": {"managed-by": "migration"}}
    ((_method, _path, headers),) = cloud.writes()
    assert headers["If-Match"] == etag
    assert [method for method, _path, _headers in cloud.requests] == ["GET", "PUT", "GET"]


def test_what_stands_already_is_not_written_again(cloud):
    for _time in range(2):
        provider(cloud).change(CHANGE)
    assert len(cloud.writes()) == 1


def test_an_rrset_that_is_not_there_is_made_only_while_it_is_not_there(cloud):
    cloud.zones[GROUP, "corp.example"].clear()
    provider(cloud).change(Change("corp.example", NAME, None, AFTER, ""))
    assert cloud.record(RELATIVE)["SRVRecords"] == OURS
    assert cloud.writes()[0][2]["If-None-Match"] == "*"


def test_an_rrset_is_taken_away_under_its_etag(cloud):
    provider(cloud).change(Change("corp.example", NAME, BEFORE, None, ""))
    assert cloud.record(RELATIVE) is None
    assert "If-Match" in cloud.writes()[0][2]


def test_somebody_else_between_read_and_write_is_not_overwritten(cloud):
    cloud.before_write = lambda: cloud.put(RELATIVE, 300, LEGACY)
    with pytest.raises(ChangeError, match="TTL 60 became 300") as refused:
        provider(cloud).change(CHANGE)
    assert refused.value.code == "migration-write-conflict"
    assert cloud.record(RELATIVE)["TTL"] == 300


def test_somebody_else_who_makes_the_record_first_is_not_overwritten(cloud):
    cloud.zones[GROUP, "corp.example"].clear()
    cloud.before_write = lambda: cloud.put(RELATIVE, 300, LEGACY)
    with pytest.raises(ChangeError, match="TTL 300"):
        provider(cloud).change(Change("corp.example", NAME, None, AFTER, ""))


def test_when_only_the_etag_moved_the_write_is_made_again_on_what_was_read_anew(cloud):
    cloud.before_write = lambda: cloud.put(RELATIVE, 60, LEGACY, metadata={"touched": "by someone"})
    provider(cloud).change(CHANGE)
    assert cloud.record(RELATIVE) == {"TTL": 60, "SRVRecords": OURS, "metadata": {"touched": "by someone"}}
    assert len(cloud.writes()) == 2


def test_a_zone_that_says_something_else_than_its_servers_is_named_with_what_that_may_mean(cloud):
    cloud.put(RELATIVE, 60, [*LEGACY, *OURS])
    with pytest.raises(ChangeError, match="delegated elsewhere"):
        provider(cloud).change(CHANGE)
    assert cloud.writes() == []


def test_a_zone_that_is_not_there_says_what_to_do(cloud):
    with pytest.raises(ChangeError, match=r"ParentResourceNotFound\. Either dns\.azure names the wrong"):
        AzureDns(dns(resource_group="rg-other"), World(cloud)).change(CHANGE)
    assert cloud.writes() == []


def test_throttling_is_honoured_as_long_as_azure_asks(cloud):
    cloud.trouble((429, {"Retry-After": "7"}), None, (503, {"Retry-After": "2"}), (429, {}))
    world = World(cloud)
    provider(cloud, world).change(CHANGE)
    assert world.paused == [7.0, 2.0, 2.0], "named twice, doubled from one second where it is not"
    assert cloud.record(RELATIVE)["SRVRecords"] == OURS


def test_throttling_ends_within_its_bound_and_nothing_was_written(cloud):
    cloud.trouble((429, {"Retry-After": "100"}), (429, {"Retry-After": "100"}))
    world = World(cloud)
    with pytest.raises(ChangeError, match=r"100 s more after 100 s, and 180 s are allowed.*Nothing was written"):
        provider(cloud, world).change(CHANGE)
    assert sum(world.paused) <= azure_rest.PATIENCE
    assert cloud.writes() == []


def test_retry_after_may_be_a_date():
    now = datetime.datetime(2026, 11, 21, 12, 0, 0, tzinfo=datetime.UTC)
    assert azure_rest.retry_after("Sat, 21 Nov 2026 12:00:30 GMT", now) == pytest.approx(30.0)
    assert azure_rest.retry_after("Sat, 21 Nov 2026 11:00:00 GMT", now) == 0.0
    assert azure_rest.retry_after("soon", now) is None


@pytest.mark.parametrize("trouble", ["lost", (500, {})])
def test_a_write_without_an_answer_is_looked_up_not_assumed(cloud, trouble):
    cloud.trouble(None, trouble)
    provider(cloud).change(CHANGE)
    assert cloud.record(RELATIVE)["SRVRecords"] == OURS
    # Done and unanswered: seen, not repeated. Not done: made again.
    assert len(cloud.writes()) == (1 if trouble == "lost" else 2)


def test_a_lost_write_over_which_somebody_else_wrote_is_a_conflict(cloud):
    world = World(cloud)
    noted = world.pause
    world.pause = lambda seconds, reason: (noted(seconds, reason), cloud.put(RELATIVE, 5, LEGACY))
    cloud.trouble(None, "lost")
    with pytest.raises(ChangeError, match="TTL 60 became 5"):
        provider(cloud, world).change(CHANGE)


def test_a_server_that_never_answers_ends_after_a_few_attempts(cloud):
    cloud.trouble(*["lost"] * 20)
    with pytest.raises(ChangeError, match=r"not seen to change in 5 attempts.*Run again"):
        provider(cloud).change(CHANGE)


def test_an_identity_that_may_not_is_told_so(cloud):
    cloud.trouble((403, {}))
    with pytest.raises(ChangeError, match="refused this identity"):
        provider(cloud).change(CHANGE)


@pytest.mark.parametrize(
    "properties",
    [{"SRVRecords": LEGACY}, {"TTL": "x", "SRVRecords": []}, {"TTL": 60, "SRVRecords": [{"port": 1}]}],
)
def test_an_answer_that_cannot_be_read_is_refused_before_anything_is_written(cloud, properties):
    cloud.zones[GROUP, "corp.example"]["SRV", RELATIVE]["properties"] = properties
    with pytest.raises(ChangeError, match="cannot be read"):
        provider(cloud).change(CHANGE)
    assert cloud.writes() == []


def test_the_plan_says_how(cloud):
    assert "ETag" in provider(cloud).how(provider(cloud).dns)
    assert GROUP in provider(cloud).how(provider(cloud).dns)


# Challenges


def test_a_challenge_is_put_beside_somebody_elses_and_taken_out_alone(cloud):
    name = "_acme-challenge.edge1.corp.example"
    cloud.put("_acme-challenge.edge1", 60, [{"value": ["theirs"]}], kind="TXT")
    made = provider(cloud)
    made.texts({name: ["ours"]}, "add")
    assert cloud.record("_acme-challenge.edge1", "TXT")["TXTRecords"] == [{"value": ["theirs"]}, {"value": ["ours"]}]
    made.texts({name: ["ours"]}, "delete")
    assert cloud.record("_acme-challenge.edge1", "TXT")["TXTRecords"] == [{"value": ["theirs"]}]
    assert made.servers(name) == ["203.0.113.53"]


def test_two_orders_that_race_for_one_name_both_stand(cloud):
    name = "_acme-challenge.edge1.corp.example"
    cloud.before_write = lambda: cloud.put("_acme-challenge.edge1", 60, [{"value": ["theirs"]}], kind="TXT")
    provider(cloud).texts({name: ["ours"]}, "add")
    assert cloud.record("_acme-challenge.edge1", "TXT")["TXTRecords"] == [{"value": ["theirs"]}, {"value": ["ours"]}]


def test_a_challenge_that_is_delegated_goes_into_its_own_zone_and_is_read_from_that_zones_servers(cloud):
    name = "_acme-challenge.edge1.corp.example"
    made = AzureDns(dns(challenge_resource_group=CHALLENGES), World(cloud))
    made.texts({name: ["ours"]}, "add")
    assert cloud.record("@", "TXT", name, CHALLENGES)["TXTRecords"] == [{"value": ["ours"]}]
    assert made.servers(name) == ["203.0.113.53"]
    made.texts({name: ["ours"]}, "delete")
    assert cloud.record("@", "TXT", name, CHALLENGES) is None


def test_a_challenge_that_azure_refuses_is_a_dns_error(cloud):
    cloud.trouble((403, {}))
    with pytest.raises(dns_messages.DnsError, match="refused this identity"):
        provider(cloud).texts({"_acme-challenge.edge1.corp.example": ["ours"]}, "add")


# Who we are


def test_a_token_that_was_refused_is_fetched_anew_once(cloud, monkeypatch):
    monkeypatch.setattr(https_carrying, "METADATA", f"{cloud.address}/metadata/identity/")
    monkeypatch.setattr(
        "ansible_collections.xmppgw.migration.plugins.plugin_utils.azure_tokens.METADATA",
        f"{cloud.address}/metadata/identity/",
    )
    world = World(cloud, credential="managed_identity")
    made = provider(cloud, world)
    made.change(CHANGE)
    cloud.refused_tokens = set(cloud.tokens)
    made.change(Change("corp.example", NAME, AFTER, BEFORE, ""))
    assert cloud.record(RELATIVE)["SRVRecords"] == LEGACY
    asked = [path for _method, path, _headers in cloud.requests if path.startswith("/metadata")]
    assert len(asked) == 2


def test_a_token_of_the_environment_that_was_refused_is_not_tried_for_ever(cloud):
    cloud.refused_tokens = set(cloud.tokens)
    with pytest.raises(ChangeError, match="refused this identity"):
        provider(cloud).change(CHANGE)


def test_a_pipelines_token_is_exchanged(cloud, tmp_path):
    (tmp_path / "token").write_text("the pipeline's own\n")
    environment = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}
    environment["AZURE_FEDERATED_TOKEN_FILE"] = str(tmp_path / "token")
    world = World(cloud, credential="federated")
    assert Tokens(world.azure, world.carry_https, environment).get("management") in cloud.tokens
    ((_method, path, _headers),) = cloud.requests
    assert path == "/login/t/oauth2/v2.0/token"
    del environment["AZURE_FEDERATED_TOKEN_FILE"]
    assert Tokens(world.azure, world.carry_https, {**environment, "AZURE_ID_TOKEN": "the pipeline's own"}).get("vault")
    with pytest.raises(TokenError, match="AADSTS700213"):
        Tokens(world.azure, world.carry_https, {**environment, "AZURE_ID_TOKEN": "stolen"}).get("vault")


@pytest.mark.parametrize(
    ("credential", "environment", "said"),
    [
        ("environment", {}, "AZURE_ACCESS_TOKEN is not set"),
        ("federated", {"AZURE_ID_TOKEN": "x"}, "AZURE_TENANT_ID"),
        ("federated", {"AZURE_FEDERATED_TOKEN_FILE": "/nowhere"}, "No such file"),
        ("federated", {}, "needs the pipeline's OIDC token"),
    ],
)
def test_who_has_no_token_is_told_where_it_comes_from(cloud, credential, environment, said):
    world = World(cloud, credential=credential)
    with pytest.raises(TokenError, match=said):
        Tokens(world.azure, world.carry_https, environment).get("management")
    assert cloud.requests == []


def test_no_token_is_in_an_error(cloud):
    cloud.trouble((403, {}))
    with pytest.raises(ChangeError) as refused:
        provider(cloud).change(CHANGE)
    assert not [token for token in cloud.tokens if token in str(refused.value)]


def test_only_the_machines_own_identity_service_may_be_plain():
    assert "not https" in https_carrying.carry({"method": "GET", "url": "http://169.254.169.254/latest"})["error"]
