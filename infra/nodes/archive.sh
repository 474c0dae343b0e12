#!/bin/bash
# PostgreSQL's archive_command and restore_command:  archive.sh push WAL-FILE  |  archive.sh get WAL-NAME TARGET
#
# Reads no other script and starts nothing but pgBackRest, since it runs once a segment. When the repository does not
# answer, a push fails: PostgreSQL keeps the segment and asks again. Nothing is ever given up for the disk's sake
# (archive-push-queue-max would leave a hole in the archive): the alarms on ArchiveAgeSeconds and the disk come first.
#
# A repository beside the own one (pgbackrest-copy.conf: the DR standby's, of the other Region) is only read.
ETC=${ROOT:-}/etc
HOW=(--log-level-console=error --log-level-stderr=error)

stanza() { sed -n 's/^\[\([^]:]*\)\]$/\1/p' "$1" | grep -vx global; } # CONFIG

case ${1:-} in
  push)
    config=$ETC/pgbackrest.conf
    exec pgbackrest --config="$config" --stanza="$(stanza "$config")" "${HOW[@]}" archive-push "$2" >&2
    ;;
  get)
    worst=1 # not there
    for config in "$ETC/pgbackrest.conf" "$ETC/pgbackrest-copy.conf"; do
      [ -e "$config" ] || continue
      code=0 said=''
      # PostgreSQL runs this in its data directory, which is another one when verify.sh tries a restore.
      # A repository that does not answer holds nothing up for longer than this many seconds.
      said=$(timeout -k 5 "${GET_SECONDS:-60}" pgbackrest --config="$config" --stanza="$(stanza "$config")" \
        "${HOW[@]}" --pg1-path="$PWD" ${ARCHIVE_SYNC:+--no-archive-async} archive-get "$2" "$3" 2>&1) || code=$?
      [ -z "$said" ] || echo "$said" >&2
      [ "$code" != 0 ] || exit 0
      # A repository without a stanza has nothing; the DR standby's own is so until it is promoted.
      [ "$code" = 1 ] || [[ $said == *'has a stanza-create been performed'* ]] || worst=$code
    done
    # PostgreSQL takes every code up to 125 for "there is no more". A standby asks again. A restore would end there,
    # and open a database from before what was asked for: it must stop instead, so that it can go on later.
    [ "$worst" = 1 ] || [ ! -e recovery.signal ] || exit 255
    exit 1
    ;;
  *)
    echo "archive.sh: push WAL-FILE or get WAL-NAME TARGET" >&2
    exit 2
    ;;
esac
