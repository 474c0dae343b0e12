#!/bin/bash
# Monitoring for real: the configuration that a monitoring host would have is checked by Prometheus's and Alertmanager's
# own programs, each alert fires and does not fire, and the dashboard asks only for metrics that real exporters give:
# node_exporter, postgres_exporter, ours for PgBouncer, etcd, and Patroni's own list.
#
#   tests/nodes/monitoring.sh        as root or as any user; the programs are in target/lab/monitoring
set -Eeuo pipefail
MINISTACK_PORT=15576 IMDS_PORT=15577
. "${BASH_SOURCE%/*}/kit.sh"
LAB=$HERE/../../target/lab
export PATH=$LAB/monitoring/usr/bin:$PATH:/usr/sbin
AT=127.0.25.20
AS=(env)
[ "$(id -u)" != 0 ] || AS=(setpriv --reuid=postgres --regid=postgres --init-groups)

secret() { # NAME <JSON: prints its ARN
  curl -sSf --aws-sigv4 aws:amz:eu-west-1:secretsmanager --user test:test -H 'X-Amz-Target: secretsmanager.CreateSecret' \
    -H 'Content-Type: application/x-amz-json-1.1' -d "$(jq -Rs --arg name "$1" '{Name: $name, SecretString: .}')" "$AWS_ENDPOINT_URL/" | jq -er .ARN
}
# A monitoring host of each topology, in m1 and m2.
hosts() {
  local n there topology grafana tls
  authority
  GATEWAY_PORT=$MINISTACK_PORT BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 STATE_DIR=$WORK/ministack TMPDIR=$WORK \
    background ministack.log "$PYTHON" -m ministack
  background imds.log "$PYTHON" "$HERE/aws.py" imds "$IMDS_PORT"
  until curl -sf -o /dev/null "$AWS_ENDPOINT_URL/_ministack/health"; do sleep 0.1; done
  grafana=$(secret grafana <<<"{\"username\":\"admin\",\"password\":\"gr'a\$f na\"}")
  tls=$(jq -n --rawfile a tls/ca.crt --rawfile k tls/ca.key '{peer_authority: $a, peer_authority_key: $k}' | secret tls)
  for n in 1 2; do
    there=$(root $n)
    [ $n = 1 ] && topology=ec2-patroni || topology=ec2-streaming
    mkdir -p "$there/etc/understudy" "$there/opt"
    ln -s "$NODES" "$there/opt/understudy"
    echo "FLEET=test CLUSTER=shop REGION=eu-west-1 MEMBER=shop-monitoring ROLE=monitoring ADDRESS=$AT STATE_TABLE= LOGICAL_ID=x" \
      >"$there/etc/understudy/identity.env"
    cat >"$there/etc/understudy/settings.env" <<END
TOPOLOGY=$topology MEMBERS="shop_1=127.0.25.11 shop_2=127.0.25.12 shop_3=127.0.25.13" TLS_SECRET=$tls GRAFANA_SECRET=$grafana
MONITORING_RETENTION_DAYS=15 MONITORING_SCRAPE_SECONDS=15 MONITORING_GRAFANA=1
MONITORING_TOPIC=arn:aws:sns:eu-west-1:000000000000:test-shop-alerts PAGES_TOPIC=arn:aws:sns:eu-west-1:000000000000:test-pages
END
  done
  echo 'ETCD="shop-etcd-1=127.0.25.31 shop-etcd-2=127.0.25.32 shop-etcd-3=127.0.25.33"' >>"$(root 1)/etc/understudy/settings.env"
}
setup() { # NUMBER
  ROOT=$(root "$1") IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" bash -c '. "$ROOT/opt/understudy/lib.sh"
    . "$HERE/peer.sh"; . "$HERE/monitoring.sh"; setup_monitoring' >>"m$1.log" 2>&1
}
etc() { echo "$(root "$1")/etc"; } # NUMBER
jobs() { sed -n 's/.*job_name: //p' "$(etc "$1")/prometheus/prometheus.yml" | xargs; } # NUMBER

