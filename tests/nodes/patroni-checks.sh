# What a cluster of ec2-patroni promises; see patroni.sh.
# shellcheck shell=bash

promises() {
  local writer replica
  writer=$(leader) replica=$(cluster '[.members[] | select(.role != "leader") | .name][0]' | sed 's/shop_/m/')
  is 'settings' 'on on scram-sha-256 40 5s on' "$(for name in data_checksums wal_log_hints password_encryption \
    max_connections wal_sender_timeout archive_mode; do sql "$writer" "SHOW $name"; done | xargs)"
  is 'data is closed' 700 "$(stat -c %a "$(root "$writer")/var/lib/understudy/data")"
  is 'the slot of the second Region' shop_dr "$(sql "$writer" "SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'shop_dr'")"
  is 'health checks need no certificate' '200 503 503 200' "$(get "$writer" primary) $(get "$writer" replica) $(get "$replica" primary) $(get "$replica" replica)"
  is 'but plain HTTP gets nothing' 000 "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "http://$(address m1):8008/primary" || true)"
  is 'an unsafe call needs the password' 401 "$(curl -s --cacert tls/peer.crt -o /dev/null -w '%{http_code}' -X POST -d '{}' "https://$(address "$writer"):8008/switchover")"
  is 'and does with it' 200 "$(curl -s --cacert tls/peer.crt -o /dev/null -w '%{http_code}' -K api.login -X POST -d '{}' "https://$(address "$writer"):8008/reload" | sed s/202/200/)"
  is 'etcd needs a certificate' refused "$(curl -s --cacert tls/peer.crt -m 2 "https://$(address e1):2379/health" >/dev/null && echo served || echo refused)"
  is 'through PgBouncer to the writer, with TLS' 'app|f' "$(pool "$writer" 'SELECT current_user, pg_is_in_recovery()')"
  is 'and to a standby' t "$(pool "$replica" 'SELECT pg_is_in_recovery()')"
  is 'not without TLS' 'SSL required' "$(PGPASSWORD=x "$BIN/psql" -d "host=$(address "$writer") port=6432 user=app dbname=shop sslmode=disable" -c '' 2>&1 | grep -o 'SSL required' || true)"
  is 'not with another password' 1 "$(PGPASSWORD=x "$BIN/psql" -wd "host=$(address "$writer") port=6432 user=app dbname=shop sslmode=require" -c '' 2>&1 | grep -c 'FATAL' || true)"
  is 'nor as a superuser' 1 "$(PGPASSWORD="s:u\\p'e\"r#" "$BIN/psql" -wd "host=$(address "$writer") port=6432 user=postgres dbname=shop sslmode=require" -c '' 2>&1 | grep -c 'FATAL' || true)"
  is 'the operator may look, not promote' 't f' "$(sql "$writer" "SELECT pg_has_role('understudy', 'pg_monitor', 'member') || ' ' || has_function_privilege('understudy', 'pg_promote(boolean, integer)', 'execute')" | sed 's/true/t/g; s/false/f/g')"
  is 'it was noted that the cluster was made' true "$(item patroni | jq '.at.S != null and .by.S != null')"
  pool "$writer" 'CREATE TABLE rows (id int PRIMARY KEY)'
  pool "$writer" 'INSERT INTO rows VALUES (1)'
}
item() { # NAME
  dynamodb GetItem '{"TableName":"test-state","Key":{"cluster":{"S":"shop"},"item":{"S":"'"$1"'"}},"ConsistentRead":true}' | jq .Item
}

