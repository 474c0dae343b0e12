# Patroni, which decides who writes in a cluster of ec2-patroni. What is run is patroni-run.sh.
# shellcheck shell=bash
. "$HERE/peer.sh"
PATRONI=${PATRONI:-/usr/bin/patroni} PATRONI_PORT=8008
SCOPE=${SCOPE:-$CLUSTER}
# What Patroni takes from its dynamic configuration alone: on a standby these may not be less than on the leader.
PATRONI_SHARED='["max_connections","max_locks_per_transaction","max_prepared_transactions","max_replication_slots",
  "max_wal_senders","max_worker_processes","track_commit_timestamp","wal_keep_size","wal_level","wal_log_hints"]'

# The REST API of this member. GET needs no password.
patroni_api() { # METHOD PATH [<BODY]
  local body=()
  [ "$1" = GET ] || body=(-H 'Content-Type: application/json' --data-binary @-)
  curl -sS --fail-with-body -m "${API_SECONDS:-5}" --cacert "$PEER/authority.pem" -X "$1" "${body[@]}" \
    -K <(printf 'user = "%s"\n' "${API_LOGIN:-:}") "https://${API_ADDRESS:-$ADDRESS}:$PATRONI_PORT/$2"
}
# Sets API_LOGIN, as curl's configuration wants it.
patroni_load_password() {
  local login
  wait_for identity
  login=$(secret "$PATRONI_SECRET")
  API_LOGIN=$(jq -er '"\(.username):\(.password)" | gsub("(?<c>[\\\\\"])"; "\\\(.c)")' <<<"$login")
}
patroni_state() { patroni_api GET patroni 2>/dev/null | jq -r .state; }
patroni_leads() { [ "$(patroni_api GET patroni 2>/dev/null | jq -r .role)" = primary ]; }

