"""Runs this project's Pulumi program, with the same provider plug-ins, where the `pulumi` command cannot be installed.

It serves Pulumi's own gRPC interfaces to the program and keeps its state as a Pulumi deployment, version 3.
It is not a second Pulumi: what it does not support, it refuses by name.
"""
