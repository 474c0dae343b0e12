//! What a new database of AWS's lacks: roles, the application's database, the table of the proofs.
//!
//! Made with the master login, which is no superuser but a member of `rds_superuser`. Every step looks first, so that
//! the whole can be done again, after a cut or a change of the spec, and then changes only what is missing.

use crate::{
    session::{Connector, Session, Target},
    trouble::Trouble,
};
use domain::spec::Roles;
use postgres_protocol::password::scram_sha_256;
use reconcile::{Failure, Login};
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// The role of an exporter; it logs in with IAM.
const MONITOR: &str = "monitor";

/// Members log in with a token of IAM, and can no longer do so with a password.
///
/// Source: Amazon RDS User Guide, "Creating a database account using IAM authentication".
const IAM: &str = "rds_iam";

/// The role whose grants pgAudit logs on RDS.
///
/// Source: Amazon RDS User Guide, "Setting up the pgAudit extension".
const AUDITED: &str = "rds_pgaudit";

/// The operator's table, as on EC2 (`infra/nodes/postgresql.sh`).
const EPOCHS: &str = "CREATE TABLE IF NOT EXISTS understudy.epochs (epoch bigint PRIMARY KEY, writer text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now())";

/// Extensions that the server has and this database has not; pgAudit only where it is loaded.
const EXTENSIONS: &str = "SELECT name::text FROM pg_available_extensions WHERE installed_version IS NULL
    AND (name = 'pg_stat_statements' OR name = 'pgaudit' AND name = ANY
        (regexp_split_to_array(current_setting('shared_preload_libraries'), '[[:space:]]*,[[:space:]]*')))
    ORDER BY name";

/// What shall be there.
#[derive(Debug, Clone)]
pub struct SetUp {
    /// The application's database.
    pub database: String,
    /// Its owner.
    pub application: Login,
    /// What the functions log in with.
    pub operator: Login,
    /// Roles beside the owner, and limits of their sessions; `None`: only the owner, without a limit.
    pub roles: Option<Roles>,
}

impl Connector {
    /// Makes what is missing, and says what that was: nothing when all was there. This connector's login is the
    /// master's, `target` its endpoint.
    ///
    /// A password that no longer logs in is set anew. Passwords are hashed here: no statement holds one.
    ///
    /// # Errors
    ///
    /// [`Failure`] of the first step that failed; what was made before it stays.
    pub async fn set_up(&self, target: &Target, wanted: &SetUp, timeout: Duration) -> Result<Vec<String>, Failure> {
        let made = async {
            let mut made = self
                .session(target, timeout, async |session: &Session| {
                    let mut work = Work { connector: self, session, target, timeout, made: vec![] };
                    work.server(wanted).await?;
                    Ok(work.made)
                })
                .await?;
            for database in [target.database.as_str(), wanted.database.as_str()] {
                made.extend(self.extensions(&target.of_database(database), timeout).await?);
            }
            Ok(made)
        };
        made.await.map_err(|trouble: Trouble| trouble.failure("postgres:set-up", target))
    }

    async fn extensions(&self, target: &Target, timeout: Duration) -> Result<Vec<String>, Trouble> {
        self.session(target, timeout, async |session: &Session| {
            let mut made = vec![];
            for row in session.rows("the extensions", EXTENSIONS, &[]).await? {
                let name: String = row.try_get(0)?;
                session.run("an extension", &format!("CREATE EXTENSION IF NOT EXISTS {}", quoted(&name))).await?;
                made.push(format!("extension {name} in database {}", target.database));
            }
            Ok(made)
        })
        .await
    }

    /// Whether a login is accepted; whatever else stands against a session, its password is right.
    async fn accepts(&self, login: &Login, target: &Target, timeout: Duration) -> Result<bool, Trouble> {
        let asked = self.as_role(login).session(target, timeout, async |_: &Session| Ok(())).await;
        match asked {
            Err(Trouble::Sql { code, .. }) => Ok(!code.code().starts_with("28")),
            other => other.map(|()| true),
        }
    }
}

/// The work in one session, and what it made so far.
struct Work<'a> {
    connector: &'a Connector,
    session: &'a Session,
    target: &'a Target,
    timeout: Duration,
    made: Vec<String>,
}

