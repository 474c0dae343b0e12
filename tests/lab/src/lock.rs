//! One lab at a time on a machine.

use crate::{
    error::{Error, cannot},
    place::Place,
};
use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    path::PathBuf,
};

/// The right to run the lab, held until dropped; the kernel takes it back from a lab that was killed.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

fn path(place: &Place) -> PathBuf {
    // Beside the lab's folder: the folder itself is removed while the lock is held.
    let mut name = place.dir.clone().into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

/// What a try for the lock yields.
pub enum Try {
    /// It is ours.
    Ours(Lock),
    /// The lab with this process id has it.
    Theirs(i32),
}

impl Lock {
    /// Takes the lock, or says which process has it.
    pub fn attempt(place: &Place) -> Result<Try, Error> {
        let path = path(place);
        let doing = || format!("lock {}", path.display());
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(cannot(doing()))?;
        match file.try_lock() {
            Ok(()) => {
                let pid = std::process::id().to_string();
                file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(cannot(doing()))?;
                Ok(Try::Ours(Lock { file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.rewind().and_then(|()| file.read_to_string(&mut text)).map_err(cannot(doing()))?;
                let pid = text.trim().parse().map_err(cannot(doing()))?;
                Ok(Try::Theirs(pid))
            }
            Err(TryLockError::Error(error)) => Err(cannot(doing())(error)),
        }
    }

    /// Takes the lock, or fails with the process id that has it.
    pub fn take(place: &Place) -> Result<Lock, Error> {
        match Lock::attempt(place)? {
            Try::Ours(lock) => Ok(lock),
            Try::Theirs(pid) => Err(cannot("start the lab")(format!(
                "a lab is already running (process {pid}); one runs at a time: wait for it, or end it with `lab down`"
            ))),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Emptied, not removed: a removed file could be locked by one lab while another locks its successor.
        // Failing here leaves a stale number in the file, which nobody reads once the lock is free.
        drop(self.file.set_len(0));
    }
}
