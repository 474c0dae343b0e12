"""Figures of PgBouncer for Prometheus: `pooler-exporter.py ADDRESS PORT CONSOLE-SOCKET-DIRECTORY CONSOLE-PORT`.

Debian 12's prometheus-pgbouncer-exporter (1.7) knows only columns that PgBouncer had before 1.8, and fails on every
scrape. The names here are those of prometheus-community's pgbouncer_exporter 0.11, so that its dashboards fit. The
console lets in the user that PgBouncer runs as, over its socket, without a password: this runs as that user.
"""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Command -> (prefix of the names, columns that become labels, column -> (name, divisor)).
# Source: PgBouncer documentation, "Admin console"; times there are microseconds.
TABLES = {
    "SHOW POOLS": ("pgbouncer_pools_", ("database", "user"), {
        "cl_active": ("client_active_connections", 1), "cl_waiting": ("client_waiting_connections", 1),
        "sv_active": ("server_active_connections", 1), "sv_idle": ("server_idle_connections", 1),
        "sv_used": ("server_used_connections", 1), "sv_tested": ("server_testing_connections", 1),
        "sv_login": ("server_login_connections", 1), "maxwait": ("client_maxwait_seconds", 1)}),
    "SHOW DATABASES": ("pgbouncer_databases_", ("name", "database"), {
        "pool_size": ("pool_size", 1), "reserve_pool": ("reserve_pool", 1), "reserve_pool_size": ("reserve_pool", 1),
        "current_connections": ("current_connections", 1), "max_connections": ("max_connections", 1),
        "paused": ("paused", 1), "disabled": ("disabled", 1)}),
    "SHOW STATS_TOTALS": ("pgbouncer_stats_", ("database",), {
        "xact_count": ("totals_sql_transactions_pooled_total", 1), "query_count": ("totals_queries_pooled_total", 1),
        "bytes_received": ("totals_received_bytes_total", 1), "bytes_sent": ("totals_sent_bytes_total", 1),
        "xact_time": ("totals_server_in_transaction_seconds_total", 1_000_000),
        "query_time": ("totals_queries_duration_seconds_total", 1_000_000),
        "wait_time": ("totals_client_wait_seconds_total", 1_000_000)}),
}
CONFIG = {"max_client_conn": "pgbouncer_config_max_client_connections",
          "default_pool_size": "pgbouncer_config_default_pool_size"}
LISTS = {"used_clients": "pgbouncer_used_clients", "free_clients": "pgbouncer_free_clients",
         "used_servers": "pgbouncer_used_servers", "databases": "pgbouncer_databases", "pools": "pgbouncer_pools"}


def ask(command: str) -> list[dict[str, str]]:
    """Rows of one command of the console."""
    said = subprocess.run(
        ["psql", "-XAqw", "-F", "\t", "-P", "footer=off", "-h", sys.argv[3], "-p", sys.argv[4], "-U", "pgbouncer",
         "-d", "pgbouncer", "-c", command], capture_output=True, text=True, timeout=5, check=True)
    head, *rows = [line.split("\t") for line in said.stdout.splitlines()]
    return [dict(zip(head, row)) for row in rows]


def line(name: str, value: float, /, **labels: str) -> str:
    """One sample in Prometheus's text format."""
    quoted = ",".join('%s="%s"' % (k, v.replace("\\", "\\\\").replace('"', '\\"')) for k, v in labels.items())
    return f"{name}{{{quoted}}} {value:g}" if quoted else f"{name} {value:g}"


def table(command: str) -> list[str]:
    """All samples of one command."""
    prefix, labels, columns = TABLES[command]
    out = []
    for row in ask(command):
        named = {label: row[label] for label in labels}
        for column, (name, divisor) in columns.items():
            if row.get(column, "") != "":
                out.append(line(prefix + name, float(row[column]) / divisor, **named))
    return out


def figures() -> str:
    """Everything; only `pgbouncer_up 0` while the console does not answer."""
    try:
        out = [sample for command in TABLES for sample in table(command)]
        config = {row["key"]: row["value"] for row in ask("SHOW CONFIG")}
        out += [line(name, float(config[key])) for key, name in CONFIG.items()]
        lists = {row["list"]: row["items"] for row in ask("SHOW LISTS")}
        out += [line(name, float(lists[key])) for key, name in LISTS.items()]
        return "\n".join(["pgbouncer_up 1", *out, ""])
    except (subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
        print(f"the console does not answer as it should: {error!r}", file=sys.stderr, flush=True)
        return "pgbouncer_up 0\n"


class Metrics(BaseHTTPRequestHandler):
    """GET /metrics."""

    def log_message(self, *_arguments: object) -> None:
        """A line a scrape would be all that the journal holds."""

    def do_GET(self) -> None:
        """Answers one scrape."""
        there = self.path == "/metrics"
        body = figures().encode() if there else b"/metrics\n"
        self.send_response(200 if there else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Metrics).serve_forever()
