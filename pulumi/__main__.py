"""The one Pulumi program: reads the stack's configuration once, builds its platform, exports one object.

Runs under the real engine (`pulumi up`) and under `python -m standalone up`; stack `lab` is real hosts on this machine.
"""

import pulumi

from xmpp_infra.config import stack_config
from xmpp_infra.lab.stack import LabStack

config = stack_config(pulumi.Config(), pulumi.get_stack(), pulumi.runtime.get_root_directory())
stack = LabStack("lab", config)
pulumi.export("environment", stack.environment)
