//! What a template's resources cost a month, from a dated list of prices.
//!
//! Counted from the rendered template, so that nothing is deployed that is not
//! counted by kind. `infra/prices.json` holds the list prices of one Region.

mod databases;

use databases::Databases;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt, sync::LazyLock};

/// Prices of one Region on one date.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices {
    as_of: String,
    region: String,
    currency: String,
    hours_a_month: f64,
    /// By family: within one, the price doubles with each size.
    instance_hour_of_size_large: BTreeMap<String, f64>,
    volume_gib_month: BTreeMap<String, f64>,
    volume_iops_month: BTreeMap<String, f64>,
    volume_iops_free: BTreeMap<String, f64>,
    volume_mibps_month: f64,
    volume_mibps_free: f64,
    nat_gateway_hour: f64,
    network_load_balancer_hour: f64,
    public_address_hour: f64,
    interface_endpoint_zone_hour: f64,
    secret_month: f64,
    alarm_month: f64,
    databases: databases::Prices,
    not_counted: String,
    references: BTreeMap<String, Vec<Reference>>,
}

/// What a reference system says of its own cost.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    line: String,
    month: f64,
}

#[expect(clippy::expect_used, reason = "the list is part of the program; every test of this file reads it")]
static PRICES: LazyLock<Prices> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../infra/prices.json")).expect("a list of prices"));

/// Resources of one kind and size, and what they cost together in a month.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// How many.
    pub count: f64,
    /// Of what.
    pub what: String,
    /// USD a month; `None` where the list has no price.
    pub month: Option<f64>,
}

/// The cost of a stack, line by line.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// The lines, the dearest first.
    pub lines: Vec<Line>,
    /// Whether the stack is of a topology with a reference, and its name there.
    reference: Option<&'static str>,
    /// Of databases of AWS's: what they would cost more at their largest capacity, where that changes by itself.
    at_most: Option<f64>,
    has_databases: bool,
}

/// Prices and counts the resources of a rendered template.
#[must_use]
pub fn cost(template: &Value) -> Cost {
    let mut counted: BTreeMap<String, (f64, Option<f64>)> = BTreeMap::new();
    let resources = template["Resources"].as_object();
    let databases = Databases::of(template);
    for resource in resources.into_iter().flat_map(|resources| resources.values()) {
        let of_databases = databases.iter().flat_map(|databases| databases.priced(resource));
        for Line { count, what, month } in priced(resource).into_iter().chain(of_databases) {
            let entry = counted.entry(what).or_insert((0.0, Some(0.0)));
            entry.0 += count;
            entry.1 = entry.1.zip(month).map(|(sum, month)| sum + month);
        }
    }
    let mut lines: Vec<Line> = counted.into_iter().map(|(what, (count, month))| Line { count, what, month }).collect();
    lines.sort_by(|a, b| b.month.unwrap_or(f64::MAX).total_cmp(&a.month.unwrap_or(f64::MAX)));
    let has = |kind: &str| resources.is_some_and(|all| all.values().any(|resource| resource["Type"] == kind));
    let has_id = |id: &str| resources.is_some_and(|all| all.contains_key(id));
    let reference = match (has("AWS::ElasticLoadBalancingV2::LoadBalancer"), has_id("SourceSecret")) {
        // The second Region's standby finds the members by it.
        _ if databases.is_some() => None,
        (true, true) => Some("ec2-patroni with backups and a second Region"),
        (true, false) => Some("ec2-patroni"),
        _ => None,
    };
    let at_most = databases.as_ref().and_then(Databases::at_most);
    Cost { lines, reference, at_most, has_databases: databases.is_some() }
}

