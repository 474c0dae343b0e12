#!/usr/bin/env bash
# Sets this machine up for the lab and the tests: Debian packages and a Python environment, where they are missing.
# Says on standard error what it does. Does nothing, in a few hundredths of a second, when nothing is missing.
#
#   tests/lab/setup.sh              what `make demo` needs
#   tests/lab/setup.sh --clusters   what clusters with Patroni or backups need too: Patroni, etcd, PgBouncer, pgBackRest
#   tests/lab/setup.sh --tests      what `make test` needs, all of that among it
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
repo=$PWD

say() { printf '%s\n' "$*" >&2; }

# fail TEXT...: says what is wrong, one line an argument, and stops.
fail() {
  say "$@"
  exit 1
}

# Whether all kinds of clusters are wanted, not only the one of `make demo`.
wants_all() { [[ ${1:-} == --tests || ${1:-} == --clusters ]]; }

# Prints the Debian packages of the programs that are missing.
missing_packages() {
  [[ -x /usr/lib/postgresql/15/bin/postgres ]] || echo postgresql-15
  command -v jq >/dev/null || echo jq
  command -v curl >/dev/null || echo curl
  command -v openssl >/dev/null || echo openssl
  command -v strip >/dev/null || echo binutils
  # Rust has no linker of its own.
  command -v cc >/dev/null || echo gcc libc6-dev
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  if [[ ${1:-} == --tests ]] && ! command -v shellcheck >/dev/null; then
    echo shellcheck
  fi
  if wants_all "$@"; then
    [[ ! -x /usr/bin/python3 ]] || /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    command -v etcd >/dev/null || echo etcd-server
    command -v etcdctl >/dev/null || echo etcd-client
    [[ -x /usr/sbin/pgbouncer ]] || echo pgbouncer
    command -v pgbackrest >/dev/null || echo pgbackrest
  fi
}

# Installs what is missing; where that is not allowed, says how it is done, and stops.
install_packages() {
  local -a packages
  mapfile -t packages < <(missing_packages "$@" | tr ' ' '\n')
  # Drops packets to a dead host; without it, and for anyone but root, such a host refuses connections instead.
  if ((EUID == 0)) && ! command -v nft >/dev/null; then
    packages+=(nftables)
  fi
  # Makes the members' data disks; without it, and for anyone but root, no disk can be full.
  if ((EUID == 0)) && ! command -v mkfs.ext4 >/dev/null; then
    packages+=(e2fsprogs)
  fi
  ((${#packages[@]})) || return 0
  if ! command -v apt-get >/dev/null; then
    fail "missing: ${packages[*]} (Debian's names); install them, then run this again"
  fi
  if ((EUID != 0)); then
    fail "missing: ${packages[*]}" "Please run: sudo apt-get update && sudo apt-get install -y ${packages[*]}"
  fi
  say "installing ${packages[*]} from Debian"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
}

# make_venv NAME REQUIREMENTS WHAT: makes the Python environment target/lab/NAME anew unless it was made from these very
# requirements by this very Python.
make_venv() {
  local venv=$repo/target/lab/$1 requirements=$repo/$2 made_from python=python3
  # Patroni runs as postgres, which cannot read a Python in somebody's home.
  [[ $1 != patroni || ! -x /usr/bin/python3 ]] || python=/usr/bin/python3
  # Written last: an environment without it was broken off half-way, and one with another's is out of date.
  local stamp=$venv/.made-from
  made_from=$($python --version && cat "$requirements")
  if [[ -f $stamp && $(<"$stamp") == "$made_from" ]]; then
    return 0
  fi
  if ! $python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    fail "Python 3.11 or newer is needed, $($python --version) is there"
  fi
  say "making the Python environment in target/lab/$1: $3"
  rm -rf "$venv"
  mkdir -p "$(dirname "$venv")"
  $python -m venv "$venv"
  "$venv/bin/pip" install --disable-pip-version-check --no-input --progress-bar off --requirement "$requirements" |
    sed -u -n -e 's/^Collecting \([^ ]*\).*/  \1/p' -e 's/^Installing collected packages:.*/  installing them/p' >&2
  chmod -R go=u-w "$venv"
  printf '%s\n' "$made_from" >"$stamp"
}

# Prometheus and its exporters, from Debian's packages but not installed: as services they would start at once.
unpack_monitoring() {
  local to=$repo/target/lab/monitoring packages=(prometheus prometheus-alertmanager prometheus-node-exporter prometheus-postgres-exporter)
  [[ ! -e $to/.complete ]] || return 0
  command -v apt-get >/dev/null || fail "missing: ${packages[*]} (Debian's names), unpacked in target/lab/monitoring"
  say "unpacking ${packages[*]} in target/lab/monitoring"
  rm -rf "$to"
  mkdir -p "$to/packages"
  ((EUID != 0)) || apt-get update -qq >&2
  (cd "$to/packages" && apt-get download -q "${packages[@]}" >&2)
  for package in "$to"/packages/*.deb; do dpkg -x "$package" "$to"; done
  rm -r "$to/packages"
  touch "$to/.complete"
}

command -v cargo >/dev/null || fail "Rust is missing: cargo is not in PATH"
# One at a time: two environments in one folder would spoil each other.
mkdir -p target/lab
exec 9>target/lab/setup.lock
flock 9
install_packages "$@"
make_venv venv tests/lab/aws/requirements.txt 'MiniStack, SAM CLI, cfn-lint and what they need'
if wants_all "$@"; then
  make_venv patroni tests/lab/patroni/requirements.txt 'Patroni'
fi
if [[ ${1:-} == --tests ]]; then
  unpack_monitoring
fi
