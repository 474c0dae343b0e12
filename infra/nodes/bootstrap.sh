#!/bin/bash
# Brings settings and scripts to this host and runs setup.sh: at the end of the user data, which has written
# identity.env before; and as refresh.sh, when the settings have changed. Needs nothing but what every image
# has: bash, tar and the Python of cloud-init.
#
#   bootstrap.sh [run]          first boot; cut short anywhere, run it again
#   bootstrap.sh refresh        only if the settings are other ones, or the last set-up did not end well
#   bootstrap.sh failed STEP    tells the stack and the state table why set-up failed (stdin: the reason)
#   bootstrap.sh succeeded      tells them that it did not
#
# The stack sees 64 characters of a reason, the state table's item setup#LOGICAL_ID more.
set -Eeuo pipefail
export ROOT=${ROOT:-} IMDS=${IMDS:-http://169.254.169.254}
cd "${ROOT:-/}"
ETC=$ROOT/etc/understudy SCRIPTS=$ROOT/opt/understudy
set -a
. "$ETC/identity.env"
set +a

# AWS's API. Not by curl: before 7.87 it signs no S3 request with temporary keys. No key is in an argument or a file.
PROGRAM=$(cat <<'END'
import datetime, hashlib, hmac, json, os, sys, urllib.error, urllib.parse, urllib.request

env = os.environ
here = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
TYPE = "content-type"

def imds(path, method="GET", **headers):
    request = urllib.request.Request(f"{env['IMDS']}/latest/{path}", method=method, headers=headers)
    return here(request, timeout=2).read().decode().strip()

def metadata(path):
    token = imds("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    return imds("meta-data/" + path, **{"X-aws-ec2-metadata-token": token})

# Source: IAM user guide, "Create a signed AWS API request".
def sign(key, service, method, url, body, headers, at):
    parts = urllib.parse.urlsplit(url)
    digest = hashlib.sha256(body).hexdigest()
    headers |= {"host": parts.netloc, "x-amz-date": at, "x-amz-content-sha256": digest}
    if key.get("Token"):
        headers["x-amz-security-token"] = key["Token"]
    names = sorted(headers)
    canonical = [method, parts.path, parts.query, *(f"{n}:{headers[n]}" for n in names), "", ";".join(names), digest]
    scope = [at[:8], env["REGION"], service, "aws4_request"]
    text = ["AWS4-HMAC-SHA256", at, "/".join(scope), hashlib.sha256("\n".join(canonical).encode()).hexdigest()]
    secret = ("AWS4" + key["SecretAccessKey"]).encode()
    for word in (*scope, "\n".join(text)):
        secret = hmac.digest(secret, word.encode(), "sha256")
    credential = f"{key['AccessKeyId']}/{'/'.join(scope)}"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(names)}, Signature={secret.hex()}"

def call(service, method="POST", path="", body="", **headers):
    key = json.loads(metadata("iam/security-credentials/" + metadata("iam/security-credentials/")))
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    base = env.get("AWS_ENDPOINT_URL") or f"https://{service}.{env['REGION']}.amazonaws.com"
    if service == "s3":
        own = env.get("AWS_ENDPOINT_URL")
        base = f"{own}/{env['BUCKET']}" if own else f"https://{env['BUCKET']}.s3.{env['REGION']}.amazonaws.com"
    url, body = f"{base}/{path}", body.encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers["authorization"] = sign(key, service, method, url, body, headers, at)
    request = urllib.request.Request(url, body if method == "POST" else None, headers, method=method)
    try:
        return here(request, timeout=60).read()
    except urllib.error.HTTPError as error:
        sys.exit(f"{service}: {error.code} {' '.join(error.read().decode(errors='replace').split())[:400]}")

def settings():
    answer = call("ssm", body=json.dumps({"Name": env["SETTINGS"]}),
                  content_type="application/x-amz-json-1.1", x_amz_target="AmazonSSM.GetParameter")
    sys.stdout.write(json.loads(answer)["Parameter"]["Value"].rstrip("\n") + "\n")

def bundle(name):
    sys.stdout.buffer.write(call("s3", "GET", name))

def signal(status, reason=""):
    form = {"Action": "SignalResource", "Version": "2010-05-15", "StackName": env["STACK"], "Status": status,
            "LogicalResourceId": env["LOGICAL_ID"], "UniqueId": f"{metadata('instance-id')} {reason}".strip()[:64]}
    call("cloudformation", body=urllib.parse.urlencode(form), content_type="application/x-www-form-urlencoded")

# Without a reason: takes the last one away.
def item(step="", reason=""):
    at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")[:23] + "Z"
    values = {":at": at} | ({":step": step, ":reason": reason[:2000]} if reason else {})
    body = {"TableName": env["STATE_TABLE"],
            "Key": {"cluster": {"S": env["CLUSTER"]}, "item": {"S": "setup#" + env["LOGICAL_ID"]}},
            "UpdateExpression": "SET #a = :at" + (", #s = :step, #r = :reason" if reason else " REMOVE #s, #r"),
            "ExpressionAttributeNames": {"#s": "step", "#a": "at", "#r": "reason"},
            "ExpressionAttributeValues": {name: {"S": value} for name, value in values.items()}}
    call("dynamodb", body=json.dumps(body),
         content_type="application/x-amz-json-1.0", x_amz_target="DynamoDB_20120810.UpdateItem")

if __name__ == "__main__":
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
END
)
aws() { python3 -c "$PROGRAM" "$@"; }
log() { echo "$(date -u +%FT%T.%1NZ) understudy ${MEMBER:-$LOGICAL_ID}: ${*//$'\n'/; }"; }
die() { REASON=$*; exit 1; }
# What is asked of the network may be there a moment later. Leaves in WHY what the command said last.
again() { # TIMES COMMAND...
  local left=$1
  shift
  until WHY=$("$@" 2>&1); do
    ((--left > 0)) || return
    sleep 2
  done
}

failed() { # STEP REASON
  log "set-up failed: $1: $2"
  again 3 aws item "$1" "$2" || log "not written: $WHY"
  [ -z "$STACK" ] || [ -e "$ETC/signalled" ] || again 3 aws signal FAILURE "$1: $2" || log "not signalled: $WHY"
}
# A resource that exists already takes no signal, and needs none.
finished() {
  again 3 aws item || log "not written: $WHY"
  [ -z "$STACK" ] || [ -e "$ETC/signalled" ] || again 3 aws signal SUCCESS || log "not signalled: $WHY"
  touch "$ETC/signalled" "$ETC/ready"
}

settings() { aws settings >"$NEW"; }
bundle() {
  local sum
  aws bundle "$BUNDLE" >"$SCRIPTS.d/new/bundle" || return
  sum=$(sha256sum <"$SCRIPTS.d/new/bundle")
  [ "${sum%% *}" = "$BUNDLE_SHA256" ] || { echo "its SHA-256 is ${sum%% *}, not $BUNDLE_SHA256" && return 1; }
}
# The settings, and the scripts that they name, in a directory of their own. What runs keeps its own files.
fetch() { # run|refresh
  NEW=$ETC/settings.env.new
  again "${TRIES:-30}" settings || die "the settings $SETTINGS: $WHY"
  if [ -e "$ETC/ready" ] && cmp -s "$NEW" "$ETC/settings.env"; then
    [ "$1" = run ] || exit 0
  fi
  rm -f "$ETC/ready"
  BUNDLE='' BUNDLE_SHA256=''
  # shellcheck source=/dev/null
  . "$NEW"
  [ -n "$BUNDLE_SHA256" ] || die 'the settings name no bundle'
  if [ ! -d "$SCRIPTS.d/$BUNDLE_SHA256" ]; then
    log "fetching $BUNDLE"
    rm -rf "$SCRIPTS.d/new" && mkdir -p "$SCRIPTS.d/new"
    again "${TRIES:-30}" bundle || die "the bundle $BUNDLE: $WHY"
    tar xzf "$SCRIPTS.d/new/bundle" --no-same-owner -C "$SCRIPTS.d/new" && rm "$SCRIPTS.d/new/bundle"
    chmod -R u=rwX,go=rX "$SCRIPTS.d"
    sync "$SCRIPTS.d/new"/*
    mv "$SCRIPTS.d/new" "$SCRIPTS.d/$BUNDLE_SHA256"
  fi
  # By renames: there is always one or the other.
  ln -sfn "${SCRIPTS##*/}.d/$BUNDLE_SHA256" "$SCRIPTS.new"
  mv -T "$SCRIPTS.new" "$SCRIPTS"
  mv "$NEW" "$ETC/settings.env"
}

case ${1:-run} in
  failed) failed "$2" "$(cat)" ;;
  succeeded) finished ;;
  run | refresh)
    mkdir -p "$ETC" "$SCRIPTS.d"
    exec 7>>"$ETC/lock" # for setup.sh, too
    flock -n 7 || { log 'another set-up runs' && exit 0; }
    trap 'REASON=${REASON:-line $LINENO: $BASH_COMMAND}' ERR
    trap '[ $? = 0 ] || failed bootstrap "$REASON"' EXIT
    fetch "${1:-run}"
    trap - EXIT
    exec bash "$SCRIPTS/setup.sh"
    ;;
  *) log "no such command: $1" && exit 1 ;;
esac
