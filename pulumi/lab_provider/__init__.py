"""Makes lab hosts: bakes their images, boots them, wires them, writes their certificates and DNS records.

Started as a Pulumi provider plug-in by either engine; it never talks to anything outside the lab's own namespace.
"""
