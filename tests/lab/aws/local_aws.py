"""The lab's local AWS: MiniStack, with its gaps filled in this process.

    python tests/lab/aws/local_aws.py

Takes its settings from the environment (see settings.py), says `ready` on
stdout once it answers, and runs until SIGTERM or SIGINT; then it kills every
member and function it started and removes its packet filter. Its mounts go
with the last of its processes.
"""

import fcntl
import os
import signal
import sys
from typing import NoReturn

import settings

settings.prepare()

from disks import disks  # noqa: E402

disks.open()

import asyncio  # noqa: E402  after `prepare`, which MiniStack's imports depend on

import hypercorn.asyncio  # noqa: E402
from hypercorn.config import Config  # noqa: E402

import alarms  # noqa: E402
import balancers  # noqa: E402
import call_faults  # noqa: E402
import cloudformation_balancers  # noqa: E402
import cloudformation_buckets  # noqa: E402
import cloudformation_guards  # noqa: E402
import cloudformation_known  # noqa: E402
import cloudformation_network  # noqa: E402
import cloudformation_rds  # noqa: E402
import cloudformation_refs  # noqa: E402
import cloudformation_types  # noqa: E402
import commands  # noqa: E402
import functions  # noqa: E402
import images  # noqa: E402
import imds  # noqa: E402
import instances  # noqa: E402
import members  # noqa: E402
import network_acls  # noqa: E402
import network_interfaces  # noqa: E402
import permissions  # noqa: E402
import rds_authority  # noqa: E402
import rds_clusters  # noqa: E402
import rds_dns  # noqa: E402
import rds_global  # noqa: E402
import rds_instances  # noqa: E402
import rds_metrics  # noqa: E402
import rds_permissions  # noqa: E402
import rds_replicas  # noqa: E402
import rds_shown  # noqa: E402
import rds_volumes  # noqa: E402
import rds_watch  # noqa: E402
import regions  # noqa: E402
import stacks  # noqa: E402
import templates  # noqa: E402
from packets import packets  # noqa: E402

PATCHES = (network_interfaces, instances, functions, alarms, stacks, cloudformation_types, cloudformation_network,
           cloudformation_buckets, cloudformation_balancers, cloudformation_rds, cloudformation_guards,
           cloudformation_refs, cloudformation_known, permissions, images, commands, templates, balancers, call_faults,
           network_acls, rds_authority, rds_volumes, rds_instances, rds_replicas, rds_clusters, rds_global, rds_shown,
           rds_permissions, rds_watch, rds_metrics, rds_dns, regions)
DRAIN_SECONDS = 1.0


def main() -> NoReturn:
    """Runs until told to stop."""
    lock = (settings.LAB_DIR / "local-aws.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another local AWS runs in {settings.LAB_DIR}")
    # The ports come first: who has them is the one whose leftovers these are.
    try:
        control, gateway = imds.bind(), _bind_gateway()
    except OSError as taken:
        sys.exit(f"port {settings.CONTROL_PORT} or {settings.GATEWAY_PORT}: {taken}")
    members.clear_leftovers()
    packets.open()
    for patch in PATCHES:
        patch.install()
    try:
        imds.serve(control)
        asyncio.run(_serve(gateway))
    finally:
        _power_off()
        packets.close()
    # Idle worker threads of MiniStack would keep the process alive.
    sys.stdout.flush()
    os._exit(0)


def _bind_gateway() -> Config:
    """Takes the gateway's port; who connects before it serves waits instead of being refused."""
    config = Config()
    config.bind = [f"{settings.ADDRESS}:{settings.GATEWAY_PORT}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = DRAIN_SECONDS
    config.loglevel = os.environ.get("LOG_LEVEL", "INFO")
    sockets = config.create_sockets()
    for listening in sockets.insecure_sockets:
        listening.listen(config.backlog)
    config.create_sockets = lambda: sockets
    return config


def _power_off() -> None:
    """Kills everything that runs here. RDS's hosts first: they start again what dies."""
    rds_watch.power_off_all()
    members.power_off_all()


async def _serve(gateway: Config) -> None:
    """Serves the gateway until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"ready: gateway {settings.GATEWAY_URL}, control {settings.CONTROL_URL}, "
          f"packets {'can' if packets.can_drop else 'cannot'} be dropped", flush=True)

    async def told_to_stop() -> None:
        await stop.wait()
        # A call in progress is waited for, and one that waits for a function
        # would wait as long as that runs.
        await asyncio.to_thread(_power_off)

    await hypercorn.asyncio.serve(call_faults.app, gateway, shutdown_trigger=told_to_stop)


if __name__ == "__main__":
    main()
