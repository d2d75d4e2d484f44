"""The child process in which the Pulumi program runs, connected to this engine instead of the real one.

Started by `run.py` with a JSON document on standard input; ends with status 0 when everything is registered.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]
import pulumi
import pulumi.runtime
import pulumi.runtime.config
from pulumi.runtime.stack import run_in_stack

from standalone.engine import PARALLEL

# How the SDK words that an engine lacks a feature.
OLD_ENGINE = re.compile(r"The Pulumi CLI does not support (?:the )?(.+?)\. Please update")


def _without_aliases(packages: set[str]) -> pulumi.ResourceTransformation:
    """Drop the names under which older versions of a cloud's SDK knew a resource; not for `packages`, which run here.

    They find it in a state; a preview of a stack that was never applied has none, and working out some sixty per
    resource is most of such a preview's time.
    """

    def transformation(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.opts.aliases or args.type_.partition(":")[0] in packages:
            return None
        args.opts.aliases = []
        return pulumi.ResourceTransformationResult(args.props, args.opts)

    return transformation


async def _run(main: str, transformation: pulumi.ResourceTransformation | None) -> None:
    # The SDK keeps one thread per registration under way; the loop's own pool has six on two cores.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(PARALLEL))

    def program() -> None:
        if transformation is not None:
            pulumi.runtime.register_stack_transformation(transformation)
        runpy.run_path(main, run_name="__main__")

    await run_in_stack(program)


def main() -> int:
    """Configure the SDK from standard input, run the program; returns the exit status."""
    # A cloud's SDK is a hundred thousand objects that stay until the end; searching them for garbage again and again is
    # a quarter of what loading them takes.
    gc.disable()
    order = json.load(sys.stdin)
    sys.path.insert(0, order["directory"])
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=order["project"],
            stack=order["stack"],
            monitor=order["address"],
            engine=order["address"],
            parallel=PARALLEL,
            dry_run=order["preview"],
            root_directory=order["directory"],
            organization="organization",
        )
    )
    pulumi.runtime.config.set_all_config(order["config"], [])
    try:
        asyncio.run(_run(order["main"], _without_aliases(set(order["packages"])) if order["preview"] else None))
    except pulumi.RunError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except (Exception, SystemExit) as problem:
        # A refused registration was reported by the engine already; its traceback would only hide that.
        refused = OLD_ENGINE.search(str(problem))
        if refused is not None:
            # The SDK takes this engine for an old Pulumi; to update that would not help.
            print(
                f"error: not supported by the standalone engine: {refused[1]}; use the pulumi command for this program",
                file=sys.stderr,
            )
        elif not isinstance(problem, grpc.RpcError) and not _from_engine(problem):
            traceback.print_exc()
        return 1
    return 0


def _from_engine(problem: BaseException) -> bool:
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, grpc.RpcError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


if __name__ == "__main__":
    sys.exit(main())