# From "name = 'value'" to an object; of two lines with one name the later wins.
patroni_parameters() {
  postgresql_settings | jq -Rn '[inputs | capture("^(?<key>[A-Za-z_.0-9]+) *= *'\''(?<value>.*)'\''$")
    | .value |= gsub("'\'\''"; "'\''")] | from_entries'
}
# What is the same for all members. Nothing here removes data by itself: a member whose data cannot be rewound waits
# for Understudy's repair.sh, which keeps the old data where there is room.
patroni_shared() { # PARAMETERS
  jq -n --argjson given "$1" --argjson shared "$PATRONI_SHARED" --argjson ttl "${PATRONI_TTL:-20}" \
    --argjson loop "${PATRONI_LOOP_WAIT:-5}" --argjson retry "${PATRONI_RETRY_TIMEOUT:-5}" \
    --argjson lag "${PATRONI_MAXIMUM_LAG:-1048576}" --argjson strict "${PATRONI_STRICT:-false}" \
    --argjson required "$SYNCHRONOUS_REQUIRED" --arg dr "${DR_SLOT:-}" --arg usual "${SCOPE//-/_}_dr" '{
    ttl: $ttl, loop_wait: $loop, retry_timeout: $retry, maximum_lag_on_failover: $lag,
    # A leader whose recovery takes longer than its ttl is replaced.
    primary_start_timeout: $ttl,
    synchronous_mode: ($required > 0), synchronous_mode_strict: $strict,
    synchronous_node_count: ([$required, 1] | max),
    # Without etcd a leader goes on as long as it reaches all members.
    failsafe_mode: true, check_timeline: true,
    postgresql: {
      use_pg_rewind: true, use_slots: true,
      remove_data_directory_on_rewind_failure: false, remove_data_directory_on_diverged_timelines: false,
      parameters: ($shared | map({key: ., value: $given[.]}) | from_entries)
    },
    slots: (if $dr == "" then {($usual): null} else {($dr): {type: "physical"}} end)
  }'
}
# pg_hba.conf, a rule a line: TLS and a password for all that comes over the network, and nobody unnamed.
patroni_rules() {
  local range members=${ROOT:+127.0.0.1/32} # a lab's members share a host
  for range in $ADDRESS $PEERS; do members+=" $range/32"; done
  rule() { for range in $4; do echo "hostssl $1 $2 $range $3"; done; }
  echo 'local all postgres peer map=understudy'
  echo 'local all monitor peer map=understudy'
  echo "local all all $(client_method)" # PgBouncer, with each client's own password
  rule replication replicator scram-sha-256 "$members $DR_CIDR"
  rule postgres replicator scram-sha-256 "$members" # pg_rewind
  rule all understudy scram-sha-256 "$members $CLIENT_CIDRS ${FLEET_CIDRS:-} $DR_CIDR"
  rule "\"$DATABASE\"" "\"$APPLICATION_ROLE\"" "$(client_method)" "$CLIENT_CIDRS $CLUSTER_CIDRS"
}
# patroni.yml, in JSON, which is YAML. The passwords come through a pipe, a line each.
patroni_configuration() { # PARAMETERS FILE-OF-WHAT-IS-SHARED
  local watchdog=off wal=${WAL_DIR:+$WAL_DIR/wal} restore='' never=false
  [[ " $NEVER_PROMOTE " != *" $MEMBER "* ]] || never=true
  [ -z "${BACKUP_STANZA:-}" ] || restore="ROOT=$ROOT exec /bin/bash $HERE/archive.sh get \"%f\" \"%p\""
  if [ -z "$ROOT" ] && [ "${PATRONI_WATCHDOG:-true}" = true ]; then watchdog=automatic; fi
  printf '%s\n' "$superuser" "$replication" "${API_LOGIN_PLAIN%%:*}" "${API_LOGIN_PLAIN#*:}" |
    jq -Rn --argjson given "$1" --argjson shared "$PATRONI_SHARED" --slurpfile dcs "$2" --arg scope "$SCOPE" \
      --arg name "$MEMBER" --arg address "$ADDRESS" --argjson port "$PORT" --arg peer "$PEER" --arg conf "$CONF" \
      --arg data "$DATA" --arg bin "$BIN" --arg here "$HERE" --arg sockets "$SOCKET,$VAR" --arg id "$ID" \
      --arg etcd "$ETCD" --arg rules "$(patroni_rules)" --arg owner "$OWNER" --arg wal "$wal" --arg root "$ROOT" \
      --arg watchdog $watchdog --arg restore "$restore" --argjson never "$never" '
    [inputs] as [$superuser, $replication, $api_user, $api_password] |
    {sslmode: "verify-ca", sslrootcert: "\($conf)/certificate_authority.pem", gssencmode: "disable"} as $tls |
    {scope: $scope, namespace: "/understudy/", name: $name,
    etcd3: {protocol: "https", hosts: ($etcd | split(" ") | map(select(. != "") | "\(split("=")[1]):2379")),
      cacert: "\($peer)/authority.pem", cert: "\($peer)/certificate.pem", key: "\($peer)/key.pem"},
    restapi: {listen: "\($address):8008", connect_address: "\($address):8008", verify_client: "none",
      certfile: "\($peer)/certificate.pem", keyfile: "\($peer)/key.pem", cafile: "\($peer)/authority.pem",
      authentication: {username: $api_user, password: $api_password}},
    bootstrap: {dcs: ($dcs[0] | walk(if type == "object" then with_entries(select(.value != null)) else . end)),
      initdb: (["data-checksums", {encoding: "UTF8"}, {locale: "C.UTF-8"}, {"auth-local": "peer"},
        {"auth-host": "reject"}] + if $wal == "" then [] else [{waldir: $wal}] end),
      post_bootstrap: "/bin/bash \($here)/patroni-create.sh"},
    postgresql: {listen: "\($address):\($port)", connect_address: "\($address):\($port)",
      data_dir: $data, bin_dir: $bin, pgpass: "\($conf)/pgpass", use_unix_socket: true,
      authentication: {
        superuser: {username: "postgres", password: $superuser},
        replication: ({username: "replicator", password: $replication} + $tls),
        rewind: ({username: "replicator", password: $replication} + $tls)},
      parameters: ($given | with_entries(select(.key as $key | $shared | index($key) | not)) + {
        ssl: "on", ssl_cert_file: "\($conf)/certificate.pem", ssl_key_file: "\($conf)/private_key.pem",
        unix_socket_directories: $sockets, "understudy.instance_id": $id}
        + if $root == "" then {} else {dynamic_shared_memory_type: "mmap"} end),
      pg_hba: ($rules | split("\n")),
      pg_ident: ["understudy \($owner) postgres", "understudy \($owner) monitor", "understudy prometheus monitor"],
      basebackup: (["no-password", {checkpoint: "fast"}] + if $wal == "" then [] else [{waldir: $wal}] end),
      recovery_conf: (if $restore == "" then {} else {restore_command: $restore} end),
      callbacks: ("/bin/bash \($here)/patroni-role.sh" | {on_start: ., on_stop: ., on_role_change: .})},
    watchdog: {mode: $watchdog, device: "/dev/watchdog", safety_margin: 5},
    # Where nobody else is left, commits wait for a member that never leads, too.
    tags: {nofailover: $never},
    log: {deduplicate_heartbeat_logs: true}}'
}
# The roles, and what PgBouncer asks about them. Again and again: what is there stays. Statements with a password
# are neither logged nor counted. Superusers and those who replicate never come through PgBouncer.
patroni_roles() {
  local q=\' lookup
  lookup="SET client_min_messages TO warning;
CREATE SCHEMA IF NOT EXISTS pooler;
REVOKE ALL ON SCHEMA pooler FROM PUBLIC;
CREATE OR REPLACE FUNCTION pooler.lookup(text) RETURNS TABLE (role name, verifier text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS \$\$
  SELECT usename, passwd FROM pg_shadow
  WHERE usename = \$1 AND NOT usesuper AND NOT userepl AND (valuntil IS NULL OR valuntil > now()) \$\$;
REVOKE ALL ON FUNCTION pooler.lookup FROM PUBLIC;
GRANT USAGE ON SCHEMA pooler TO \"$pooler_role\";
GRANT EXECUTE ON FUNCTION pooler.lookup TO \"$pooler_role\";"
  cat <<SQL
\\set ON_ERROR_STOP on
\\set VERBOSITY terse
\\set SHOW_CONTEXT never
SET log_statement TO none;
SET log_min_duration_statement TO -1;
SET log_min_error_statement TO panic;
SET log_min_messages TO panic;
SET pg_stat_statements.track TO none;
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['understudy', 'replicator', 'monitor', '$pooler_role',
  '$APPLICATION_ROLE']) name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
ALTER ROLE postgres PASSWORD '${superuser//$q/$q$q}';
ALTER ROLE replicator LOGIN REPLICATION PASSWORD '${replication//$q/$q$q}';
ALTER ROLE understudy LOGIN PASSWORD '${operator//$q/$q$q}';
ALTER ROLE "$APPLICATION_ROLE" LOGIN PASSWORD '${application//$q/$q$q}';
ALTER ROLE "$pooler_role" LOGIN PASSWORD '${pooler//$q/$q$q}';
ALTER ROLE monitor LOGIN PASSWORD NULL;
GRANT pg_monitor TO monitor, understudy;
GRANT pg_checkpoint TO understudy;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text),
  pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
