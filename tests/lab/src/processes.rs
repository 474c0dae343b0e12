//! The lab's processes: those whose current directory is in the lab's folder.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// One process of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Its short name, as the kernel has it.
    pub name: String,
}

/// The fields of `/proc/<id>/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    name: &'a str,
    state: &'a str,
    parent: i32,
    terminal: i32,
}

/// Reads a line of `/proc/<id>/stat`; the name in brackets may itself hold brackets and blanks.
fn stat(line: &str) -> Option<Stat<'_>> {
    let (open, close) = (line.find('(')?, line.rfind(')')?);
    let mut fields = line.get(close + 1..)?.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    let terminal = fields.nth(2)?.parse().ok()?;
    Some(Stat { name: line.get(open + 1..close)?, state, parent, terminal })
}

/// All processes whose current directory is `dir` or below it.
///
/// A process with a terminal is not the lab's, which gives everything it starts a session without one: it is a
/// person's shell, who looks at a log.
pub fn below(dir: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let id: i32 = entry.file_name().to_str()?.parse().ok()?;
            // A process that ended meanwhile, or is another user's, has no readable directory.
            let directory = fs::read_link(entry.path().join("cwd")).ok()?;
            if u32::try_from(id) == Ok(own) || !inside(&directory, dir) {
                return None;
            }
            let line = fs::read_to_string(entry.path().join("stat")).ok()?;
            let stat = stat(&line)?;
            let ours = stat.terminal == 0 && stat.state != "Z";
            ours.then(|| Process { id, parent: stat.parent, name: stat.name.to_owned() })
        })
        .collect()
}

/// Whether the kernel's name of a directory is `dir` or below it; a removed directory's name ends in ` (deleted)`.
fn inside(directory: &Path, dir: &Path) -> bool {
    let kept = directory.to_str().and_then(|name| name.strip_suffix(" (deleted)")).map(Path::new);
    directory.starts_with(dir) || kept.is_some_and(|kept| kept.starts_with(dir))
}

/// Sends a signal to a process; whether it could be sent.
pub fn signal(id: i32, signal: Signal) -> bool {
    Pid::from_raw(id).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Whether a process exists.
pub fn alive(id: i32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

/// Ends all processes of the lab; those that are left after five seconds are returned.
pub async fn end_all(dir: &Path) -> Vec<Process> {
    let mut first = true;
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let found = below(dir);
        if found.is_empty() || Instant::now() > until {
            return found;
        }
        // First what starts others, then PostgreSQL: told to quit at once it gives back its shared memory.
        for process in found.iter().filter(|process| process.name != "postgres") {
            signal(process.id, Signal::KILL);
        }
        if first {
            first = false;
            quit_servers(&found).await;
        } else {
            for process in &found {
                signal(process.id, Signal::KILL);
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Has PostgreSQL servers quit without a checkpoint, for at most a second.
async fn quit_servers(found: &[Process]) {
    let servers: Vec<&Process> = found.iter().filter(|process| process.name == "postgres").collect();
    let is_server = |id: i32| servers.iter().any(|process| process.id == id);
    for process in &servers {
        if !is_server(process.parent) {
            signal(process.id, Signal::QUIT);
        }
        // A hung host's processes are stopped and would never see the signal.
        signal(process.id, Signal::CONT);
    }
    let until = Instant::now() + Duration::from_secs(1);
    while servers.iter().any(|process| alive(process.id)) && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The process that listens on a port of this machine, by the kernel's tables; `None` when it is not visible.
pub fn listener(port: u16) -> Option<Process> {
    let wanted = format!("{port:04X}");
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(|line| socket(line, &wanted)).collect::<Vec<_>>())
        .collect();
    let entries = fs::read_dir("/proc").ok()?;
    entries.filter_map(Result::ok).find_map(|entry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(entry.path().join("fd")).ok()?.filter_map(Result::ok);
        files.find(|file| {
            let target = fs::read_link(file.path()).unwrap_or_default();
            sockets.iter().any(|socket| target.as_os_str() == socket.as_str())
        })?;
        let line = fs::read_to_string(entry.path().join("stat")).ok()?;
        let stat = stat(&line)?;
        Some(Process { id, parent: stat.parent, name: stat.name.to_owned() })
    })
}

/// The name of the socket in a line of `/proc/net/tcp` or `udp`, when it listens on the port (hexadecimal).
fn socket(line: &str, port: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    // 0A: a TCP socket that listens; 07: a UDP socket that is bound.
    let listens = matches!(*fields.get(3)?, "0A" | "07");
    (listens && local == port).then(|| format!("socket:[{}]", fields.get(9).copied().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let line = "4711 (odd) name) S 42 4711 4711 34816 -1 4194560";
        assert_eq!(stat(line), Some(Stat { name: "odd) name", state: "S", parent: 42, terminal: 34816 }));
        assert_eq!(stat("nothing"), None);
    }

    #[test]
    fn only_the_folder_and_what_is_below_it_is_inside() {
        let dir = Path::new("/tmp/understudy-lab-0");
        for (name, expected) in [
            ("/tmp/understudy-lab-0", true),
            ("/tmp/understudy-lab-0/members/i-1", true),
            ("/tmp/understudy-lab-0/members/i-1 (deleted)", true),
            ("/tmp/understudy-lab-0 (deleted)", true),
            ("/tmp/understudy-lab-01", false),
            ("/tmp", false),
            ("/", false),
        ] {
            assert_eq!(inside(Path::new(name), dir), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn processes_in_the_folder_are_ended_and_no_others() -> std::io::Result<()> {
        let dir = std::env::temp_dir().join(format!("understudy-processes-{}", std::process::id()));
        let inner = dir.join("members/i-1");
        fs::create_dir_all(&inner)?;
        let dir = dir.canonicalize()?;
        let sleep = |at: &Path| tokio::process::Command::new("setsid").args(["sleep", "60"]).current_dir(at).spawn();
        let (mut ours, mut other) = (sleep(&inner)?, sleep(Path::new("/"))?);
        // The first directory a process shows is its parent's, until it has started.
        let until = Instant::now() + Duration::from_secs(5);
        while below(&dir).is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = end_all(&dir).await;
        let (ended, runs) = (ours.wait().await?, other.try_wait()?);
        other.kill().await?;
        fs::remove_dir_all(&dir)?;
        assert_eq!(left, []);
        assert!(!ended.success(), "killed, not finished");
        assert_eq!(runs, None, "a process elsewhere goes on");
        Ok(())
    }

    #[test]
    fn the_process_that_has_a_port_is_named() -> std::io::Result<()> {
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        let found = listener(socket.local_addr()?.port()).map(|process| process.id);
        assert_eq!(found, i32::try_from(std::process::id()).ok());
        Ok(())
    }
}
