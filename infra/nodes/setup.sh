#!/bin/bash
# Makes this host a member. Run by cloud-init; cut short anywhere, run it again.
. "${BASH_SOURCE%/*}/lib.sh"

finish() {
  local code=$? status=SUCCESS
  [ "$code" = 0 ] || status=FAILURE
  log "setup: $status"
  [ -z "$STACK" ] || { identity && call cloudformation --retry 3 -o /dev/null -d "LogicalResourceId=$LOGICAL_ID&UniqueId=$ID" \
    -d "Action=SignalResource&Version=2010-05-15&StackName=$STACK&Status=$status"; } || log 'not signalled'
  exit "$code"
}
trap 'log "line $LINENO: $BASH_COMMAND"' ERR
trap finish EXIT

packages() {
  ! type -P jq curl postgres >/dev/null || return 0
  [ -z "$ROOT" ] || die 'jq, curl or PostgreSQL is missing'
  local conf=/etc/postgresql-common/createcluster.d
  mkdir -p $conf
  echo 'create_main_cluster = false' >$conf/understudy.conf
  apt() { DEBIAN_FRONTEND=noninteractive apt-get -yq -o DPkg::Lock::Timeout=300 "$@"; }
  apt update
  apt install jq curl postgresql-common
  # Not the distribution's version: the PostgreSQL project's packages.
  apt-cache show "postgresql-$POSTGRESQL_VERSION" >/dev/null || sh /usr/share/postgresql-common/pgdg/*.sh -y
  apt install "postgresql-$POSTGRESQL_VERSION"
}

# What user data has no room for, from parameters of the stack. Files anew, so that a script that runs keeps its own.
scripts() {
  local name there=${BASH_SOURCE%/*}
  if [ -z "${SCRIPTS:-}" ]; then return; fi
  identity || return
  WHY="the scripts cannot be read: $SCRIPTS"
  for name in $SCRIPTS; do
    json ssm 1.1 AmazonSSM.GetParameter <<<"{\"Name\":\"$name\"}" | jq -er .Parameter.Value || return
  done >"$there/scripts"
  base64 -di "$there/scripts" | tar xz -C "$there" && rm "$there/scripts"
}

# rejoin.sh is run by it, and Debian's image does not have it. A member serves without.
agent() {
  local deb=/var/tmp/amazon-ssm-agent.deb url=https://s3.$REGION.amazonaws.com/amazon-ssm-$REGION/latest
  if [ -n "$ROOT" ] || systemctl cat amazon-ssm-agent >/dev/null 2>&1; then return; fi
  { curl -sSf -m 120 --retry 2 -o $deb "$url/debian_$(dpkg --print-architecture)/${deb##*/}" && dpkg -i $deb; } || log 'no SSM agent'
}

disk() {
  local code=0 device=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${DATA_VOLUME/-/}
  if [ -n "$ROOT" ] || [ -z "$DATA_VOLUME" ]; then return; fi
  WHY="volume $DATA_VOLUME is not attached"
  wait_for test -b "$device"
  # Only a device that carries nothing at all (2) is ever formatted.
  blkid -p "$device" || code=$?
  [ "$code" != 2 ] || mkfs.ext4 -q "$device"
  mkdir -p "$VAR"
  mountpoint -q "$VAR" || mount -o noatime "$device" "$VAR"
  sed -i "\\# $VAR #d" /etc/fstab
  echo "UUID=$(blkid -s UUID -o value "$device") $VAR auto noatime,nofail 0 2" >>/etc/fstab
}

secret() { # ARN
  local out
  out=$(json secretsmanager 1.1 secretsmanager.GetSecretValue 2>&1 <<<"{\"SecretId\":\"$1\"}") || die "$1: $out"
  jq -er .SecretString <<<"$out"
}
password() { secret "$1" | jq -er .password; }
escape() { sed -E 's/(:|[\\])/\\\1/g' <<<"$1"; }
secrets() {
  local file
  identity || return
  WHY='the secrets cannot be read'
  tls=$(secret "$TLS_SECRET") && operator=$(password "$OPERATOR_SECRET") &&
    replication=$(password "$REPLICATION_SECRET") && application=$(password "$APPLICATION_SECRET") || return
  for file in certificate private_key certificate_authority; do
    jq -er ".$file" <<<"$tls" | put "$file.pem" || return
  done
  printf '*:*:*:%s:%s\n' understudy "$(escape "$operator")" replicator "$(escape "$replication")" | put passfile
}

# The first to write its id is the writer. Who that is gets read back.
claim() {
  WHY="no writer yet, and $MEMBER never becomes one"
  [[ " ${NEVER_PROMOTE:-} " != *" $MEMBER "* ]] || return
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
  local new=$DATA.new q=\'
  log 'creating the database'
  as_postgres rm -rf "$new"
  as_postgres initdb -D "$new" -U postgres -kE UTF8 --locale=C.UTF-8 -A reject >/dev/null
  as_postgres postgres --single -D "$new" -c exit_on_error=on -c log_min_error_statement=panic postgres >/dev/null <<EOF
CREATE ROLE understudy LOGIN REPLICATION PASSWORD '${operator//$q/$q$q}'
CREATE ROLE replicator LOGIN REPLICATION PASSWORD '${replication//$q/$q$q}'
CREATE ROLE "$APPLICATION_ROLE" LOGIN PASSWORD '${application//$q/$q$q}'
CREATE DATABASE "$DATABASE" OWNER "$APPLICATION_ROLE"
GRANT pg_monitor, pg_checkpoint TO understudy
GRANT EXECUTE ON FUNCTION pg_promote, pg_reload_conf TO understudy
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) TO understudy
GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name, synchronous_standby_names TO understudy
CREATE SCHEMA AUTHORIZATION understudy CREATE TABLE epochs (epoch bigint PRIMARY KEY, writer text NOT NULL, written_at timestamptz NOT NULL DEFAULT now())
EOF
}

obtained() {
  read_state || return
  [ "$WRITER" != - ] || { claim && read_state; } || return
  [ "$WRITER" = "$ID" ] || copy
}

packages
disk
install -d -m 700 -o "$OWNER" "$CONF" "$VAR"
wait_for secrets
wait_for scripts
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
if [ -z "$ROOT" ]; then
  install -m 644 "${BASH_SOURCE%/*}/"*.service /etc/systemd/system/
  systemctl daemon-reload
  systemctl enable --now understudy-guard understudy-postgresql
  now
  LIMIT=$((NOW + 600000)) WHY='PostgreSQL does not answer'
  wait_for pg_isready -qh "$VAR" -p "$PORT"
fi
agent
