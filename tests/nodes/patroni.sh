#!/bin/bash
# Boots a cluster of ec2-patroni from infra/nodes on 127.0.22.x: three hosts of etcd, three members with Patroni,
# PostgreSQL and PgBouncer, each by its own setup.sh and units. Tries what they promise: one leader, TLS everywhere, a
# leader that dies, a member of etcd without data, set-up again, repair, and no secret where anybody sees it.
#
#   tests/nodes/patroni.sh           as root (servers run as postgres and etcd) or as any user
#
# PATRONI: Patroni's program (default: the lab's, target/lab/patroni). UNDERSTUDY_PYTHON as in members.sh.
set -Eeuo pipefail
. "${BASH_SOURCE%/*}/kit.sh"
NET=${NET:-127.0.22} MINISTACK_PORT=${PORTS:-16566} IMDS_PORT=$((${PORTS:-16566} + 1)) RECORD=shop-rw.db.internal BALANCER=understudy.elb.eu-west-1.amazonaws.com
export AWS_ENDPOINT_URL=http://127.0.0.1:$MINISTACK_PORT
export PATRONI=${PATRONI:-$HERE/../../target/lab/patroni/bin/patroni}
declare -A KEPT=() # process groups of a host
PATH=$PATH:/usr/sbin

# What PostgreSQL and PgBouncer said, for finish, which shows the end of each log of a test that failed.
gather() {
  local host file
  for host in m1 m2 m3; do
    for file in "$host"/var/log/postgresql/*; do
      [ ! -f "$file" ] || cat "$file" >>"$host-$([[ $file == *pgbouncer* ]] && echo pgbouncer || echo postgresql).log"
    done
  done
}
trap 'status=$?; set +e; trap - ERR; gather; (exit $status); finish' EXIT
trap 'exit 143' TERM INT

# Hosts are m1-m3 (members) and e1-e3 (etcd).
address() { case $1 in m*) echo "$NET.1${1#m}" ;; e*) echo "$NET.2${1#e}" ;; esac; }
root() { echo "$WORK/$1"; }
authorities() {
  authority
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=shop' -keyout tls/server.key -out tls/server.csr 2>/dev/null
  openssl x509 -req -in tls/server.csr -CA tls/ca.crt -CAkey tls/ca.key -days 2 -out tls/server.crt \
    -extfile <(echo "subjectAltName=DNS:$RECORD,DNS:shop-ro.db.internal,DNS:*.elb.eu-west-1.amazonaws.com") 2>/dev/null
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=between hosts' \
    -keyout tls/peer.key -out tls/peer.crt 2>/dev/null
}
cloud() {
  GATEWAY_PORT=$MINISTACK_PORT BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 STATE_DIR=$WORK/ministack TMPDIR=$WORK \
    background ministack.log "$PYTHON" -m ministack
  MINISTACK=$!
  background imds.log "$PYTHON" "$HERE/aws.py" imds $IMDS_PORT
  until curl -sf -o /dev/null "$AWS_ENDPOINT_URL/_ministack/health"; do
    kill -0 "$MINISTACK" || { echo "MiniStack did not start with $PYTHON" >&2 && exit 1; }
    sleep 0.1
  done
  "$PYTHON" "$HERE/patroni.py" prepare "$WORK"
}
host() { # HOST: what bootstrap.sh leaves on it
  local there name=shop_${1#m} role=member
  there=$(root "$1")
  case $1 in e*) name=shop-etcd-${1#e} role=etcd ;; esac
  mkdir -p "$there/etc/understudy" "$there/opt" "$there/run" "$there/var/lib"
  cp -r "$NODES" "$there/opt/understudy"
  cat >"$there/etc/understudy/identity.env" <<END
FLEET=test CLUSTER=shop STACK= REGION=eu-west-1 LOGICAL_ID=Host$1 MEMBER=$name ROLE=$role ADDRESS=$(address "$1")
STATE_TABLE=test-state SETTINGS=/understudy/test/clusters/shop/settings BUCKET=none
END
  cat references.env - >"$there/etc/understudy/settings.env" <<END
TOPOLOGY=ec2-patroni POSTGRESQL_VERSION=15 PORT=5432 DATABASE=shop APPLICATION_ROLE=app WRITER_RECORD=$RECORD
MEMBERS="shop_1=$(address m1) shop_2=$(address m2) shop_3=$(address m3)" SCOPE=shop SYNCHRONOUS_REQUIRED=1
ETCD="shop-etcd-1=$(address e1) shop-etcd-2=$(address e2) shop-etcd-3=$(address e3)"
CLIENT_CIDRS="127.0.0.0/8" MAX_CONNECTIONS=40 DR_SLOT=shop_dr POOL_MIN=1 ${MORE:-}
END
}
on() { # HOST SCRIPT [ARGUMENT...]: runs one of its scripts
  local host=$1
  shift
  ROOT=$(root "$host") IMDS=http://127.0.0.1:$IMDS_PORT/i-$host bash "$(root "$host")/opt/understudy/$1" "${@:2}"
}
setup() { on "$1" setup.sh </dev/null >>"$1.log" 2>&1; } # HOST
# Its services, as systemd keeps them.
keep() { # HOST
  local unit script
  while read -r unit; do
    case $unit in *.timer) continue ;; esac
    script=$(sed -n 's|^ExecStart=/bin/bash /opt/understudy/||p' "$NODES/$unit")
    # shellcheck disable=SC2016
    background "$1.log" env ROOT="$(root "$1")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" \
      bash -c 'cd "$ROOT"; while :; do bash "$ROOT/opt/understudy/'"$script"'"; sleep 1; done'
    KEPT[$1]+=" $!"
  done <"$(root "$1")/etc/understudy/units"
}
# All processes of a host at once, as when its hardware dies.
kill_host() { # HOST
  local group process
  for group in ${KEPT[$1]}; do kill -9 -- "-$group" 2>/dev/null || true; done
  for process in $(processes "$1"); do shared_memory "$process"; done
  # shellcheck disable=SC2046
  kill -9 $(processes "$1") 2>/dev/null || true
  KEPT[$1]=''
}
processes() { # HOST
  local process
  for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd") in "$WORK/$1" | "$WORK/$1"/*) echo "${process#/proc/}" ;; esac
  done 2>/dev/null
}

as_owner() {
  local -a as=(env)
  [ "$(id -u)" != 0 ] || as=(setpriv --reuid=postgres --regid=postgres --init-groups)
  "${as[@]}" timeout 5 "$@"
}
sql() { as_owner "$BIN/psql" -XAtq -h "$(root "$1")/run/postgresql" -U postgres -c "$2" "${3:-postgres}"; } # HOST SQL
pool() { # HOST SQL: as the application, through its PgBouncer
  PGPASSWORD="a:p\\p'l i" timeout 5 "$BIN/psql" -XAtqw -c "$2" \
    -d "host=$BALANCER hostaddr=$(address "$1") port=6432 user=app dbname=shop sslmode=verify-full sslrootcert=$WORK/tls/ca.crt"
}
get() { curl -s -m 3 --cacert tls/peer.crt -o /dev/null -w '%{http_code}' "https://$(address "$1"):8008/$2"; } # HOST PATH
cluster() { # jq filter over what any member says of the cluster
  local host
  sleep 0.2 # it is asked again and again
  for host in m1 m2 m3; do curl -s -m 2 --cacert tls/peer.crt "https://$(address $host):8008/cluster" && break; done | jq -r "$1"
}
leader() { cluster '[.members[] | select(.role == "leader" and .state == "running") | .name] | join(",")' | sed 's/shop_/m/'; }
roles() { cluster '[.members | sort_by(.role)[] | "\(.role) \(.state)"] | join(", ")'; }
etcd() { # HOST ARGUMENT...
  local host=$1 endpoint
  endpoint=https://$(address "$host"):2379
  shift
  ETCDCTL_API=3 etcdctl --endpoints="$endpoint" --cacert=tls/peer.crt --cert="$(root "$host")/etc/understudy/peer/certificate.pem" \
    --key="$(root "$host")/etc/understudy/peer/key.pem" --command-timeout=3s "$@"
}
healthy() { # how many of etcd's
  local host count=0
  sleep 0.2
  for host in e1 e2 e3; do [[ $(etcd $host endpoint health 2>&1) != *'is healthy'* ]] || count=$((count + 1)); done
  echo $count
}

boot() {
  local host began=$SECONDS pids=()
  for host in e1 e2 e3 m1 m2 m3; do host $host; done
  for host in e1 e2 e3 m1 m2 m3; do
    setup $host &
    pids+=($!)
  done
  for host in "${pids[@]}"; do wait "$host"; done
  for host in e1 e2 e3 m1 m2 m3; do keep $host; done
  until_is 40 'etcd: quorum of three' 3 healthy
  until_is 120 'one leader, two streaming, one of them synchronous' 'leader running, replica streaming, sync_standby streaming' roles
  echo "   in $((SECONDS - began)) s"
}

. "$HERE/patroni-checks.sh"

# As curl's configuration wants it.
(umask 077 && cat >api.login) <<'END'
user = "admin:p:a\\t'r\"o{"
END
# Read as a whole before it begins: whoever edits this file meanwhile spoils no run.
main() {
  authorities
  cloud
  background arguments.log "$PYTHON" "$HERE/patroni.py" watch
  boot
  # Other checks of the same cluster: patroni-backups.sh.
  if [ -n "${INSTEAD:-}" ]; then
    # shellcheck source=/dev/null
    . "$INSTEAD"
    return
  fi
  promises
  failover
  quorum
  again
  repairs
  secrecy
}
main
