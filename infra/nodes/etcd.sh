# etcd, where Patroni keeps who leads. What is run is etcd-run.sh.
# shellcheck shell=bash
. "$HERE/peer.sh"
ETCD_DATA=$VAR/etcd
ETCD_SNAPSHOTS=$VAR/etcd-snapshots
ETCD_QUOTA=$((512 << 20)) # bytes; Patroni's keys are a few KiB, the history of an hour some MiB

# Sets ETCD_NAME, and of all members ETCD_CLUSTER (NAME=URL,...), ETCD_ENDPOINTS and, without this one, ETCD_OTHERS.
etcd_members() {
  local entry name address
  ETCD_NAME='' ETCD_CLUSTER='' ETCD_ENDPOINTS='' ETCD_OTHERS=''
  for entry in $ETCD; do
    name=${entry%=*} address=${entry#*=}
    ETCD_CLUSTER+="${ETCD_CLUSTER:+,}$name=https://$address:2380"
    ETCD_ENDPOINTS+="${ETCD_ENDPOINTS:+,}https://$address:2379"
    # shellcheck disable=SC2153 # ADDRESS is a setting
    if [ "$address" = "$ADDRESS" ]; then ETCD_NAME=$name; else ETCD_OTHERS+="${ETCD_OTHERS:+,}https://$address:2379"; fi
  done
  [ -n "$ETCD_NAME" ] || die "no member of etcd has the address $ADDRESS: $ETCD"
}
# The client, with this host's certificate: all of them, or only those of ENDPOINTS.
etcd_client() { # ENDPOINTS ARGUMENT...
  local endpoints=$1
  shift
  ETCDCTL_API=3 timeout -k 1 20 etcdctl --endpoints="$endpoints" --cacert="$PEER/authority.pem" \
    --cert="$PEER/certificate.pem" --key="$PEER/key.pem" \
    --dial-timeout=2s --command-timeout=5s "$@"
}
# Runs a command as the owner of etcd's data.
as_etcd() {
  local as=()
  [ "$(id -u)" != 0 ] || as=(setpriv --reuid="$(etcd_owner)" --regid="$(id -g "$(etcd_owner)")" --init-groups)
  "${as[@]}" "$@"
}
etcd_owner() { if [ "$(id -u)" = 0 ] && getent passwd etcd >/dev/null; then echo etcd; else id -un; fi; }

# JSON is YAML. The state is what etcd-run.sh finds; where there is data, etcd looks at neither it nor the cluster.
etcd_configuration() { # STATE CLUSTER
  jq -n --arg name "$ETCD_NAME" --arg data "$ETCD_DATA" --arg state "$1" --arg cluster "$2" --arg address "$ADDRESS" \
    --arg peer "$PEER" --arg token "$FLEET-$CLUSTER" --argjson quota $ETCD_QUOTA '{
    name: $name, "data-dir": $data,
    "initial-cluster": $cluster, "initial-cluster-state": $state, "initial-cluster-token": $token,
    "listen-peer-urls": "https://\($address):2380", "initial-advertise-peer-urls": "https://\($address):2380",
    "listen-client-urls": "https://\($address):2379", "advertise-client-urls": "https://\($address):2379",
    "client-transport-security": {"cert-file": "\($peer)/certificate.pem", "key-file": "\($peer)/key.pem",
      "trusted-ca-file": "\($peer)/authority.pem", "client-cert-auth": true},
    "peer-transport-security": {"cert-file": "\($peer)/certificate.pem", "key-file": "\($peer)/key.pem",
      "trusted-ca-file": "\($peer)/authority.pem", "client-cert-auth": true},
    "auto-compaction-mode": "periodic", "auto-compaction-retention": "1h", "quota-backend-bytes": $quota,
    # Patroni speaks JSON; a configuration file turns that off where it does not say this.
    "enable-grpc-gateway": true, "strict-reconfig-check": true, logger: "zap", "log-level": "warn",
    "heartbeat-interval": 250, "election-timeout": 2500
  }'
}
# Versions 3.5.0 to 3.5.2 lose data when a host dies (etcd's issue 13766); Patroni needs the API of 3.3.
etcd_version() {
  local version
  version=$(etcd --version | awk '/^etcd Version/ {print $3}')
  case $version in
    3.5.[0-2]) die "etcd $version loses data; 3.5.3 or newer is needed" ;;
    3.[3-9].* | 3.[1-9][0-9].*) ;;
    *) die "etcd $version is not known to this script; 3.3 or newer is needed" ;;
  esac
}
etcd_healthy() {
  WHY="etcd is not healthy: $(etcd_client "https://$ADDRESS:2379" endpoint health 2>&1 | tail -n 1)" &&
    [[ $WHY == *'is healthy'* ]]
}

setup_etcd() {
  if [ -z "$ROOT" ]; then
    # Debian's own service would start a cluster of its own as soon as it is installed.
    systemctl mask -q etcd
    install_packages etcd-server etcd-client
  fi
  peer_own
  etcd_version
  etcd_members
  install -d -m 711 "$VAR"
  install -d -m 700 -o "$(etcd_owner)" "$ETCD_DATA" "$ETCD_SNAPSHOTS"
  enable understudy-etcd.service understudy-etcd-upkeep.timer
  [ -n "$ROOT" ] || wait_for etcd_healthy
}
