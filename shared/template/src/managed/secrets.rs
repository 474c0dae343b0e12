//! The logins of a database that AWS runs.

use crate::{
    Handle, Part, Template, Value,
    resource::Secret,
    secrets::{password, secret_name},
    site::Site,
};

/// The master's name: PostgreSQL's own, so that what people know of `postgres` holds.
pub(crate) const MASTER: &str = "postgres";

/// Where the logins are: ARNs, and in the second Region the names that copies share with what they are copies of.
pub(crate) struct Secrets {
    /// Understudy's functions.
    pub(crate) operator: Value,
    /// The application.
    pub(crate) application: Value,
    /// The master, where RDS does not make the password itself.
    master: Option<Handle<Secret>>,
}

/// Who makes the master's password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Master {
    /// RDS makes and rotates it; not possible with replicas of RDS or a second Region.
    ///
    /// Source: Amazon Aurora User Guide, "Password management with Amazon Aurora and AWS Secrets Manager", limitations.
    Rds,
    /// It is generated as all others are.
    Generated,
}

/// The secrets, with copies in the second Region if there is one; that Region's own part makes none.
pub(crate) fn add(template: &mut Template, site: &Site<'_>, master: Master) -> Secrets {
    if site.part == Part::Dr {
        let name = |name| Value::from(secret_name(site, name));
        return Secrets { operator: name("operator"), application: name("application"), master: None };
    }
    let owner = &site.spec.postgresql.owner;
    let mut add = |id: &str, name: &str, role: &str, purpose: &str| password(template, site, id, name, role, purpose);
    let operator = add("OperatorSecret", "operator", "understudy", "Understudy's functions").arn();
    let application = add("ApplicationSecret", "application", owner, "the application").arn();
    let master = (master == Master::Generated)
        .then(|| add("SuperuserSecret", "superuser", MASTER, "the master, who makes the other roles"));
    Secrets { operator, application, master }
}

impl Secrets {
    /// The master's password as CloudFormation passes it to RDS: a reference, which nobody sees resolved.
    ///
    /// Source: CloudFormation user guide, "Get a secret or secret value from Secrets Manager".
    pub(crate) fn master_password(&self) -> Option<Value> {
        let secret = self.master.as_ref()?;
        Some(Value::join(["{{resolve:secretsmanager:".into(), secret.arn(), ":SecretString:password}}".into()]))
    }
}
