//! What databases that AWS runs cost: instances, their storage, capacity units, a proxy, a key.

use super::{Line, PRICES, count, size_factor};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Prices of RDS and Aurora.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    /// Of one instance in one zone, by family: within one, the price doubles with each size. Twice that with a standby
    /// in another zone.
    rds_hour_of_size_large: BTreeMap<String, f64>,
    aurora_hour_of_size_large: BTreeMap<String, f64>,
    /// What I/O-Optimized storage adds to instances and capacity units.
    aurora_io_optimized_factor: f64,
    aurora_unit_hour: f64,
    gib_month: BTreeMap<String, f64>,
    iops_month: BTreeMap<String, f64>,
    iops_free: BTreeMap<String, f64>,
    proxy_processor_hour: f64,
    key_month: f64,
    /// What these prices are not.
    pub(super) note: String,
}

/// What is common to all instances of a stack.
pub(super) struct Databases<'a> {
    template: &'a Value,
}

impl<'a> Databases<'a> {
    /// Those of a rendered template; `None` when it has none.
    pub(super) fn of(template: &'a Value) -> Option<Self> {
        let mut resources = template["Resources"].as_object()?.values();
        resources
            .any(|resource| resource["Type"] == "AWS::RDS::DBInstance" || is_cluster(resource))
            .then_some(Databases { template })
    }

    fn resources(&self) -> impl Iterator<Item = &'a Value> {
        self.template["Resources"].as_object().into_iter().flat_map(|resources| resources.values())
    }

    /// The cluster of Aurora, or of RDS.
    fn cluster(&self) -> Option<&'a Value> {
        self.resources().find(|resource| is_cluster(resource)).map(|resource| &resource["Properties"])
    }

    fn factor(&self) -> f64 {
        let is_optimized = self.cluster().is_some_and(|cluster| cluster["StorageType"] == "aurora-iopt1");
        if is_optimized { PRICES.databases.aurora_io_optimized_factor } else { 1.0 }
    }

    /// Capacity units of Serverless v2, least and most; of each instance.
    fn units(&self) -> Option<(f64, f64)> {
        let scaling = &self.cluster()?["ServerlessV2ScalingConfiguration"];
        number(&scaling["MinCapacity"]).zip(number(&scaling["MaxCapacity"]))
    }

    /// GiB of an instance: its own, its source's, or what the spec says.
    fn size(&self, properties: &Value) -> f64 {
        let largest = self.resources().filter_map(|resource| number(&resource["Properties"]["AllocatedStorage"]));
        let noted = &self.template["Metadata"]["Understudy"]["Spec"]["rds"]["storage"]["size_gib"];
        let own = number(&properties["AllocatedStorage"]);
        own.or(largest.reduce(f64::max))
            .or(number(noted))
            .unwrap_or_else(|| f64::from(domain::spec::Storage::default().size_gib))
    }

    /// What one resource costs; nothing for most kinds.
    pub(super) fn priced(&self, resource: &Value) -> Vec<Line> {
        let properties = &resource["Properties"];
        let prices = &PRICES.databases;
        match resource["Type"].as_str().unwrap_or_default() {
            "AWS::RDS::DBInstance" => self.instance(properties),
            "AWS::RDS::DBCluster" if properties["Engine"] == "postgres" => {
                let mut lines =
                    instances(3.0, &properties["DBClusterInstanceClass"], "RDS", &prices.rds_hour_of_size_large, 1.0);
                lines.extend(self.storage(properties, 3.0));
                lines
            }
            "AWS::RDS::DBProxy" => {
                let processors = self.processors();
                let what = "processor behind the RDS Proxy".to_owned();
                let month = processors.map(|count| count * prices.proxy_processor_hour * PRICES.hours_a_month);
                vec![Line { count: processors.unwrap_or(1.0), what, month }]
            }
            "AWS::KMS::Key" => vec![Line { count: 1.0, what: "customer key".into(), month: Some(prices.key_month) }],
            _ => Vec::new(),
        }
    }

    fn instance(&self, properties: &Value) -> Vec<Line> {
        let prices = &PRICES.databases;
        if properties["Engine"] == "aurora-postgresql" {
            if properties["DBInstanceClass"] == "db.serverless" {
                let (least, _) = self.units().unwrap_or_default();
                let hour = prices.aurora_unit_hour * self.factor();
                let month = Some(least * hour * PRICES.hours_a_month);
                return vec![Line { count: least, what: "capacity unit at the least".into(), month }];
            }
            let table = &prices.aurora_hour_of_size_large;
            return instances(1.0, &properties["DBInstanceClass"], "Aurora", table, self.factor());
        }
        let copies = if properties["MultiAZ"] == true { 2.0 } else { 1.0 };
        let mut lines = instances(copies, &properties["DBInstanceClass"], "RDS", &prices.rds_hour_of_size_large, 1.0);
        lines.extend(self.storage(properties, copies));
        lines
    }

    fn storage(&self, properties: &Value, copies: f64) -> Vec<Line> {
        let prices = &PRICES.databases;
        let kind = properties["StorageType"].as_str().unwrap_or("gp3");
        let size = self.size(properties) * copies;
        let free = prices.iops_free.get(kind).copied().unwrap_or_default();
        let paid = (number(&properties["Iops"]).unwrap_or(free) - free).max(0.0) * copies;
        let line = |count: f64, what: String, each: Option<&f64>| {
            (count > 0.0).then(|| Line { count, what, month: each.map(|each| each * count) })
        };
        let gib = line(size, format!("GiB of {kind} of RDS"), prices.gib_month.get(kind));
        let iops = line(paid, format!("IOPS of {kind} of RDS beyond {free}"), prices.iops_month.get(kind));
        gib.into_iter().chain(iops).collect()
    }

    /// Processors of the largest instance: what a proxy is paid by. Two at least.
    fn processors(&self) -> Option<f64> {
        let class = |resource: &Value| resource["Properties"]["DBInstanceClass"].as_str().map(str::to_owned);
        let sizes = self.resources().filter_map(class).filter_map(|class| size_factor(class.rsplit('.').next()?));
        sizes.reduce(f64::max).map(|factor| (factor * 2.0).max(2.0))
    }

    /// What a month would cost more if every instance of Serverless v2 were at its most, all the time.
    pub(super) fn at_most(&self) -> Option<f64> {
        let (least, most) = self.units()?;
        let is_serverless = |resource: &&Value| resource["Properties"]["DBInstanceClass"] == "db.serverless";
        let instances = count(self.resources().filter(is_serverless).count());
        Some((most - least) * instances * PRICES.databases.aurora_unit_hour * self.factor() * PRICES.hours_a_month)
    }
}

