//! Network ACLs of subnets: they hold for connections that are open, too, which security groups do not.

use super::{Ec2, REGION};
use crate::failure::{Subject, classify};
use aws_sdk_ec2::types::{Filter, NetworkAclAssociation};
use reconcile::Failure;
use std::collections::BTreeMap;

const DESCRIBE: &str = "ec2:DescribeNetworkAcls";
const REPLACE: &str = "ec2:ReplaceNetworkAclAssociation";

impl Ec2 {
    /// The network ACL of each of these subnets; one that EC2 does not know is missing.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:DescribeNetworkAcls`.
    pub async fn network_acls(&self, subnets: &[String]) -> Result<BTreeMap<String, String>, Failure> {
        let found = self.associations(subnets).await?;
        Ok(found.into_iter().filter_map(|one| Some((one.subnet_id?, one.network_acl_id?))).collect())
    }

    /// Gives a subnet this network ACL; one that has it is left. Holds at once, for all connections of the subnet.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:DescribeNetworkAcls` or `ec2:ReplaceNetworkAclAssociation`; [`Failure::Broken`] also when EC2
    /// does not know the subnet.
    pub async fn set_network_acl(&self, subnet: &str, acl: &str) -> Result<(), Failure> {
        let found = self.associations(&[subnet.to_owned()]).await?;
        let missing = || Failure::Broken { call: DESCRIBE, what: format!("subnet {subnet} does not exist") };
        let now = found.into_iter().next().ok_or_else(missing)?;
        if now.network_acl_id() == Some(acl) {
            return Ok(());
        }
        let what = format!("network ACL {acl} for subnet {subnet}");
        let subject = Subject { what: &what, check: "is it of the subnet's VPC, and still there?" };
        // The association has another id after each change: of two passes at once, the second is refused.
        let request = self.0.replace_network_acl_association().network_acl_id(acl);
        let request = request.set_association_id(now.network_acl_association_id);
        request.send().await.map_err(|error| classify(REPLACE, subject, error))?;
        Ok(())
    }

    async fn associations(&self, subnets: &[String]) -> Result<Vec<NetworkAclAssociation>, Failure> {
        if subnets.is_empty() {
            return Ok(Vec::new());
        }
        let filter = Filter::builder().name("association.subnet-id").set_values(Some(subnets.to_vec())).build();
        let mut pages = self.0.describe_network_acls().filters(filter).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(DESCRIBE, REGION, error))?;
            // An ACL is told with all subnets that it has, asked for or not.
            let all = page.network_acls.unwrap_or_default().into_iter().flat_map(|acl| {
                let id = acl.network_acl_id;
                acl.associations.unwrap_or_default().into_iter().map(move |mut one| {
                    one.network_acl_id = one.network_acl_id.or(id.clone());
                    one
                })
            });
            found.extend(all.filter(|one| one.subnet_id().is_some_and(|id| subnets.iter().any(|asked| asked == id))));
        }
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{Reply, kind, script};

    /// Two ACLs of a VPC; the first has two subnets.
    fn acls() -> Reply {
        let association = |id: &str, acl: &str, subnet: &str| {
            format!(
                "<item><networkAclAssociationId>{id}</networkAclAssociationId><networkAclId>{acl}</networkAclId>\
                 <subnetId>{subnet}</subnetId></item>"
            )
        };
        let acl = |id: &str, associations: String| {
            format!("<item><networkAclId>{id}</networkAclId><associationSet>{associations}</associationSet></item>")
        };
        let usual =
            association("aclassoc-1", "acl-usual", "subnet-a") + &association("aclassoc-2", "acl-usual", "subnet-b");
        let body =
            acl("acl-usual", usual) + &acl("acl-isolated", association("aclassoc-3", "acl-isolated", "subnet-c"));
        Reply::Http(
            200,
            format!("<DescribeNetworkAclsResponse><networkAclSet>{body}</networkAclSet></DescribeNetworkAclsResponse>"),
        )
    }

    fn ids(list: &[&str]) -> Vec<String> {
        list.iter().map(|id| (*id).to_owned()).collect()
    }

    #[tokio::test]
    async fn each_subnet_has_one_acl() {
        let (config, _) = script([acls()]);
        let found = Ec2::new(&config).network_acls(&ids(&["subnet-a", "subnet-c", "subnet-z"])).await.unwrap();
        let expected = [("subnet-a", "acl-usual"), ("subnet-c", "acl-isolated")];
        assert_eq!(found, expected.map(|(subnet, acl)| (subnet.to_owned(), acl.to_owned())).into());
        let (config, replay) = script([]);
        assert!(Ec2::new(&config).network_acls(&[]).await.unwrap().is_empty());
        assert!(replay.asked().is_empty(), "without subnets EC2 would tell of all");
    }

    #[tokio::test]
    async fn an_acl_is_replaced_by_the_association_of_now() {
        let done = "<ReplaceNetworkAclAssociationResponse><newAssociationId>aclassoc-9</newAssociationId>\
             </ReplaceNetworkAclAssociationResponse>";
        let (config, replay) = script([acls(), Reply::Http(200, done.into())]);
        Ec2::new(&config).set_network_acl("subnet-a", "acl-isolated").await.unwrap();
        let form = replay.asked()[1].form();
        for (name, value) in [("AssociationId", "aclassoc-1"), ("NetworkAclId", "acl-isolated")] {
            assert!(form.contains(&(name.into(), value.into())), "{form:?}");
        }
        let (config, replay) = script([acls()]);
        Ec2::new(&config).set_network_acl("subnet-c", "acl-isolated").await.unwrap();
        replay.only();
        let (config, _) = script([acls()]);
        let missing = Ec2::new(&config).set_network_acl("subnet-z", "acl-isolated").await.unwrap_err();
        assert!(missing.to_string().contains("subnet subnet-z does not exist"), "{missing}");
        let gone = "<Response><Errors><Error><Code>InvalidAssociationID.NotFound</Code><Message>no</Message></Error>\
             </Errors></Response>";
        let (config, _) = script([acls(), Reply::Http(400, gone.into())]);
        let raced = Ec2::new(&config).set_network_acl("subnet-a", "acl-isolated").await.unwrap_err();
        assert_eq!(kind(&raced), "lost race");
    }
}
