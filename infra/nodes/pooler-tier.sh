# PgBouncer on hosts of its own, in front of RDS: it follows the writer's record. Only the application comes through it:
# in RDS nobody may read the passwords of others, so PgBouncer knows the one that it is given (no auth_query); and roles
# that log in with a token of IAM log in at the server, since PgBouncer cannot pass it on.
# shellcheck shell=bash

# The record, not an endpoint: Understudy moves it when another instance becomes writer.
pooler_tier_database() { echo "$DATABASE = host=$WRITER_RECORD port=$PORT"; }

# verify-ca: the certificate has the endpoint's name, and PgBouncer would look for the record's in it. So whoever could
# both change the record and run an instance of RDS could be taken for the writer.
#
# A name is looked up with a new connection, at most once a second; when it leads elsewhere, connections to the old
# address are ended after their transaction (PgBouncer documentation, "dns_max_ttl" and "server_fast_close"). A writer
# that is cut off sends no end: tcp_user_timeout ends what it holds (milliseconds), keep-alives what waits for nothing.
pooler_tier_settings() {
  cat <<INI
server_tls_sslmode = verify-ca
server_tls_ca_file = $CONF/rds.pem
server_tls_protocols = secure
dns_max_ttl = 1
dns_nxdomain_ttl = 1
server_connect_timeout = 3
tcp_user_timeout = 10000
tcp_keepidle = 5
tcp_keepintvl = 2
tcp_keepcnt = 3
query_timeout = ${POOL_QUERY_TIMEOUT:-30}
client_idle_timeout = ${POOL_CLIENT_IDLE_TIMEOUT:-900}
$([ -z "${DNS_SERVER:-}" ] || echo "resolv_conf = $CONF/resolv.conf")
INI
}

# RDS's public authorities, which the bundle brings along; the cluster's secret may name another, of a Region that is
# newer than them, or of one that is apart.
pooler_tier_authorities() {
  local tls
  WHY='the certificate cannot be read' && identity && tls=$(secret "$TLS_SECRET") || return
  tls=$(find "$HERE/rds-ca" -name '*.pem' -exec cat {} + 2>/dev/null; jq -r '.rds_authority // empty' <<<"$tls") || return
  WHY="no certificate authority of RDS: none in $HERE/rds-ca, none in the secret"
  [ -n "$tls" ] && put rds.pem <<<"$tls"
}

# Passwords of another minute, too: understudy-pooler-tier.timer runs this.
pooler_tier() {
  wait_for certificates
  wait_for pooler_tier_authorities
  [ -z "${DNS_SERVER:-}" ] || put resolv.conf <<<"nameserver $DNS_SERVER"
  POOLER_SECRET=$APPLICATION_SECRET setup_pooler
}
setup_pooler_tier() {
  if [ -z "$ROOT" ]; then
    systemctl mask -q pgbouncer
    # The first brings the user that it runs as.
    install_packages pgbouncer postgresql-client
  fi
  install -d -m 700 -o "$OWNER" "$CONF"
  pooler_tier
  enable understudy-pooler-tier.timer
}
