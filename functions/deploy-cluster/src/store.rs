//! What CloudFormation and the hosts fetch from the fleet's bucket, and the sizes that AWS takes.

use crate::outside::{Outside, TemplateAt};
use reconcile::Failure;
use serde_json::Value;
use sha2::{Digest, Sha256};
use template::{BODY_LIMIT, OBJECT_LIMIT, PARAMETER_LIMIT, Template, USER_DATA_LIMIT, bundle};

/// The template as CloudFormation reads it.
pub(crate) fn body(template: &Template) -> Result<String, Failure> {
    template.body().map_err(|error| Failure::Broken { call: "render", what: error.to_string() })
}

/// A template that this function wrote, as a document.
pub(crate) fn parsed(body: &str) -> Result<Value, Failure> {
    serde_json::from_str(body).map_err(|error| Failure::Broken { call: "render", what: error.to_string() })
}

/// Why AWS would not take a template; `None` when it does.
pub(crate) fn too_large(cluster: &str, template: &Template, body: &str) -> Option<String> {
    let (parameter, longest) = template.longest_parameter();
    let parameter = format!("parameter {parameter}");
    let sizes = [
        ("template", body.len(), OBJECT_LIMIT, "CloudFormation"),
        ("user data", template.longest_user_data(), USER_DATA_LIMIT, "EC2"),
        (parameter.as_str(), longest, PARAMETER_LIMIT, "Systems Manager"),
    ];
    let (what, size, limit, who) = sizes.into_iter().find(|(_, size, limit, _)| size > limit)?;
    Some(format!(
        "the {what} of {cluster} would have {size} bytes and {who} takes {limit}: \
         use fewer members, networks, parameters or tags; nothing was changed"
    ))
}

/// Puts what hosts run where they fetch it.
pub(crate) async fn put_bundle<O: Outside>(outside: &O) -> Result<(), Failure> {
    let bundle = bundle();
    outside.put(bundle.key, bundle.bytes, Sha256::digest(bundle.bytes).into()).await
}

/// Where CloudFormation finds a template: in the request, or in the bucket when it is too large for that.
pub(crate) async fn put_template<O: Outside>(outside: &O, body: &str) -> Result<TemplateAt, Failure> {
    if body.len() <= BODY_LIMIT {
        return Ok(TemplateAt::Body(body.to_owned()));
    }
    let sum: [u8; 32] = Sha256::digest(body).into();
    let digits: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("templates/{digits}.json");
    outside.put(&key, body.as_bytes(), sum).await?;
    Ok(TemplateAt::Object(key))
}
