# PostgreSQL of a member of ec2-streaming: its secrets, its configuration, its data.

# --- secrets ----------------------------------------------------------------------------------------------

# The certificate, and the passwords of the two roles by which members talk to each other.
secrets() {
  certificates || return
  WHY='the passwords cannot be read'
  operator=$(password "$OPERATOR_SECRET") && replication=$(password "$REPLICATION_SECRET") &&
    application=$(password "$APPLICATION_SECRET") || return
  put passfile <<<"*:*:*:understudy:$(escape "$operator")"$'\n'"*:*:*:replicator:$(escape "$replication")"
}
setup_secrets() {
  install -d -m 700 -o "$OWNER" "$CONF" "$VAR" ${WAL_DIR:+"$WAL_DIR"}
  install -d -m 750 -o "$OWNER" "$BACKUP_DIR"
  wait_for secrets
}

# --- configuration ----------------------------------------------------------------------------------------

# The set that commits wait for is this one until the functions have published another, by ALTER SYSTEM. So it stays
# what it was when the member was made: a set that is not published would make promises that nobody keeps.
first_quorum() {
  local quorum=''
  [ "$SYNCHRONOUS_REQUIRED" = 0 ] || quorum="ANY $SYNCHRONOUS_REQUIRED ($OTHERS)"
  grep '^synchronous_standby_names' "$CONF/understudy.conf" 2>/dev/null || echo "synchronous_standby_names = '$quorum'"
}
# Who may connect, and how. A lab's members share a host.
access() {
  local range members=${ROOT:+127.0.0.1/32}
  for range in $ADDRESS $PEERS; do members+=" $range/32"; done
  rule() { for range in $3; do echo "hostssl $1 $2 $range $(client_method)"; done; }
  echo 'local all postgres,monitor peer map=understudy'
  rule replication replicator "$members"
  rule all understudy "$members $CLIENT_CIDRS $FLEET_CIDRS"
  rule "\"$DATABASE\"" "\"$APPLICATION_ROLE\"" "$CLIENT_CIDRS"
}
settings() {
  cat <<END
listen_addresses = '$ADDRESS'
port = '$PORT'
unix_socket_directories = '$VAR, $SOCKET'
hba_file = '$CONF/pg_hba.conf'
ident_file = '$CONF/pg_ident.conf'
understudy.instance_id = '$ID'
understudy.replication_conninfo = '$REPLICATION'
ssl = 'on'
ssl_cert_file = '$CONF/certificate.pem'
ssl_key_file = '$CONF/private_key.pem'
# While replay waits for a query, the standby heeds no freeze: 30 s by default.
max_standby_streaming_delay = '2s'
${ROOT:+dynamic_shared_memory_type = 'mmap'}
END
  first_quorum
}
configure() {
  local common own
  common=$(postgresql_settings) && own=$(settings) &&
    put pg_ident.conf <<<"$(printf 'understudy %s\n' "$OWNER postgres" "$OWNER monitor" 'prometheus monitor')" &&
    put pg_hba.conf <<<"$(access)" && put understudy.conf <<<"$common"$'\n'"$own"
}
# What has changed, for the server that runs. Some of it waits for a start, which is for a person to choose.
reload() {
  local postmaster waiting
  servers
  ((${#SERVERS[@]})) || return 0
  read -r postmaster <"$DATA/postmaster.pid"
  kill -HUP "$postmaster"
  sleep 1
  waiting=$(as_postgres timeout 5 psql -XAtqw -h "$VAR" -p "$PORT" -U postgres -d postgres \
    -c "SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings WHERE pending_restart" 2>&1) || :
  log "reloaded${waiting:+; these wait for a restart: $waiting}"
}

# --- data -------------------------------------------------------------------------------------------------

# The first to write its id is the writer. Who that is gets read back.
claim() {
  WHY="no writer yet, and $MEMBER never becomes one"
  [[ " $NEVER_PROMOTE " != *" $MEMBER "* ]] || return
  survey
  WHY="no state, but members that serve: $SEEN"
  ! grep -q '^[^ ]* [tf] ' <<<"$SEEN" || return
  log 'claiming the cluster'
  WHY=$(dynamodb UpdateItem 2>&1 <<EOF
{$(key state),"ConditionExpression":"attribute_not_exists(writer)","UpdateExpression":
"SET writer=:w,phase=:p,synchronous_required=:r,synchronous_names=:n ADD epoch :e",
"ExpressionAttributeValues":{":w":{"S":"$ID"},":p":{"S":"steady"},":r":{"N":"$SYNCHRONOUS_REQUIRED"},":e":{"N":"1"},
":n":{"L":[$(jq -c '{S: .}' <<<"${OTHERS//,/ }" | paste -sd ,)]}}}
EOF
  )
}

# In single-user mode, a statement a line: nobody connects before all is there. What fails is
# not logged: it may hold a password. The four functions that read files are what pg_rewind needs.
create() {
  local new=$DATA.new q=\' extension=''
  log 'creating the database'
  as_postgres rm -rf "$new"
  new_wal
  as_postgres initdb -D "$new" -U postgres -kE UTF8 --locale=C.UTF-8 -A reject ${WAL:+"--waldir=$WAL"} >/dev/null
  [ ! -e "${BIN%bin}lib/pg_stat_statements.so" ] || extension='CREATE EXTENSION pg_stat_statements'
  as_postgres postgres --single -D "$new" -c exit_on_error=on -c log_min_error_statement=panic postgres >/dev/null <<EOF
CREATE ROLE understudy LOGIN REPLICATION PASSWORD '${operator//$q/$q$q}'
CREATE ROLE replicator LOGIN REPLICATION PASSWORD '${replication//$q/$q$q}'
CREATE ROLE monitor LOGIN
SET password_encryption = '$PASSWORD_ENCRYPTION'
CREATE ROLE "$APPLICATION_ROLE" LOGIN PASSWORD '${application//$q/$q$q}'
CREATE DATABASE "$DATABASE" OWNER "$APPLICATION_ROLE"
GRANT pg_monitor, pg_checkpoint TO understudy
GRANT pg_monitor TO monitor
GRANT EXECUTE ON FUNCTION pg_promote, pg_reload_conf TO understudy
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) TO understudy
GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name, synchronous_standby_names TO understudy
CREATE SCHEMA AUTHORIZATION understudy CREATE TABLE epochs (epoch bigint PRIMARY KEY, writer text NOT NULL, written_at timestamptz NOT NULL DEFAULT now())
$extension
EOF
}

obtained() {
  read_state || return
  [ "$WRITER" != - ] || { claim && read_state; } || return
  [ "$WRITER" = "$ID" ] || copy
}
setup_database() {
  if [ ! -d "$DATA" ]; then
    exec 9<"$VAR"
    flock 9
    wait_for obtained
    if [ "$WRITER" = "$ID" ]; then
      # Never an empty database in place of a lost one.
      [ ! -e "$CONF/had-data" ] || die "the writer's data is gone"
      create
    fi
    as_postgres mv "$DATA.new" "$DATA"
    exec 9<&-
  fi
  as_postgres touch "$CONF/had-data"
}

# --- units ------------------------------------------------------------------------------------------------

serves() { WHY='PostgreSQL does not answer' && pg_isready -qh "$VAR" -p "$PORT"; }
setup_units() {
  local file applied
  identity || die "$WHY"
  configure || die 'the configuration cannot be written'
  for file in pg_hba.conf pg_ident.conf understudy.conf certificate.pem private_key.pem; do
    if changed "$CONF/$file"; then
      reload
      break
    fi
  done
  # The guard counts on, from the last contact, when it starts anew.
  applied=$(sha256sum "$ROOT/etc/understudy/settings.env" "$HERE/"{guard,lib}.sh)
  if [ -e "$CONF/applied" ] && [ "$(cat "$CONF/applied")" != "$applied" ]; then restart understudy-guard.service; fi
  put applied <<<"$applied"
  enable understudy-guard.service understudy-postgresql.service
  if [ -z "$ROOT" ]; then
    place /usr/local/bin/postgres-promote-replica.sh 755 root < <(echo '#!/bin/bash' &&
      echo "exec bash $HERE/promote-replica.sh \"\$@\"")
    wait_for serves
  fi
}