fn is_cluster(resource: &Value) -> bool {
    resource["Type"] == "AWS::RDS::DBCluster"
}

/// Instances of a class, as `db.r6i.large`.
fn instances(copies: f64, class: &Value, of: &str, table: &BTreeMap<String, f64>, factor: f64) -> Vec<Line> {
    let class = class.as_str().unwrap_or("an instance of unknown class");
    let mut parts = class.split('.').skip(1);
    let hour = parts.next().zip(parts.next()).and_then(|(family, size)| Some(table.get(family)? * size_factor(size)?));
    let month = hour.map(|hour| hour * factor * copies * PRICES.hours_a_month);
    vec![Line { count: copies, what: format!("{class} of {of}"), month }]
}

/// A number, also as text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use crate::cost::cost;
    use serde_json::json;

    fn lines(template: &serde_json::Value) -> Vec<(String, f64, Option<f64>)> {
        let cents = |month: f64| (month * 100.0).round() / 100.0;
        cost(template).lines.into_iter().map(|line| (line.what, line.count, line.month.map(cents))).collect()
    }

    fn has(template: &serde_json::Value, what: &str, count: f64, month: Option<f64>) {
        let lines = lines(template);
        assert!(lines.contains(&(what.to_owned(), count, month)), "no {what} in {lines:?}");
    }

    #[test]
    fn a_standby_counts_twice_and_a_replica_has_its_sources_storage() {
        let template = json!({ "Resources": {
            "Instance1": { "Type": "AWS::RDS::DBInstance", "Properties": {
                "DBInstanceClass": "db.r6i.xlarge", "MultiAZ": true, "Engine": "postgres",
                "AllocatedStorage": "500", "StorageType": "io1", "Iops": 20_000,
            }},
            "Instance2": { "Type": "AWS::RDS::DBInstance", "Properties": {
                "DBInstanceClass": "db.r6i.xlarge", "MultiAZ": false, "Engine": "postgres", "StorageType": "io1", "Iops": 20_000,
            }},
            "Key": { "Type": "AWS::KMS::Key", "Properties": {} },
            "Proxy": { "Type": "AWS::RDS::DBProxy", "Properties": {} },
        }});
        has(&template, "db.r6i.xlarge of RDS", 3.0, Some(1_095.0));
        has(&template, "GiB of io1 of RDS", 1_500.0, Some(187.5));
        has(&template, "IOPS of io1 of RDS beyond 0", 60_000.0, Some(6_000.0));
        has(&template, "customer key", 1.0, Some(1.0));
        has(&template, "processor behind the RDS Proxy", 4.0, Some(43.8));
        let text = cost(&template).to_string();
        assert!(text.contains("unchecked"), "{text}");
    }

    #[test]
    fn capacity_units_are_counted_at_their_least_and_told_at_their_most() {
        let template = |storage: &str| {
            json!({ "Resources": {
                "Cluster": { "Type": "AWS::RDS::DBCluster", "Properties": {
                    "Engine": "aurora-postgresql", "StorageType": storage,
                    "ServerlessV2ScalingConfiguration": { "MinCapacity": 0.5, "MaxCapacity": 8 },
                }},
                "One": { "Type": "AWS::RDS::DBInstance", "Properties": { "DBInstanceClass": "db.serverless", "Engine": "aurora-postgresql" } },
                "Two": { "Type": "AWS::RDS::DBInstance", "Properties": { "DBInstanceClass": "db.serverless", "Engine": "aurora-postgresql" } },
            }})
        };
        has(&template("aurora"), "capacity unit at the least", 1.0, Some(87.6));
        has(&template("aurora-iopt1"), "capacity unit at the least", 1.0, Some(113.88));
        let text = cost(&template("aurora")).to_string();
        assert!(text.contains("1314.00 more"), "{text}");
    }

    #[test]
    fn a_class_without_a_price_is_told_as_such() {
        let template = json!({ "Resources": { "One": { "Type": "AWS::RDS::DBInstance", "Properties": {
            "DBInstanceClass": "db.z9.large", "Engine": "aurora-postgresql",
        }}}});
        has(&template, "db.z9.large of Aurora", 1.0, None);
    }
}