impl Work<'_> {
    async fn server(&mut self, wanted: &SetUp) -> Result<(), Trouble> {
        let (operator, owner) = (&wanted.operator.username, &wanted.application.username);
        self.login(&wanted.operator).await?;
        self.login(&wanted.application).await?;
        for group in ["pg_monitor", "pg_signal_backend"] {
            self.member(operator, group).await?;
        }
        self.become_able(operator).await?;
        self.become_able(owner).await?;
        self.database(&wanted.database, owner).await?;
        self.epochs(operator).await?;
        self.role(MONITOR).await?;
        self.member(MONITOR, "pg_monitor").await?;
        let mut tokens = vec![MONITOR.to_owned()];
        if let Some(roles) = &wanted.roles {
            let of = |what: &str| format!("{owner}_{what}");
            let (readonly, admin, backup) = (of("readonly"), of("admin"), of("backup"));
            for (role, limit, group) in [
                (&readonly, roles.readonly, "pg_read_all_data"),
                (&admin, roles.admin, owner),
                (&backup, roles.backup, "pg_read_all_data"),
            ] {
                self.role(role).await?;
                self.member(role, group).await?;
                self.limit(role, limit).await?;
            }
            self.limit(owner, roles.application).await?;
            tokens.extend([readonly, admin, backup]);
        }
        if self.exists(IAM).await? {
            self.log_in_by_token(&tokens).await?;
        }
        let loaded = "SELECT current_setting('shared_preload_libraries') ~ '\\mpgaudit\\M'";
        if self.session.holds("the libraries", loaded, &[]).await? && !self.exists(AUDITED).await? {
            self.make(format!("role {AUDITED}"), &format!("CREATE ROLE {AUDITED} NOLOGIN")).await?;
        }
        Ok(())
    }

    /// Runs a statement, and notes what it made.
    async fn make(&mut self, what: String, statement: &str) -> Result<(), Trouble> {
        match self.session.run(&what, statement).await {
            // Made by another run in between.
            Err(Trouble::Sql { code, .. })
                if [SqlState::DUPLICATE_OBJECT, SqlState::DUPLICATE_DATABASE].contains(&code) =>
            {
                return Ok(());
            }
            done => done?,
        }
        self.made.push(what);
        Ok(())
    }

    async fn exists(&self, role: &str) -> Result<bool, Trouble> {
        let question = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
        self.session.holds("the roles", question, &[role]).await
    }

    async fn role(&mut self, role: &str) -> Result<(), Trouble> {
        if self.exists(role).await? {
            return Ok(());
        }
        self.make(format!("role {role}"), &format!("CREATE ROLE {} LOGIN", quoted(role))).await
    }

    /// A role with this password.
    async fn login(&mut self, login: &Login) -> Result<(), Trouble> {
        let Login { username, password } = login;
        let verifier = scram_sha_256(password.as_bytes());
        if !self.exists(username).await? {
            let create = format!("CREATE ROLE {} LOGIN PASSWORD '{verifier}'", quoted(username));
            return self.make(format!("role {username}"), &create).await;
        }
        if self.connector.accepts(login, self.target, self.timeout).await? {
            return Ok(());
        }
        let alter = format!("ALTER ROLE {} LOGIN PASSWORD '{verifier}'", quoted(username));
        self.make(format!("password of role {username}"), &alter).await
    }

    async fn member(&mut self, role: &str, group: &str) -> Result<(), Trouble> {
        let question = "SELECT pg_has_role($1, $2, 'MEMBER')";
        if self.session.holds("a membership", question, &[role, group]).await? {
            return Ok(());
        }
        let grant = format!("GRANT {} TO {}", quoted(group), quoted(role));
        self.make(format!("membership of role {role} in {group}"), &grant).await
    }

    /// Lets the master make things that the role owns. Never a role that logs in with IAM: its members would have to,
    /// and the master among them.
    async fn become_able(&mut self, role: &str) -> Result<(), Trouble> {
        let question = "SELECT pg_has_role(current_user, $1, 'USAGE')";
        if self.session.holds("a membership", question, &[role]).await? {
            return Ok(());
        }
        let grant = format!("GRANT {} TO CURRENT_USER", quoted(role));
        self.make(format!("membership of the master in {role}"), &grant).await
    }

    async fn database(&mut self, database: &str, owner: &str) -> Result<(), Trouble> {
        let question = "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = $1";
        match self.session.text("the databases", question, &[database]).await? {
            Some(now) if now == owner => Ok(()),
            Some(_) => {
                let alter = format!("ALTER DATABASE {} OWNER TO {}", quoted(database), quoted(owner));
                self.make(format!("owner of database {database}"), &alter).await
            }
            None => {
                let create = format!("CREATE DATABASE {} OWNER {}", quoted(database), quoted(owner));
                self.make(format!("database {database}"), &create).await
            }
        }
    }

    async fn epochs(&mut self, operator: &str) -> Result<(), Trouble> {
        let question = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'understudy' AND tablename = 'epochs')";
        if self.session.holds("the table of proofs", question, &[]).await? {
            return Ok(());
        }
        let operator = quoted(operator);
        // All in one transaction, the change of role too.
        let create = format!(
            "CREATE SCHEMA IF NOT EXISTS understudy AUTHORIZATION {operator}; SET ROLE {operator}; {EPOCHS}; RESET ROLE"
        );
        self.make("table understudy.epochs".to_owned(), &create).await
    }

    /// Sessions that a role may have at once.
    async fn limit(&mut self, role: &str, sessions: u32) -> Result<(), Trouble> {
        let question = "SELECT rolconnlimit::text = $2 FROM pg_roles WHERE rolname = $1";
        if self.session.holds("a limit", question, &[role, &sessions.to_string()]).await? {
            return Ok(());
        }
        let alter = format!("ALTER ROLE {} CONNECTION LIMIT {sessions}", quoted(role));
        self.make(format!("limit of role {role}: {sessions} sessions"), &alter).await
    }

    /// Lets roles log in with IAM.
    ///
    /// From version 16 on, who creates a role is its member; should that make the master itself log in with IAM, its
    /// password would be worth nothing from now on. So it is tried, while this session can still take it back.
    async fn log_in_by_token(&mut self, roles: &[String]) -> Result<(), Trouble> {
        let before = self.made.len();
        for role in roles {
            self.member(role, IAM).await?;
        }
        let master = self.connector.login();
        if self.made.len() == before || self.connector.accepts(master, self.target, self.timeout).await? {
            return Ok(());
        }
        for role in roles {
            self.session.run("a membership to go", &format!("REVOKE {IAM} FROM {}", quoted(role))).await?;
        }
        Err(Trouble::Odd(format!(
            "with {} in {IAM}, {} could no longer log in; undone",
            roles.join(", "),
            master.username
        )))
    }
}

/// A name as SQL takes it, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
