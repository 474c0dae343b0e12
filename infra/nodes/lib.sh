# Shared by the scripts beside it. No secret is ever an argument of a process.
# "|| return": `set -e` does nothing in a function called as a condition.
set -Eeuo pipefail
ROOT=${ROOT:-} IMDS=${IMDS:-http://169.254.169.254}
. "$ROOT/etc/understudy/member.env"
BIN=${POSTGRESQL_BIN:-/usr/lib/postgresql/$POSTGRESQL_VERSION/bin}
export PATH=$BIN:$PATH LC_ALL=C.UTF-8
CONF=$ROOT/etc/understudy/postgresql VAR=$ROOT/var/lib/understudy
DATA=$VAR/data # a complete data.new, renamed; only rejoin.sh changes or removes it
JOB=$VAR/rejoin # what rejoin.sh must know when it was cut short
TLS="host=$WRITER_RECORD sslmode=verify-full sslrootcert=$CONF/certificate_authority.pem passfile=$CONF/passfile"
REPLICATION="user=replicator application_name=$MEMBER connect_timeout=3 $TLS"
OTHERS='' PEERS='' ID='' KEYS='' FRESH=0 WHY='' SAID='' SERVERS=()
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
# Sets NOW: milliseconds since the kernel started. Bash's SECONDS jumps when the clock is set.
now() { read -r NOW _ </proc/uptime; NOW=$((10#${NOW/./}0)); }
now
LIMIT=$((NOW + ${SETUP_SECONDS:-1200} * 1000))
wait_for() {
  until "$@"; do
    now
    ((NOW < LIMIT)) || die "$WHY"
    once "waiting: $WHY"
    sleep 1
  done
}

imds() {
  curl -sSf -m 1 -K <(echo "header = \"X-aws-ec2-metadata-token: $TOKEN\"") "$IMDS/latest/meta-data/$1"
}
# Sets ID and KEYS; anew after four minutes, as the next ones come five before these end. While the
# service is silent, what is there goes on being used.
identity() {
  local role keys
  now
  ((NOW >= FRESH)) || return 0
  WHY='no instance metadata'
  if TOKEN=$(curl -sSf -m 1 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$IMDS/latest/api/token" 2>&1) &&
    ID=${ID:-$(imds instance-id)} && role=$(imds iam/security-credentials/) &&
    keys=$(imds "iam/security-credentials/$role" | jq -er '"user = \"\(.AccessKeyId):\(.SecretAccessKey)\"
header = \"X-Amz-Security-Token: \(.Token)\""'); then
    KEYS=$keys FRESH=$((NOW + 240000))
  else
    [ -n "$KEYS" ] || return
    FRESH=$((NOW + 10000))
  fi
}
call() { # SERVICE CURL-ARGUMENT...
  local url=${AWS_ENDPOINT_URL:-https://$1.$REGION.amazonaws.com} sign=aws:amz:$REGION:$1
  shift
  curl -sS --fail-with-body -m "${CALL_SECONDS:-3}" -K <(echo "$KEYS") --aws-sigv4 "$sign" "$@" "$url/"
}
json() { # SERVICE VERSION TARGET <BODY
  call "$1" -H "X-Amz-Target: $3" -H "Content-Type: application/x-amz-json-$2" -d @-
}
dynamodb() { json dynamodb 1.0 "DynamoDB_20120810.$1"; }
key() { echo "\"TableName\":\"$STATE_TABLE\",\"Key\":{\"cluster\":{\"S\":\"$CLUSTER\"},\"item\":{\"S\":\"$1\"}}"; }
# Sets WRITER ("-": unclaimed), EPOCH, PHASE and, of an open change, FROM, KIND, PROMOTING and PROMOTED.
read_state() {
  identity || return
  WHY="the state table does not answer: $(dynamodb GetItem 2>&1 <<<"{$(key state),\"ConsistentRead\":true}")" || return
  WHY=$(jq -er '.Item // {} | (.change.S // "{}" | fromjson) as $change | [.writer.S // "-", .epoch.N // 0,
    .phase.S, $change.from // "-", $change.kind // "failover", $change.promoting // "-", $change.promoted.member // "-"]
    | join(" ")' <<<"${WHY#*: }" 2>&1) || return
  read -r WRITER EPOCH PHASE FROM KIND PROMOTING PROMOTED <<<"$WHY"
}
# Sets attributes of this member's own item, each as NAME TYPE VALUE.
guard_item() {
  local names='' values='' sets='' a=a
  set -- "$@" written_at S "$(date -u +%FT%TZ)"
  while (($#)); do
    names+=",\"#$a\":\"$1\"" values+=",\":$a\":{\"$2\":\"$3\"}" sets+=",#$a=:$a" a+=a
    shift 3
  done
  WHY="the guard's item cannot be written: $(dynamodb UpdateItem 2>&1 <<<"{$(key "guard#$ID"),
    \"UpdateExpression\":\"SET ${sets#,}\",\"ExpressionAttributeNames\":{${names#,}},
    \"ExpressionAttributeValues\":{${values#,}}}")"
}
# The item says no longer that this member holds, if it does.
let_go() {
  WHY="the guard's item cannot be written: $(dynamodb UpdateItem 2>&1 <<<"{$(key "guard#$ID"),
    \"ConditionExpression\":\"held = :yes\",\"UpdateExpression\":\"SET held = :no\",
    \"ExpressionAttributeValues\":{\":yes\":{\"S\":\"yes\"},\":no\":{\"S\":\"no\"}}}")" ||
    [[ $WHY == *ConditionalCheckFailed* ]]
}

# Sets SERVERS: the processes of PostgreSQL here. By the shell alone, so that guard.sh finds them
# when nothing can be started any more.
servers() {
  local process name
  SERVERS=()
  for process in /proc/[0-9]*; do
    { read -r name <"$process/comm"; } 2>/dev/null || continue
    if [ "$name" = postgres ] && [[ $process/cwd -ef $DATA ]]; then SERVERS+=("${process#/proc/}"); fi
  done
}
# Whether PostgreSQL runs here and is no standby: promotion takes standby.signal away. A rewind runs
# it in single-user mode, for nobody.
writes_here() {
  if [ -e "$DATA/standby.signal" ] || [ -e "$JOB/rewinding" ]; then return 1; fi
  servers
  ((${#SERVERS[@]} > 0))
}

ask() { # ADDRESS SQL [DATABASE]
  as_postgres timeout "${ASK_SECONDS:-5}" psql -XAtqwF ' ' -c "$2" \
    -d "user=understudy dbname=${3:-postgres} connect_timeout=2 $TLS hostaddr=$1 port=$PORT"
}
# Sets SEEN, a line a peer: "ADDRESS t|f INSTANCE-ID" or "ADDRESS psql: error...".
survey() {
  SEEN=$(for peer in $PEERS; do
    echo "$peer $(ask "$peer" "SELECT pg_is_in_recovery(), current_setting('understudy.instance_id', true)" 2>&1 | head -n 1)" &
  done | sort)
}
# Sets SOURCE: the address of WRITER, out of recovery.
find_writer() {
  survey
  WHY="the writer $WRITER does not answer: $SEEN"
  SOURCE=$(awk -v id="$WRITER" '$2 == "f" && $3 == id {print $1}' <<<"$SEEN")
  [ -n "$SOURCE" ]
}
# A new slot on the writer. An old one keeps WAL for nothing, or has lost some; it may be in use for the 5 s
# (wal_sender_timeout) after a standby went.
new_slot() {
  local left
  for ((left = 7; left > 0; left--)); do
    WHY="no slot on $SOURCE: $(ask "$SOURCE" "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
      WHERE slot_name = '$MEMBER' AND NOT active; SELECT pg_create_physical_replication_slot('$MEMBER', true)" 2>&1)" && return
    sleep 1
  done
  return 1
}
# Makes DIRECTORY a standby's of SOURCE, for good.
follow() { # DIRECTORY
  WHY="$1 cannot be written"
  as_postgres sed -i -E '/^(primary_|synchronous_standby_names)/d' "$1/postgresql.auto.conf" &&
    printf "%s = '%s'\n" primary_conninfo "$REPLICATION hostaddr=$SOURCE port=$PORT" primary_slot_name "$MEMBER" |
    as_postgres tee -a "$1/postgresql.auto.conf" >/dev/null &&
    as_postgres touch "$1/standby.signal" && sync "$1" "$1/"{standby.signal,postgresql.auto.conf}
}
# Makes data.new a standby of WRITER. The caller holds the lock (see start.sh).
copy() {
  local old=$WRITER new=$DATA.new
  find_writer && new_slot || return
  log "copying the data of $old ($SOURCE)"
  WHY="the copy from $SOURCE failed"
  # Under another name: a copy in progress is no synchronous standby.
  as_postgres rm -rf "$new" && as_postgres pg_basebackup -wc fast -S "$MEMBER" -D "$new" \
    -d "$REPLICATION hostaddr=$SOURCE port=$PORT application_name=copy" && read_state || return
  WHY="the writer moved to $WRITER during the copy"
  [ "$WRITER" = "$old" ] && follow "$new"
}
