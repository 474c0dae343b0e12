//! Servers that AWS runs: what may be asked of them is less than of our own.
//!
//! Aurora has one storage and no log of its own on each server: positions, receivers and the control file are refused
//! there ("currently not supported for Aurora"), and `aurora_replica_status()` stands in for them. RDS for PostgreSQL
//! answers most of what a plain server does, but no function about files.

use crate::{
    session::{Connector, Session, Target},
    trouble::Trouble,
    writer::PROOF,
};
use domain::{
    failover::{PromotedSeen, Sql, StandbySeen, WriterSeen},
    lsn::Lsn,
    managed::Lag,
};
use reconcile::Failure;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const RDS: &str = include_str!("rds.sql");

/// The identifier, and the timeline of the last checkpoint. Some editions refuse these functions.
const CONTROL: &str =
    "SELECT system_identifier::text, timeline_id::text FROM pg_control_system(), pg_control_checkpoint()";

/// Whether this server is a reader; and how far the writer's storage has come, as a plain number, `-` for a reader.
///
/// Source: Amazon Aurora User Guide, "aurora_replica_status".
const AURORA: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN '-' ELSE coalesce(
    (SELECT max(durable_lsn) FROM aurora_replica_status() WHERE session_id = 'MASTER_SESSION_ID'), 0)::text END";

const AURORA_LAGS: &str = "SELECT server_id::text, replica_lag_in_msec::bigint::text FROM aurora_replica_status()
    WHERE session_id <> 'MASTER_SESSION_ID' AND replica_lag_in_msec IS NOT NULL";

/// A replica that has replayed all it received, and still receives, is not behind, however old the last transaction
/// is. One that receives nothing may lack everything since the last transaction that it replayed.
const REPLICA_LAG: &str = "SELECT pg_last_wal_replay_lsn()::text,
    CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
              AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 0
         ELSE greatest(0, extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint
    END::text
    WHERE pg_is_in_recovery()";

/// Sessions of clients: not this role's own, and not those of AWS's roles.
macro_rules! clients {
    () => {
        "FROM pg_stat_activity AS client WHERE backend_type = 'client backend' AND usename <> current_user
         AND usename NOT IN ('rdsadmin', 'rdsproxyadmin', 'rdsrepladmin', 'rdstopmgr')"
    };
}

/// Who may not see them all must not say that there are none.
const SESSIONS: &str = concat!(
    "SELECT CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN (SELECT count(*) ",
    clients!(),
    ")::text END"
);

/// A superuser's session may only be ended by a superuser, which no role of a customer is; the other sessions shall
/// not live on for that.
const END: &str = concat!(
    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))::text FROM (SELECT pid ",
    clients!(),
    " AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = client.usename)) AS session"
);

/// Aurora has no timelines; one number stands for all of them.
const ONE_TIMELINE: u32 = 1;

impl Connector {
    /// Looks at a server that AWS runs, once; as [`probe`](Self::probe).
    ///
    /// What the edition does not tell is 0 or `None`: of Aurora everything but the role and, of a writer, the position
    /// in its storage; of RDS perhaps the identifier, and the timeline of a replica that receives nothing. The
    /// upstream of a replica is always `0.0.0.0`.
    pub async fn probe_managed(&self, aurora: bool, target: &Target, timeout: Duration) -> Sql {
        let seen = match aurora {
            true => self.session(target, timeout, Session::look_at_aurora).await,
            false => self.session(target, timeout, Session::look_at_rds).await,
        };
        seen.unwrap_or_else(Trouble::seen)
    }

