"""Component: Log Analytics, and alerts on daemon health, certificate expiry and the age of what waits.

Each host writes one JSON line a minute to `HEALTH_FILE` (role `monitoring`); Azure's agent carries the lines into one
table, and each alert is one query over it. A host that writes nothing is an alert too: silence is not health.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi import Input, ResourceOptions
from pulumi_azure_native import compute, monitor, operationalinsights

from xmpp_infra.azure.config import AzureConfig
from xmpp_infra.azure.hosts import AzureHost
from xmpp_infra.azure.naming import Naming

HEALTH_FILE: Final = "/var/log/xmppgw/health.jsonl"
TABLE: Final = "XmppgwHealth_CL"
STREAM: Final = f"Custom-{TABLE}"
COLUMNS: Final = {
    "TimeGenerated": "datetime",
    "host": "string",
    "daemon": "string",
    "ready": "boolean",
    "reason": "string",
    "certificate_days": "real",
    "queue_age_seconds": "real",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """What is asked of the table every five minutes; any row that comes back is an alert, one per host and daemon."""

    name: str
    title: str
    severity: int
    """0 critical to 4 verbose"""
    query: str
    window: str = "PT10M"


ALERTS: Final = (
    Alert(
        "daemon-not-ready", "A gateway daemon is not ready", 1,
        f"{TABLE} | summarize arg_max(TimeGenerated, *) by host, daemon | where not(ready) "
        "| project host, daemon, reason",
    ),
    Alert(
        "host-silent", "A gateway host has said nothing for ten minutes", 1,
        f"{TABLE} | where TimeGenerated > ago(1d) | summarize last = max(TimeGenerated) by host, daemon "
        "| where last < ago(10m) | project host, daemon, last",
        window="P1D",
    ),
    Alert(
        "certificate-expires", "A certificate expires within 21 days", 2,
        f"{TABLE} | summarize arg_max(TimeGenerated, *) by host, daemon | where certificate_days < 21 "
        "| project host, daemon, certificate_days",
    ),
    Alert(
        "queue-old", "Messages have been waiting for more than five minutes", 2,
        f"{TABLE} | summarize arg_max(TimeGenerated, *) by host, daemon | where queue_age_seconds > 300 "
        "| project host, daemon, queue_age_seconds",
    ),
)  # fmt: skip


class AzureMonitoring(pulumi.ComponentResource):
    """Workspace, table, collection rule, the agent on every host, whom to tell, and what about."""

    def __init__(
        self,
        name: str,
        config: AzureConfig,
        *,
        hosts: Mapping[str, AzureHost],
        naming: Naming,
        group: Input[str],
        tags: dict[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:azure:Monitoring", name, None, opts)
        self._child = ResourceOptions(parent=self)
        self._config, self._naming, self._group, self._tags = config, naming, group, tags
        self.workspace = operationalinsights.Workspace(
            "logs",
            workspace_name=naming.of("log"),
            resource_group_name=group,
            location=config.location,
            sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
            retention_in_days=config.monitoring.retention_days,
            tags=tags,
            opts=self._child,
        )
        rule, endpoint = self._collection()
        for host, made in sorted(hosts.items()):
            self._collect(host, made, rule, endpoint)
        self._alerts()
        self.register_outputs({"workspace": self.workspace.id})

    def _collection(self) -> tuple[monitor.DataCollectionRule, monitor.DataCollectionEndpoint]:
        table = operationalinsights.Table(
            "health",
            table_name=TABLE,
            workspace_name=self.workspace.name,
            resource_group_name=self._group,
            plan="Analytics",
            schema=operationalinsights.SchemaArgs(
                name=TABLE,
                columns=[operationalinsights.ColumnArgs(name=name, type=kind) for name, kind in COLUMNS.items()],
            ),
            opts=self._child,
        )
        endpoint = monitor.DataCollectionEndpoint(
            "health",
            data_collection_endpoint_name=self._naming.of("dce"),
            resource_group_name=self._group,
            location=self._config.location,
            kind="Linux",
            tags=self._tags,
            opts=self._child,
        )
        rule = monitor.DataCollectionRule(
            "health",
            data_collection_rule_name=self._naming.of("dcr"),
            resource_group_name=self._group,
            location=self._config.location,
            kind="Linux",
            data_collection_endpoint_id=endpoint.id,
            stream_declarations={
                STREAM: monitor.StreamDeclarationArgs(
                    columns=[monitor.ColumnDefinitionArgs(name=name, type=kind) for name, kind in COLUMNS.items()]
                )
            },
            data_sources=monitor.DataCollectionRuleDataSourcesArgs(
                log_files=[
                    monitor.LogFilesDataSourceArgs(
                        name="health", format="json", file_patterns=[HEALTH_FILE], streams=[STREAM]
                    )
                ]
            ),
            destinations=monitor.DataCollectionRuleDestinationsArgs(
                log_analytics=[
                    monitor.LogAnalyticsDestinationArgs(name="logs", workspace_resource_id=self.workspace.id)
                ]
            ),
            data_flows=[
                monitor.DataFlowArgs(
                    streams=[STREAM], destinations=["logs"], output_stream=STREAM, transform_kql="source"
                )
            ],
            tags=self._tags,
            opts=ResourceOptions(parent=self, depends_on=[table]),
        )
        return rule, endpoint

    def _collect(
        self, host: str, made: AzureHost, rule: monitor.DataCollectionRule, endpoint: monitor.DataCollectionEndpoint
    ) -> None:
        agent = compute.VirtualMachineExtension(
            f"{host}-agent",
            vm_extension_name="AzureMonitorLinuxAgent",
            vm_name=made.machine.name,
            resource_group_name=self._group,
            location=self._config.location,
            publisher="Microsoft.Azure.Monitor",
            type="AzureMonitorLinuxAgent",
            type_handler_version="1.33",
            auto_upgrade_minor_version=True,
            enable_automatic_upgrade=True,
            settings={
                "authentication": {
                    "managedIdentity": {"identifier-name": "mi_res_id", "identifier-value": made.identity.id}
                }
            },
            tags=self._tags,
            opts=self._child,
        )
        monitor.DataCollectionRuleAssociation(
            f"{host}-health",
            association_name="health",
            data_collection_rule_id=rule.id,
            resource_uri=made.machine.id,
            opts=ResourceOptions(parent=self, depends_on=[agent]),
        )
        monitor.DataCollectionRuleAssociation(
            f"{host}-endpoint",
            association_name="configurationAccessEndpoint",
            data_collection_endpoint_id=endpoint.id,
            resource_uri=made.machine.id,
            opts=ResourceOptions(parent=self, depends_on=[agent]),
        )

    def _alerts(self) -> None:
        receivers = monitor.ActionGroup(
            "operators",
            action_group_name=self._naming.of("ag"),
            resource_group_name=self._group,
            location="global",
            enabled=True,
            group_short_name=self._config.workload[:12],
            email_receivers=[
                {"name": address.partition("@")[0][:30], "email_address": address, "use_common_alert_schema": True}
                for address in self._config.monitoring.alert_emails
            ],
            tags=self._tags,
            opts=self._child,
        )
        for alert in ALERTS:
            monitor.ScheduledQueryRule(
                alert.name,
                rule_name=self._naming.of("alert", alert.name),
                resource_group_name=self._group,
                location=self._config.location,
                display_name=alert.title,
                description=alert.title,
                severity=alert.severity,
                enabled=True,
                auto_mitigate=True,
                evaluation_frequency="PT5M",
                window_size=alert.window,
                scopes=[self.workspace.id],
                # The table gets its first row when Ansible has been there.
                skip_query_validation=True,
                criteria=monitor.ScheduledQueryRuleCriteriaArgs(
                    all_of=[
                        monitor.ConditionArgs(
                            query=alert.query,
                            time_aggregation="Count",
                            operator="GreaterThan",
                            threshold=0,
                            dimensions=[
                                monitor.DimensionArgs(name=name, operator="Include", values=["*"])
                                for name in ("host", "daemon")
                            ],
                            failing_periods=monitor.ConditionFailingPeriodsArgs(
                                min_failing_periods_to_alert=1, number_of_evaluation_periods=1
                            ),
                        )
                    ]
                ),
                actions=monitor.ActionsArgs(action_groups=[receivers.id]),
                tags=self._tags,
                opts=self._child,
            )