CREATE SCHEMA IF NOT EXISTS understudy AUTHORIZATION understudy;
SET ROLE understudy;
CREATE TABLE IF NOT EXISTS understudy.epochs (epoch bigint PRIMARY KEY, writer text NOT NULL,
  written_at timestamptz NOT NULL DEFAULT now());
RESET ROLE;
\\connect template1
$lookup
\\connect postgres
SELECT format('CREATE DATABASE %I OWNER %I', '$DATABASE', '$APPLICATION_ROLE')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$DATABASE') \\gexec
\\connect "$DATABASE"
$lookup
SQL
}
# Whether all passwords are those of the secrets. Over the socket, where the roles but postgres need theirs.
patroni_passwords_hold() {
  local role
  for role in understudy replicator "$pooler_role" "$APPLICATION_ROLE"; do
    case $role in
      understudy) PGPASSWORD=$operator ;;
      replicator) PGPASSWORD=$replication ;;
      "$pooler_role") PGPASSWORD=$pooler ;;
      *) PGPASSWORD=$application ;;
    esac
    PGPASSWORD=$PGPASSWORD as_postgres timeout 5 psql -XAtqw -h "$SOCKET" -p "$PORT" -U "$role" -d postgres -c '' \
      >/dev/null 2>&1 || return
  done
}

