//! Blue/green deployments: a copy of a database that follows it and takes over, once.

use super::{
    Rds,
    refusal::{is_missing, refused},
};
use aws_sdk_rds::types::{BlueGreenDeployment, Filter, Tag};
use domain::{
    blue_green::{Deployment, Wanted},
    card::ManagedCard,
};
use reconcile::Failure;

const DESCRIBE: &str = "rds:DescribeBlueGreenDeployments";
const CREATE: &str = "rds:CreateBlueGreenDeployment";
const SWITCH_OVER: &str = "rds:SwitchoverBlueGreenDeployment";
const DELETE: &str = "rds:DeleteBlueGreenDeployment";
const VERSIONS: &str = "rds:DescribeDBEngineVersions";
const INSTANCES: &str = "rds:DescribeDBInstances";
const CLUSTERS: &str = "rds:DescribeDBClusters";

/// Name of the deployment of a cluster.
fn name(card: &ManagedCard) -> String {
    format!("{}-{}", card.fleet, card.cluster)
}

impl Rds {
    /// ARN and engine version of what a blue/green deployment copies: the DB cluster of this identifier, or else the
    /// instance of that one.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeDBClusters` or `rds:DescribeDBInstances`.
    pub async fn version(&self, db_cluster: Option<&str>, instance: &str) -> Result<Option<(String, String)>, Failure> {
        if let Some(id) = db_cluster {
            let output = match self.0.describe_db_clusters().db_cluster_identifier(id).send().await {
                Ok(output) => output,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(refused(CLUSTERS, &format!("DB cluster {id}"), error)),
            };
            let found = output.db_clusters.unwrap_or_default().into_iter().next();
            return Ok(found.and_then(|found| Some((found.db_cluster_arn?, found.engine_version?))));
        }
        let output = match self.0.describe_db_instances().db_instance_identifier(instance).send().await {
            Ok(output) => output,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(refused(INSTANCES, &format!("DB instance {instance}"), error)),
        };
        let found = output.db_instances.unwrap_or_default().into_iter().next();
        Ok(found.and_then(|found| Some((found.db_instance_arn?, found.engine_version?))))
    }

    /// Versions to which RDS upgrades this one, in its order.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeDBEngineVersions`.
    pub async fn upgrade_targets(&self, engine: &str, version: &str) -> Result<Vec<String>, Failure> {
        let request = self.0.describe_db_engine_versions().engine(engine).engine_version(version);
        let output = request.send().await.map_err(|error| refused(VERSIONS, &format!("{engine} {version}"), error))?;
        let targets = output.db_engine_versions().iter().flat_map(|found| found.valid_upgrade_target());
        Ok(targets.filter_map(|target| target.engine_version().map(str::to_owned)).collect())
    }

    /// The blue/green deployment of a cluster; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DescribeBlueGreenDeployments`.
    pub async fn blue_green(&self, card: &ManagedCard) -> Result<Option<Deployment>, Failure> {
        let name = name(card);
        let filter = Filter::builder().name("blue-green-deployment-name").values(&name).build();
        let mut pages = self.0.describe_blue_green_deployments().filters(filter).into_paginator().send();
        let mut found = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused(DESCRIBE, &called(&name), error))?;
            let ours = |one: &&BlueGreenDeployment| one.blue_green_deployment_name() == Some(&name);
            found = found.or(page.blue_green_deployments().iter().find(ours).map(seen));
        }
        Ok(found)
    }

    /// Makes a green copy of a cluster, under the cluster's name.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:CreateBlueGreenDeployment`; [`Failure::LostRace`] when there is one of this name.
    pub async fn create_blue_green(&self, card: &ManagedCard, source: &str, wanted: &Wanted) -> Result<(), Failure> {
        let name = name(card);
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let request = self.0.create_blue_green_deployment().blue_green_deployment_name(&name).source(source);
        let request = request
            .set_target_engine_version(wanted.engine_version.clone())
            .set_target_db_parameter_group_name(wanted.parameter_group.clone())
            .set_target_db_cluster_parameter_group_name(wanted.cluster_parameter_group.clone())
            .tags(tag("understudy:fleet", &card.fleet))
            .tags(tag("understudy:cluster", &card.cluster));
        request.send().await.map_err(|error| refused(CREATE, &called(&name), error))?;
        Ok(())
    }

    /// Lets the green side take over; RDS takes it back when it has not after so many seconds.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:SwitchoverBlueGreenDeployment`.
    pub async fn switch_over_blue_green(&self, id: &str, timeout_s: u32) -> Result<(), Failure> {
        let timeout = i32::try_from(timeout_s).unwrap_or(i32::MAX);
        let request = self.0.switchover_blue_green_deployment().blue_green_deployment_identifier(id);
        let request = request.switchover_timeout(timeout);
        request.send().await.map_err(|error| refused(SWITCH_OVER, &called(id), error))?;
        Ok(())
    }

    /// Deletes a deployment, with its green databases or without; one that is gone is a success.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `rds:DeleteBlueGreenDeployment`.
    pub async fn delete_blue_green(&self, id: &str, with_target: bool) -> Result<(), Failure> {
        let request = self.0.delete_blue_green_deployment().blue_green_deployment_identifier(id);
        // After a switchover RDS refuses the option, whatever it says.
        match request.set_delete_target(with_target.then_some(true)).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(refused(DELETE, &called(id), error)),
        }
    }
}

fn called(name: &str) -> String {
    format!("blue/green deployment {name}")
}