    /// Lags of the readers of an Aurora cluster, by instance identifier; any of its servers can be asked.
    ///
    /// # Errors
    ///
    /// [`Failure`] of asking.
    pub async fn aurora_lags(&self, target: &Target, timeout: Duration) -> Result<BTreeMap<String, Lag>, Failure> {
        self.session(target, timeout, async |session: &Session| {
            let mut lags = BTreeMap::new();
            for row in session.rows("the readers' lags", AURORA_LAGS, &[]).await? {
                let (id, ms): (String, String) = (row.try_get(0)?, row.try_get(1)?);
                let lag = Lag { bytes: None, ms: ms.parse().ok(), replayed: None };
                lags.insert(id, lag);
            }
            Ok(lags)
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:lags", target))
    }

    /// How far a replica of RDS is behind: what it replayed last, and how long ago. Bytes need the writer's position
    /// too, and are `None`.
    ///
    /// # Errors
    ///
    /// [`Failure::LostRace`] when it is no replica (any more).
    pub async fn replica_lag(&self, target: &Target, timeout: Duration) -> Result<Lag, Failure> {
        self.session(target, timeout, async |session: &Session| {
            let rows = session.rows("the replica's lag", REPLICA_LAG, &[]).await?;
            let row = rows.first().ok_or_else(|| Trouble::Role("it is no replica".to_owned()))?;
            let (replayed, ms): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Lag {
                bytes: None,
                ms: ms.and_then(|ms| ms.parse().ok()),
                replayed: replayed.and_then(|lsn| lsn.parse().ok()),
            })
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:lags", target))
    }

    /// How many sessions clients have: of others than this role and AWS.
    ///
    /// # Errors
    ///
    /// [`Failure`] of asking; [`Failure::Broken`] when this role may not see all sessions.
    pub async fn client_sessions(&self, target: &Target, timeout: Duration) -> Result<u32, Failure> {
        self.session(target, timeout, async |session: &Session| {
            session.count("the clients' sessions", SESSIONS, "it may not see all sessions: grant it pg_monitor").await
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:client-sessions", target))
    }

    /// Ends the sessions of clients, and says of how many: they are gone a moment later.
    ///
    /// # Errors
    ///
    /// [`Failure`] of asking; [`Failure::Broken`] when this role may not end sessions.
    pub async fn end_sessions(&self, target: &Target, timeout: Duration) -> Result<u32, Failure> {
        self.session(target, timeout, async |session: &Session| {
            session.count("the clients' sessions to end", END, "no count of what was ended").await
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:end-sessions", target))
    }

    /// As [`prove`](Self::prove), for either edition.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn prove_managed(
        &self,
        aurora: bool,
        target: &Target,
        epoch: u64,
        writer: &str,
        timeout: Duration,
    ) -> Result<PromotedSeen, Failure> {
        if !aurora {
            return self.prove(target, epoch, writer, timeout).await;
        }
        self.session(target, timeout, async |session: &Session| {
            let Sql::Writer(seen) = session.look_at_aurora().await? else {
                return Err(Trouble::Role("it is in recovery".to_owned()));
            };
            session.rows("a write", PROOF, &[&epoch.to_string(), writer]).await?;
            Ok(PromotedSeen { timeline: ONE_TIMELINE, lsn: seen.lsn })
        })
        .await
        .map_err(|trouble| trouble.failure("postgres:prove", target))
    }
}

impl Session {
    async fn look_at_rds(&self) -> Result<Sql, Trouble> {
        let seen = self.look_by(RDS).await?;
        let (system_id, timeline) = self.control().await?.unwrap_or_default();
        Ok(match seen {
            Sql::Writer(writer) => Sql::Writer(WriterSeen { system_id, ..writer }),
            Sql::Standby(standby) => {
                let timeline = standby.timeline.max(timeline);
                Sql::Standby(StandbySeen { system_id, timeline, known_timeline: timeline, ..standby })
            }
            other => other,
        })
    }

    /// The identifier and the timeline in the control file; `None` where that is refused.
    async fn control(&self) -> Result<Option<(u64, u32)>, Trouble> {
        let rows = match self.rows("the control file", CONTROL, &[]).await {
            // 42: not allowed, or not there; 0A: not supported.
            Err(Trouble::Sql { code, .. }) if ["42", "0A"].iter().any(|class| code.code().starts_with(class)) => {
                return Ok(None);
            }
            rows => rows?,
        };
        let Some(row) = rows.first() else { return Ok(None) };
        let (id, timeline): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let id: i64 = id.parse().map_err(|_| Trouble::Odd(format!("{id:?} is no system identifier")))?;
        let timeline = timeline.parse().map_err(|_| Trouble::Odd(format!("{timeline:?} is no timeline")))?;
        Ok(Some((id.cast_unsigned(), timeline)))
    }

    async fn look_at_aurora(&self) -> Result<Sql, Trouble> {
        let odd = |what: &str| Trouble::Odd(format!("an answer about Aurora of an unknown shape: {what:?}"));
        let text = self.text("the answer to a look", AURORA, &[]).await?.unwrap_or_default();
        if text == "-" {
            return Ok(Sql::Standby(StandbySeen {
                timeline: ONE_TIMELINE,
                known_timeline: ONE_TIMELINE,
                received: None,
                replayed: None,
                system_id: 0,
                receiver: None,
                upstream: Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            }));
        }
        Ok(Sql::Writer(WriterSeen {
            timeline: ONE_TIMELINE,
            lsn: Lsn(text.parse().map_err(|_| odd(&text))?),
            system_id: 0,
            synchronous_setting: String::new(),
            streams: vec![],
            slots: vec![],
        }))
    }

    async fn count(&self, purpose: &str, query: &str, without: &str) -> Result<u32, Trouble> {
        let odd = || Trouble::Odd(without.to_owned());
        self.text(purpose, query, &[]).await?.ok_or_else(odd)?.parse().map_err(|_| odd())
    }
}
