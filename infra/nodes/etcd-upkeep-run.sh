#!/bin/bash
# A snapshot of etcd on its own disk (the last 4 are kept), then a defragmentation where that gives much back.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/etcd.sh"
etcd_members
mine=https://$ADDRESS:2379
file=$ETCD_SNAPSHOTS/$(date -u +%Y%m%dT%H%M%SZ).db

etcd_client "$mine" snapshot save "$file.new" >/dev/null 2>&1 || die 'no snapshot: etcd does not answer'
chmod 600 "$file.new"
mv "$file.new" "$file"
find "$ETCD_SNAPSHOTS" -name '*.db' | sort | head -n -4 | xargs -r rm -f
find "$ETCD_SNAPSHOTS" -name '*.db.*' ! -newer "$file" -delete
log "snapshot: $(stat -c %s "$file") bytes"

# One that is silent while another is down would stop the cluster.
if ! etcd_client "$ETCD_ENDPOINTS" endpoint health >/dev/null 2>&1; then
  log 'not defragmented: not all members are healthy'
  exit
fi
read -r size used < <(etcd_client "$mine" endpoint status --write-out=json |
  jq -r '.[0].Status | "\(.dbSize) \(.dbSizeInUse // .dbSize)"')
if ((size > 16 << 20 && used < size / 2)); then
  etcd_client "$mine" defrag >/dev/null
  log "defragmented: of $size bytes $used were in use"
fi
# Over its quota etcd takes no writes until the alarm is taken back; it comes again if there is still no room.
if ((used < ETCD_QUOTA * 8 / 10)) && [ -n "$(etcd_client "$mine" alarm list)" ]; then
  etcd_client "$mine" alarm disarm >/dev/null
  log 'the alarm of the quota is taken back'
fi
