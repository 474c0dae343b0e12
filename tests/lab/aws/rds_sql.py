"""What RDS and Aurora put into a new database cluster: roles, and Aurora's functions.

The master user is no superuser: it has rds_superuser, whose rights are those
that the RDS User Guide lists, as far as PostgreSQL itself can grant them.
"""

from rds_volumes import REPLICATION, REPLICATION_PASSWORD

ROLES = """
CREATE ROLE rds_superuser NOLOGIN;
CREATE ROLE rds_iam NOLOGIN;
CREATE ROLE rds_password NOLOGIN;
CREATE ROLE rds_replication NOLOGIN;
CREATE ROLE {replication} LOGIN REPLICATION PASSWORD '{replication_password}';
GRANT pg_monitor, pg_signal_backend, pg_checkpoint, rds_replication, rds_password TO rds_superuser WITH ADMIN OPTION;
GRANT SET ON PARAMETER session_replication_role, log_min_duration_statement, log_statement, log_min_messages,
    deadlock_timeout, track_functions TO rds_superuser;
CREATE ROLE "{master}" LOGIN CREATEDB CREATEROLE PASSWORD '{password}' VALID UNTIL 'infinity';
GRANT rds_superuser TO "{master}" WITH ADMIN OPTION;
ALTER DATABASE postgres OWNER TO "{master}";
ALTER DATABASE template1 OWNER TO "{master}";
"""
# RDS lets rds_superuser create these, which PostgreSQL does not: they are there from the beginning.
EXTENSIONS = ("pg_stat_statements", "pgstattuple", "amcheck", "pg_buffercache", "pageinspect", "pg_visibility")
# On a reader, other readers are not shown: a standby of PostgreSQL knows nothing of its siblings.
AURORA = """
CREATE FUNCTION pg_catalog.aurora_version() RETURNS text LANGUAGE sql STABLE AS $$ SELECT '{version}' $$;
CREATE FUNCTION pg_catalog.aurora_db_instance_identifier() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT current_setting('cluster_name') $$;
CREATE FUNCTION pg_catalog.aurora_replica_status() RETURNS TABLE (
    server_id text, session_id text, durable_lsn bigint, highest_lsn_rcvd bigint, current_read_lsn bigint,
    cur_replay_latency_in_usec bigint, active_txns integer, is_current boolean, last_transport_error integer,
    last_error_timestamp timestamptz, last_update_timestamp timestamptz, feedback_xmin xid, feedback_epoch integer,
    replica_lag_in_msec integer, log_stream_speed_in_kib_per_second double precision,
    log_buffer_sequence_number bigint, oldest_read_view_trx_id xid, oldest_read_view_lsn bigint,
    pending_read_ios integer, read_ios integer, iops integer, cpu double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    own text := current_setting('cluster_name');
    written bigint;
BEGIN
    IF NOT pg_is_in_recovery() THEN
        written := pg_current_wal_flush_lsn() - '0/0'::pg_lsn;
        RETURN QUERY SELECT own, 'MASTER_SESSION_ID', written, NULL::bigint, NULL::bigint, NULL::bigint, 0, true, 0,
            NULL::timestamptz, NULL::timestamptz, NULL::xid, NULL::integer, NULL::integer, 0::double precision,
            0::bigint, NULL::xid, NULL::bigint, 0, 0, 0, 0::double precision;
        RETURN QUERY SELECT r.application_name, md5(r.application_name)::uuid::text,
            (r.replay_lsn - '0/0'::pg_lsn)::bigint, (r.flush_lsn - '0/0'::pg_lsn)::bigint,
            (r.replay_lsn - '0/0'::pg_lsn)::bigint, coalesce(extract(epoch FROM r.replay_lag) * 1000000, 0)::bigint,
            0, true, 0, NULL::timestamptz, r.reply_time, r.backend_xmin, 0,
            coalesce(extract(epoch FROM r.replay_lag) * 1000, 0)::integer, 0::double precision,
            0::bigint, NULL::xid, (r.replay_lsn - '0/0'::pg_lsn)::bigint, 0, 0, 0, 0::double precision
            FROM pg_stat_replication r WHERE r.state = 'streaming' AND r.replay_lsn IS NOT NULL
                AND r.application_name NOT LIKE '%/%';
    ELSE
        RETURN QUERY SELECT coalesce(l.writer, ''), 'MASTER_SESSION_ID', (w.latest_end_lsn - '0/0'::pg_lsn)::bigint,
            NULL::bigint, NULL::bigint, NULL::bigint, 0, true, 0, NULL::timestamptz, w.latest_end_time, NULL::xid,
            NULL::integer, NULL::integer, 0::double precision, 0::bigint, NULL::xid, NULL::bigint, 0, 0, 0,
            0::double precision
            FROM pg_stat_wal_receiver w, LATERAL (SELECT nullif(current_setting('lab.writer', true), '') AS writer) l
            WHERE w.latest_end_lsn IS NOT NULL;
        RETURN QUERY SELECT own, md5(own)::uuid::text, (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint,
            (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::bigint, (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint,
            0::bigint, 0, true, 0, NULL::timestamptz, NULL::timestamptz, NULL::xid, 0,
            CASE WHEN pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() THEN 0
                ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()) * 1000, 0)::integer END,
            0::double precision, 0::bigint, NULL::xid, (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, 0, 0, 0,
            0::double precision;
    END IF;
END $$;
"""


def extensions() -> str:
    """What a database begins with."""
    return "".join(f"CREATE EXTENSION IF NOT EXISTS {name};\n" for name in EXTENSIONS)


def roles(master: str, password: str) -> str:
    """The roles of a new database cluster."""
    return ROLES.format(replication=REPLICATION, replication_password=REPLICATION_PASSWORD,
                        master=master.replace('"', '""'), password=quoted(password))


def aurora(version: str) -> str:
    """Aurora's own functions."""
    return AURORA.replace("{version}", quoted(version))


def database(name: str, owner: str) -> str:
    """The database that an instance or a cluster is made with."""
    return f'CREATE DATABASE "{name}" OWNER "{owner}";\n'


def password(master: str, value: str) -> str:
    """A new password of the master user."""
    return f"""ALTER ROLE "{master}" PASSWORD '{quoted(value)}';\n"""


def quoted(text: str) -> str:
    """Within single quotes."""
    return text.replace("'", "''")
