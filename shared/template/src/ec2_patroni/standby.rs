//! The second Region: one standby, its bucket, and the way to the members.
//!
//! When the first Region is gone, all that is needed is here: the copies of the secrets, of the certificate and of
//! the backups. The only thing that is there is whom the standby follows, and where that is it reads from a copied
//! secret, each time anew.

use super::{alarms as own_alarms, groups, secrets, settings};
use crate::{
    After, Handle, Template, Value, alarms,
    backups::{self, Repository},
    card::{self, Stands},
    hosts::{self, Host, HostRole, Wanted},
    logs,
    managed::{self, pair},
    network::{self, Network},
    resource::{LogGroup, PeeringConnection, StringParameter},
    roles,
    secrets::secret_name,
    settings::Lines,
    site::Site,
};
use domain::{
    card::{OtherRegion, PairCard, Side},
    region::StandbyCard,
    spec::Dr,
};

pub(super) fn render(site: &Site<'_>, dr: &Dr) -> Template {
    let mut made = site.template();
    let template = &mut made;
    let image = hosts::image(template, site);
    let network = network::add(template, site, &dr.network);
    let logs = logs::add(template, site);
    let backups = backups::add(template, site);
    let host = standby(
        template,
        site,
        dr,
        &Ground { image, network: &network, logs: logs.as_ref(), backups: backups.as_ref() },
    );
    alarms::of_host(template, site, &host);
    own_alarms::dr_lag(template, site);
    let peering = peering(template, site, dr, &network);
    if let Some(peering) = &peering {
        network.route(template, std::slice::from_ref(&dr.primary_cidr), peering);
    }
    let mut stands = Stands::new();
    let pair = pair::add(template, site, &mut stands);
    own_card(template, site, dr, &host, pair, stands);
    outputs(template, site, &network, &host, peering);
    if let Some(backups) = &backups {
        backups.output(template);
    }
    made
}

/// What is there before the instance.
struct Ground<'a> {
    image: Value,
    network: &'a Network,
    logs: Option<&'a Handle<LogGroup>>,
    backups: Option<&'a Repository<'a>>,
}

fn standby(template: &mut Template, site: &Site<'_>, dr: &Dr, ground: &Ground<'_>) -> Host {
    let group = groups::standby(template, site, ground.network, dr);
    let instance_type = dr.instance_type.as_ref().unwrap_or(&site.spec.members.instance_type);
    let wanted = Wanted {
        role: HostRole::Dr,
        number: 0,
        instance_type,
        root_gib: site.spec.members.root_volume_gib,
        data: Some(dr.data_volume.as_ref().unwrap_or(&site.spec.members.data_volume)),
        wal: None,
        backup: None,
    };
    let place = hosts::place(template, site, ground.network.private(1), &[&group], &wanted);

    let mut lines = Lines::of(site, ground.logs);
    lines.text("TLS_SECRET", &site.tls.secret_arn);
    secrets::settings_of_copies(&mut lines, site);
    settings::patroni(&mut lines, site, ground.network);
    settings::dr(&mut lines, site, dr);
    if let Some(backups) = ground.backups {
        backups.settings(&mut lines, site);
    }
    let settings = lines.add(template, site);
    let mut after = ground.network.ways_out.clone();
    after.push(After::from(&settings));
    after.extend(ground.logs.map(After::from));

    let mut own = vec![roles::setup_item(site)];
    let mut read = secrets::arns_of_copies(site);
    read.push((&site.tls.secret_arn).into());
    own.extend(roles::secrets(site, read));
    own.extend(ground.backups.iter().flat_map(|backups| backups.statements(site)));
    let (_, profile) = roles::add(template, site, HostRole::Dr, ground.logs, own);
    hosts::launch(template, site, &ground.image, place, &profile, &after)
}

/// What `fail-over-region` knows the standby by. Only there: where cards of clusters lie, every function would take it
/// for a cluster that it must look after.
fn own_card(
    template: &mut Template,
    site: &Site<'_>,
    dr: &Dr,
    host: &Host,
    pair: Option<PairCard>,
    mut stands: Stands,
) {
    let (spec, fleet) = (site.spec, &site.fleet.name);
    let card = StandbyCard {
        version: 1,
        fleet: fleet.clone(),
        cluster: spec.name.clone(),
        topology: spec.topology,
        side: Side::Dr,
        region: site.fleet.region.clone(),
        database: spec.postgresql.database.clone(),
        port: spec.postgresql.port,
        records: managed::records(site),
        operator_secret: secret_name(site, "operator"),
        secrets: secrets::COPIED_LOGINS.iter().map(|name| secret_name(site, name)).collect(),
        certificate_authority: site.tls.certificate_authority.clone(),
        server_name: site.records().writer,
        host: card::host(&mut stands, host),
        image_parameter: Some(spec.image.os.image_parameter(spec.architecture())),
        key_arn: site.kms_key(),
        other: OtherRegion { region: dr.primary_region.clone(), db_cluster_arn: None, instances: Vec::new() },
        pair,
        policy: spec.policy,
    };
    #[expect(clippy::expect_used, reason = "strings and numbers only: there is nothing that JSON cannot hold")]
    let text = serde_json::to_string(&card).expect("a card is JSON");
    let parameter = StringParameter {
        name: StandbyCard::parameter(fleet, &spec.name),
        description: format!("Card of the standby of cluster {} in this Region", spec.name),
        r#type: "String",
        tier: "Intelligent-Tiering",
        value: Value::substitute(&text, &stands),
        tags: site.tag_map(),
    };
    template.add("StandbyCard", parameter);
}

/// The peering connection with the members' VPC: made here when the spec names that VPC, else the one it names.
fn peering(template: &mut Template, site: &Site<'_>, dr: &Dr, network: &Network) -> Option<Value> {
    let Some(primary) = &dr.primary_vpc_id else {
        return dr.peering_connection_id.as_ref().map(Value::from);
    };
    let peering = PeeringConnection {
        vpc_id: network.vpc_id.clone(),
        peer_vpc_id: primary.clone(),
        peer_region: Some(dr.primary_region.clone()),
        tags: site.named(&format!("{} to {}", site.stack(), dr.primary_region)),
    };
    Some(template.add("PrimaryPeering", peering).id())
}

fn outputs(template: &mut Template, site: &Site<'_>, network: &Network, host: &Host, peering: Option<Value>) {
    let name = &host.place.name;
    let mut output = |name: &str, description: &str, value: Value| template.output(name, description, value);
    output("VpcId", "The VPC of the standby", network.vpc_id.clone());
    output("DrInstance", &format!("Instance of {name}"), host.instance.id());
    output("DrAddress", &format!("Private address of {name}"), host.place.interface.address());
    if site.spec.log_days > 0 {
        output("LogGroup", "Where the standby's logs are", logs::name(site).into());
    }
    if let Some(peering) = peering {
        output("PeeringConnection", "For dr.peering_connection_id of the spec: the first Region's way here", peering);
    }
}