configuration() {
  local before ini
  hosts
  setup 1
  setup 2
  before=$(find "$(etc 1)" -type f -exec stat -c '%n %Y %i' {} + | sort)
  setup 1
  is 'set-up run again changes nothing' "$before" "$(find "$(etc 1)" -type f -exec stat -c '%n %Y %i' {} + | sort)"
  for n in 1 2; do
    promtool check config "$(etc $n)/prometheus/prometheus.yml" >check.log 2>&1 || { cat check.log && exit 1; }
    amtool check-config "$(etc $n)/prometheus/alertmanager.yml" >check.log 2>&1 || { cat check.log && exit 1; }
  done
  is 'jobs with Patroni' 'prometheus alertmanager node postgres pgbouncer patroni etcd' "$(jobs 1)"
  is 'jobs without' 'prometheus alertmanager node postgres' "$(jobs 2)"
  is 'all hosts' 7 "$(grep -c ':9100' "$(etc 1)/prometheus/prometheus.yml")"
  is 'every 15 s' 2 "$(grep -c '_interval: 15s' "$(etc 1)/prometheus/prometheus.yml")"
  is 'Alertmanager: as the reference' 'group_wait: 30s group_interval: 5m repeat_interval: 4h repeat_interval: 1h resolve_timeout: 5m' \
    \
    "$({ grep -E 'group_|repeat' "$(etc 1)/prometheus/alertmanager.yml" | grep -v group_by; grep resolve_ "$(etc 1)/prometheus/alertmanager.yml"; } | xargs)"
  is 'Alertmanager: resolved ones too' 3 "$(grep -c 'send_resolved: true' "$(etc 1)/prometheus/alertmanager.yml")"
  is 'a critical one goes to both topics' pages \
    "$(amtool config routes test --config.file="$(etc 1)/prometheus/alertmanager.yml" severity=critical)"
  is 'a warning to one' alerts \
    "$(amtool config routes test --config.file="$(etc 1)/prometheus/alertmanager.yml" severity=warning)"
  ini=$(etc 1)/grafana/grafana.ini
  is 'Grafana: nobody without a password' 'enabled = false' "$(sed -n '/auth.anonymous/{n;p}' "$ini")"
  is 'Grafana: the password of the secret' "gr'a\$f na" "$(cat "$(etc 1)/grafana/admin-password")"
  is 'which others cannot read' 640 "$(stat -c %a "$(etc 1)/grafana/admin-password")"
  is 'and which is nowhere else' '' "$(grep -rlF "gr'a" m1 m1.log | grep -v admin-password || true)"
}

alerts() {
  mkdir rules
  cp "$NODES"/monitoring/*.yml "$HERE"/monitoring/*.yml rules/
  promtool check rules rules/rules*.yml >check.log 2>&1 || { cat check.log && exit 1; }
  (cd rules && promtool test rules common.test.yml patroni.test.yml streaming.test.yml) >check.log 2>&1 || { cat check.log && exit 1; }
  is 'each alert fires, and does not' 3 "$(grep -c SUCCESS check.log)"
  is 'each alert has a test' '' "$(sed -n 's/.*- alert: //p' rules/rules*.yml | sort -u | while read -r name; do
    grep -q "alertname: $name" rules/*.test.yml || echo "$name"; done)"
}

aws() { # SERVICE DATA: AWS's query protocol
  curl -sSf --aws-sigv4 "aws:amz:eu-west-1:$1" --user test:test -d "$2" "$AWS_ENDPOINT_URL/"
}
# Alertmanager itself, as configured but for its patience, and the topics that it publishes to.
delivery() {
  local topic queue
  for topic in test-shop-alerts test-pages; do aws sns "Action=CreateTopic&Version=2010-03-31&Name=$topic" >/dev/null; done
  queue=$(aws sqs 'Action=CreateQueue&Version=2012-11-05&QueueName=told' | grep -oE 'https?://[^<"]*/told')
  for topic in test-shop-alerts test-pages; do
    aws sns "Action=Subscribe&Version=2010-03-31&Protocol=sqs&TopicArn=arn:aws:sns:eu-west-1:000000000000:$topic\
&Endpoint=arn:aws:sqs:eu-west-1:000000000000:told" >/dev/null
  done
  sed 's/group_wait: 30s/group_wait: 0s/' "$(etc 1)/prometheus/alertmanager.yml" >alertmanager.yml
  AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test background alertmanager.log prometheus-alertmanager \
    --config.file=alertmanager.yml --storage.path="$WORK/alertmanager" --web.listen-address=$AT:9093 --cluster.listen-address=
  until_is 15 'Alertmanager answers' OK eval "curl -sf http://$AT:9093/-/healthy | tr -d '\n'"
  amtool --alertmanager.url="http://$AT:9093" alert add NoPrimary cluster=shop severity=critical \
    --annotation=summary='no member leads' --annotation=action='patronictl list on a member'
  until_is 15 'it is told on both topics' 2 told "$queue"
  is 'in words' 2 "$(grep -o 'FIRING critical no member leads' told.txt | wc -l)"
  is 'with a subject' 2 "$(grep -oE 'FIRING shop: NoPrimary' told.txt | wc -l)"
}
told() { # QUEUE: how many messages came so far
  aws sqs "Action=ReceiveMessage&Version=2012-11-05&QueueUrl=$1&MaxNumberOfMessages=10&VisibilityTimeout=600" >>told.txt || return
  grep -o '<MessageId>' told.txt | wc -l
}

