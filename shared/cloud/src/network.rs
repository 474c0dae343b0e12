//! Where members can be placed, and from which image.

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_ec2::types::Filter;
use reconcile::Failure;

const SUBNETS: &str = "ec2:DescribeSubnets";
const VPCS: &str = "ec2:DescribeVpcs";
const ROUTES: &str = "ec2:DescribeRouteTables";
const PARAMETER: &str = "ssm:GetParameter";

/// The calls about networks and images.
#[derive(Debug, Clone)]
pub struct Network {
    ec2: aws_sdk_ec2::Client,
    ssm: aws_sdk_ssm::Client,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its Availability Zone.
    pub zone: String,
}

impl Network {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Network { ec2: aws_sdk_ec2::Client::new(config), ssm: aws_sdk_ssm::Client::new(config) }
    }

    /// These subnets, as far as they are in the VPC.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:DescribeSubnets`.
    pub async fn subnets(&self, vpc_id: &str, ids: &[String]) -> Result<Vec<Subnet>, Failure> {
        // By a filter: an id that EC2 does not know would make the other form fail for all.
        let filter = |name: &str, values: Vec<String>| Filter::builder().name(name).set_values(Some(values)).build();
        let request = self.ec2.describe_subnets().filters(filter("subnet-id", ids.to_vec()));
        let mut pages = request.filters(filter("vpc-id", vec![vpc_id.to_owned()])).into_paginator().send();
        let mut subnets = Vec::new();
        while let Some(page) = pages.next().await {
            let subject = Subject { what: "subnets", check: "is this the right Region?" };
            let page = page.map_err(|error| classify(SUBNETS, subject, error))?;
            subnets.extend(page.subnets().iter().filter_map(|subnet| {
                Some(Subnet { id: subnet.subnet_id()?.to_owned(), zone: subnet.availability_zone()?.to_owned() })
            }));
        }
        Ok(subnets)
    }

    /// The IPv4 networks of a VPC.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:DescribeVpcs`; [`Failure::Broken`] also when there is no such VPC.
    pub async fn cidrs(&self, vpc_id: &str) -> Result<Vec<String>, Failure> {
        let what = format!("VPC {vpc_id}");
        let subject = Subject { what: &what, check: "is VPC_ID of this function right?" };
        let request = self.ec2.describe_vpcs().vpc_ids(vpc_id);
        let output = request.send().await.map_err(|error| classify(VPCS, subject, error))?;
        let vpc = output.vpcs().iter().find(|vpc| vpc.vpc_id() == Some(vpc_id));
        let vpc = vpc
            .ok_or_else(|| Failure::Broken { call: VPCS, what: format!("{what} does not exist; {}", subject.check) })?;
        let associated = vpc.cidr_block_association_set().iter().filter_map(|block| block.cidr_block());
        let mut cidrs: Vec<String> = vpc.cidr_block().into_iter().chain(associated).map(str::to_owned).collect();
        cidrs.sort_unstable();
        cidrs.dedup();
        Ok(cidrs)
    }

    /// The route tables that these subnets of a VPC go by, each once: their own,
    /// or the VPC's main one for those that have none.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:DescribeRouteTables`.
    pub async fn route_tables(&self, vpc_id: &str, subnet_ids: &[String]) -> Result<Vec<String>, Failure> {
        let filter = Filter::builder().name("vpc-id").values(vpc_id).build();
        let mut pages = self.ec2.describe_route_tables().filters(filter).into_paginator().send();
        let (mut own, mut main, mut placed) = (Vec::new(), None, Vec::new());
        while let Some(page) = pages.next().await {
            let what = format!("the route tables of VPC {vpc_id}");
            let subject = Subject { what: &what, check: "is VPC_ID of this function right?" };
            let page = page.map_err(|error| classify(ROUTES, subject, error))?;
            for table in page.route_tables() {
                let Some(id) = table.route_table_id() else { continue };
                for association in table.associations() {
                    if association.main() == Some(true) {
                        main = Some(id.to_owned());
                    }
                    let subnet = association.subnet_id().filter(|subnet| subnet_ids.iter().any(|id| id == subnet));
                    if let Some(subnet) = subnet {
                        own.push(id.to_owned());
                        placed.push(subnet.to_owned());
                    }
                }
            }
        }
        if subnet_ids.iter().any(|subnet| !placed.contains(subnet)) {
            own.extend(main);
        }
        own.sort_unstable();
        own.dedup();
        Ok(own)
    }

    /// The image that a public SSM parameter names.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ssm:GetParameter`.
    pub async fn image(&self, parameter: &str) -> Result<String, Failure> {
        let what = format!("parameter {parameter}");
        let subject = Subject { what: &what, check: "does this Region have it? Else give the spec an image" };
        let request = self.ssm.get_parameter().name(parameter);
        let output = request.send().await.map_err(|error| classify(PARAMETER, subject, error))?;
        let image =
            output.parameter().and_then(|parameter| parameter.value()).filter(|value| value.starts_with("ami-"));
        image
            .map(str::to_owned)
            .ok_or_else(|| Failure::Broken { call: PARAMETER, what: format!("{what} names no image") })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{answer, json_error, kind};

    #[tokio::test]
    async fn subnets_are_asked_for_within_the_vpc() {
        let body = "<DescribeSubnetsResponse><subnetSet><item><subnetId>subnet-2</subnetId>\
            <availabilityZone>eu-west-1b</availabilityZone></item></subnetSet></DescribeSubnetsResponse>";
        let (config, replay) = answer(200, body);
        let ids = ["subnet-1".to_owned(), "subnet-2".to_owned()];
        let subnets = Network::new(&config).subnets("vpc-1", &ids).await.unwrap();
        assert_eq!(subnets, [Subnet { id: "subnet-2".into(), zone: "eu-west-1b".into() }]);
        let form = replay.only().form();
        for (name, value) in [
            ("Filter.1.Name", "subnet-id"),
            ("Filter.1.Value.2", "subnet-2"),
            ("Filter.2.Name", "vpc-id"),
            ("Filter.2.Value.1", "vpc-1"),
        ] {
            assert!(form.contains(&(name.into(), value.into())), "no {name}={value} in {form:?}");
        }
    }

    #[tokio::test]
    async fn every_network_of_a_vpc_is_told_once() {
        let body = "<DescribeVpcsResponse><vpcSet><item><vpcId>vpc-1</vpcId><cidrBlock>10.1.0.0/16</cidrBlock>\
            <cidrBlockAssociationSet><item><cidrBlock>10.1.0.0/16</cidrBlock></item><item><cidrBlock>10.0.0.0/16</cidrBlock></item>\
            </cidrBlockAssociationSet></item></vpcSet></DescribeVpcsResponse>";
        let (config, _replay) = answer(200, body);
        assert_eq!(Network::new(&config).cidrs("vpc-1").await.unwrap(), ["10.0.0.0/16", "10.1.0.0/16"]);
        let (config, _replay) = answer(200, "<DescribeVpcsResponse><vpcSet></vpcSet></DescribeVpcsResponse>");
        assert_eq!(kind(&Network::new(&config).cidrs("vpc-1").await.unwrap_err()), "broken");
    }

    #[tokio::test]
    async fn a_subnet_goes_by_its_own_route_table_or_the_main_one() {
        let association = |what: &str| format!("<item>{what}</item>");
        let table = |id: &str, associations: String| {
            format!("<item><routeTableId>{id}</routeTableId><associationSet>{associations}</associationSet></item>")
        };
        let body = format!(
            "<DescribeRouteTablesResponse><routeTableSet>{}{}{}</routeTableSet></DescribeRouteTablesResponse>",
            table("rtb-main", association("<main>true</main>")),
            table(
                "rtb-b",
                association("<subnetId>subnet-1</subnetId>") + &association("<subnetId>subnet-2</subnetId>")
            ),
            table("rtb-a", association("<subnetId>subnet-9</subnetId>")),
        );
        for (subnets, expected) in [
            (vec!["subnet-1", "subnet-2"], vec!["rtb-b"]),
            (vec!["subnet-1", "subnet-3"], vec!["rtb-b", "rtb-main"]),
            (vec!["subnet-3"], vec!["rtb-main"]),
        ] {
            let (config, replay) = answer(200, body.clone());
            let subnets: Vec<String> = subnets.into_iter().map(str::to_owned).collect();
            assert_eq!(Network::new(&config).route_tables("vpc-1", &subnets).await.unwrap(), expected);
            assert!(replay.only().form().contains(&("Filter.1.Value.1".into(), "vpc-1".into())));
        }
    }

    #[tokio::test]
    async fn an_image_is_one() {
        let parameter = |value: &str| serde_json::json!({ "Parameter": { "Name": "p", "Value": value } }).to_string();
        let (config, _replay) = answer(200, parameter("ami-1"));
        assert_eq!(Network::new(&config).image("p").await.unwrap(), "ami-1");
        for (status, body) in [(200, parameter("no")), (400, json_error("ParameterNotFound", "no"))] {
            let (config, _replay) = answer(status, body);
            let failure = Network::new(&config).image("p").await.unwrap_err();
            assert_eq!(kind(&failure), "broken");
            assert!(failure.to_string().contains("parameter p"), "{failure}");
        }
    }
}