/// What one resource costs; nothing for most kinds.
fn priced(resource: &Value) -> Vec<Line> {
    let prices = &*PRICES;
    let properties = &resource["Properties"];
    let hourly = |what: &str, count: f64, hour: f64| {
        vec![Line { count, what: what.to_owned(), month: Some(count * hour * prices.hours_a_month) }]
    };
    match resource["Type"].as_str().unwrap_or_default() {
        "AWS::EC2::Instance" => instance(properties),
        "AWS::EC2::Volume" => {
            volume(&properties["VolumeType"], &properties["Size"], &properties["Iops"], &properties["Throughput"])
        }
        "AWS::EC2::NatGateway" => hourly("NAT gateway", 1.0, prices.nat_gateway_hour),
        "AWS::EC2::EIP" => hourly("public IPv4 address", 1.0, prices.public_address_hour),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => {
            hourly("Network Load Balancer", 1.0, prices.network_load_balancer_hour)
        }
        "AWS::EC2::VPCEndpoint" if properties["VpcEndpointType"] == "Interface" => {
            let zones = properties["SubnetIds"].as_array().map_or(1.0, |subnets| count(subnets.len()));
            hourly("interface endpoint in one zone", zones, prices.interface_endpoint_zone_hour)
        }
        "AWS::SecretsManager::Secret" => {
            let copies = 1.0 + properties["ReplicaRegions"].as_array().map_or(0.0, |regions| count(regions.len()));
            vec![Line { count: copies, what: "secret".into(), month: Some(copies * prices.secret_month) }]
        }
        "AWS::CloudWatch::Alarm" => {
            vec![Line { count: 1.0, what: "alarm".into(), month: Some(prices.alarm_month) }]
        }
        _ => Vec::new(),
    }
}

/// An instance and the volume it boots from.
fn instance(properties: &Value) -> Vec<Line> {
    let name = properties["InstanceType"].as_str().unwrap_or("an instance of unknown type");
    let hour = name
        .split_once('.')
        .and_then(|(family, size)| Some(PRICES.instance_hour_of_size_large.get(family)? * size_factor(size)?));
    let month = hour.map(|hour| hour * PRICES.hours_a_month);
    let mut lines = vec![Line { count: 1.0, what: name.to_owned(), month }];
    for mapping in properties["BlockDeviceMappings"].as_array().into_iter().flatten() {
        let ebs = &mapping["Ebs"];
        lines.extend(volume(&ebs["VolumeType"], &ebs["VolumeSize"], &ebs["Iops"], &ebs["Throughput"]));
    }
    lines
}

/// How many of the size `large` a size costs.
///
/// Source: EC2 pricing pages: the families listed here double with each size.
fn size_factor(size: &str) -> Option<f64> {
    Some(match size {
        "nano" => 0.0625,
        "micro" => 0.125,
        "small" => 0.25,
        "medium" => 0.5,
        "large" => 1.0,
        "xlarge" => 2.0,
        larger => 2.0 * larger.strip_suffix("xlarge")?.parse::<f64>().ok()?,
    })
}

