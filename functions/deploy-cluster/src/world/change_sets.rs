//! A change set, in CloudFormation's words.

use super::Aws;
use cloud::cloudformation;
use deploy_cluster::outside::{Image, NewChangeSet, TemplateAt};
use reconcile::Failure;
use template::IMAGE_PARAMETER;

impl Aws {
    pub(super) async fn make_change_set(&self, new: &NewChangeSet) -> Result<(), Failure> {
        let parameters = match &new.image {
            Image::InTemplate => vec![],
            Image::Kept => vec![(IMAGE_PARAMETER, None)],
            Image::Is(id) => vec![(IMAGE_PARAMETER, Some(id.as_str()))],
        };
        let url = match &new.template {
            TemplateAt::Body(_) => String::new(),
            TemplateAt::Object(key) => self.bucket.url(key),
        };
        let request = cloudformation::NewChangeSet {
            stack: &new.stack,
            name: &new.name,
            new_stack: new.new_stack,
            template: match (&new.template, &url) {
                (TemplateAt::Body(body), _) => cloudformation::Template::Body(body),
                (TemplateAt::Object(_), url) => cloudformation::Template::Url(url),
            },
            parameters: &parameters,
            tags: &new.tags,
            role_arn: &self.stack_role_arn,
        };
        self.cloudformation.create_change_set(&request).await
    }
}
