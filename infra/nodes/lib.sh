# Shared by the scripts beside it. No secret is ever an argument of a process.
# "|| return": `set -e` does nothing in a function called as a condition.
set -Eeuo pipefail
ROOT=${ROOT:-} IMDS=${IMDS:-http://169.254.169.254}
. "$ROOT/etc/understudy/member.env"
BIN=${POSTGRESQL_BIN:-/usr/lib/postgresql/$POSTGRESQL_VERSION/bin}
export PATH=$BIN:$PATH LC_ALL=C.UTF-8
CONF=$ROOT/etc/understudy/postgresql VAR=$ROOT/var/lib/understudy
DATA=$VAR/data # a complete data.new, renamed; never deleted or overwritten
TLS="host=$WRITER_RECORD sslmode=verify-full sslrootcert=$CONF/certificate_authority.pem passfile=$CONF/passfile"
REPLICATION="user=replicator application_name=$MEMBER connect_timeout=3 $TLS"
OTHERS='' PEERS='' ID='' FRESH=0 WHY='' SAID='' LIMIT=${SETUP_SECONDS:-1200}
for entry in $MEMBERS; do
  [ "${entry%=*}" = "$MEMBER" ] || OTHERS+="${OTHERS:+,}\"${entry%=*}\"" PEERS+=" ${entry#*=}"
done
# libpq looks for certificates in HOME; root's is closed to postgres.
OWNER=$(id -un) AS=(env "HOME=$CONF")
[ "$OWNER" != root ] || OWNER=postgres AS=(setpriv --reuid=postgres --regid=postgres --init-groups "${AS[@]}")
as_postgres() { "${AS[@]}" "$@"; }
put() { (umask 077 && as_postgres tee "$CONF/$1" >/dev/null); }

cd "${ROOT:-/}"
exec 3>&1 # for log, also from within $(...)
log() { echo "$(date -u +%FT%T.%1NZ) understudy $MEMBER: ${*//$'\n'/; }" >&3; }
once() { [ "$*" = "$SAID" ] || log "$*"; SAID=$*; }
die() { log "failed: $*"; exit 1; }
wait_for() {
  until "$@"; do
    ((SECONDS < LIMIT)) || die "$WHY"
    once "waiting: $WHY"
    sleep 1
  done
}

imds() {
  curl -sSf -m 2 -K <(echo "header = \"X-aws-ec2-metadata-token: $TOKEN\"") "$IMDS/latest/meta-data/$1"
}
# Sets ID and KEYS; anew after ten minutes, as credentials change.
identity() {
  ((SECONDS >= FRESH)) || return 0
  WHY='no instance metadata'
  TOKEN=$(curl -sSf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$IMDS/latest/api/token") &&
    ID=$(imds instance-id) && KEYS=$(imds iam/security-credentials/) &&
    KEYS=$(imds "iam/security-credentials/$KEYS" | jq -r '"user = \"\(.AccessKeyId):\(.SecretAccessKey)\"
header = \"X-Amz-Security-Token: \(.Token)\""') || return
  FRESH=$((SECONDS + 600))
}
call() { # SERVICE CURL-ARGUMENT...
  local url=${AWS_ENDPOINT_URL:-https://$1.$REGION.amazonaws.com} sign=aws:amz:$REGION:$1
  shift
  curl -sS --fail-with-body -m 3 -K <(echo "$KEYS") --aws-sigv4 "$sign" "$@" "$url/"
}
json() { # SERVICE VERSION TARGET <BODY
  call "$1" -H "X-Amz-Target: $3" -H "Content-Type: application/x-amz-json-$2" -d @-
}
dynamodb() { json dynamodb 1.0 "DynamoDB_20120810.$1"; }
KEY='"TableName":"'$STATE_TABLE'","Key":{"cluster":{"S":"'$CLUSTER'"},"item":{"S":"state"}}'
# Sets WRITER ("-": unclaimed), EPOCH and PHASE.
read_state() {
  identity || return
  WHY="the state table does not answer: $(dynamodb GetItem 2>&1 <<<"{$KEY,\"ConsistentRead\":true}")" || return
  WHY=$(jq -r '.Item // {} | "\(.writer.S // "-") \(.epoch.N // 0) \(.phase.S)"' <<<"${WHY#*: }") || return
  read -r WRITER EPOCH PHASE <<<"$WHY"
}

ask() { # ADDRESS SQL
  as_postgres timeout 5 psql -XAtqwF ' ' -c "$2" \
    -d "user=understudy dbname=postgres connect_timeout=2 $TLS hostaddr=$1 port=$PORT"
}
# Sets SEEN, a line a peer: "ADDRESS t|f INSTANCE-ID" or "ADDRESS psql: error...".
survey() {
  SEEN=$(for peer in $PEERS; do
    echo "$peer $(ask "$peer" "SELECT pg_is_in_recovery(), current_setting('understudy.instance_id', true)" 2>&1 | head -n 1)" &
  done | sort)
}

# Makes data.new a standby of WRITER. The caller holds the lock (see start.sh).
copy() {
  local from old=$WRITER new=$DATA.new to
  survey
  WHY="the writer $old does not answer: $SEEN"
  from=$(awk -v id="$old" '$2 == "f" && $3 == id {print $1}' <<<"$SEEN")
  [ -n "$from" ] || return
  # An old slot keeps WAL for nothing, or has lost some.
  WHY=$(ask "$from" "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE slot_name = '$MEMBER' AND NOT active; SELECT pg_create_physical_replication_slot('$MEMBER', true)" 2>&1) || return
  log "copying the data of $old ($from)"
  WHY="the copy from $from failed" to="$REPLICATION hostaddr=$from port=$PORT"
  # Under another name: a copy in progress is no synchronous standby.
  as_postgres rm -rf "$new" &&
    as_postgres pg_basebackup -wc fast -S "$MEMBER" -D "$new" -d "$to application_name=copy" && read_state || return
  WHY="the writer moved to $WRITER during the copy"
  [ "$WRITER" = "$old" ] || return
  WHY="$new cannot be written"
  as_postgres sed -i -E '/^(primary_|synchronous_standby_names)/d' "$new/postgresql.auto.conf" &&
    printf "%s = '%s'\n" primary_conninfo "$to" primary_slot_name "$MEMBER" |
    as_postgres tee -a "$new/postgresql.auto.conf" >/dev/null &&
    as_postgres touch "$new/standby.signal" && sync "$new" "$new/"{standby.signal,postgresql.auto.conf}
}