# Another leader than OLD, with its slots and its synchronous standby.
another() { # OLD
  local now
  now=$(leader)
  [ -n "$now" ] && [ "$now" != "$1" ] && echo yes
}
failover() {
  local old new began asked mark
  old=$(leader)
  began=$(milliseconds)
  kill_host "$old"
  mark=$(wc -l <"$old.log")
  until_is 90 'the leader dies: another leads' yes another "$old"
  new=$(leader)
  until_is 30 'and takes writes, through its PgBouncer' '' pool "$new" 'INSERT INTO rows VALUES (2) ON CONFLICT DO NOTHING'
  echo "   after $(($(milliseconds) - began)) ms"
  is 'the row before is there' '1 2' "$(pool "$new" 'SELECT id FROM rows ORDER BY 1' | xargs)"
  rm -rf "${old:?}/run"
  mkdir "$old/run"
  keep "$old"
  until_is 120 'the old leader is a standby again' 'leader running, replica streaming, sync_standby streaming' roles
  is 'by a rewind, not by a copy' 0 "$(tail -n +"$mark" "$old.log" | grep -c 'bootstrap from leader' || true)"

  # A switchover: the old leader lives, and whoever is on its PgBouncer is sent away.
  old=$new
  PGPASSWORD="a:p\\p'l i" background stay.log "$BIN/psql" -XAtq -d "host=$BALANCER hostaddr=$(address "$old") port=6432 user=app dbname=shop sslmode=require" \
    -f <(echo 'SELECT 1 \watch 0.2')
  asked=$!
  sleep 1
  is 'a client stays on its PgBouncer' there "$(kill -0 $asked 2>/dev/null && echo there || echo gone)"
  curl -s --cacert tls/peer.crt -o /dev/null -K api.login -X POST \
    -d "{\"leader\":\"shop_${old#m}\"}" "https://$(address "$old"):8008/switchover"
  until_is 60 'a switchover: another leads' yes another "$old"
  until_is 30 'who was on the old one is sent away' gone eval "kill -0 $asked 2>/dev/null && echo there || echo gone"
  until_is 60 'and it follows' 'leader running, replica streaming, sync_standby streaming' roles
  until_is 30 'its PgBouncer serves readers' t pool "$old" 'SELECT pg_is_in_recovery()'
}

quorum() {
  local before
  before=$(etcd e1 member list | awk -F ', ' '{print $3}' | sort | xargs)
  kill_host e3
  until_is 30 'one of etcd dies: two are left' 2 healthy
  rm -rf "$(root e3)/var/lib/understudy/etcd"
  setup e3
  keep e3
  until_is 80 'without its data it comes back' 3 healthy
  is 'the same three members' "$before" "$(etcd e1 member list | awk -F ', ' '{print $3}' | sort | xargs)"
  is 'one cluster' 1 "$(for host in e1 e2 e3; do etcd $host endpoint status --write-out=json | jq -c '.[0].Status.header.cluster_id'; done | sort -u | wc -l)"
  is 'by joining, not by a new one' 1 "$(grep -c 'starting without data: existing cluster' e3.log)"
  # All others down: it waits.
  kill_host e3
  kill_host e1
  kill_host e2
  rm -rf "$(root e3)/var/lib/understudy/etcd"
  setup e3
  keep e3
  until_is 30 'and alone it waits for the others' 1 eval "tail -n 3 e3.log | grep -c 'data is gone, and the others do not answer'"
  is 'without etcd the leader goes on' '' "$(pool "$(sleep 8; for host in m1 m2 m3; do [ "$(get $host primary)" != 200 ] || echo $host; done)" 'INSERT INTO rows VALUES (3)')"
  keep e1
  keep e2
  until_is 120 'etcd is whole again' 3 healthy
  until_is 60 'and so is the cluster' 'leader running, replica streaming, sync_standby streaming' roles
  on e1 etcd-upkeep-run.sh >>e1.log 2>&1
  is 'a snapshot' 1 "$(find "$(root e1)/var/lib/understudy/etcd-snapshots" -name '*.db' | wc -l)"
}

