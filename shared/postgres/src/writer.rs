//! What is done to a member out of recovery.

use crate::{
    session::{Connector, Session, Target},
    trouble::Trouble,
};
use domain::failover::PromotedSeen;
use reconcile::Failure;
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// The name of the current WAL file tells the timeline at once; the control
/// file only after the next checkpoint. The last replayed position stays known
/// after recovery: it is where the new timeline forked off.
const PROMOTED: &str = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8),
    coalesce(pg_last_wal_replay_lsn(), pg_current_wal_lsn())::text";

/// Commits wait for nobody here: the standbys are not repointed yet, and a wait
/// for them is not ended by `statement_timeout`.
pub(crate) const PROOF: &str = "INSERT INTO understudy.epochs (epoch, writer) VALUES ($1::bigint, $2)
    ON CONFLICT (epoch) DO UPDATE SET writer = excluded.writer, written_at = now()";

/// A slot that lost its WAL (`max_slot_wal_keep_size`) serves no standby ever
/// again, and hides that a usable one is missing.
const DROP_LOST_SLOT: &str = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE slot_name = $1 AND slot_type = 'physical' AND NOT active AND wal_status = 'lost'";

/// Reserves WAL at once: a standby may need what is written before it connects.
const CREATE_SLOT: &str = "SELECT pg_create_physical_replication_slot($1, true)
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND slot_type = 'physical')";

const DROP_SLOT: &str = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE slot_name = $1 AND slot_type = 'physical'";

impl Connector {
    /// Proves that a member accepts writes: it is out of recovery and commits a
    /// row that says who writes in this epoch. The row is on its own disk, and
    /// on a standby's only later.
    ///
    /// # Errors
    ///
    /// [`Failure::LostRace`] when the member is in recovery; [`Failure::Broken`]
    /// when the table `understudy.epochs` is missing or may not be written.
    pub async fn prove(
        &self,
        target: &Target,
        epoch: u64,
        writer: &str,
        timeout: Duration,
    ) -> Result<PromotedSeen, Failure> {
        self.session(target, timeout, async |session: &Session| {
            session.must_be_writer().await?;
            session.run("a transaction", "BEGIN; SET LOCAL synchronous_commit = local").await?;
            session.rows("a write", PROOF, &[&epoch.to_string(), writer]).await?;
            session.run("a commit", "COMMIT").await?;
            session.promoted().await
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:prove", target))
    }

    /// Makes sure that these physical slots exist and can serve a standby.
    ///
    /// # Errors
    ///
    /// The first slot that failed; the ones before it exist.
    pub async fn prepare_slots(&self, target: &Target, names: &[String], timeout: Duration) -> Result<(), Failure> {
        self.session(target, timeout, async |session: &Session| {
            for name in names {
                session.rows("a lost slot to go", DROP_LOST_SLOT, &[name]).await?;
                match session.rows("a slot", CREATE_SLOT, &[name]).await {
                    // Made by someone else in between: then nothing is left to do. If it is a logical
                    // slot that has the name, this fails again.
                    Err(Trouble::Sql { code, .. }) if code == SqlState::DUPLICATE_OBJECT => {
                        session.rows("a slot", CREATE_SLOT, &[name]).await?;
                    }
                    other => drop(other?),
                }
            }
            Ok(())
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:prepare-slots", target))
    }

    /// Makes sure that these physical slots do not exist.
    ///
    /// # Errors
    ///
    /// The first that failed, after all have been tried: one that is in use is
    /// [`Failure::Transient`].
    pub async fn drop_slots(&self, target: &Target, names: &[String], timeout: Duration) -> Result<(), Failure> {
        self.session(target, timeout, async |session: &Session| {
            let mut outcome = Ok(());
            for name in names {
                let dropped = session.rows("a slot to go", DROP_SLOT, &[name]).await.map(drop);
                outcome = outcome.and(dropped);
            }
            outcome
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:drop-slots", target))
    }

    /// Makes a checkpoint, so that the one of a shutdown that follows has little
    /// left to write.
    ///
    /// # Errors
    ///
    /// [`Failure::Transient`] when it takes longer than `timeout`: PostgreSQL
    /// goes on with it.
    pub async fn checkpoint(&self, target: &Target, timeout: Duration) -> Result<(), Failure> {
        self.session(target, timeout, async |session: &Session| session.run("a checkpoint", "CHECKPOINT").await)
            .await
            .map_err(|trouble| trouble.failure("postgres:checkpoint", target))
    }

    /// Sets `synchronous_standby_names` and returns when sessions read it.
    ///
    /// # Errors
    ///
    /// [`Failure::Broken`] when the setting is malformed or not allowed.
    pub async fn set_synchronous(&self, target: &Target, setting: &str, timeout: Duration) -> Result<(), Failure> {
        self.session(target, timeout, async |session: &Session| {
            session.alter_system("synchronous_standby_names", setting).await?;
            session.reload().await?;
            let shown = "SELECT current_setting('synchronous_standby_names') = $1";
            session.until("the new setting to be read", shown, &[setting], 1).await
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:set-synchronous", target))
    }
}

impl Session {
    async fn must_be_writer(&self) -> Result<(), Trouble> {
        if self.holds("the role", "SELECT NOT pg_is_in_recovery()", &[]).await? {
            return Ok(());
        }
        Err(Trouble::Role("it is in recovery".to_owned()))
    }

    /// The timeline of a member out of recovery.
    pub(crate) async fn promoted(&self) -> Result<PromotedSeen, Trouble> {
        let odd = || Trouble::Odd("an answer about the timeline of an unknown shape".to_owned());
        let rows = self.rows("the timeline", PROMOTED, &[]).await?;
        let row = rows.first().ok_or_else(odd)?;
        let (timeline, lsn): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(PromotedSeen {
            timeline: u32::from_str_radix(&timeline, 16).map_err(|_| odd())?,
            lsn: lsn.parse().map_err(|_| odd())?,
        })
    }
}
