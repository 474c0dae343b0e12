#!/bin/bash
# Run by Patroni on the first leader of a new cluster, before anybody else connects: roles, database, and the note
# that this cluster was made. Patroni gives the superuser's connection; its password is in PGPASSFILE.
. "${BASH_SOURCE%/*}/lib.sh"
psql -Xqw -d "$1" -f "$CONF/roles.sql" >/dev/null || die 'the roles and the database cannot be made'

noted() {
  identity || return
  WHY="the state table does not answer: $(dynamodb UpdateItem 2>&1 <<<"{$(key patroni),
    \"UpdateExpression\":\"SET #at = if_not_exists(#at, :at), #by = if_not_exists(#by, :by)\",
    \"ExpressionAttributeNames\":{\"#at\":\"at\",\"#by\":\"by\"},
    \"ExpressionAttributeValues\":{\":at\":{\"S\":\"$(date -u +%FT%TZ)\"},\":by\":{\"S\":\"$MEMBER\"}}}")"
}
wait_for noted
log "the cluster is made on $MEMBER"