served() { # HOST: the serial number of what its REST API shows
  openssl s_client -connect "$(address "$1"):8008" </dev/null 2>/dev/null | openssl x509 -noout -serial
}
sums() { # everything that set-up wrote
  local host
  for host in e1 m1 m2 m3; do find "$host/etc" -type f ! -name settings.env ! -name lock ! -name ready | sort | xargs sha256sum; done
}
again() {
  local before postmasters writer host
  writer=$(leader)
  before=$(sums)
  postmasters=$(for host in m1 m2 m3; do head -n 1 "$host/var/lib/understudy/data/postmaster.pid"; done | xargs)
  for host in e1 m1 m2 m3; do setup $host; done
  is 'set-up again changes nothing' "$before" "$(sums)"
  # Other settings and another password: taken without a restart.
  for host in m1 m2 m3; do echo 'PATRONI_TTL=25 POOL_SIZE=7 DR_SLOT=' >>"$(root $host)/etc/understudy/settings.env"; done
  sql "$writer" "ALTER ROLE app PASSWORD 'another'"
  rm "$(root m1)/etc/understudy/peer/certificate.pem"
  for host in m1 m2 m3; do setup $host; done
  is 'other settings are taken' '25 true' "$(curl -s --cacert tls/peer.crt "https://$(address m1):8008/config" | jq -r '"\(.ttl) \(.slots | length == 0)"')"
  is 'by PgBouncer, too' 7 "$(as_owner "$BIN/psql" -XAtq -h "$(root m1)/run/postgresql" -p 6432 -U pgbouncer pgbouncer -c 'SHOW CONFIG' | awk -F '|' '$1 == "default_pool_size" {print $2}')"
  until_is 30 'a new certificate between hosts is used' "$(openssl x509 -noout -serial -in m1/etc/understudy/peer/certificate.pem)" served m1
  until_is 30 'and the password is the secret'"'"'s again' 1 pool "$writer" 'SELECT 1'
  is 'no PostgreSQL was restarted' "$postmasters" "$(for host in m1 m2 m3; do head -n 1 "$host/var/lib/understudy/data/postmaster.pid"; done | xargs)"
}

repair() { # HOST
  local status=0
  RESULT=$(API_SECONDS=2 RESTART_SECONDS=8 on "$1" repair.sh 2>>"$1.log" | tee -a "$1-repair.log" | tail -n 1) || status=$?
  [ "$status" = 0 ] || RESULT="$status $RESULT"
  echo "   $RESULT"
}
repairs() {
  local writer standby
  writer=$(leader) standby=$(cluster '[.members[] | select(.role == "replica") | .name][0]' | sed 's/shop_/m/')
  repair "$writer"
  is 'repair refuses the leader' "1 $(grep -o 'failed: .*leads.*' <<<"$RESULT")" "1 ${RESULT#*: }"
  repair "$standby"
  is 'repair of a healthy standby' already-standby "$(jq -r .outcome <<<"$RESULT")"
  kill -STOP "$(cat "$(root "$standby")/run/understudy/patroni.pid")"
  repair "$standby"
  is 'an agent that hangs is restarted' restarted "$(jq -r .outcome <<<"$RESULT")"
  kill_host "$standby"
  dd if=/dev/zero of="$(root "$standby")/var/lib/understudy/data/global/pg_control" bs=8192 count=1 conv=notrunc status=none
  keep "$standby"
  sleep 5
  repair "$standby"
  is 'data that is broken is copied anew' reinitialised "$(jq -r .outcome <<<"$RESULT")"
  is 'and what was there is kept' yes "$([ -e "$(jq -r .saved <<<"$RESULT")/base" ] && echo yes)"
  # An empty member never makes a database where one was made: it has no instructions to.
  is 'and its agent could only copy' patroni.yml "$(tr '\0' '\n' <"/proc/$(cat "$standby/run/understudy/patroni.pid")/cmdline" | grep -o 'patroni[-a-z]*.yml')"
  until_is 60 'the cluster is whole' 'leader running, replica streaming, sync_standby streaming' roles
}

secrecy() {
  printf '%s\n' "p\\e'r" "e\\p'l" "p\\p'l" "u\\p'e" "o\\o'l" "a\\t'r" te/st+secret session/token== >patterns
  is 'no secret in arguments' '' "$(cat arguments.log)"
  is 'no secret in logs' '' "$(grep -F -l -f patterns ./*.log || true)"
  is 'nor in PostgreSQL'"'"'s' '' "$(grep -rF -l -f patterns ./m?/var/log || true)"
  is 'no secret readable by others' '' "$(grep -rlF -f patterns m? e? | xargs -r stat -c '%a %n' | grep -v '^600' || true)"
  is 'keys are closed' '600 600' "$(stat -c %a "$(root m1)/etc/understudy/peer/key.pem" "$(root e1)/etc/understudy/peer/key.pem" | xargs)"
  is 'the authority'"'"'s key is nowhere' '' "$(grep -rlF "$(sed -n 2p tls/peer.key)" m? e? || true)"
}
