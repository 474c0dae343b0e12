//! The server and its settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// The PostgreSQL server and the application's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Postgresql {
    /// Major version. 15: the version that the default image's own archive carries.
    #[schemars(title = "Major version", range(min = 15, max = 18))]
    pub version: u32,
    /// The application's database.
    #[schemars(title = "Database", regex(pattern = "^[a-z_][a-z0-9_]{0,62}$"))]
    #[schemars(extend("x-allowed" = "a PostgreSQL identifier: 1 to 63 lower-case letters, digits and underscores, not beginning with a digit"))]
    pub database: String,
    /// The application's role, owner of its database.
    #[schemars(title = "Owner", regex(pattern = "^[a-z_][a-z0-9_]{0,62}$"))]
    #[schemars(extend("x-allowed" = "a PostgreSQL identifier: 1 to 63 lower-case letters, digits and underscores, not beginning with a digit"))]
    pub owner: String,
    /// The port of every member.
    #[schemars(title = "Port", range(min = 1024, max = 65_535))]
    pub port: u16,
    /// `max_connections`.
    #[schemars(title = "max_connections", range(min = 20, max = 10_000))]
    pub max_connections: u32,
    /// How passwords are stored and asked for.
    #[schemars(title = "password_encryption")]
    pub password_encryption: PasswordEncryption,
    /// Settings beyond what the size of the instance yields, by name; what Understudy sets itself is refused.
    #[schemars(title = "Parameters", extend("additionalProperties" = json!({"type": "string"})))]
    pub parameters: BTreeMap<String, String>,
}

/// How PostgreSQL stores passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PasswordEncryption {
    /// SCRAM-SHA-256.
    #[serde(rename = "scram-sha-256")]
    Scram,
    /// MD5, for clients too old for SCRAM. PostgreSQL 18 warns of it.
    #[serde(rename = "md5")]
    Md5,
}

impl std::fmt::Display for PasswordEncryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PasswordEncryption::Scram => "scram-sha-256",
            PasswordEncryption::Md5 => "md5",
        })
    }
}

impl Default for Postgresql {
    fn default() -> Self {
        Postgresql {
            version: 15,
            database: "app".into(),
            owner: "app".into(),
            port: 5432,
            max_connections: 200,
            password_encryption: PasswordEncryption::Scram,
            parameters: BTreeMap::new(),
        }
    }
}
