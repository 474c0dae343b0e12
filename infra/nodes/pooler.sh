# PgBouncer: on every member, in front of that member's own PostgreSQL; on hosts of its own, in front of RDS, see
# pooler-tier.sh. What is run is pooler-run.sh.
# shellcheck shell=bash
POOLER_PORT=6432 POOLER_LOG=$LOGS/pgbouncer.log

# Its console: for the user that it runs as, no password over the socket.
pooler_console() { # COMMAND
  as_postgres timeout 5 psql -XAtqw -h "$SOCKET" -p $POOLER_PORT -U pgbouncer -d pgbouncer -c "$1"
}
pooler_databases() { pooler_console 'SHOW DATABASES' | cut -d '|' -f 1 | grep -vx pgbouncer; }

pooler_version() { # AT-LEAST
  local version
  version=$(pgbouncer --version | awk 'NR == 1 {print $2}')
  [ "$(printf '%s\n' "$1" "$version" | sort -V | head -n 1)" = "$1" ]
}
# On EC2 it asks the server for a client's password, and another user than its own may look at figures.
pooler_lookup() { # ROLE
  echo "auth_user = $1"
  echo "auth_query = SELECT role, verifier FROM pooler.lookup(\$1)"
  echo "stats_users = $1"
}
pooler_configuration() { # ROLE
  cat <<INI
[databases]
$([ "$ROLE" = pooler ] && pooler_tier_database || echo "* = host=$SOCKET port=$PORT")

[pgbouncer]
listen_addr = $ADDRESS
listen_port = $POOLER_PORT
unix_socket_dir = $SOCKET
auth_type = $(client_method)
auth_file = $CONF/userlist.txt
admin_users = pgbouncer
$([ "$ROLE" = pooler ] || pooler_lookup "$1")
client_tls_sslmode = require
client_tls_cert_file = $CONF/certificate.pem
client_tls_key_file = $CONF/private_key.pem
client_tls_protocols = secure
pool_mode = ${POOL_MODE:-transaction}
max_client_conn = ${POOL_MAX_CLIENT_CONN:-100}
default_pool_size = ${POOL_SIZE:-20}
min_pool_size = ${POOL_MIN:-5}
reserve_pool_size = ${POOL_RESERVE:-5}
reserve_pool_timeout = ${POOL_RESERVE_TIMEOUT:-3}
server_lifetime = ${POOL_LIFETIME:-3600}
server_idle_timeout = ${POOL_IDLE_TIMEOUT:-600}
; A server that restarts is tried again after a second, by default after 15.
server_login_retry = 1
server_fast_close = 1
ignore_startup_parameters = extra_float_digits
logfile = $POOLER_LOG
$([ "$ROLE" != pooler ] || pooler_tier_settings)
$(! pooler_version 1.21 || echo 'max_prepared_statements = 200')
INI
}

setup_pooler() {
  local login role
  if [ -z "$ROOT" ]; then
    systemctl mask -q pgbouncer
    install_packages pgbouncer
  fi
  wait_for identity
  login=$(secret "$POOLER_SECRET")
  role=$(jq -er .username <<<"$login")
  install -d -m 2775 -o "$OWNER" "$SOCKET"
  install -d -m 755 -o "$OWNER" "$LOGS"
  put pgbouncer.ini < <(pooler_configuration "$role")
  put userlist.txt < <(jq -r '[.username, .password] | map("\"\(gsub("\""; "\"\""))\"") | join(" ")' <<<"$login")
  enable understudy-pooler.service understudy-pooler-exporter.service
  # Clients stay: only what they ask for next is done with the new settings.
  if changed "$CONF/pgbouncer.ini" || changed "$CONF/userlist.txt" || changed "$CONF/certificate.pem" ||
    changed "$CONF/private_key.pem" || changed "$CONF/rds.pem"; then
    pooler_console RELOAD 2>/dev/null || log 'PgBouncer does not run yet'
  fi
}
