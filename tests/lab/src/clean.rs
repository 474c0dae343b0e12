//! Leaves nothing behind: ends every process of the lab, undoes what it changed in the kernel, removes its files.

use crate::{
    error::{Error, cannot},
    lock::{Lock, Try},
    place::Place,
    processes::{end_all, signal},
};
use rustix::process::Signal;
use std::{
    fs, io,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

/// The local AWS's packet filter table, and the name of its group of processes.
const PACKETS: &str = "understudy_lab";

/// Ends all processes of the lab and undoes what it changed in the kernel. Its files, logs among them, stay.
pub async fn stop(place: &Place) -> Result<(), Error> {
    let left = end_all(&place.dir).await;
    if !left.is_empty() {
        let names: Vec<String> = left.iter().map(|process| format!("{} ({})", process.name, process.id)).collect();
        return Err(cannot("end the lab's processes")(format!("{} still there after 5 s", names.join(", "))));
    }
    if rustix::process::getuid().is_root() {
        unfilter().await?;
        ungroup()?;
    }
    Ok(())
}

/// The same, and removes the lab's files.
pub async fn remove(place: &Place) -> Result<(), Error> {
    stop(place).await?;
    match fs::remove_dir_all(&place.dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(cannot(format!("remove {}", place.dir.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Removes the packet filter table where there is one.
async fn unfilter() -> Result<(), Error> {
    let doing = "remove the lab's packet filter";
    let nft = |words: &[&str]| {
        let mut nft = tokio::process::Command::new("nft");
        nft.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        nft.output()
    };
    let found = match nft(&["list", "tables", "inet"]).await {
        // Without the program, or where it is not allowed, no table was ever made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(doing)(error)),
        Ok(found) if !found.status.success() => return Ok(()),
        Ok(found) => String::from_utf8_lossy(&found.stdout).into_owned(),
    };
    if !found.lines().any(|line| line.split_whitespace().last() == Some(PACKETS)) {
        return Ok(());
    }
    let done = nft(&["delete", "table", "inet", PACKETS]).await.map_err(cannot(doing))?;
    if !done.status.success() {
        return Err(cannot(doing)(String::from_utf8_lossy(&done.stderr)));
    }
    Ok(())
}

/// Removes the members' groups of processes (cgroup version 2), which are empty by now.
fn ungroup() -> Result<(), Error> {
    let doing = "remove the lab's process groups";
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        let parent = Path::new(root).join(PACKETS);
        let Ok(groups) = fs::read_dir(&parent) else { continue };
        for group in groups.filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
            fs::remove_dir(group.path()).map_err(cannot(doing))?;
        }
        fs::remove_dir(&parent).map_err(cannot(doing))?;
    }
    Ok(())
}

/// Takes the lock, ending the lab that has it: first asked, after 20 seconds killed.
pub async fn take_over(place: &Place) -> Result<Lock, Error> {
    let began = Instant::now();
    let mut asked = 0;
    loop {
        let pid = match Lock::attempt(place)? {
            Try::Ours(lock) => return Ok(lock),
            Try::Theirs(pid) => pid,
        };
        if pid != asked {
            eprintln!("  a lab is running (process {pid}): asking it to stop");
            signal(pid, Signal::TERM);
            asked = pid;
        } else if began.elapsed() > Duration::from_secs(20) {
            signal(pid, Signal::KILL);
        }
        if began.elapsed() > Duration::from_secs(25) {
            return Err(cannot("stop the running lab")(format!("process {pid} goes on after SIGKILL")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
