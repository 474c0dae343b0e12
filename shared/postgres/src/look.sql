-- One look at a member, in one round trip. Whether it is in recovery is asked
-- once, and everything else follows from that answer: a promotion in between
-- changes no column. The branch not taken is not evaluated.
WITH look AS MATERIALIZED (
    SELECT pg_is_in_recovery() AS standby,
           pg_last_wal_receive_lsn() AS received,
           pg_last_wal_replay_lsn() AS replayed
), position AS (
    -- The WAL segment that holds the last byte received or replayed, as the
    -- last 16 digits of its file's name.
    SELECT upper(lpad(to_hex(segment / (4294967296 / size)), 8, '0')
              || lpad(to_hex(segment % (4294967296 / size)), 8, '0')) AS segment
      FROM look,
           LATERAL (SELECT pg_size_bytes(current_setting('wal_segment_size')) AS size) AS s,
           LATERAL (SELECT ((greatest(received, replayed) - '0/1'::pg_lsn)::bigint / size) AS segment) AS p
)
SELECT CASE
    -- Without this right the views below show rows of nulls, or none.
    WHEN NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN json_build_object('blind', current_user)
    WHEN standby THEN json_build_object('standby', json_build_object(
        'received', received,
        'replayed', replayed,
        'system_id', (SELECT system_identifier FROM pg_control_system()),
        'conninfo', current_setting('primary_conninfo'),
        'receiver', (SELECT json_build_object(
                'timeline', received_tli,
                'streaming', status = 'streaming',
                'silent_ms', greatest(0, extract(epoch FROM clock_timestamp() - last_msg_receipt_time) * 1000)::bigint,
                'conninfo', conninfo)
            FROM pg_stat_wal_receiver),
        -- The control file learns of a timeline with the next restart point,
        -- up to minutes late; the files of the log show it at once.
        'timeline', greatest(
            (SELECT timeline_id FROM pg_control_checkpoint()),
            (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
            (SELECT max(('x' || left(name, 8))::bit(32)::bigint)
               FROM pg_ls_waldir()
              WHERE name ~ '^[0-9A-F]{24}$' AND right(name, 16) = (SELECT segment FROM position))),
        'known_timeline', (SELECT coalesce(max(('x' || left(name, 8))::bit(32)::bigint), 1)
            FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{8}[.]history$')))
    ELSE json_build_object('writer', json_build_object(
        -- Not from the control file: it shows the old timeline until a checkpoint.
        'timeline', ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint,
        'lsn', pg_current_wal_lsn(),
        'system_id', (SELECT system_identifier FROM pg_control_system()),
        'synchronous_setting', current_setting('synchronous_standby_names'),
        'streams', (SELECT coalesce(json_agg(json_build_object(
                'name', application_name,
                'streaming', state = 'streaming',
                'flushed', flush_lsn) ORDER BY application_name), '[]')
            FROM pg_stat_replication),
        'slots', (SELECT coalesce(json_agg(slot_name ORDER BY slot_name), '[]')
            FROM pg_replication_slots
           -- A slot that lost its log serves no standby: it is as good as missing.
           WHERE slot_type = 'physical' AND NOT temporary AND wal_status IS DISTINCT FROM 'lost')))
    END::text
FROM look
