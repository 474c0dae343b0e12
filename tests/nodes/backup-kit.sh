# Members for the tests of backups and of the DR standby: PostgreSQL as a member configures it, kept running, and a
# repository in a folder that all see. Sourced after kit.sh.
# shellcheck shell=bash
NET=${NET:-127.0.24}
address() { echo "$NET.1$1"; }
var() { echo "$(root "$1")/var/lib/understudy"; }
AS=(env)
[ "$(id -u)" != 0 ] || AS=(setpriv --reuid=postgres --regid=postgres --init-groups)
WHO=$("${AS[@]}" id -un)
REPOSITORY=$WORK/repository

# What the template and set-up leave on a host, without PostgreSQL.
host() { # NUMBER
  local there
  there=$(root "$1")
  mkdir -p "$there/etc/understudy" "$there/opt" "$there/var/lib" "$there/run/understudy" "$there/tmp"
  install -d -m 700 -o "$WHO" "$there/var/lib/understudy" "$there/etc/understudy/postgresql" "$there/var/backups/postgresql"
  cp -r "$NODES" "$there/opt/understudy"
  cat >"$there/etc/understudy/identity.env" <<END
FLEET=test CLUSTER=orders STACK= REGION=eu-west-1 LOGICAL_ID=Member$1 MEMBER=orders_$1 ROLE=member ADDRESS=$(address "$1") STATE_TABLE=
END
  cat >"$there/etc/understudy/settings.env" <<END
TOPOLOGY=ec2-streaming POSTGRESQL_VERSION=15 PORT=5432 DATABASE=orders APPLICATION_ROLE=app WRITER_RECORD=$RECORD
MEMBERS="orders_1=$(address 1) orders_2=$(address 2)" SYNCHRONOUS_REQUIRED=0
BACKUP_STANZA=orders BACKUP_REPOSITORY=local BACKUP_PATH=$REPOSITORY BACKUP_RETENTION_FULL=2 BACKUP_RETENTION_DIFF=7
BACKUP_PROCESS_MAX=2 BACKUP_COMPRESS_LEVEL=6 BACKUP_ARCHIVE_TIMEOUT=60 BACKUP_DUMP_DAYS=14
BACKUP_FULL_AT="Sun 02:00" BACKUP_DIFF_AT="Mon..Sat 02:00"
END
  cp tls/ca.crt "$there/etc/understudy/postgresql/certificate_authority.pem"
  cp tls/server.crt "$there/etc/understudy/postgresql/certificate.pem"
  cp tls/server.key "$there/etc/understudy/postgresql/private_key.pem"
  printf '*:*:*:%s\n' understudy:operator replicator:replication >"$there/etc/understudy/postgresql/passfile"
  chmod 600 "$there/etc/understudy/postgresql/"*
  chown "$WHO" "$there/etc/understudy/postgresql/"*
  configuration "$1" | "${AS[@]}" tee "$there/etc/understudy/postgresql/understudy.conf" >/dev/null
  printf '%s\n' 'local all all peer map=understudy' "local replication all peer map=understudy" 'hostssl all understudy 127.0.0.0/8 scram-sha-256' \
    'hostssl replication replicator 127.0.0.0/8 scram-sha-256' |
    "${AS[@]}" tee "$there/etc/understudy/postgresql/pg_hba.conf" >/dev/null
  "${AS[@]}" tee "$there/etc/understudy/postgresql/pg_ident.conf" >/dev/null <<<"understudy $WHO postgres"
}
configuration() { # NUMBER
  local conf archive
  conf=$(root "$1")/etc/understudy/postgresql
  archive="ROOT=$(root "$1") exec /bin/bash $(root "$1")/opt/understudy/archive.sh"
  cat <<END
listen_addresses = '$(address "$1")'
unix_socket_directories = '$(var "$1")'
hba_file = '$conf/pg_hba.conf'
ident_file = '$conf/pg_ident.conf'
ssl = on
ssl_cert_file = '$conf/certificate.pem'
ssl_key_file = '$conf/private_key.pem'
dynamic_shared_memory_type = mmap
shared_buffers = 32MB
hot_standby = on
archive_mode = on
archive_command = '$archive push "%p" # pgbackrest'
restore_command = '$archive get "%f" "%p"'
archive_timeout = 60s
wal_retrieve_retry_interval = 200ms
wal_sender_timeout = 5s
wal_receiver_timeout = 5s
END
}
# Keeps PostgreSQL of a member running, as systemd does, and never beside restore.sh: the lock of start.sh.
serve() { # NUMBER
  # shellcheck disable=SC2016
  background "m$1.log" env ROOT="$(root "$1")" bash -c 'cd "$ROOT"; while :; do
    exec 9<"$ROOT/var/lib/understudy"
    if flock -n 9 && [ -e var/lib/understudy/data/global/pg_control ] && [ ! -e stopped ]; then
      "$@" -D "$ROOT/var/lib/understudy/data" -c config_file="$ROOT/etc/understudy/postgresql/understudy.conf"
    fi
    exec 9<&-
    sleep 0.1
  done' serve "${AS[@]}" env "ROOT=$(root "$1")" "$BIN/postgres"
}
stop() { # NUMBER
  touch "$(root "$1")/stopped"
  "${AS[@]}" "$BIN/pg_ctl" stop -s -m fast -D "$(var "$1")/data"
}
go() { rm -f "$(root "$1")/stopped"; } # NUMBER: may run again
script() { # NUMBER SCRIPT ARGUMENT...
  local n=$1 name=$2
  shift 2
  ROOT=$(root "$n") IMDS="http://127.0.0.1:$IMDS_PORT/i-$n" STUCK_SECONDS=20 VERIFY_SECONDS=30 \
    bash "$(root "$n")/opt/understudy/$name" "$@" </dev/null 2>&1 | tee -a "m$n.script.log"
}
runs() { [[ -e $(var "$1")/data/postmaster.pid ]] && echo yes || echo no; } # NUMBER
try() { script "$@" || true; } # what may fail
setup() { # NUMBER: as setup.sh does
  ROOT=$(root "$1") bash -c '. "$ROOT/opt/understudy/lib.sh"; . "$HERE/backup.sh"; setup_backup' >>"m$1.script.log" 2>&1
}
last() { tail -n 1 | sed -E 's/^[^ ]+ understudy [^ ]+: //'; } # line, without its time
rows() { sql "$1" 'SELECT coalesce(max(id), 0) FROM rows' orders; } # NUMBER
insert() { sql "$1" "INSERT INTO rows SELECT generate_series(coalesce(max(id), 0) + 1, coalesce(max(id), 0) + $2) FROM rows" orders >/dev/null; }
moment() { sql "$1" "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"; }
archived() { # NUMBER: all that is there
  sql "$1" "SELECT pg_logical_emit_message(false, 'a switch', 'wakes the archiver')" >/dev/null
  sql "$1" 'SELECT pg_switch_wal()' >/dev/null
  until_is 15 "member $1's segments are all in the archive" 0 sql "$1" \
    "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
}
backups() { "${AS[@]}" pgbackrest --config="$(root 1)/etc/pgbackrest.conf" --stanza=orders --output=json info | jq -r "[.[0].backup[] | .type] | join(\" \")"; }
metric() { # NAME: the least that CloudWatch has of the cluster
  curl -sSf --aws-sigv4 aws:amz:eu-west-1:monitoring --user test:test "$AWS_ENDPOINT_URL/" -d "Action=GetMetricStatistics&Version=2010-08-01\
&Namespace=Understudy/Hosts&MetricName=$1&Dimensions.member.1.Name=Fleet&Dimensions.member.1.Value=test&Dimensions.member.2.Name=Cluster\
&Dimensions.member.2.Value=orders&StartTime=$(date -u -d '-10 minutes' +%FT%TZ)&EndTime=$(date -u -d '+2 minutes' +%FT%TZ)&Period=60&Statistics.member.1=Minimum" |
    sed -n 's/.*<Minimum>\([0-9]*\).*/\1/p'
}
