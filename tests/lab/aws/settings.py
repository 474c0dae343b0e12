"""Where the local AWS keeps its files, which ports it takes, and how fast it moves.

Everything comes from the environment and is read once. `prepare` must run
before anything of MiniStack is imported, because MiniStack reads its own
environment while it is being imported.
"""

import os
import tempfile
from pathlib import Path

ADDRESS = "127.0.0.1"
GATEWAY_PORT = int(os.environ.get("GATEWAY_PORT", "4566"))
CONTROL_PORT = int(os.environ.get("LAB_CONTROL_PORT", "4567"))
REGION = os.environ.get("LAB_REGION", "eu-west-1")

LAB_DIR = Path(
    os.environ.get("LAB_DIR") or Path(tempfile.gettempdir()) / f"understudy-lab-{os.getuid()}"
).resolve()
# One directory below per member: that member's root file system.
MEMBERS_DIR = LAB_DIR / "members"
# What members keep in the place of a bucket: pgBackRest speaks to no S3 without TLS.
BACKUPS_DIR = LAB_DIR / "backups"
# The volumes of RDS's databases, and the hosts that they run on.
DATABASES_DIR = LAB_DIR / "databases"
# Where this process and the Lambda functions it starts live.
HOST_DIR = LAB_DIR / "local-aws"
# What each function printed, one file per function.
LOGS_DIR = LAB_DIR / "functions"

# EC2 takes some 15 s to start an instance and 30 s or more to stop one.
START_SECONDS = float(os.environ.get("LAB_START_SECONDS", "0.5"))
STOP_SECONDS = float(os.environ.get("LAB_STOP_SECONDS", "2"))
# EC2 gives a host that does not answer some minutes to shut down before it cuts its power, unless told not to.
UNANSWERED_SECONDS = float(os.environ.get("LAB_UNANSWERED_SECONDS", "15"))
# How long temporary credentials of a member are valid. EC2's last 6 hours.
CREDENTIAL_SECONDS = float(os.environ.get("LAB_CREDENTIAL_SECONDS", "21600"))
# The shortest delivery time-out that SendCommand takes.
MIN_DELIVERY_SECONDS = float(os.environ.get("LAB_MIN_DELIVERY_SECONDS", "30"))
# The size that each member's data disk says it has; only what is written takes space.
DISK_BYTES = int(os.environ.get("LAB_DISK_MIB", "16384")) << 20

# Load balancers listen at addresses that begin like this.
FRONT_NETWORK = os.environ.get("LAB_FRONT_NETWORK", "127.0.14")

# The program of members that Patroni leads: not of this environment, which only root may be able to read.
PATRONI = os.environ.get("LAB_PATRONI") or str(Path(__file__).resolve().parents[3] / "target/lab/patroni/bin/patroni")

# Database servers behind the endpoints of RDS listen at addresses that begin like these: in REGION, and in all others.
RDS_NETWORK = os.environ.get("LAB_RDS_NETWORK", "127.0.15")
RDS_OTHER_NETWORK = os.environ.get("LAB_RDS_OTHER_NETWORK", "127.0.16")
# How long an ordinary change of a DB instance's or cluster's state takes. RDS takes minutes.
RDS_SECONDS = float(os.environ.get("LAB_RDS_SECONDS", "2"))
# From the death of a host until RDS moves to another one. Multi-AZ takes 60 to 120 s, Aurora some 30 s.
RDS_FAILOVER_SECONDS = float(os.environ.get("LAB_RDS_FAILOVER_SECONDS") or 3 * RDS_SECONDS)
# From the death of the only host that could run an instance until RDS has another one.
RDS_REPLACEMENT_SECONDS = float(os.environ.get("LAB_RDS_REPLACEMENT_SECONDS", "900"))
# Who answers functions the names of RDS's endpoints: this process. Beside the lab's own DNS server, at 5335.
DNS_SERVER = f"{ADDRESS}:{os.environ.get('LAB_RDS_DNS_PORT', '5336')}"

# Whether instances run their user data; tests of stacks alone want records.
RUN_USER_DATA = os.environ.get("LAB_RUN_USER_DATA", "yes") == "yes"

# A partitioned member is still reached from here: by the lab's writing client.
CLIENT_ADDRESS = os.environ.get("LAB_CLIENT_ADDRESS", "127.0.0.9")
# The nft table and the cgroup that this local AWS owns. A second one runs on
# another port, and so gets another name.
PACKETS_NAME = "understudy_lab" if CONTROL_PORT == 4567 else f"understudy_lab_{CONTROL_PORT}"

GATEWAY_URL = f"http://{ADDRESS}:{GATEWAY_PORT}"
CONTROL_URL = f"http://{ADDRESS}:{CONTROL_PORT}"

# Passed on from the shell. All else is dropped: credentials and settings for
# the real AWS must not get near an emulator that hands its environment on.
INHERITED = ("PATH", "LANG", "TZ", "LOG_LEVEL", "LAMBDA_ASYNC_RETRY_BASE_SECONDS")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def prepare() -> None:
    """Makes the directories and replaces this process's environment by MiniStack's."""
    for directory in (LAB_DIR, MEMBERS_DIR, BACKUPS_DIR, DATABASES_DIR, HOST_DIR, LOGS_DIR):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
    _check_traversable()
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    os.environ.clear()
    os.environ.update({
        **kept,
        # PgBouncer is where not everybody looks for programs.
        "PATH": ":".join(filter(None, (kept.get("PATH"), SYSTEM_PATH))),
        "HOME": str(HOST_DIR),
        "TMPDIR": str(HOST_DIR),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # MiniStack gives functions this address, and only if it has it itself.
        "AWS_ENDPOINT_URL": GATEWAY_URL,
        # Read by functions; RDS_AUTHORITY joins it once there is one.
        "DNS_SERVER": DNS_SERVER,
        "AUTH": "true",
        "GATEWAY_PORT": str(GATEWAY_PORT),
        "MINISTACK_REGION": REGION,
        "STATE_DIR": str(HOST_DIR / "state"),
        "S3_DATA_DIR": str(HOST_DIR / "s3"),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    })
    tempfile.tempdir = str(HOST_DIR)
    os.chdir(HOST_DIR)


def _check_traversable() -> None:
    """As root, members run PostgreSQL as another user, who must get down to MEMBERS_DIR."""
    if os.getuid() != 0:
        return
    closed = [str(d) for d in LAB_DIR.parents if not d.stat().st_mode & 0o001]
    if closed:
        raise SystemExit(f"LAB_DIR {LAB_DIR} cannot be reached by the user postgres: "
                         f"{', '.join(closed)} is closed to others. Choose another LAB_DIR.")
