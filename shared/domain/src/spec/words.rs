//! Names that a cluster's owner may not take.

/// Roles that every cluster has already.
pub(super) const ROLES: [&str; 5] = ["monitor", "pgbouncer", "postgres", "replicator", "understudy"];

/// Databases that every cluster has already.
pub(super) const DATABASES: [&str; 3] = ["postgres", "template0", "template1"];

/// Whether a word must be quoted in SQL, so that a name like it surprises
/// everyone who types it.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

/// Reserved key words, sorted.
///
/// Source: PostgreSQL manual, appendix C, "SQL Key Words", column PostgreSQL,
/// reserved in any way, version 18.
#[rustfmt::skip]
const RESERVED: [&str; 101] = [
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary", "both",
    "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create", "cross",
    "current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
    "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "fetch",
    "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike", "in", "initially", "inner",
    "intersect", "into", "is", "isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime",
    "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only", "or", "order", "outer", "overlaps",
    "placing", "primary", "references", "returning", "right", "select", "session_user", "similar", "some",
    "symmetric", "system_user", "table", "tablesample", "then", "to", "trailing", "true", "union", "unique", "user",
    "using", "variadic", "verbose", "when", "where", "window", "with",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_so_that_the_search_finds_every_word() {
        assert!(RESERVED.is_sorted(), "a word out of order is never found");
        assert!(RESERVED.iter().all(|word| is_reserved(word)));
        assert!(!is_reserved("orders"));
    }
}
