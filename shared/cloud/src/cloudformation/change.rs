//! What a change set would do to one resource, and how sure CloudFormation is of it.

use aws_sdk_cloudformation::types::{ResourceChange, ResourceChangeDetail};

/// What a change set would do to one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `Add`, `Modify`, `Remove`, `Import` or `Dynamic`.
    pub action: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// `True`, `False` or `Conditional`, where it is modified.
    pub replacement: Option<String>,
    /// Names of the properties that differ, or of the attribute (`Tags`, `Metadata`).
    pub targets: Vec<String>,
    /// The same one by one, as CloudFormation found them.
    pub details: Vec<Detail>,
}

/// One property of a resource that a change set would change, or that it cannot say anything about.
///
/// Source: AWS CloudFormation API Reference, `ResourceChangeDetail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Name of the property, or of the attribute.
    pub target: String,
    /// `Never`, `Conditionally` or `Always`: whether such a change replaces the resource.
    pub recreation: Option<String>,
    /// `Static`: it will change. `Dynamic`: whether it does is known only when what it refers to has been changed.
    pub evaluation: Option<String>,
    /// `DirectModification`, `ResourceReference`, `ResourceAttribute`, `ParameterReference` or `Automatic`.
    pub source: Option<String>,
    /// What it refers to: `ClientsGroup`, `ClientsGroup.GroupId`.
    pub cause: Option<String>,
}

pub(super) fn read(change: &ResourceChange) -> Change {
    let details: Vec<Detail> = change.details().iter().filter_map(detail).collect();
    let mut targets: Vec<String> = details.iter().map(|detail| detail.target.clone()).collect();
    targets.sort_unstable();
    targets.dedup();
    Change {
        action: change.action().map(|action| action.as_str().to_owned()).unwrap_or_default(),
        logical_id: change.logical_resource_id().unwrap_or_default().to_owned(),
        kind: change.resource_type().unwrap_or_default().to_owned(),
        replacement: change.replacement().map(|replacement| replacement.as_str().to_owned()),
        targets,
        details,
    }
}

fn detail(detail: &ResourceChangeDetail) -> Option<Detail> {
    let target = detail.target()?;
    let attribute = target.attribute().map(|attribute| attribute.as_str());
    // A property by its name, anything else (tags, metadata, policies) by what it is.
    let name = target.name().filter(|_| attribute.is_none_or(|attribute| attribute == "Properties")).or(attribute)?;
    Some(Detail {
        target: name.to_owned(),
        recreation: target.requires_recreation().map(|recreation| recreation.as_str().to_owned()),
        evaluation: detail.evaluation().map(|evaluation| evaluation.as_str().to_owned()),
        source: detail.change_source().map(|source| source.as_str().to_owned()),
        cause: detail.causing_entity().map(str::to_owned),
    })
}
