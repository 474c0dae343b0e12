//! What is done to a member in recovery.

use crate::{
    session::{Connector, Session, Target},
    trouble::Trouble,
};
use domain::failover::{PromotedSeen, Sql, StandbySeen};
use reconcile::Failure;
use std::{net::IpAddr, time::Duration};
use tokio_postgres::error::SqlState;

/// The setting that holds all of `primary_conninfo` but the upstream; set by
/// the member itself, which knows where its password file lies.
const REPLICATION_CONNINFO: &str = "understudy.replication_conninfo";

/// No WAL receiver runs or starts, and the server has read the new setting.
///
/// `pg_stat_wal_receiver` alone hides a receiver that is still connecting.
const FROZEN: &str = "SELECT current_setting('primary_conninfo') = ''
    AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver)
    AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver')";

/// How far it reaches is known: it has received more than it replayed, or it
/// waits for log because it has read all that lies on its own disk.
///
/// A standby that restarted without its upstream knows no received position,
/// and its replayed one is behind what it once acknowledged until then.
const READ_OUT: &str = "SELECT coalesce(pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn(), false)
    OR EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup'
        AND wait_event IN ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval'))";

/// Looks in a row that must find a standby frozen. The postmaster signals all
/// its processes together, but a receiver that was being forked in that moment
/// shows up, and is ended, a few milliseconds later.
const FROZEN_LOOKS: u32 = 3;

impl Connector {
    /// Cuts a standby from its upstream, and says how far it had come.
    ///
    /// After this it acknowledges nothing: `primary_conninfo` is empty, also
    /// after a restart, and its WAL receiver has ended. [`Self::follow`] undoes it.
    ///
    /// It takes some 20 ms; but while replay waits for a query on the standby,
    /// the receiver goes on, for as long as `max_standby_streaming_delay` lets it.
    ///
    /// # Errors
    ///
    /// [`Failure::LostRace`] when the member is no standby (any more);
    /// [`Failure::Transient`] when the receiver did not end in time: a frozen
    /// setting may then have been left behind.
    pub async fn freeze(&self, target: &Target, timeout: Duration) -> Result<StandbySeen, Failure> {
        self.session(target, timeout, async |session: &Session| {
            session.must_be_standby().await?;
            session.run("ALTER SYSTEM", "ALTER SYSTEM SET primary_conninfo = ''").await?;
            session.reload().await?;
            session.until("the WAL receiver to end", FROZEN, &[], FROZEN_LOOKS).await?;
            session.until("its own log to be read", READ_OUT, &[], 1).await?;
            match session.look().await? {
                Sql::Standby(seen) => Ok(seen),
                other => Err(Trouble::Role(format!("promoted while it was being frozen: {other:?}"))),
            }
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:freeze", target))
    }

    /// Points a standby at an upstream and a slot there, frozen or not.
    ///
    /// Returns when the server has read the settings; it connects by itself.
    ///
    /// # Errors
    ///
    /// [`Failure::LostRace`] when the member is no standby (any more);
    /// [`Failure::Broken`] when it lacks the setting that its connection string
    /// is made from, or the role may not change it.
    pub async fn follow(
        &self,
        target: &Target,
        upstream: IpAddr,
        port: u16,
        slot: &str,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let (upstream, port) = (&upstream.to_string(), &port.to_string());
        self.session(target, timeout, async |session: &Session| {
            session.must_be_standby().await?;
            let base = session
                .text("a setting", "SELECT current_setting($1, true)", &[REPLICATION_CONNINFO])
                .await?
                .filter(|base| !base.is_empty())
                .ok_or_else(|| Trouble::Odd(format!("{REPLICATION_CONNINFO} is not set")))?;
            let conninfo = format!("{base} hostaddr={upstream} port={port}");
            session.alter_system("primary_conninfo", &conninfo).await?;
            session.alter_system("primary_slot_name", slot).await?;
            session.reload().await?;
            let shown = "SELECT current_setting('primary_conninfo') = $1 AND current_setting('primary_slot_name') = $2";
            session.until("the new upstream to be read", shown, &[&conninfo, slot], 1).await
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:follow", target))
    }

    /// Promotes a standby and says where its new timeline begins. Promoting
    /// one that is already promoted says the same again.
    ///
    /// # Errors
    ///
    /// [`Failure::Transient`] when it is still in recovery when the time is up:
    /// the request stays, and it may yet be promoted.
    pub async fn promote(&self, target: &Target, timeout: Duration) -> Result<PromotedSeen, Failure> {
        self.session(target, timeout, async |session: &Session| {
            // Without waiting: the function itself looks only every 100 ms.
            match session.rows("pg_promote", "SELECT pg_promote(false) WHERE pg_is_in_recovery()", &[]).await {
                // "recovery is not in progress": it ended between the question and the call.
                Err(Trouble::Sql { code, .. }) if code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {}
                other => drop(other?),
            }
            session.until("recovery to end", "SELECT NOT pg_is_in_recovery()", &[], 1).await?;
            session.promoted().await
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:promote", target))
    }
}

impl Session {
    async fn must_be_standby(&self) -> Result<(), Trouble> {
        if self.holds("the role", "SELECT pg_is_in_recovery()", &[]).await? {
            return Ok(());
        }
        Err(Trouble::Role("it is not in recovery".to_owned()))
    }

    /// Writes a setting to `postgresql.auto.conf`. The server quotes the value
    /// itself, so that nothing in it can end the statement.
    pub(crate) async fn alter_system(&self, setting: &str, value: &str) -> Result<(), Trouble> {
        let quoted = "SELECT format('ALTER SYSTEM SET %I = %L', $1, $2)";
        let statement = self.text("a statement", quoted, &[setting, value]).await?.unwrap_or_default();
        self.run("ALTER SYSTEM", &statement).await
    }

    pub(crate) async fn reload(&self) -> Result<(), Trouble> {
        if self.holds("a reload", "SELECT pg_reload_conf()", &[]).await? {
            return Ok(());
        }
        Err(Trouble::Silent("pg_reload_conf could not signal the postmaster".to_owned()))
    }
}
