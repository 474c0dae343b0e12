//! A new database of AWS's, set up by a master that is no superuser.

use crate::{
    managed::{Names, reach},
    server::{Cluster, PASSWORD, SERVER_NAME, Server},
};
use domain::spec::Roles;
use postgres::{Connector, Reach, SetUp, Target};
use reconcile::{Failure, Login};
use std::time::Duration;

const AMPLE: Duration = Duration::from_secs(20);

fn login(username: &str, password: &str) -> Login {
    Login { username: username.to_owned(), password: password.to_owned() }
}

fn wanted(roles: Option<Roles>) -> SetUp {
    SetUp {
        database: "leads".to_owned(),
        application: login("Leads \"app\"", "it's"),
        operator: login("understudy", PASSWORD),
        roles,
    }
}

/// A server as RDS gives it: a master without superuser's rights, that owns the database `postgres`.
fn new_server() -> Cluster {
    let cluster = Cluster::start(0);
    cluster.members[0].sql(
        "DROP TABLE understudy.epochs; DROP SCHEMA understudy;
         REVOKE ALL ON FUNCTION pg_promote(boolean, integer), pg_reload_conf() FROM understudy;
         REVOKE ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name, synchronous_standby_names FROM understudy;
         DROP ROLE understudy; DROP ROLE replicator; DROP ROLE stranger;
         CREATE ROLE rds_iam NOLOGIN; CREATE ROLE rds_superuser NOLOGIN IN ROLE pg_monitor, pg_signal_backend;
         CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD 'first' IN ROLE rds_superuser;
         ALTER DATABASE postgres OWNER TO master",
    );
    cluster.members[0].sql("CREATE EXTENSION pg_stat_statements");
    cluster
}

fn started(cluster: &Cluster) -> (Reach, Target, &Server) {
    let one = &cluster.members[0];
    let reach = reach(cluster, &Names::start(one.address));
    (reach, Target::endpoint(SERVER_NAME, one.port), one)
}

#[tokio::test]
async fn a_new_database_is_set_up_once() {
    let cluster = new_server();
    let (reach, target, one) = started(&cluster);
    // Extensions need a superuser's rights here, which rds_superuser's members have on RDS.
    one.sql("CREATE DATABASE leads OWNER master");
    one.psql("CREATE EXTENSION pg_stat_statements").args(["-d", "leads"]).status().unwrap();
    let master = Connector::managed(&reach, login("master", "first"));
    let roles = Roles { application: 11, readonly: 7, admin: 3, backup: 2 };
    let made = master.set_up(&target, &wanted(Some(roles.clone())), AMPLE).await.unwrap();
    for part in ["role understudy", "role Leads \"app\"", "owner of database leads", "table understudy.epochs"] {
        assert!(made.iter().any(|made| made == part), "{part}: {made:?}");
    }
    assert_eq!(master.set_up(&target, &wanted(Some(roles)), AMPLE).await.unwrap(), Vec::<String>::new());

    // The functions' role does what it must.
    let operator = Connector::managed(&reach, login("understudy", PASSWORD));
    operator.prove_managed(false, &target, 1, "leads-1", AMPLE).await.unwrap();
    assert_eq!(operator.client_sessions(&target, AMPLE).await.unwrap(), 0);
    assert_eq!(operator.end_sessions(&target, AMPLE).await.unwrap(), 0);
    // The application owns its database; who reads, reads all; who logs in with IAM is not the master.
    let table = one.psql("SET ROLE \"Leads \"\"app\"\"\"; CREATE TABLE t (n int)").args(["-d", "leads"]).status();
    assert!(table.unwrap().success());
    let read = "SET ROLE \"Leads \"\"app\"\"_readonly\"; SELECT count(*) FROM t";
    let read = one.psql(read).args(["-d", "leads"]).output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap().trim(), "0");
    let limits = "SELECT string_agg(rolname || ' ' || rolconnlimit, ', ' ORDER BY rolname)
        FROM pg_roles WHERE rolname LIKE 'Leads%'";
    let named = ["", "_admin", "_backup", "_readonly"].map(|what| format!("Leads \"app\"{what} "));
    let expected: Vec<String> = named.iter().zip([11, 3, 2, 7]).map(|(name, limit)| format!("{name}{limit}")).collect();
    assert_eq!(one.sql(limits), expected.join(", "));
    let members = "SELECT string_agg(member::regrole::text, ' ' ORDER BY member::regrole::text)
        FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole";
    assert_eq!(one.sql(members).matches("Leads").count(), 3);
    assert_eq!(one.sql("SELECT pg_has_role('master', 'rds_iam', 'MEMBER')"), "f");
    assert_eq!(one.sql("SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'understudy'"), "t");
}

#[tokio::test]
async fn no_password_is_ever_logged_and_a_new_one_is_set() {
    let cluster = new_server();
    let (reach, target, one) = started(&cluster);
    one.sql("ALTER SYSTEM SET log_statement = 'all'");
    one.sql("SELECT pg_reload_conf()");
    one.eventually("SELECT current_setting('log_statement') = 'all'");
    one.psql("CREATE EXTENSION pg_stat_statements").args(["-d", "template1"]).status().unwrap();
    let master = Connector::managed(&reach, login("master", "first"));
    let first = master.set_up(&target, &wanted(None), AMPLE).await.unwrap();
    assert!(first.contains(&"database leads".to_owned()), "{first:?}");
    let mut changed = wanted(None);
    changed.operator.password = "another secret".to_owned();
    let made = master.set_up(&target, &changed, AMPLE).await.unwrap();
    assert_eq!(made, ["password of role understudy"]);
    Connector::managed(&reach, changed.operator).client_sessions(&target, AMPLE).await.unwrap();
    let log = one.log();
    assert!(log.contains("CREATE ROLE \"understudy\" LOGIN PASSWORD 'SCRAM-SHA-256$"), "{log}");
    for secret in ["another secret", "operator's", "it's"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn extensions_are_made_where_they_are_missing() {
    let cluster = new_server();
    let (reach, target, one) = started(&cluster);
    one.sql("ALTER ROLE master SUPERUSER; DROP EXTENSION pg_stat_statements");
    let master = Connector::managed(&reach, login("master", "first"));
    let made = master.set_up(&target, &wanted(None), AMPLE).await.unwrap();
    for database in ["postgres", "leads"] {
        assert!(made.contains(&format!("extension pg_stat_statements in database {database}")), "{made:?}");
    }
}

#[tokio::test]
async fn a_master_that_may_not_is_told_where_it_failed() {
    let cluster = new_server();
    let (reach, target, one) = started(&cluster);
    one.sql("ALTER ROLE master NOCREATEROLE");
    let master = Connector::managed(&reach, login("master", "first"));
    let failure = master.set_up(&target, &wanted(None), AMPLE).await.unwrap_err();
    assert!(matches!(&failure, Failure::Broken { what, .. } if what.contains("42501")), "{failure:?}");
    let wrong = Connector::managed(&reach, login("master", "wrong")).set_up(&target, &wanted(None), AMPLE).await;
    assert!(matches!(wrong.unwrap_err(), Failure::Broken { what, .. } if what.contains("28P01")));
}
