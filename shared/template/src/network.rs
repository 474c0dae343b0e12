//! Where hosts are: a VPC of the cluster's own, or the fleet's.

mod endpoints;

use crate::{
    After, Handle, Template, Value,
    resource::{
        Eip, GatewayAttachment, InternetGateway, NatGateway, PeeringConnection, Route, RouteTable,
        RouteTableAssociation, Subnet, Through, Vpc,
    },
    site::Site,
};
use domain::spec::{self, Nat, OwnVpc};
use std::net::Ipv4Addr;

/// A subnet of a template: its id, and the zone that volumes must be in.
#[derive(Debug, Clone)]
pub(crate) struct SubnetAt {
    pub(crate) id: Value,
    pub(crate) zone: Value,
}

/// A route table: as logical ids name it, and its id.
pub(crate) struct RoutesAt {
    name: String,
    pub(crate) id: Value,
}

/// Where a cluster's hosts are.
pub(crate) struct Network {
    pub(crate) vpc_id: Value,
    /// The VPC's IPv4 networks.
    pub(crate) cidrs: Vec<String>,
    /// Private subnets, filled in turn; at least one.
    pub(crate) private: Vec<SubnetAt>,
    /// Public subnets; none when nothing needs one.
    pub(crate) public: Vec<SubnetAt>,
    /// Route tables of the private subnets.
    pub(crate) route_tables: Vec<RoutesAt>,
    /// What must be there before a host can reach anything.
    pub(crate) ways_out: Vec<After>,
    /// What must be there before a rule names a security group of the fleet's VPC; nothing when this is it.
    pub(crate) peered: Vec<After>,
    /// What must be there before a public address is used.
    pub(crate) internet: Vec<After>,
}

impl Network {
    /// The subnet of the host with this number, counted from 1.
    pub(crate) fn private(&self, number: u32) -> &SubnetAt {
        &self.private[(number as usize - 1) % self.private.len()]
    }

    /// Leads from the private subnets to another VPC.
    pub(crate) fn route(&self, template: &mut Template, cidrs: &[String], peering: &Value) {
        routes(template, &self.route_tables, cidrs, peering);
    }
}

/// The network of a spec, or of its second Region.
pub(crate) fn add(template: &mut Template, site: &Site<'_>, wanted: &spec::Network) -> Network {
    match &wanted.own_vpc {
        Some(own) => own_vpc(template, site, own),
        None => existing(site),
    }
}

/// The fleet's VPC; the spec's subnets, if it names any, are those of the fleet value.
fn existing(site: &Site<'_>) -> Network {
    let fleet = site.fleet;
    let at = |subnet: &crate::Subnet| SubnetAt { id: (&subnet.id).into(), zone: (&subnet.zone).into() };
    let public = site.spec.access.bastion.iter().filter_map(|bastion| bastion.subnet_id.as_ref());
    Network {
        vpc_id: (&fleet.vpc_id).into(),
        cidrs: fleet.vpc_cidrs.clone(),
        private: fleet.subnets.iter().map(at).collect(),
        // Of no zone: nothing in it has a volume of its own.
        public: public.map(|id| SubnetAt { id: id.into(), zone: "".into() }).collect(),
        route_tables: of_fleet(site),
        ways_out: Vec::new(),
        peered: Vec::new(),
        internet: Vec::new(),
    }
}

/// A VPC with its parts under construction.
struct Building<'a> {
    template: &'a mut Template,
    site: &'a Site<'a>,
    own: &'a OwnVpc,
    vpc: Handle<Vpc>,
    public: Vec<SubnetAt>,
    private: Vec<(SubnetAt, Handle<RouteTable>)>,
    ways_out: Vec<After>,
    internet: Vec<After>,
}

fn own_vpc(template: &mut Template, site: &Site<'_>, own: &OwnVpc) -> Network {
    let vpc = Vpc {
        cidr_block: own.cidr.clone(),
        enable_dns_support: true,
        enable_dns_hostnames: true,
        tags: site.named(&site.stack()),
    };
    let vpc = template.add("Vpc", vpc);
    let (public, private) = (Vec::new(), Vec::new());
    let (ways_out, internet) = (Vec::new(), Vec::new());
    let mut building = Building { template, site, own, vpc, public, private, ways_out, internet };
    building.private_subnets();
    if own.nat != Nat::None || site.spec.access.bastion.is_some() {
        building.public_subnets();
    }
    building.nat_gateways();
    building.finish()
}