fn volume(kind: &Value, size: &Value, iops: &Value, throughput: &Value) -> Vec<Line> {
    let kind = kind.as_str().unwrap_or_default();
    let size = size.as_f64().unwrap_or_default();
    let line = |count: f64, what: String, each: Option<&f64>| {
        (count > 0.0).then(|| Line { count, what, month: each.map(|each| each * count) })
    };
    let free = PRICES.volume_iops_free.get(kind).copied().unwrap_or_default();
    let paid_iops = (iops.as_f64().unwrap_or(free) - free).max(0.0);
    let paid_mibps = (throughput.as_f64().unwrap_or_default() - PRICES.volume_mibps_free).max(0.0);
    let lines = [
        line(size, format!("GiB of {kind}"), PRICES.volume_gib_month.get(kind)),
        line(paid_iops, format!("IOPS of {kind} beyond {free}"), PRICES.volume_iops_month.get(kind)),
        line(paid_mibps, format!("MiB/s beyond {}", PRICES.volume_mibps_free), Some(&PRICES.volume_mibps_month)),
    ];
    lines.into_iter().flatten().collect()
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn count(items: usize) -> f64 {
    items as f64
}

impl Cost {
    /// What all lines with a price cost together, USD a month.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.lines.iter().filter_map(|line| line.month).sum()
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prices = &*PRICES;
        let Prices { as_of, region, currency, hours_a_month, .. } = prices;
        writeln!(f, "{currency} a month of {hours_a_month} hours, list prices of {region} in {as_of}, on demand")?;
        for Line { count, what, month } in &self.lines {
            match month {
                Some(month) => writeln!(f, "{count:>8} x {what:<36} {month:>10.2}")?,
                None => writeln!(f, "{count:>8} x {what:<36} {:>10}", "no price")?,
            }
        }
        writeln!(f, "{:>11}{:<36} {:>10.2}", "", "all", self.total())?;
        writeln!(f, "Not counted: {}.", prices.not_counted)?;
        if self.has_databases {
            writeln!(f, "{}.", prices.databases.note)?;
        }
        if let Some(more) = self.at_most.filter(|more| *more > 0.0) {
            writeln!(f, "At its largest capacity all month Serverless v2 costs {more:.2} more.")?;
        }
        if let Some((name, lines)) = self.reference.and_then(|name| prices.references.get_key_value(name)) {
            let said: Vec<String> = lines.iter().map(|line| format!("{} {}", line.line, line.month)).collect();
            writeln!(f, "The reference system of {name}, with t3.micro throughout, says: {}.", said.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_priced_kind_is_counted_once() {
        let template = json!({ "Resources": {
            "One": { "Type": "AWS::EC2::Instance", "Properties": {
                "InstanceType": "m7g.large", "BlockDeviceMappings": [{ "Ebs": { "VolumeSize": 20, "VolumeType": "gp3" } }],
            }},
            "Two": { "Type": "AWS::EC2::Instance", "Properties": { "InstanceType": "t3.micro" } },
            "Odd": { "Type": "AWS::EC2::Instance", "Properties": { "InstanceType": "z9.large" } },
            "Data": { "Type": "AWS::EC2::Volume", "Properties": {
                "VolumeType": "gp3", "Size": 80, "Iops": 4_000, "Throughput": 225,
            }},
            "Fast": { "Type": "AWS::EC2::Volume", "Properties": { "VolumeType": "io2", "Size": 100, "Iops": 1_000 } },
            "Nat": { "Type": "AWS::EC2::NatGateway", "Properties": {} },
            "Endpoint": { "Type": "AWS::EC2::VPCEndpoint", "Properties": {
                "VpcEndpointType": "Interface", "SubnetIds": ["a", "b"],
            }},
            "Gateway": { "Type": "AWS::EC2::VPCEndpoint", "Properties": { "VpcEndpointType": "Gateway" } },
            "Secret": { "Type": "AWS::SecretsManager::Secret", "Properties": { "ReplicaRegions": [{ "Region": "x" }] } },
            "Group": { "Type": "AWS::EC2::SecurityGroup", "Properties": {} },
        }});
        let cost = cost(&template);
        let line = |what: &str| {
            let line = cost.lines.iter().find(|line| line.what == what).unwrap_or_else(|| panic!("no {what}: {cost}"));
            (line.count, line.month.map(|month| (month * 100.0).round() / 100.0))
        };
        assert_eq!(line("m7g.large"), (1.0, Some(59.57)));
        assert_eq!(line("t3.micro"), (1.0, Some(7.59)));
        assert_eq!(line("z9.large"), (1.0, None));
        assert_eq!(line("GiB of gp3"), (100.0, Some(8.0)));
        assert_eq!(line("IOPS of gp3 beyond 3000"), (1_000.0, Some(5.0)));
        assert_eq!(line("MiB/s beyond 125"), (100.0, Some(4.0)));
        assert_eq!(line("GiB of io2"), (100.0, Some(12.5)));
        assert_eq!(line("IOPS of io2 beyond 0"), (1_000.0, Some(65.0)));
        assert_eq!(line("NAT gateway"), (1.0, Some(32.85)));
        assert_eq!(line("interface endpoint in one zone"), (2.0, Some(14.6)));
        assert_eq!(line("secret"), (2.0, Some(0.8)));
        assert_eq!(cost.lines.len(), 11, "{cost}");
        assert!(cost.to_string().contains("z9.large") && cost.to_string().contains("no price"), "{cost}");
    }
}
