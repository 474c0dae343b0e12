"""Parameter groups, as far as a PostgreSQL that is not RDS's knows their parameters.

What only RDS and Aurora know (`rds.*`, `aurora_*`, `apg_*`) is read where it
means something here, and left out of the configuration else. Memory is capped:
eight servers share one machine.
"""

import functools
import re
import subprocess

from ministack.services import rds
from rds_volumes import AS_POSTGRES, BIN, LIBRARIES

# In PostgreSQL's pages of 8 KiB, as RDS counts them.
MOST_SHARED_BUFFERS = 8192
DEFAULT_SHARED_BUFFERS = 2048
# Not for anybody to set on RDS, or without meaning on hosts that share a machine, or the lab's own.
NOT_TAKEN = {
    "log_destination", "logging_collector", "log_directory", "log_filename", "log_file_mode", "log_rotation_age",
    "log_rotation_size", "huge_pages", "ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "port",
    "listen_addresses", "cluster_name", "archive_mode", "archive_command", "archive_library", "restore_command",
    "wal_level", "fsync",
    "full_page_writes", "data_sync_retry", "krb_server_keyfile", "synchronous_standby_names", "lc_messages",
    "max_stack_depth",
}
# What RDS has it at, and what the lab needs: a host that dies here loses no page that was written.
GIVEN = {
    "fsync": "off",
    "full_page_writes": "on",
    "wal_level": "replica",
    "hot_standby": "on",
    "wal_log_hints": "on",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "wal_keep_size": "512MB",
    "max_wal_size": "512MB",
    "max_connections": "200",
    "wal_receiver_timeout": "30s",
    "wal_sender_timeout": "30s",
    "wal_retrieve_retry_interval": "500ms",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%t:%r:%u@%d:[%p]:",
    "dynamic_shared_memory_type": "posix",
    "superuser_reserved_connections": "5",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "idle_in_transaction_session_timeout": "86400000",
}
# {DBInstanceClassMemory/32768} and the like: a value that RDS works out.
FORMULA = re.compile(r"[{}]")


@functools.cache
def known() -> frozenset[str]:
    """The parameters of this PostgreSQL."""
    # PostgreSQL does not run as root, not even to describe itself.
    said = subprocess.run([*AS_POSTGRES, str(BIN / "postgres"), "--describe-config"], capture_output=True, text=True,
                          check=True)
    return frozenset(line.split("\t")[0].lower() for line in said.stdout.splitlines())


def given(instance: dict, cluster: dict | None) -> dict[str, str]:
    """What the parameter groups of an instance say: its cluster's first, then its own."""
    groups = []
    if cluster:
        groups.append(rds._db_cluster_param_groups.get(cluster.get("DBClusterParameterGroup") or ""))
    for named in instance.get("DBParameterGroups") or []:
        groups.append(rds._param_groups.get(named["DBParameterGroupName"]))
    return {name.lower(): str(value["ParameterValue"])
            for group in groups if group for name, value in group["Parameters"].items()}


def configuration(said: dict[str, str]) -> dict[str, str]:
    """PostgreSQL's configuration for what the groups say."""
    taken = {name: value for name, value in said.items()
             if name not in NOT_TAKEN and (name in known() or _of_a_library(name)) and not FORMULA.search(value)}
    buffers = taken.get("shared_buffers", "")
    taken["shared_buffers"] = str(min(int(buffers), MOST_SHARED_BUFFERS) if buffers.isdigit()
                                  else DEFAULT_SHARED_BUFFERS)
    libraries = [name.strip() for name in said.get("shared_preload_libraries", "").split(",")]
    # Those that this PostgreSQL has no file of, such as pg_hint_plan, are RDS's.
    taken["shared_preload_libraries"] = ",".join(n for n in libraries if n and (LIBRARIES / f"{n}.so").exists())
    if said.get("rds.logical_replication") == "1":
        taken["wal_level"] = "logical"
    return {name: value.replace("'", "''") for name, value in {**GIVEN, **taken}.items()}


def forces_ssl(said: dict[str, str]) -> bool:
    """Whether only TLS is let in; RDS's own default from version 15 on."""
    return said.get("rds.force_ssl", "1") == "1"


def _of_a_library(name: str) -> bool:
    prefix, dot, _ = name.partition(".")
    return bool(dot) and prefix not in ("rds", "aurora") and (LIBRARIES / f"{prefix}.so").exists()

