"""The platform runbook: what a Microsoft SIP platform's administrator runs and reads so that it works with our gateway.

PowerShell scripts and prose, rendered from a federation document. Called by `xmppgw runbook` and by the playbooks,
which hand over one wave of users or one route at a time. Renders only: it runs nothing and reaches no host.
"""
