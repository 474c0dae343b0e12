//! The fleet in the local AWS: the network a user would have, the SAM stack, and a sink that reads the pages.

use crate::{
    command::{Keep, Line, run},
    error::{Error, cannot},
    owner::{Owner, list, text},
    place::{FLEET, Place, REGION, ZONE},
    progress::Step,
    setup::FUNCTIONS,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
};

/// Name of the fleet's stack. Not `understudy-<fleet>-...`: clusters' stacks, and what roles may touch, are named so.
const STACK: &str = "lab-understudy";

/// What is there already, kept in the lab's folder and worth as much as the local AWS that it describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Its Region.
    pub region: String,
    /// The VPC that stands for the user's.
    pub vpc: String,
    /// Its subnets, one per Availability Zone.
    pub subnets: Vec<String>,
    /// The private hosted zone.
    pub zone: String,
    /// The queue that the pages end in.
    pub pages: String,
    /// What the stack was last deployed from; `None` before it was.
    pub deployed: Option<u64>,
}

fn path(place: &Place, region: &str) -> PathBuf {
    place.dir.join(format!("fleet-{region}.json"))
}

impl Fleet {
    /// The fleet that an earlier command left, if there is one.
    pub fn find(place: &Place, region: &str) -> Result<Option<Fleet>, Error> {
        let path = path(place, region);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(cannot(format!("read {}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot(format!("read {}", path.display()))(error)),
        }
    }

    fn keep(&self, place: &Place) -> Result<(), Error> {
        let path = path(place, &self.region);
        let bytes = serde_json::to_vec_pretty(self).map_err(cannot("write down the fleet"))?;
        fs::write(&path, bytes).map_err(cannot(format!("write {}", path.display())))
    }

    /// Name of one of the fleet's functions.
    pub fn function(name: &str) -> String {
        format!("{FLEET}-{name}")
    }

    /// Name of the fleet's state table.
    pub fn table() -> String {
        format!("{FLEET}-state")
    }
}

/// Third numbers of the subnets' addresses: of the first Region, and of the second.
const SUBNETS: [u8; 3] = [11, 12, 13];
const SECOND_SUBNETS: [u8; 3] = [17, 18, 19];

/// Makes the network a user would have in a Region: a VPC, a subnet in each of three Availability Zones, a private
/// hosted zone unless there is one; and the queue for the pages.
pub async fn network(place: &Place, owner: &Owner, region: &str, zone: Option<&str>) -> Result<Fleet, Error> {
    let vpc = owner.call("ec2", "create_vpc", json!({"CidrBlock": "127.0.0.0/16"})).await?;
    let vpc = text(&vpc, "/Vpc/VpcId")?;
    let mut subnets = Vec::new();
    let numbers = if region == REGION { SUBNETS } else { SECOND_SUBNETS };
    for (number, letter) in numbers.into_iter().zip(["a", "b", "c"]) {
        let (range, zone) = (format!("127.0.{number}.0/24"), format!("{region}{letter}"));
        let with = json!({"VpcId": vpc, "CidrBlock": range, "AvailabilityZone": zone});
        subnets.push(text(&owner.call("ec2", "create_subnet", with).await?, "/Subnet/SubnetId")?);
    }
    let zone = match zone {
        Some(zone) => zone.to_owned(),
        None => hosted_zone(owner, region, &vpc).await?,
    };
    let queue = owner.call("sqs", "create_queue", json!({"QueueName": "pages-as-sent"})).await?;
    let fleet =
        Fleet { region: region.to_owned(), vpc, subnets, zone, pages: text(&queue, "/QueueUrl")?, deployed: None };
    fleet.keep(place)?;
    Ok(fleet)
}

async fn hosted_zone(owner: &Owner, region: &str, vpc: &str) -> Result<String, Error> {
    let with = json!({
        "Name": ZONE, "CallerReference": vpc, "HostedZoneConfig": {"PrivateZone": true},
        "VPC": {"VPCRegion": region, "VPCId": vpc},
    });
    let zone = text(&owner.call("route53", "create_hosted_zone", with).await?, "/HostedZone/Id")?;
    Ok(zone.trim_start_matches("/hostedzone/").to_owned())
}

/// Name of the stack in a Region. AWS gives roles without a name a random one; the local AWS makes it of the stack's,
/// and roles know no Region: the second fleet's would take the first one's place.
fn stack(region: &str) -> String {
    if region == REGION { STACK.to_owned() } else { format!("{STACK}-{region}") }
}

/// Deploys `infra/template.yaml` with the built functions, unless it is deployed as it is now.
pub async fn deploy(place: &Place, owner: &Owner, fleet: &mut Fleet, step: &Step) -> Result<bool, Error> {
    let template = place.repo.join("infra/template.yaml");
    let source = fs::read_to_string(&template).map_err(cannot(format!("read {}", template.display())))?;
    let built = with_built_code(&source, &place.functions())?;
    let now = fingerprint(place, &built)?;
    if fleet.deployed == Some(now) {
        return Ok(false);
    }
    let file = place.dir.join(format!("template-{}.yaml", fleet.region));
    fs::write(&file, built).map_err(cannot(format!("write {}", file.display())))?;
    step.tell("sam deploy: packing the functions");
    let mut sam = place.aws_program(place.tool("sam"));
    sam.args([
        "deploy",
        "--stack-name",
        &stack(&fleet.region),
        "--resolve-s3",
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
    ])
    .args(["--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])
    .args(["--no-progressbar", "--region", &fleet.region, "--template-file"])
    .arg(file)
    .arg("--parameter-overrides")
    .args([
        format!("Fleet={FLEET}"),
        format!("VpcId={}", fleet.vpc),
        format!("SubnetIds={}", fleet.subnets.join(",")),
        format!("HostedZoneId={}", fleet.zone),
        format!("HostedZoneName={ZONE}"),
        "OnCallEmail=on-call@example.com".to_owned(),
        format!("Architecture={}", if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }),
    ]);
    // SAM looks for its own bucket where the environment says, whatever its option says.
    sam.env("AWS_REGION", &fleet.region).env("AWS_DEFAULT_REGION", &fleet.region);
    run(place, &format!("sam-deploy-{}", fleet.region), "deploy the fleet", sam, |line| {
        let (Line::Out(text) | Line::Err(text)) = line;
        if text.starts_with("CREATE_") || text.starts_with("UPDATE_") || text.starts_with("Uploading") {
            step.tell(format!("sam deploy: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        Keep::Yes
    })
    .await?;
    subscribe(owner, fleet).await?;
    fleet.deployed = Some(now);
    fleet.keep(place)?;
    Ok(true)
}

/// Has the pages topic deliver to the lab's queue. Subscribing again changes nothing.
async fn subscribe(owner: &Owner, fleet: &Fleet) -> Result<(), Error> {
    let topics = owner.call("sns", "list_topics", json!({})).await?;
    let name = format!(":{FLEET}-pages");
    let topic = list(&topics, "/Topics").iter().filter_map(|topic| topic["TopicArn"].as_str());
    let topic = topic.into_iter().find(|arn| arn.ends_with(&name));
    let topic = topic.ok_or_else(|| cannot("read the pages")(format!("the stack has no topic {FLEET}-pages")))?;
    let with = json!({"QueueUrl": fleet.pages, "AttributeNames": ["QueueArn"]});
    let queue = text(&owner.call("sqs", "get_queue_attributes", with).await?, "/Attributes/QueueArn")?;
    let allowed = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": queue, "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }],
    });
    let with = json!({"QueueUrl": fleet.pages, "Attributes": {"Policy": allowed.to_string()}});
    owner.call("sqs", "set_queue_attributes", with).await?;
    let with = json!({"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue});
    owner.call("sns", "subscribe", with).await.map(drop)
}

/// The template with every function's source folder replaced by its built one: what `sam build` does.
fn with_built_code(template: &str, functions: &Path) -> Result<String, Error> {
    let doing = "find the functions in infra/template.yaml";
    let mut replaced = Vec::new();
    let lines: Vec<String> = template
        .lines()
        .map(|line| {
            let Some((indent, source)) = line.split_once("CodeUri:") else { return line.to_owned() };
            let name = source.trim().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            replaced.push(name.to_owned());
            format!("{indent}CodeUri: {}", functions.join(name).display())
        })
        .collect();
    replaced.sort_unstable();
    let mut expected = FUNCTIONS.map(str::to_owned);
    expected.sort_unstable();
    if replaced != expected {
        let found = if replaced.is_empty() { "none".to_owned() } else { replaced.join(", ") };
        return Err(cannot(doing)(format!("CodeUri of {} expected, of {found} found", expected.join(", "))));
    }
    Ok(lines.join("\n") + "\n")
}

/// A number that changes with the template and with each function's program.
fn fingerprint(place: &Place, template: &str) -> Result<u64, Error> {
    let mut hasher = DefaultHasher::new();
    template.hash(&mut hasher);
    for name in FUNCTIONS {
        let program = place.functions().join(name).join("bootstrap");
        let found = fs::metadata(&program).map_err(cannot(format!("read {}", program.display())))?;
        (found.len(), found.modified().ok()).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_functions_code_is_the_built_one() {
        let template = "A:\n  Properties:\n    CodeUri: ../functions/deploy-cluster\nB:\n    CodeUri: ../functions/watch-clusters/\n\
                        C:\n    CodeUri: ../functions/promote-replica # built by sam\nD:\n    CodeUri: ../functions/update-dns\n\
                        E:\n    CodeUri: ../functions/rejoin-replica # built by sam\nF:\n    CodeUri: ../functions/fail-over-region\n";
        let wrong = with_built_code(template, Path::new("/built"));
        assert!(wrong.is_err(), "a comment is part of no name: {wrong:?}");
        let template = template.replace(" # built by sam", "");
        let built = with_built_code(&template, Path::new("/built")).unwrap_or_default();
        assert_eq!(
            built,
            "A:\n  Properties:\n    CodeUri: /built/deploy-cluster\nB:\n    CodeUri: /built/watch-clusters\n\
             C:\n    CodeUri: /built/promote-replica\nD:\n    CodeUri: /built/update-dns\n\
             E:\n    CodeUri: /built/rejoin-replica\nF:\n    CodeUri: /built/fail-over-region\n"
        );
    }

    #[test]
    fn a_template_without_a_function_is_refused() {
        let story = with_built_code("    CodeUri: ../functions/deploy-cluster\n", Path::new("/built"));
        assert_eq!(
            story.err().map(|error| error.to_string()).unwrap_or_default(),
            "cannot find the functions in infra/template.yaml: CodeUri of deploy-cluster, fail-over-region, \
             promote-replica, rejoin-replica, update-dns, watch-clusters expected, of deploy-cluster found"
        );
    }
}
