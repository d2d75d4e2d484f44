"""The one Pulumi program: reads the stack's configuration once, builds its platform, exports one object.

Runs under the real engine (`pulumi up`) and under `python -m standalone`. Stack `lab` is real hosts on this machine;
`azure-*` are an organisation's.
"""

import pulumi

from xmpp_infra.config import platform_of, stack_config

source, stack, directory = pulumi.Config(), pulumi.get_stack(), pulumi.runtime.get_root_directory()
# A platform's components are imported where they are used: the lab needs no cloud's SDK (hundreds of megabytes).
if platform_of(source, stack) == "azure":
    from xmpp_infra.azure.delegation import name_servers
    from xmpp_infra.azure.reading import azure_config
    from xmpp_infra.azure.stack import AzureStack

    ask = None if pulumi.runtime.is_dry_run() else name_servers
    environment = AzureStack("azure", stack, *azure_config(source, stack, directory, ask)).environment
else:
    from xmpp_infra.lab.stack import LabStack

    environment = LabStack("lab", stack_config(source, stack, directory)).environment
pulumi.export("environment", environment)
