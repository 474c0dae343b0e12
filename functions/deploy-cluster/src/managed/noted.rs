//! What a stack's template notes of the spec it was made from.

use crate::reading;
use domain::{
    managed::Roles,
    spec::{self, Problem, Spec},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The spec that a template was made from.
pub(super) fn spec(template: &Value) -> Option<Result<Spec, Vec<Problem>>> {
    let noted = &template["Metadata"]["Understudy"]["Spec"];
    (!noted.is_null()).then(|| reading::read_value(noted.clone()))
}

/// The roles that it was made with; the default ones where it notes none.
pub(super) fn roles(template: &Value) -> Roles {
    serde_json::from_value(template["Metadata"]["Understudy"]["Roles"].clone()).unwrap_or_default()
}

/// What SQL makes in a new database, and what was last made: the same, and nothing is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetUp {
    /// Raised when more is made than before, so that it is done again.
    pub version: u32,
    /// The stack: another one of the same name has another database.
    pub stack: String,
    /// The application's database.
    pub database: String,
    /// Its owner.
    pub owner: String,
    /// Roles beside the owner.
    pub roles: Option<spec::Roles>,
}

/// The first shape.
const VERSION: u32 = 1;

impl SetUp {
    pub(super) fn of(spec: &Spec, stack: &str) -> Self {
        SetUp {
            version: VERSION,
            stack: stack.to_owned(),
            database: spec.postgresql.database.clone(),
            owner: spec.postgresql.owner.clone(),
            roles: spec.managed().roles,
        }
    }
}