fn seen(found: &BlueGreenDeployment) -> Deployment {
    let task = |task: &aws_sdk_rds::types::BlueGreenDeploymentTask| {
        Some((task.name()?.to_owned(), task.status().unwrap_or_default().to_owned()))
    };
    Deployment {
        id: found.blue_green_deployment_identifier().unwrap_or_default().to_owned(),
        status: found.status().unwrap_or_default().to_owned(),
        details: found.status_details().filter(|details| !details.is_empty()).map(str::to_owned),
        source: found.source().unwrap_or_default().to_owned(),
        target: found.target().filter(|target| !target.is_empty()).map(str::to_owned),
        tasks: found.tasks().iter().filter_map(task).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{answer, kind};
    use serde_json::json;

    fn card() -> ManagedCard {
        serde_json::from_value(json!({
            "version": 1, "fleet": "prod", "cluster": "leads", "topology": "rds-postgres", "side": "primary",
            "region": "eu-west-1", "database": "app", "port": 5432, "operator_secret": "arn:operator",
            "records": { "zone_id": "Z0", "writer": "leads-rw.db", "reader": "leads-ro.db", "ttl_s": 1 },
            "instances": [], "aws_fails_over": true, "policy": domain::policy::Policy::default(),
        }))
        .unwrap()
    }

    fn listed(members: &str) -> String {
        format!(
            "<DescribeBlueGreenDeploymentsResponse><DescribeBlueGreenDeploymentsResult><BlueGreenDeployments>{members}\
             </BlueGreenDeployments></DescribeBlueGreenDeploymentsResult></DescribeBlueGreenDeploymentsResponse>"
        )
    }

    #[tokio::test]
    async fn a_deployment_is_found_by_its_name_and_read() {
        let ours = "<member><BlueGreenDeploymentIdentifier>bgd-1</BlueGreenDeploymentIdentifier>\
                    <BlueGreenDeploymentName>prod-leads</BlueGreenDeploymentName><Source>arn:a</Source><Target></Target>\
                    <Tasks><member><Name>CREATING_READ_REPLICA_OF_SOURCE</Name><Status>PENDING</Status></member></Tasks>\
                    <Status>PROVISIONING</Status></member>";
        let other = ours.replace("prod-leads", "prod-ledger").replace("bgd-1", "bgd-2");
        let (config, replay) = answer(200, listed(&format!("{other}{ours}")));
        let found = Rds::new(&config).blue_green(&card()).await.unwrap().unwrap();
        let tasks = vec![("CREATING_READ_REPLICA_OF_SOURCE".to_owned(), "PENDING".to_owned())];
        let expected = Deployment {
            id: "bgd-1".into(),
            status: "PROVISIONING".into(),
            details: None,
            source: "arn:a".into(),
            target: None,
            tasks,
        };
        assert_eq!(found, expected);
        let asked = replay.only().form();
        assert!(asked.contains(&("Filters.Filter.1.Values.Value.1".into(), "prod-leads".into())), "{asked:?}");
        let (config, _replay) = answer(200, listed(&other));
        assert_eq!(Rds::new(&config).blue_green(&card()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn orders_are_given_as_asked() {
        let (config, replay) = answer(
            200,
            "<CreateBlueGreenDeploymentResponse><CreateBlueGreenDeploymentResult/></CreateBlueGreenDeploymentResponse>",
        );
        let wanted =
            Wanted { engine_version: Some("17.4".into()), parameter_group: Some("p17".into()), ..Wanted::default() };
        Rds::new(&config).create_blue_green(&card(), "arn:a", &wanted).await.unwrap();
        let asked = replay.only().form();
        for (key, value) in [
            ("BlueGreenDeploymentName", "prod-leads"),
            ("Source", "arn:a"),
            ("TargetEngineVersion", "17.4"),
            ("TargetDBParameterGroupName", "p17"),
        ] {
            assert!(asked.contains(&(key.into(), value.into())), "{key}: {asked:?}");
        }
        let (config, replay) = answer(
            200,
            "<SwitchoverBlueGreenDeploymentResponse><SwitchoverBlueGreenDeploymentResult/></SwitchoverBlueGreenDeploymentResponse>",
        );
        Rds::new(&config).switch_over_blue_green("bgd-1", 300).await.unwrap();
        assert!(replay.only().form().contains(&("SwitchoverTimeout".into(), "300".into())));
        for (with_target, told) in [(true, true), (false, false)] {
            let (config, replay) = answer(
                200,
                "<DeleteBlueGreenDeploymentResponse><DeleteBlueGreenDeploymentResult/></DeleteBlueGreenDeploymentResponse>",
            );
            Rds::new(&config).delete_blue_green("bgd-1", with_target).await.unwrap();
            assert_eq!(replay.only().form().iter().any(|(key, _)| key == "DeleteTarget"), told);
        }
    }

    #[tokio::test]
    async fn what_is_gone_is_deleted_and_what_is_there_is_a_lost_race() {
        let error = |code: &str| {
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
            )
        };
        let (config, _replay) = answer(404, error("BlueGreenDeploymentNotFoundFault"));
        Rds::new(&config).delete_blue_green("bgd-1", true).await.unwrap();
        let (config, _replay) = answer(400, error("BlueGreenDeploymentAlreadyExistsFault"));
        let failure = Rds::new(&config).create_blue_green(&card(), "arn:a", &Wanted::default()).await.unwrap_err();
        assert_eq!(kind(&failure), "lost race", "{failure}");
    }
}
