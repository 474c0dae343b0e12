# What hosts write, in CloudWatch Logs: a group for the cluster, streams MEMBER/WHAT.

# rsyslog writes down what systemd's journal has, which the agent cannot read.
log_config() {
  jq -n --arg group "$LOG_GROUP" --arg member "$MEMBER" --arg logs "$LOGS" '
    def file(path; what): {file_path: path, log_group_name: $group, log_stream_name: "\($member)/\(what)",
      timezone: "UTC", retention_in_days: -1};
    {agent: {run_as_user: "root"}, logs: {force_flush_interval: 5, logs_collected: {files: {collect_list: [
      file("/var/log/syslog"; "syslog"), file("/var/log/cloud-init-output.log"; "setup"),
      file("\($logs)/*.json"; "postgresql"), file("/var/log/pgbackrest/*.log"; "pgbackrest"),
      file("\($logs)/pgbouncer.log"; "pgbouncer")]}}}}'
}
setup_logs() {
  local agent=/opt/aws/amazon-cloudwatch-agent source=https://amazoncloudwatch-agent-$REGION.s3.$REGION.amazonaws.com
  local config=$agent/etc/understudy.json control=$agent/bin/amazon-cloudwatch-agent-ctl
  if [ -n "$ROOT" ] || [ -z "$LOG_GROUP" ]; then return; fi
  install_packages rsyslog logrotate
  if [ ! -x "$control" ]; then
    source+=/debian/$(dpkg --print-architecture)/latest/amazon-cloudwatch-agent.deb
    install_agent amazon-cloudwatch-agent "$source" || die "the CloudWatch agent cannot be installed from $source"
  fi
  place "$config" 644 root <<<"$(log_config)"
  # It is stopped for a moment: files are read on from where it was.
  ! changed "$config" || "$control" -a fetch-config -m ec2 -s -c "file:$config" >&2
}
