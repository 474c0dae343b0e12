//! PostgreSQL on the members, asked over its own socket as its superuser: also where no packet gets to it, and without
//! a login that the product knows.

use crate::{
    cluster::Cluster,
    error::{Error, cannot},
    place::{AWS_PORT, Place},
    processes,
};
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command};

/// Time for one question, after which psql is killed: cancelled instead, a commit that waits for standbys would count
/// as done.
const QUESTION: Duration = Duration::from_millis(1_500);

/// Time for a script, in seconds: a restore of a small database takes some.
const SCRIPT_SECONDS: &str = "180";

/// A way to the members' sockets.
#[derive(Debug, Clone)]
pub struct Inside {
    /// As root, the members' disks are mounted in the mount namespace of this process.
    namespace: Option<i32>,
    members: PathBuf,
    psql: PathBuf,
    port: u16,
}

/// What a member does with a commit, asked inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It acknowledged one.
    Acknowledged,
    /// It is out of recovery and acknowledged none in time.
    Waits,
    /// It only reads.
    ReadsOnly,
    /// PostgreSQL does not answer.
    Silent,
}

impl Inside {
    /// The way to the members of a cluster.
    pub fn of(place: &Place, cluster: &Cluster) -> Result<Inside, Error> {
        let root = rustix::process::getuid().is_root();
        let aws = processes::listener(AWS_PORT).map(|process| process.id);
        if root && aws.is_none() {
            return Err(cannot("ask members over their sockets")("the local AWS is not to be found"));
        }
        let members = place.dir.join("members");
        Ok(Inside { namespace: aws.filter(|_| root), members, psql: psql(), port: cluster.card.port })
    }

    /// Runs statements in a database, one answer a line; or why there is none.
    pub async fn query(&self, id: &str, database: &str, statements: &[&str]) -> Result<Vec<String>, String> {
        let output = self.run(id, database, statements).await?;
        if output.status.success() {
            return Ok(lines(&output.stdout));
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
        Err(if said.is_empty() { "no answer in 1.5 s".to_owned() } else { said })
    }

    /// Whether a member acknowledges a commit now, found by having it make one.
    pub async fn commit(&self, id: &str) -> Commit {
        let statements = ["SELECT pg_is_in_recovery()", "SELECT pg_logical_emit_message(true, 'lab', 'acknowledged?')"];
        match self.run(id, "postgres", &statements).await {
            Ok(output) => commit(&lines(&output.stdout)),
            Err(_) => Commit::Silent,
        }
    }

    /// The names of the standbys that stream from a member.
    pub async fn streaming(&self, id: &str) -> Result<Vec<String>, String> {
        let asked = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1";
        self.query(id, "postgres", &[asked]).await
    }

    /// Runs a script on a member as its own ones run; its lines, or the end of what it complained of.
    pub async fn script(&self, id: &str, script: &str, arguments: &[&str]) -> Result<Vec<String>, String> {
        let mut words: Vec<String> = Vec::new();
        if let Some(pid) = self.namespace {
            words.extend(["nsenter", "--mount", "--target", &pid.to_string()].map(str::to_owned));
        }
        words.extend(["timeout", "--signal=KILL", SCRIPT_SECONDS, "bash", "-s", "--"].map(str::to_owned));
        words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let (program, arguments) = words.split_first().ok_or("no program")?;
        let mut command = Command::new(program);
        command.args(arguments).env("ROOT", self.members.join(id)).current_dir(self.members.join(id));
        command.env("LAB_BACKUPS", self.members.with_file_name("backups"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| format!("{program} cannot be run: {error}"))?;
        let mut input = process.stdin.take().ok_or("it takes no input")?;
        input.write_all(script.as_bytes()).await.map_err(|error| error.to_string())?;
        drop(input);
        let output = process.wait_with_output().await.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(lines(&output.stdout));
        }
        let said = lines(&output.stderr);
        Err(said[said.len().saturating_sub(8)..].join(" / "))
    }

    async fn run(&self, id: &str, database: &str, statements: &[&str]) -> Result<std::process::Output, String> {
        let mut words: Vec<String> = Vec::new();
        if let Some(pid) = self.namespace {
            words.extend(["nsenter", "--mount", "--target", &pid.to_string()].map(str::to_owned));
            words.extend(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"].map(str::to_owned));
        }
        let seconds = QUESTION.as_secs_f64().to_string();
        words.extend(["timeout", "--signal=KILL", &seconds, &self.psql.display().to_string()].map(str::to_owned));
        let socket = self.members.join(id).join("var/lib/understudy").display().to_string();
        words.extend(["-XAtqw", "-h", &socket, "-p", &self.port.to_string()].map(str::to_owned));
        words.extend(["-U", "postgres", "-d", database].map(str::to_owned));
        words.extend(statements.iter().flat_map(|statement| ["-c".to_owned(), (*statement).to_owned()]));
        let (program, arguments) = words.split_first().ok_or("no program")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).current_dir("/").kill_on_drop(true);
        command.output().await.map_err(|error| format!("{program} cannot be run: {error}"))
    }
}

/// The program itself: Debian's `psql` is a script that chooses one.
fn psql() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let newest = versions.map(|entry| entry.path().join("bin/psql")).filter(|path| path.exists()).max();
    newest.unwrap_or_else(|| "psql".into())
}

fn lines(output: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(output).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Reads what the two questions of [`Inside::commit`] printed.
fn commit(lines: &[String]) -> Commit {
    match lines {
        [recovery, ..] if recovery == "t" => Commit::ReadsOnly,
        [recovery, _] if recovery == "f" => Commit::Acknowledged,
        [recovery] if recovery == "f" => Commit::Waits,
        _ => Commit::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_the_commit_is_an_acknowledgement() {
        let of = |text: &str| commit(&lines(text.as_bytes()));
        assert_eq!(of("f\n0/4372C78\n"), Commit::Acknowledged);
        assert_eq!(of("f\n"), Commit::Waits);
        assert_eq!(of("t\n"), Commit::ReadsOnly, "a standby refuses the commit");
        assert_eq!(of(""), Commit::Silent);
    }
}