patroni_serial() { openssl x509 -noout -serial 2>/dev/null; }
# Patroni reads its file anew, and its certificate only when the file is the same (4.1, Patroni.reload_config): so
# again, until it shows the new one.
patroni_reload() {
  local left
  patroni_api POST reload <<<'' >/dev/null || { log 'Patroni was not reloaded' && return; }
  for ((left = 20; left > 0; left--)); do
    [ "$(openssl s_client -connect "$ADDRESS:$PATRONI_PORT" </dev/null 2>/dev/null | patroni_serial)" != \
      "$(patroni_serial <"$PEER/certificate.pem")" ] || return 0
    sleep 1
    patroni_api POST reload <<<'' >/dev/null || :
  done
  log 'Patroni still shows its old certificate'
}
# What a running member learns now: Patroni its file, the leader also the roles and what all share. Nothing here
# restarts PostgreSQL; what needs that is logged, and waits for somebody's `patronictl restart`.
patroni_apply() {
  local now want
  patroni_reload
  if changed "$CONF/certificate.pem" || changed "$CONF/private_key.pem"; then
    as_postgres psql -XAtqw -h "$SOCKET" -p "$PORT" -U postgres -c 'SELECT pg_reload_conf()' >/dev/null ||
      log 'PostgreSQL does not run; it takes the new certificate when it starts'
  fi
  patroni_leads || return 0
  if changed "$CONF/roles.sql" || ! patroni_passwords_hold; then
    PGOPTIONS='-c synchronous_commit=local' as_postgres psql -Xqw -h "$SOCKET" -p "$PORT" -U postgres -d postgres \
      -f "$CONF/roles.sql" >/dev/null
    log 'the roles have the passwords of the secrets'
  fi
  now=$(patroni_api GET config)
  want=$(jq -c --argjson now "$now" '
    def bare: walk(if type == "object" then with_entries(select(.value != null)) else . end);
    . as $want | if ($now * $want | bare) == ($now | bare) then empty else $want end' "$CONF/patroni-shared.json")
  if [ -n "$want" ]; then
    patroni_api PATCH config <<<"$want" >/dev/null
    log 'the configuration that all members share is changed'
  fi
}
patroni_serves() {
  WHY="Patroni says: $(patroni_api GET patroni 2>&1 | tail -n 1)"
  case $(patroni_state) in
    running | streaming | 'in archive recovery') ;;
    # A copy may take hours; Understudy watches it. The first members of a new cluster have none.
    'creating replica') ((LIMIT - NOW < 480000)) && log 'the copy of the data goes on' ;;
    *) false ;;
  esac
}
# Patroni 4 from the PostgreSQL project, and no Patroni 5 behind anybody's back.
patroni_packages() {
  local version
  if [ -z "$ROOT" ]; then
    systemctl mask -q patroni
    place /etc/apt/preferences.d/understudy-patroni 644 root <<<$'Package: patroni\nPin: version 4.*\nPin-Priority: 600'
    if ! apt-cache policy patroni | grep -q 'Candidate: 4\.'; then
      install_packages postgresql-common gnupg
      bash /usr/share/postgresql-common/pgdg/apt*.sh -y >&2
    fi
    # python3-etcd and dnspython: what Patroni's driver of etcd's third API imports.
    install_packages patroni python3-etcd python3-dnspython python3-psycopg2
  fi
  version=$("$PATRONI" --version | awk '{print $2}')
  [[ $version == 4.* ]] || die "Patroni 4 is needed, $PATRONI is $version"
}
patroni_secrets() {
  local login
  WHY='the secrets cannot be read'
  identity && superuser=$(password "$SUPERUSER_SECRET") && replication=$(password "$REPLICATION_SECRET") &&
    operator=$(password "$OPERATOR_SECRET") && application=$(password "$APPLICATION_SECRET") &&
    login=$(secret "$POOLER_SECRET") && pooler=$(jq -er .password <<<"$login") &&
    pooler_role=$(jq -er .username <<<"$login") && login=$(secret "$PATRONI_SECRET") &&
    API_LOGIN_PLAIN=$(jq -er '"\(.username):\(.password)"' <<<"$login") && patroni_load_password
}

setup_patroni() {
  local parameters
  patroni_packages
  wait_for patroni_secrets
  install -d -m 700 -o "$OWNER" "$VAR"
  # SGID and open to the group, as Debian has it.
  install -d -m 2775 -o "$OWNER" "$SOCKET"
  parameters=$(patroni_parameters)
  put patroni-shared.json < <(patroni_shared "$parameters")
  put patroni-first.yml < <(patroni_configuration "$parameters" "$CONF/patroni-shared.json")
  [ -s "$CONF/patroni-first.yml" ] || die 'patroni.yml cannot be made'
  put patroni.yml < <(jq 'del(.bootstrap)' "$CONF/patroni-first.yml")
  put roles.sql < <(patroni_roles)
  enable understudy-patroni.service
  if patroni_state >/dev/null 2>&1; then patroni_apply; fi
  [ -n "$ROOT" ] || wait_for patroni_serves
}
