//! Where the lab's things are.

use crate::error::{Error, cannot};
use std::{
    ffi::OsStr,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// Where the local AWS listens.
pub const AWS_PORT: u16 = 4566;
/// Where the stand-in for the instance metadata service and the fault control listen.
pub const CONTROL_PORT: u16 = 4567;
/// Where names are answered.
pub const DNS_PORT: u16 = 5335;
/// Region of the lab's fleet.
pub const REGION: &str = "eu-west-1";
/// Region of its second fleet, which clusters with two Regions need.
pub const SECOND_REGION: &str = "eu-central-1";
/// Name of the lab's fleet, the same in both Regions.
pub const FLEET: &str = "lab";
/// The private zone that the records are in.
pub const ZONE: &str = "db.internal";
/// Address from which the writing client connects: inside the VPC, not a member's.
pub const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// A socket address of this machine's loopback.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The folders of one lab.
#[derive(Debug, Clone)]
pub struct Place {
    /// The lab's folder: everything the lab starts has its current directory in it.
    pub dir: PathBuf,
    /// The root of the project.
    pub repo: PathBuf,
}

impl Place {
    /// The lab's folder as `LAB_DIR` says, or one per user where temporary files go. It may not exist yet.
    pub fn find() -> Result<Place, Error> {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let repo = repo.canonicalize().map_err(cannot(format!("find the project at {}", repo.display())))?;
        let user = rustix::process::getuid().as_raw();
        let dir = match std::env::var_os("LAB_DIR") {
            Some(dir) if !dir.is_empty() => PathBuf::from(dir),
            _ => std::env::temp_dir().join(format!("understudy-lab-{user}")),
        };
        // Absolute and without links: processes are found by the directory that the kernel names.
        let dir = std::path::absolute(&dir).map_err(cannot(format!("use {} as LAB_DIR", dir.display())))?;
        let dir = match (dir.parent().map(Path::canonicalize), dir.file_name()) {
            (Some(Ok(parent)), Some(name)) => parent.join(name),
            _ => return Err(cannot("use LAB_DIR")(format!("{} is not a folder in an existing folder", dir.display()))),
        };
        Ok(Place { dir, repo })
    }

    /// Makes the lab's folder where it is missing; refuses one that someone else made.
    pub fn make(&self) -> Result<(), Error> {
        let doing = || format!("use {} as the lab's folder", self.dir.display());
        // 755: PostgreSQL runs as its own user when the lab runs as root, and must get to its folder.
        match fs::DirBuilder::new().mode(0o755).create(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(cannot(doing())(error)),
            _ => {}
        }
        let found = fs::symlink_metadata(&self.dir).map_err(cannot(doing()))?;
        if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() {
            return Err(cannot(doing())("it exists and is not this user's folder"));
        }
        for inner in [self.logs(), self.temporary()] {
            fs::create_dir_all(inner).map_err(cannot(doing()))?;
        }
        Ok(())
    }

    /// Where the output of programs goes.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Where programs put what they need only while they run.
    fn temporary(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// A program of the lab's Python environment.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.repo.join("target/lab/venv/bin").join(name)
    }

    /// The folders with the built functions, as `sam build` would leave them.
    pub fn functions(&self) -> PathBuf {
        self.repo.join("target/lab/functions")
    }

    /// A program that runs inside the lab: its current directory is the lab's folder, it has a session of its own so
    /// that a terminal's Ctrl-C reaches the lab alone, and it ends when the lab no longer waits for it.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setsid");
        command.arg(program).current_dir(&self.dir).stdin(std::process::Stdio::null()).kill_on_drop(true);
        command
    }

    /// The same, with the local AWS as its AWS, and nothing of the person's own account.
    pub fn aws_program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.program(program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("AWS_") || name.starts_with("SAM_CLI_")) {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{AWS_PORT}"))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", self.dir.join("no-aws-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.dir.join("no-aws-credentials"))
            .env("SAM_CLI_TELEMETRY", "0")
            // SAM CLI keeps settings at home, and leaves its archives behind where it is killed.
            .env("HOME", &self.dir)
            .env("TMPDIR", self.temporary())
            .env("LAB_DIR", &self.dir);
        // A proxy for the outside must not see calls to this machine.
        command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
        command
    }
}