scrape() { until_is 15 "${1##*/} answers" 0 eval "curl -sSf -m 5 -o '$1' '$2' 2>/dev/null; echo \$?"; } # FILE URL
exporters() {
  local data=$WORK/data
  install -d -m 700 -o "$("${AS[@]}" id -un)" "$data" pooler
  "${AS[@]}" "$BIN/initdb" -D "$data/d" -U postgres -A trust >/dev/null
  background postgres.log "${AS[@]}" "$BIN/postgres" -D "$data/d" -c listen_addresses='' -c "unix_socket_directories=$data" \
    -c dynamic_shared_memory_type=mmap -c shared_buffers=16MB
  until_is 15 'PostgreSQL answers' 1 "${AS[@]}" "$BIN/psql" -XAtq -h "$data" -U postgres -c 'SELECT 1'
  background node.log prometheus-node-exporter --web.listen-address=$AT:9100
  DATA_SOURCE_NAME="host=$data user=postgres dbname=postgres sslmode=disable" background exporter.log \
    "${AS[@]}" env "PATH=$PATH" prometheus-postgres-exporter --web.listen-address=$AT:9187
  pooler
  background etcd.log etcd --data-dir "$WORK/etcd" --listen-client-urls http://$AT:2379 --advertise-client-urls http://$AT:2379 \
    --listen-peer-urls http://$AT:2380
  scrape node.txt http://$AT:9100/metrics
  scrape etcd.txt http://$AT:2379/metrics
  until_is 15 'postgres_exporter sees the server' 'pg_up 1' \
    eval "curl -sS -m 5 http://$AT:9187/metrics | tee postgres.txt | grep '^pg_up '"
  until_is 15 'PgBouncer is seen' 'pgbouncer_up 1' \
    eval "curl -sS -m 5 http://$AT:9127/metrics | tee pooler.txt | grep '^pgbouncer_up '"
  is 'its pool' 1 \
    "$(grep -c '^pgbouncer_pools_server_idle_connections{database="postgres",user="postgres"} 1' pooler.txt)"
}
pooler() {
  local dir=$WORK/pooler
  "${AS[@]}" tee "$dir/users" >/dev/null <<<$'"postgres" ""\n"pgbouncer" ""'
  "${AS[@]}" tee "$dir/ini" >/dev/null <<END
[databases]
* = host=$WORK/data port=5432
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users
admin_users = pgbouncer
END
  background pgbouncer.log "${AS[@]}" pgbouncer "$dir/ini"
  # A client, so that there is a pool.
  until_is 15 'PgBouncer answers' 1 "${AS[@]}" "$BIN/psql" -XAtq -h "$dir" -p 6432 -U postgres -d postgres -c 'SELECT 1'
  background pooler-exporter.log "${AS[@]}" env "PATH=$BIN:$PATH" /usr/bin/python3 "$NODES/pooler-exporter.py" $AT 9127 "$dir" 6432
}

dashboard() {
  local api
  # What the scripts give: the same names as in health.sh and backup-report.sh.
  { grep -ohE "'[A-Z][A-Za-z]+'" "$NODES/health.sh"; grep -ohE '\[[A-Z][A-Za-z]+(Seconds|Failing)\]' "$NODES/backup-report.sh"; } |
    tr -d "[]'" | sed -E 's/([A-Z])/_\L\1/g; s/^_/understudy_/' | sort -u >own.txt
  is 'the dashboard asks for what there is' 'pgha-overview 10s 49' \
    "$(/usr/bin/python3 "$HERE/metrics.py" node.txt postgres.txt etcd.txt pooler.txt own.txt "$HERE/metrics.txt" -- "$NODES"/monitoring/{pgha-overview.json,rules*.yml})"
  echo 'pg_up' >little.txt
  is 'and would be told of what there is not' 1 \
    "$(/usr/bin/python3 "$HERE/metrics.py" little.txt -- "$NODES"/monitoring/rules.yml | grep -c 'nobody gives pg_settings_max_connections')"
  api=$(find "$LAB/patroni" -path '*/patroni/api.py' 2>/dev/null | head -n 1)
  [ -n "$api" ] || { echo '   no Patroni here to compare with' && return; }
  is "Patroni's names are Patroni's" '' \
    "$(grep '^patroni_' "$HERE/metrics.txt" | while read -r name; do grep -q "$name{0}" "$api" || echo "$name"; done)"
}

configuration
alerts
delivery
exporters
dashboard
