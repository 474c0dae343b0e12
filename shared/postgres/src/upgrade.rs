//! What a server says of itself before another version, or a copy, takes its place.

use crate::{
    session::{Connector, Session, Target},
    trouble::Trouble,
};
use domain::blue_green::Server;
use reconcile::Failure;
use std::time::Duration;

/// Whether the server decodes its log for others. `wal_level` says the same where AWS's own parameter is unknown.
const LOGICAL: &str = "SELECT coalesce(nullif(current_setting('rds.logical_replication', true), ''), '') IN ('on', '1')
    OR current_setting('wal_level') = 'logical'";

/// Slots of others than AWS's own: a green side has one for each database.
const SLOTS: &str = "SELECT slot_name::text FROM pg_replication_slots
    WHERE slot_type = 'logical' AND NOT temporary AND slot_name NOT LIKE 'rds%' ORDER BY 1";

const EXTENSIONS: &str = "SELECT extname::text, extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1";

/// Counts, each as text: prepared transactions, tables without a key, columns of types that carry object ids which
/// `pg_upgrade` does not keep, large objects.
///
/// Source: PostgreSQL manual, "pg_upgrade", notes on `reg*` types; "Logical Replication", restrictions.
const COUNTS: &str = "SELECT
    (SELECT count(*) FROM pg_prepared_xacts)::text,
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS
            (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)))::text,
    (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm', 'p') AND a.attnum > 0 AND NOT a.attisdropped
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND a.atttypid IN ('regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype,
            'regoper'::regtype, 'regoperator'::regtype, 'regproc'::regtype, 'regprocedure'::regtype))::text,
    (SELECT count(*) FROM pg_largeobject_metadata)::text";

/// How far the slowest of those that follow is behind, bytes; null when nobody follows.
const BEHIND: &str = "SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), seen))::bigint::text FROM (
    SELECT confirmed_flush_lsn AS seen FROM pg_replication_slots WHERE slot_type = 'logical'
    UNION ALL SELECT replay_lsn FROM pg_stat_replication) AS followers WHERE seen IS NOT NULL";

impl Connector {
    /// Whether the server's log can be decoded, and what stands against a major upgrade of one database.
    ///
    /// # Errors
    ///
    /// [`Failure`] of asking.
    pub async fn before_upgrade(
        &self,
        target: &Target,
        database: &str,
        timeout: Duration,
    ) -> Result<(bool, Server), Failure> {
        let target = target.of_database(database);
        let asked = self.session(&target, timeout, async |session: &Session| {
            let logical = session.holds("logical replication", LOGICAL, &[]).await?;
            let mut server = Server::default();
            for row in session.rows("the extensions", EXTENSIONS, &[]).await? {
                server.extensions.push((row.try_get(0)?, row.try_get(1)?));
            }
            for row in session.rows("the logical slots", SLOTS, &[]).await? {
                server.logical_slots.push(row.try_get(0)?);
            }
            let rows = session.rows("what stands against an upgrade", COUNTS, &[]).await?;
            let row = rows.first().ok_or_else(|| Trouble::Odd("no row of counts".to_owned()))?;
            let count = |at: usize| -> Result<u64, Trouble> {
                let text: String = row.try_get(at)?;
                text.parse().map_err(|_| Trouble::Odd(format!("{text} is no count")))
            };
            server.prepared_transactions = count(0)?;
            server.tables_without_key = count(1)?;
            server.reg_columns = count(2)?;
            server.large_objects = count(3)?;
            Ok((logical, server))
        });
        asked.await.map_err(|trouble| trouble.failure("postgres:before-upgrade", &target))
    }

    /// How far the slowest follower of a writer is behind, bytes; `None` when nobody follows.
    ///
    /// # Errors
    ///
    /// [`Failure`] of asking.
    pub async fn slowest_follower(&self, target: &Target, timeout: Duration) -> Result<Option<u64>, Failure> {
        let asked = self.session(target, timeout, async |session: &Session| {
            session.text("how far followers are behind", BEHIND, &[]).await
        });
        let bytes = asked.await.map_err(|trouble| trouble.failure("postgres:lags", target))?;
        // A follower that has just read more than was asked about is behind by nothing.
        Ok(bytes.and_then(|bytes| bytes.parse::<i64>().ok()).map(|bytes| bytes.max(0).unsigned_abs()))
    }
}