impl Building<'_> {
    /// A subnet, its n-th /24, in the Region's n-th zone, and its routes.
    fn subnet(&mut self, kind: &str, number: u32, block: u32, routes: &Handle<RouteTable>) -> SubnetAt {
        let subnet = Subnet {
            vpc_id: self.vpc.id(),
            cidr_block: block_of(&self.own.cidr, block),
            availability_zone: Value::zone(number - 1),
            map_public_ip_on_launch: false,
            tags: self.site.named(&format!("{} {} {number}", self.site.stack(), kind.to_lowercase())),
        };
        let subnet = self.template.add(format!("{kind}Subnet{number}"), subnet);
        let association = RouteTableAssociation { route_table_id: routes.id(), subnet_id: subnet.id() };
        let association = self.template.add(format!("{kind}Subnet{number}Routes"), association);
        self.ways_out.push((&association).into());
        SubnetAt { id: subnet.id(), zone: subnet.zone() }
    }

    fn routes(&mut self, id: &str, what: &str) -> Handle<RouteTable> {
        let tags = self.site.named(&format!("{} {what}", self.site.stack()));
        self.template.add(id, RouteTable { vpc_id: self.vpc.id(), tags })
    }

    /// A route table each, also where all lead the same way: so the number of NAT gateways can change.
    fn private_subnets(&mut self) {
        for number in 1..=self.own.zones {
            let routes = self.routes(&format!("PrivateRoutes{number}"), &format!("private {number}"));
            let subnet = self.subnet("Private", number, number, &routes);
            self.private.push((subnet, routes));
        }
    }

    fn public_subnets(&mut self) {
        let gateway = InternetGateway { tags: self.site.named(&self.site.stack()) };
        let gateway = self.template.add("InternetGateway", gateway);
        let attachment = GatewayAttachment { vpc_id: self.vpc.id(), internet_gateway_id: gateway.id() };
        let attachment = self.template.add("InternetGatewayAttachment", attachment);
        let routes = self.routes("PublicRoutes", "public");
        let route = Route::new(routes.id(), "0.0.0.0/0", Through::Internet(gateway.id()));
        let route = self.template.add("PublicDefaultRoute", route);
        self.template.create_after(&route, &attachment);
        self.internet.push((&attachment).into());
        self.ways_out.push((&route).into());
        for number in 1..=self.own.zones {
            let subnet = self.subnet("Public", number, 100 + number, &routes);
            self.public.push(subnet);
        }
    }

    fn nat_gateways(&mut self) {
        let count = match self.own.nat {
            Nat::PerZone => self.own.zones,
            Nat::One => 1,
            Nat::None => return,
        };
        let mut gateways = Vec::new();
        for (number, subnet) in (1..=count).zip(&self.public) {
            let name = format!("{} {number}", self.site.stack());
            let address = Eip { domain: "vpc", tags: self.site.named(&name) };
            let address = self.template.add(format!("NatAddress{number}"), address);
            self.template.create_after_all(&address, &self.internet);
            let gateway = NatGateway {
                allocation_id: address.allocation_id(),
                subnet_id: subnet.id.clone(),
                tags: self.site.named(&name),
            };
            gateways.push(self.template.add(format!("NatGateway{number}"), gateway));
        }
        for (at, (_, routes)) in self.private.iter().enumerate() {
            let through = Through::Nat(gateways[at % gateways.len()].id());
            let route = Route::new(routes.id(), "0.0.0.0/0", through);
            let route = self.template.add(format!("PrivateDefaultRoute{}", at + 1), route);
            self.ways_out.push((&route).into());
        }
    }

    /// Connects it with the services of AWS and with the fleet's VPC, where Understudy's functions are.
    fn finish(self) -> Network {
        let Building { template, site, own, vpc, public, private, mut ways_out, internet } = self;
        let (private, tables): (Vec<SubnetAt>, Vec<Handle<RouteTable>>) = private.into_iter().unzip();
        let mut network = Network {
            vpc_id: vpc.id(),
            cidrs: vec![own.cidr.clone()],
            private,
            public,
            route_tables: (1..).zip(&tables).map(|(number, table): (u32, _)| own_table(number, table)).collect(),
            ways_out: Vec::new(),
            peered: Vec::new(),
            internet,
        };
        ways_out.extend(endpoints::add(template, site, own, &network));
        network.ways_out = ways_out;
        let peering = PeeringConnection {
            vpc_id: vpc.id(),
            peer_vpc_id: site.fleet.vpc_id.clone(),
            peer_region: None,
            tags: site.named(&format!("{} to the fleet", site.stack())),
        };
        let peering = template.add("FleetPeering", peering);
        network.peered.push((&peering).into());
        let peering = peering.id();
        network.route(template, &site.fleet.vpc_cidrs, &peering);
        routes(template, &of_fleet(site), &network.cidrs, &peering);
        network
    }
}

/// A route in each table to each network, by way of a peering connection.
///
/// Its logical id says which table and network: counted ones would change places when one is added or removed, and AWS
/// refuses the second of two routes to one network.
fn routes(template: &mut Template, tables: &[RoutesAt], cidrs: &[String], peering: &Value) {
    for table in tables {
        for cidr in cidrs {
            let to = cidr.replace(|c: char| !c.is_ascii_alphanumeric(), "x");
            let route = Route::new(table.id.clone(), cidr, Through::Peering(peering.clone()));
            template.add(format!("RouteFrom{}To{to}", table.name), route);
        }
    }
}

fn own_table(number: u32, table: &Handle<RouteTable>) -> RoutesAt {
    RoutesAt { name: format!("Private{number}"), id: table.id() }
}

/// The route tables of the fleet's subnets.
fn of_fleet(site: &Site<'_>) -> Vec<RoutesAt> {
    let table = |id: &String| RoutesAt { name: id.replace("rtb-", "Rtb"), id: id.into() };
    site.fleet.route_table_ids.iter().map(table).collect()
}

/// The n-th /24 of a network, counted from 0.
fn block_of(cidr: &str, number: u32) -> String {
    let address: Ipv4Addr = cidr.split('/').next().and_then(|text| text.parse().ok()).unwrap_or(Ipv4Addr::UNSPECIFIED);
    format!("{}/24", Ipv4Addr::from_bits(address.to_bits() + (number << 8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_the_blocks_that_the_spec_says() {
        assert_eq!(block_of("10.0.0.0/16", 1), "10.0.1.0/24");
        assert_eq!(block_of("10.0.0.0/16", 103), "10.0.103.0/24");
        assert_eq!(block_of("10.7.128.0/17", 103), "10.7.231.0/24");
    }
}
