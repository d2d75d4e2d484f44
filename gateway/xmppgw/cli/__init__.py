"""The console script `xmppgw`: what people and pipelines type.

Thin: every verb calls the room that knows. Verbs that read documents work from a clone without a lab and without root.
"""

from xmppgw.cli.program import main

__all__ = ["main"]
