# Shared by the scripts beside it: only variables and functions. No secret is ever an argument of a process.
# "|| return": `set -e` does nothing in a function called as a condition.
set -Eeuo pipefail
ROOT=${ROOT:-} IMDS=${IMDS:-http://169.254.169.254} HERE=${ROOT:-}/opt/understudy
# What a stack need not say.
STACK='' DATA_VOLUME='' WAL_VOLUME='' BACKUP_VOLUME='' ROLE=member TOPOLOGY=ec2-streaming
POSTGRESQL_VERSION=15 PORT=5432 MAX_CONNECTIONS=200 PASSWORD_ENCRYPTION=scram-sha-256 PARAMETERS=''
MEMBERS='' ETCD='' NEVER_PROMOTE='' SYNCHRONOUS_REQUIRED=0 TTL=20 WRITER_RECORD='' LOG_GROUP=''
CLIENT_CIDRS='' FLEET_CIDRS='' CLUSTER_CIDRS='' MANAGEMENT_CIDRS='' ADMIN_CIDRS='' MONITORING_CIDRS=''
MONITORING='' BASTION='' DR_CIDR='' PRIMARY_CIDR=''
. "$ROOT/etc/understudy/identity.env"
. "$ROOT/etc/understudy/settings.env"
# The lab's members share a folder instead of a bucket.
[ -z "$ROOT" ] || [ -z "${BACKUP_STANZA:-}" ] || [ -z "${LAB_BACKUPS:-}" ] || BACKUP_REPOSITORY=local BACKUP_PATH=$LAB_BACKUPS/$CLUSTER
BIN=${POSTGRESQL_BIN:-/usr/lib/postgresql/$POSTGRESQL_VERSION/bin}
export PATH=$BIN:$PATH LC_ALL=C.UTF-8
CONF=$ROOT/etc/understudy/postgresql VAR=$ROOT/var/lib/understudy
DATA=$VAR/data # a complete data.new, renamed; only rejoin.sh changes or removes it
JOB=$VAR/rejoin # what rejoin.sh must know when it was cut short
WAL_DIR=${WAL_VOLUME:+$ROOT/var/lib/understudy-wal} BACKUP_DIR=$ROOT/var/backups/postgresql
SOCKET=$ROOT/run/postgresql LOGS=$ROOT/var/log/postgresql RUN=$ROOT/run/understudy UNITS=$ROOT/etc/understudy/units
TLS="host=$WRITER_RECORD sslmode=verify-full sslrootcert=$CONF/certificate_authority.pem passfile=$CONF/passfile"
REPLICATION="user=replicator application_name=$MEMBER connect_timeout=3 $TLS"
OTHERS='' PEERS='' ID='' KEYS='' FRESH=0 WHY='' REASON='' SAID='' CHANGED='' SERVERS=()
for entry in $MEMBERS; do
  [ "${entry%=*}" = "$MEMBER" ] || OTHERS+="${OTHERS:+,}\"${entry%=*}\"" PEERS+=" ${entry#*=}"
done
# libpq looks for certificates in HOME; root's is closed to postgres.
OWNER=$(id -un) AS=(env "HOME=$CONF")
[ "$OWNER" != root ] || OWNER=postgres AS=(setpriv --reuid=postgres --regid=postgres --init-groups "${AS[@]}")
as_postgres() { "${AS[@]}" "$@"; }

cd "${ROOT:-/}"
exec 3>&1 # for log, also from within $(...)
log() { echo "$(date -u +%FT%T.%1NZ) understudy $MEMBER: ${*//$'\n'/; }" >&3; }
once() { [ "$*" = "$SAID" ] || log "$*"; SAID=$*; }
die() { REASON=$*; log "failed: $*"; exit 1; }
# Sets NOW: milliseconds since the kernel started. Bash's SECONDS jumps when the clock is set.
now() { read -r NOW _ </proc/uptime; NOW=$((10#${NOW/./}0)); }
now
# Two minutes before the stack gives up: it shall hear why.
LIMIT=$((NOW + ${SETUP_SECONDS:-1080} * 1000))
wait_for() {
  until "$@"; do
    now
    ((NOW < LIMIT)) || die "$WHY"
    once "waiting: $WHY"
    sleep 1
  done
}

# --- files, packages, units -----------------------------------------------------------------------

# Writes what it reads, if it is something else: whole or not at all. OWNER root: who runs this.
place() { # FILE MODE OWNER <CONTENT
  local new=$1.new.$BASHPID
  (umask 077 && cat >"$new") && chmod "$2" "$new" || return
  [ "$(id -un)" != root ] || chown "$3:" "$new" || return
  if cmp -s "$new" "$1" && [ "$(stat -c '%a %U' "$new")" = "$(stat -c '%a %U' "$1")" ]; then
    rm "$new"
  else
    mv -T "$new" "$1" || return
    CHANGED+=" $1 "
  fi
}
changed() { [[ $CHANGED == *" $1 "* ]]; } # FILE: by this run, and not in a subshell
put() { place "$CONF/$1" 600 "$OWNER"; } # NAME <CONTENT
have() { type -P "$1" >/dev/null; }

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -yq -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold "$@" \
    </dev/null >&2 2> >(tee "$APT_SAID" >&2)
}
# Those that are missing. Another program may hold the lock, the lists may be older than what the mirror has.
install_packages() { # PACKAGE...
  local package missing=() tries=0 said
  [ -z "$ROOT" ] || return 0
  for package in "$@"; do
    [ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  APT_SAID=$(mktemp)
  if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mmin -600 -print -quit)" ]; then
    apt_get update || :
  fi
  until apt_get install --no-install-recommends "${missing[@]}"; do
    said=$(grep -m 1 '^E: ' "$APT_SAID" || :)
    now
    case $said in
      *lock*) ((NOW < LIMIT)) ;;
      *) ((++tries < 3)) ;;
    esac || die "apt-get install ${missing[*]}: $said"
    sleep 10
    apt_get update || :
  done
  rm "$APT_SAID"
}

# Units of this directory, from now on. Elsewhere than on a host of its own, a list for whoever runs them.
enable() { # UNIT...
  local unit
  for unit in "$@"; do
    if [ -n "$ROOT" ]; then
      grep -qxF "$unit" "$UNITS" 2>/dev/null || echo "$unit" >>"$UNITS"
      continue
    fi
    place "/etc/systemd/system/$unit" 644 root <"$HERE/$unit"
    [ "${unit%.timer}" = "$unit" ] ||
      place "/etc/systemd/system/${unit%.timer}.service" 644 root <"$HERE/${unit%.timer}.service"
  done
  [ -n "$ROOT" ] || { systemctl daemon-reload && systemctl enable -q --now "$@"; }
}
# Only what may stop for a moment.
restart() { # UNIT
  local process line
  if [ -z "$ROOT" ]; then
    systemctl try-restart "$1"
    return
  fi
  line=$(sed -n 's|^ExecStart=/bin/bash /opt|opt|p' "$HERE/$1")
  for process in /proc/[0-9]*; do
    if [ "$(tr '\0' ' ' 2>/dev/null <"$process/cmdline")" = "bash $ROOT/$line " ]; then
      kill "${process#/proc/}" || :
    fi
  done
}

# --- AWS --------------------------------------------------------------------------------------------

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
secret() { # ARN
  json secretsmanager 1.1 secretsmanager.GetSecretValue <<<"{\"SecretId\":\"$1\"}" | jq -er .SecretString
}
password() { secret "$1" | jq -er .password; }
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

# Lines "NAME VALUE UNIT" to CloudWatch's namespace Understudy/Hosts: of the cluster, or of one member.
put_metrics() { # [MEMBER] <LINES
  local name value unit datum number=0 pairs=() i dimension
  local dimensions=("Fleet=$FLEET" "Cluster=$CLUSTER" ${1:+"Member=$1"})
  while read -r name value unit; do
    datum=MetricData.member.$((++number))
    pairs+=(-d "$datum.MetricName=$name" -d "$datum.Value=$value" -d "$datum.Unit=$unit")
    for i in "${!dimensions[@]}"; do
      dimension=$datum.Dimensions.member.$((i + 1))
      pairs+=(-d "$dimension.Name=${dimensions[i]%%=*}" -d "$dimension.Value=${dimensions[i]#*=}")
    done
  done
  identity || return
  WHY="CloudWatch takes no values: $(call monitoring -d 'Action=PutMetricData&Version=2010-08-01' \
    -d 'Namespace=Understudy/Hosts' "${pairs[@]}" 2>&1)"
}
put_metric() { put_metrics "${4:-}" <<<"$1 $2 $3"; } # NAME VALUE UNIT [MEMBER]

# --- PostgreSQL ---------------------------------------------------------------------------------------

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
# A member's certificate and its authority.
certificates() {
  local file tls
  WHY='the certificate cannot be read' && identity && tls=$(secret "$TLS_SECRET") || return
  WHY='the certificate is not whole'
  for file in certificate private_key certificate_authority; do
    put "$file.pem" <<<"$(jq -er ".$file" <<<"$tls")" && [ -s "$CONF/$file.pem" ] || return
  done
}
# What a passfile takes for a password.
escape() { sed -E 's/(:|[\\])/\\\1/g' <<<"$1"; }
# pg_hba.conf's word for clients: md5 takes SCRAM passwords, too.
client_method() { [ "$PASSWORD_ENCRYPTION" = md5 ] && echo md5 || echo scram-sha-256; }
