-- One look at a server of RDS. As look.sql, without what RDS keeps to itself: files, and the address of its upstream,
-- which RDS's own API tells. The control file comes from a second question, which may be refused.
WITH look AS MATERIALIZED (
    SELECT pg_is_in_recovery() AS standby,
           pg_last_wal_receive_lsn() AS received,
           pg_last_wal_replay_lsn() AS replayed
)
SELECT CASE
    WHEN NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN json_build_object('blind', current_user)
    WHEN standby THEN json_build_object('standby', json_build_object(
        'received', received,
        'replayed', replayed,
        'system_id', 0,
        'conninfo', 'host=rds',
        'receiver', (SELECT json_build_object(
                'timeline', received_tli,
                'streaming', status = 'streaming',
                'silent_ms', greatest(0, extract(epoch FROM clock_timestamp() - last_msg_receipt_time) * 1000)::bigint,
                'conninfo', 'host=rds')
            -- Without a status it is a row that this role may not see.
            FROM pg_stat_wal_receiver WHERE received_tli IS NOT NULL AND last_msg_receipt_time IS NOT NULL),
        'timeline', 0,
        'known_timeline', 0))
    ELSE json_build_object('writer', json_build_object(
        'timeline', ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint,
        'lsn', pg_current_wal_lsn(),
        'system_id', 0,
        'synchronous_setting', current_setting('synchronous_standby_names'),
        'streams', (SELECT coalesce(json_agg(json_build_object(
                'name', application_name,
                'streaming', state = 'streaming',
                'flushed', flush_lsn) ORDER BY application_name), '[]')
            FROM pg_stat_replication),
        'slots', (SELECT coalesce(json_agg(slot_name ORDER BY slot_name), '[]')
            FROM pg_replication_slots
           WHERE slot_type = 'physical' AND NOT temporary AND wal_status IS DISTINCT FROM 'lost')))
    END::text
FROM look
