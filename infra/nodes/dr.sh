# The standby in a second Region: what its scripts share (dr-run.sh, dr-check.sh, dr-promote.sh), and its set-up. Only
# functions and constants.
#
# It streams from whichever member is out of recovery, through a slot of its own there. Where the members are is in the
# secret `source`, which the primary's stack keeps current and Secrets Manager replicates; the last that was read stays
# on the disk. Nothing of the primary Region, and nothing of AWS, is needed to start.
#
# Backups here: pgBackRest makes none of a standby without its primary. So until it is promoted, the DR Region's backups
# are the replicated ones of the primary's bucket (pgbackrest-copy.conf, only read). Once promoted it archives and
# backs up into the same bucket, under a path of its own (pgbackrest.conf): the primary may still be alive, and two
# histories in one place would mix.
# shellcheck shell=bash
SOURCE_FILE=$CONF/source.json

# --- the source -------------------------------------------------------------------------------------------

# Reads the secret, and keeps it. Without an answer the last one holds.
read_source() {
  local text
  if identity && text=$(secret "$DR_SOURCE_SECRET" 2>/dev/null) &&
    jq -e '.hosts and .record and .port' <<<"$text" >/dev/null; then
    put source.json <<<"$text"
  fi
  WHY="the secret $DR_SOURCE_SECRET was never read"
  [ -s "$SOURCE_FILE" ]
}
source_hosts() { jq -r '.hosts | split("[ ,]+"; null) | .[]' "$SOURCE_FILE"; }
# What libpq tries, in this order: each member by its address, its certificate checked against the writer's record; then
# the load balancer by its name. Only a server that takes writes will do, so this follows a failover by itself.
source_conninfo() { # USER
  local host hosts='' addresses='' record balancer
  record=$(jq -r .record "$SOURCE_FILE") balancer=$(jq -r '.balancer // empty' "$SOURCE_FILE")
  for host in $(source_hosts); do hosts+=",$record" addresses+=",$host"; done
  if [ -n "$balancer" ]; then hosts+=",$balancer" addresses+=','; fi
  echo "user=$1 application_name=$DR_SLOT host=${hosts#,} hostaddr=${addresses#,} port=$(jq -r .port "$SOURCE_FILE")" \
    "target_session_attrs=read-write connect_timeout=3 passfile=$CONF/passfile" \
    "sslmode=verify-full sslrootcert=$CONF/certificate_authority.pem"
}
ask_source() { # SQL: on the member out of recovery; nothing when there is none
  as_postgres timeout "${ASK_SECONDS:-20}" psql -XAtqwF ' ' -d "$(source_conninfo understudy) dbname=postgres" -c "$1"
}
# Made anew after a failover, unless Patroni keeps it. An inactive one is bounded by max_slot_wal_keep_size there.
need_slot() {
  WHY="no slot on the source: $(ask_source "SELECT pg_create_physical_replication_slot('$DR_SLOT', true)
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '$DR_SLOT')" 2>&1)"
}

# --- its configuration --------------------------------------------------------------------------------------

dr_access() {
  local range
  echo 'local all postgres,monitor peer map=understudy'
  for range in $FLEET_CIDRS $CLIENT_CIDRS; do echo "hostssl all understudy $range scram-sha-256"; done
  for range in $CLIENT_CIDRS $DR_CIDR $PRIMARY_CIDR; do
    echo "hostssl \"$DATABASE\" \"$APPLICATION_ROLE\" $range $(client_method)"
  done
}
dr_configure() {
  local common
  common=$(postgresql_settings) || return
  put pg_ident.conf < <(printf 'understudy %s %s\n' "$OWNER" postgres "$OWNER" monitor prometheus monitor)
  put pg_hba.conf < <(dr_access)
  put understudy.conf <<END
$common
listen_addresses = '$ADDRESS'
port = '$PORT'
unix_socket_directories = '$VAR, $SOCKET'
hba_file = '$CONF/pg_hba.conf'
ident_file = '$CONF/pg_ident.conf'
ssl = 'on'
ssl_cert_file = '$CONF/certificate.pem'
ssl_key_file = '$CONF/private_key.pem'
hot_standby_feedback = 'on'
restore_command = '$RESTORE_COMMAND'
recovery_target_timeline = 'latest'
include_if_exists = '$CONF/source.conf'
include_if_exists = '$CONF/atleast.conf'
${ROOT:+dynamic_shared_memory_type = 'mmap'}
END
}
# What changes while it runs: where it streams from.
source_configure() {
  put source.conf <<END
primary_conninfo = '$(source_conninfo replicator)'
primary_slot_name = '$DR_SLOT'
END
}
# A standby refuses to start with less than the primary has of these; the instance may be a smaller one.
atleast_configure() {
  put atleast.conf < <(as_postgres pg_controldata -D "$DATA" | awk -F ': +' '
    $1 ~ /^max_.* setting$/ {sub(/ setting$/, "", $1); sub(/xact/, "transaction", $1); print $1 " = " $2}')
}
reload_dr() {
  servers
  ((${#SERVERS[@]} == 0)) || sql 'SELECT pg_reload_conf()' >/dev/null
}

# Two repositories: what is replicated from the primary's, and its own.
dr_repositories() {
  backup_program
  backup_folders own
  backup_folders copy
  if [ "$BACKUP_REPOSITORY" = local ]; then install -d -m 750 -o "$OWNER" "$BACKUP_PATH-dr"; fi
  place "$COPY" 644 root < <(echo '[global]' && repository 1 "$BACKUP_PATH" && backup_settings copy)
  place "$CONFIG" 644 root < <(
    echo '[global]'
    BACKUP_BUCKET=$DR_BUCKET BACKUP_REGION=$DR_REGION repository 2 "$BACKUP_PATH-dr"
    printf 'repo2-retention-%s\n' "full=$DR_RETENTION_FULL" "diff=$BACKUP_RETENTION_DIFF"
    backup_settings own
  )
  backup_timers
}
setup_dr() {
  dr_repositories
  dr_configure
  enable understudy-dr.service understudy-dr-check.timer
  if [ -d "$DATA" ]; then reload_dr; fi
}
