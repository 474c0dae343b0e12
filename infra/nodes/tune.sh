# What the size of the host says about PostgreSQL's settings, and what all members have in common.
# Sources: PostgreSQL manual, chapter 20 "Server Configuration" and section 20.4.1; a quarter of the memory for
# shared_buffers, three quarters expected in the kernel's cache.

memory_mib() { awk '/^MemTotal/ {print int($2 / 1024)}' "${MEMINFO:-/proc/meminfo}"; }
cpus() { echo "${CPUS:-$(nproc)}"; }
at_most() { echo $(($1 < $2 ? $1 : $2)); }
at_least() { echo $(($1 > $2 ? $1 : $2)); }

# work_mem: a quarter of the memory, if every connection sorted twice at once; 4 MB, PostgreSQL's default, at the least.
# In a lab many servers share a host.
sizes() {
  local memory cpus shared
  memory=$(memory_mib) cpus=$(cpus)
  [ -z "$ROOT" ] || memory=${MEMORY_MIB:-256}
  shared=$(at_least $((memory / 4)) 32)
  cat <<SIZES
shared_buffers = '${SHARED_BUFFERS:-${shared}MB}'
effective_cache_size = '$((memory * 3 / 4))MB'
maintenance_work_mem = '$(at_least "$(at_most $((memory / 16)) 2048)" 16)MB'
work_mem = '$(at_least "$(at_most $((memory / 4 / (MAX_CONNECTIONS * 2))) 64)" 4)MB'
wal_buffers = '$(at_least "$(at_most $((shared / 32)) 16)" 1)MB'
max_worker_processes = '$(at_least $((cpus + 6)) 8)'
max_parallel_workers = '$(at_least "$cpus" 2)'
max_parallel_workers_per_gather = '$(at_least "$(at_most $((cpus / 2)) 4)" 1)'
max_parallel_maintenance_workers = '$(at_least "$(at_most $((cpus / 2)) 4)" 1)'
SIZES
}

# MiB of the file system that the log is on.
log_space() { df --output=size -m "${WAL_DIR:-$VAR}" | awk 'END {print int($1)}'; }

# Lines "name = 'value'"; of two with the same name the later one holds. The spec's own come last.
postgresql_settings() {
  local library='' space slots
  space=$(log_space)
  slots=$((space / 4)) # what a slot may keep, beside the data
  [ -z "$WAL_DIR" ] || slots=$((space / 2))
  [ ! -e "${BIN%bin}lib/pg_stat_statements.so" ] || library=pg_stat_statements
  sizes
  cat <<COMMON
max_connections = '$MAX_CONNECTIONS'
password_encryption = '$PASSWORD_ENCRYPTION'
shared_preload_libraries = '$library'
random_page_cost = '1.1'
effective_io_concurrency = '200'
checkpoint_completion_target = '0.9'
max_wal_size = '$(at_least "$(at_most $((space / 8)) 8192)" 1024)MB'
min_wal_size = '256MB'
wal_level = 'replica'
hot_standby = 'on'
wal_log_hints = 'on'
max_wal_senders = '10'
max_replication_slots = '10'
wal_keep_size = '1GB'
max_slot_wal_keep_size = '${slots}MB'
wal_sender_timeout = '5s'
wal_receiver_timeout = '5s'
wal_receiver_status_interval = '1s'
wal_retrieve_retry_interval = '500ms'
archive_mode = 'on'
archive_command = '$(archive_command)'
archive_timeout = '${BACKUP_ARCHIVE_TIMEOUT:-0}'
logging_collector = 'on'
log_destination = 'jsonlog'
log_timezone = 'UTC'
log_directory = '$LOGS'
log_filename = 'postgresql-%Y-%m-%d_%H%M%S.log'
log_file_mode = '0640'
log_rotation_age = '1d'
log_rotation_size = '100MB'
log_min_duration_statement = '1000'
log_checkpoints = 'on'
log_connections = '$([ "$POSTGRESQL_VERSION" -ge 18 ] && echo all || echo on)'
log_disconnections = 'on'
log_lock_waits = 'on'
log_temp_files = '10MB'
log_autovacuum_min_duration = '1s'
log_line_prefix = '%m [%p] %q%u@%d %a '
track_io_timing = 'on'
COMMON
  [ -z "$PARAMETERS" ] || base64 -d <<<"$PARAMETERS" |
    jq -r --arg q "'" '.[] |= gsub($q; $q + $q) | to_entries[] | .key + " = " + $q + .value + $q'
}
# On even where nothing is archived: turning it on later would need a restart. pgBackRest refuses to work unless its
# name is in the command.
archive_command() {
  if [ -n "${BACKUP_STANZA:-}" ]; then
    echo "ROOT=$ROOT exec /bin/bash $HERE/archive.sh push \"%p\" # pgbackrest"
  else
    echo /bin/true
  fi
}
