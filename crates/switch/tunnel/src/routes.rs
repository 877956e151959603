//! Routes, the rules that choose among their tables, and the machine's own addresses.
//!
//! All addresses are of IPv6; those of IPv4 are mapped, and their prefixes 96 bits longer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use pipeline::tunnel::{Way, shown, unmapped};

/// The table of the machine's own addresses.
pub const LOCAL: u32 = 255;
/// The table of most routes.
pub const MAIN: u32 = 254;
/// The table that is asked last.
pub const DEFAULT: u32 = 253;

/// Who made a route or a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// It is the kernel's.
    Kernel,
    /// It is of a device for tests.
    Test,
    /// Somebody asked for it by a command; such a route is taken before others to the same network.
    User,
}

/// An address of a device, and the network that it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    /// Mapped where it is of IPv4.
    pub address: u128,
    /// Bits of the prefix, of 128.
    pub prefix_len: u8,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// In which table.
    pub table: u32,
    /// It is for packets with this mark alone.
    pub mark: u32,
    /// The network, with zeros behind the prefix.
    pub network: u128,
    /// Bits of the prefix, of 128.
    pub prefix_len: u8,
    /// Who made it.
    pub origin: Origin,
    /// By which packets leave.
    pub device: Arc<str>,
    /// The next router; 0 for none.
    pub gateway: u128,
    /// The source address; 0: to be chosen.
    pub source: u128,
}

/// No address of the device can be the source of packets by a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSource;

/// A rule that says in which table to look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Rules are asked from the lowest up.
    pub priority: u32,
    /// It is for packets whose source is not in the network.
    pub is_inverted: bool,
    /// Who made it.
    pub origin: Origin,
    /// The network that the source is in.
    pub source: u128,
    /// Bits of its prefix, of 32 or 128; 0 for any.
    pub prefix_len: u8,
    /// Where to look.
    pub table: u32,
    /// It is for IPv4.
    pub is_v4: bool,
}

/// What a route is known by: of those to one network, those of users come first.
type Place = (u32, bool, u8, u128);

/// All of them.
#[derive(Clone, Debug)]
pub struct Routes {
    /// By table; then mark, whether it is of a user, prefix and network.
    tables: BTreeMap<u32, BTreeMap<Place, Route>>,
    rules: Vec<Rule>,
    addresses: BTreeMap<Arc<str>, BTreeSet<Address>>,
    /// Those of devices for tests, which the kernel does not know.
    test_addresses: BTreeMap<Arc<str>, BTreeSet<Address>>,
    /// When each was added, by table and place, counted in additions: listings show the older ones first.
    added: BTreeMap<(u32, Place), u64>,
    additions: u64,
}

impl Default for Routes {
    fn default() -> Routes {
        let mut routes = Routes {
            tables: BTreeMap::new(),
            rules: Vec::new(),
            addresses: BTreeMap::new(),
            test_addresses: BTreeMap::new(),
            added: BTreeMap::new(),
            additions: 0,
        };
        routes.add_standard_rules();
        routes
    }
}

/// The bits of a prefix.
pub(crate) const fn prefix_mask(len: u8) -> u128 {
    if len == 0 { 0 } else { u128::MAX << (128 - if len > 128 { 128 } else { len }) }
}

const fn is_v4(address: u128) -> bool {
    address >> 32 == 0xffff
}

/// The multicast address by which the owner of `address` is asked for (RFC 4291 §2.7.1).
const fn solicited(address: u128) -> u128 {
    0xff02_0000_0000_0000_0000_0001_ff00_0000 | address & 0xff_ffff
}

impl Routes {
    fn add_standard_rules(&mut self) {
        for (priority, table) in [(0, LOCAL), (0x7ffe, MAIN), (0x7fff, DEFAULT)] {
            self.add_rule(Rule::standard(priority, table, true));
        }
        for (priority, table) in [(0, LOCAL), (0x7ffe, MAIN)] {
            self.add_rule(Rule::standard(priority, table, false));
        }
    }

    /// Adds a rule behind those of its priority.
    pub fn add_rule(&mut self, rule: Rule) {
        let at = self.rules.partition_point(|known| known.priority <= rule.priority);
        self.rules.insert(at, rule);
    }

    /// Removes the rule that a user made like this one, of whatever priority if that is 0; whether there was one.
    pub fn remove_rule(&mut self, rule: &Rule) -> bool {
        let is_it = |known: &Rule| {
            let priority = if rule.priority == 0 { known.priority } else { rule.priority };
            known.origin == Origin::User && *known == Rule { priority, ..rule.clone() }
        };
        match self.rules.iter().position(is_it) {
            Some(at) => {
                self.rules.remove(at);
                true
            }
            None => false,
        }
    }

    /// The priority of a rule for which none was asked: before all that have one.
    pub fn next_priority(&self) -> u32 {
        let (mut next, mut before) = (0u32, 0);
        for rule in &self.rules {
            if rule.priority != 0 && (next == 0 || rule.priority - before > 1) {
                next = rule.priority - 1;
            }
            before = rule.priority;
        }
        next
    }

    /// The rules of IPv4 or IPv6, in the order in which they are asked.
    pub fn rules(&self, of_v4: bool) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.is_v4 == of_v4)
    }

    /// Replaces all that is the kernel's; whether anything is otherwise now.
    pub fn replace(
        &mut self,
        routes: Vec<Route>,
        rules: Vec<Rule>,
        addresses: BTreeMap<Arc<str>, BTreeSet<Address>>,
    ) -> bool {
        let before = self.clone();
        self.addresses = addresses;
        for table in self.tables.values_mut() {
            table.retain(|_, route| route.origin != Origin::Kernel);
        }
        self.rules.retain(|rule| rule.origin != Origin::Kernel);
        let tables = &self.tables;
        self.added.retain(|(table, place), _| tables.get(table).is_some_and(|of| of.contains_key(place)));
        if rules.is_empty() {
            self.add_standard_rules();
        }
        rules.into_iter().for_each(|rule| self.add_rule(rule));
        for route in routes {
            // Without an address to send from it leads nowhere.
            let _ = self.add(route);
        }
        self.tables.retain(|_, table| !table.is_empty());
        before.tables != self.tables || before.rules != self.rules || before.addresses != self.addresses
    }

    /// Adds a route, or replaces the one to the same network. Its source address is chosen, or must be the device's.
    pub fn add(&mut self, mut route: Route) -> Result<(), NoSource> {
        route.network &= prefix_mask(route.prefix_len);
        let by = |to: u128| match route.source {
            0 => self.source_for(&route.device, to),
            source => self.all_addresses(&route.device).find_map(|own| {
                let mask = prefix_mask(own.prefix_len);
                (own.address == source && source & mask == to & mask).then_some(source)
            }),
        };
        let gateway = (route.gateway != 0).then_some(route.gateway);
        route.source = by(route.network).or_else(|| by(gateway?)).ok_or(NoSource)?;
        let place = (route.mark, route.origin == Origin::User, route.prefix_len, route.network);
        self.additions += 1;
        self.added.entry((route.table, place)).or_insert(self.additions);
        self.tables.entry(route.table).or_default().insert(place, route);
        Ok(())
    }

    /// Removes a route that a user made; `None` when there is no such table, else whether there was one.
    pub fn remove(&mut self, table: u32, mark: u32, network: u128, prefix_len: u8) -> Option<bool> {
        let routes = self.tables.get_mut(&table)?;
        let place = (mark, true, prefix_len, network & prefix_mask(prefix_len));
        self.added.remove(&(table, place));
        Some(routes.remove(&place).is_some())
    }

    /// Gives a device for tests an address, and the routes that come with it.
    pub fn add_test_address(&mut self, device: &str, own: Address) {
        let device: Arc<str> = device.into();
        self.test_addresses.entry(Arc::clone(&device)).or_default().insert(own);
        for (table, prefix_len) in [(LOCAL, 128), (MAIN, own.prefix_len)] {
            let route = Route {
                table,
                mark: 0,
                network: own.address,
                prefix_len,
                origin: Origin::Test,
                device: Arc::clone(&device),
                gateway: 0,
                source: own.address,
            };
            if self.add(route).is_err() {
                base::broken!("an address is none of its own device");
            }
        }
    }

    /// The way to `destination`, from `source` unless that is 0.
    pub fn find(&self, mark: u32, destination: u128, source: u128) -> Option<Way> {
        if source != 0 {
            // It must be the machine's own.
            best(self.tables.get(&LOCAL)?, mark, source)?;
        }
        // Without a source, rules are chosen by the family.
        let of_v4 = if source != 0 { is_v4(source) } else { is_v4(destination) };
        for rule in self.rules(of_v4) {
            let mask = prefix_mask(if of_v4 { rule.prefix_len.saturating_add(96) } else { rule.prefix_len });
            let is_in = rule.prefix_len == 0 || source & mask == rule.source & mask;
            if is_in == rule.is_inverted {
                continue;
            }
            let route = self.tables.get(&rule.table).and_then(|table| best(table, mark, destination));
            // Addresses of IPv4 are in the default network of IPv6, but not behind its router.
            if let Some(route) = route.filter(|route| !is_v4(destination) || is_v4(route.network)) {
                let is_none = route.gateway == 0 || unmapped(route.gateway) == Some(0);
                let source = if source != 0 { source } else { self.source_of(route, destination)? };
                let gateway = (!is_none).then_some(route.gateway);
                return Some(Way { device: Arc::clone(&route.device), gateway, source });
            }
        }
        None
    }

    /// The source of packets by a route. That of IPv4 by a router of IPv6 has one that only the router can be asked from; the
    /// packets have the device's first address of IPv4, as those of the kernel do.
    fn source_of(&self, route: &Route, destination: u128) -> Option<u128> {
        if is_v4(destination) == is_v4(route.source) {
            return Some(route.source);
        }
        self.all_addresses(&route.device).map(|own| own.address).find(|own| is_v4(*own) == is_v4(destination))
    }

    /// Whether ways depend on marks.
    pub fn has_marks(&self) -> bool {
        self.tables.values().flat_map(|table| table.values()).any(|route| route.mark != 0)
    }

    fn all_addresses(&self, device: &str) -> impl Iterator<Item = &Address> {
        let (own, test) = (self.addresses.get(device), self.test_addresses.get(device));
        own.into_iter().chain(test).flatten()
    }

    /// The device's own address in the narrowest network that has `destination`.
    pub fn source_for(&self, device: &str, destination: u128) -> Option<u128> {
        let of_v4 = is_v4(destination);
        let near = self.all_addresses(device).filter(|own| {
            let mask = prefix_mask(own.prefix_len);
            (!of_v4 || is_v4(own.address)) && own.address & mask == destination & mask
        });
        near.max_by_key(|own| own.prefix_len).map(|own| own.address)
    }

    /// Whether the device has addresses.
    pub fn has_addresses(&self, device: &str) -> bool {
        self.all_addresses(device).next().is_some()
    }

    /// Whether the device has this address.
    pub fn is_own(&self, device: &str, address: u128) -> bool {
        self.all_addresses(device).any(|own| own.address == address)
    }

    /// Whether packets to this address are for the device: see [`pipeline::tunnel::Underlay::is_addressed`].
    pub fn is_addressed(&self, device: &str, address: u128) -> bool {
        let asks_for = |own: &Address| !is_v4(own.address) && address == solicited(own.address);
        self.all_addresses(device).any(|own| own.address == address || asks_for(own))
    }

    /// The routes of one table, or of the three that are always there; none where there is no such table. Of a table those
    /// with prefixes of one length stand together, the first that are taken before others first.
    pub fn of_table(&self, which: Option<u32>) -> impl Iterator<Item = &Route> {
        let numbers = which.map_or_else(|| vec![LOCAL, MAIN, DEFAULT], |number| vec![number]);
        numbers.into_iter().flat_map(|number| self.listed(number))
    }

    fn listed(&self, number: u32) -> impl Iterator<Item = &Route> {
        let mut firsts: BTreeMap<u8, u16> = BTreeMap::new();
        let all = self.tables.get(&number);
        for route in all.into_iter().flat_map(BTreeMap::values) {
            let first = firsts.entry(route.prefix_len).or_default();
            *first = precedence(route).max(*first);
        }
        let mut listed: Vec<_> = all.into_iter().flatten().collect();
        listed.sort_by_key(|(place, route)| {
            let added = self.added.get(&(number, **place));
            (std::cmp::Reverse(firsts.get(&route.prefix_len)), route.prefix_len, added)
        });
        listed.into_iter().map(|(_, route)| route)
    }

    /// The numbers of all tables.
    pub fn table_numbers(&self) -> impl Iterator<Item = u32> {
        self.tables.keys().copied()
    }

    /// What `ovs/route/show` says of the tables that are always there; of one, by its number; or of all (`Some(None)`).
    /// `None` when there is no such table.
    pub fn show(&self, which: Option<Option<u32>>) -> Option<String> {
        let mut text = String::new();
        match which {
            None => {
                text.push_str("Route Table:\n");
                for number in [LOCAL, MAIN, DEFAULT] {
                    self.show_table(&mut text, number, false);
                }
            }
            Some(None) => self.tables.keys().for_each(|number| self.show_table(&mut text, *number, true)),
            Some(Some(number)) => {
                self.tables.get(&number)?;
                let _ = match number {
                    LOCAL | MAIN | DEFAULT => writeln!(text, "Route Table:"),
                    number => writeln!(text, "Route Table #{number}:"),
                };
                self.show_table(&mut text, number, false);
            }
        }
        Some(text)
    }

    fn show_table(&self, out: &mut String, number: u32, with_number: bool) {
        for route in self.listed(number) {
            let who = if route.origin == Origin::User { "User" } else { "Cached" };
            let len =
                if is_v4(route.network) { route.prefix_len.saturating_sub(96) } else { route.prefix_len };
            let _ = write!(out, "{who}: {}/{len}", shown(route.network));
            if route.mark != 0 {
                let _ = write!(out, " MARK {}", route.mark);
            }
            let _ = write!(out, " dev {}", route.device);
            if route.gateway != 0 {
                let _ = write!(out, " GW {}", shown(route.gateway));
            }
            let _ = write!(out, " SRC {}", shown(route.source));
            if number == LOCAL && route.origin != Origin::User {
                out.push_str(" local");
            }
            if with_number && !matches!(number, LOCAL | MAIN | DEFAULT) {
                let _ = write!(out, " table {number}");
            }
            out.push('\n');
        }
    }
}

impl Rule {
    fn standard(priority: u32, table: u32, is_v4: bool) -> Rule {
        let source = if is_v4 { 0xffff_0000_0000 } else { 0 };
        let (is_inverted, origin, prefix_len) = (false, Origin::Kernel, 0);
        Rule { priority, is_inverted, origin, source, prefix_len, table, is_v4 }
    }

    /// What `ovs/route/rule/show` says of it.
    pub fn show(&self) -> String {
        let who = if self.origin == Origin::User { "User" } else { "Cached" };
        let not = if self.is_inverted { "not " } else { "" };
        let mut text = format!("{who}: {}: {not}from ", self.priority);
        if self.prefix_len == 0 {
            text.push_str("all");
        } else {
            text.push_str(&shown(self.source));
            if self.prefix_len != if self.is_v4 { 32 } else { 128 } {
                let _ = write!(text, "/{} ", self.prefix_len);
            }
        }
        let table = match self.table {
            DEFAULT => "default".to_owned(),
            MAIN => "main".to_owned(),
            LOCAL => "local".to_owned(),
            number => number.to_string(),
        };
        text + " lookup " + &table + "\n"
    }
}

/// The route of a table to the narrowest network that has `destination`. Those of users are taken before all others whose
/// prefix is at most 32 bits longer.
fn best(table: &BTreeMap<Place, Route>, mark: u32, destination: u128) -> Option<&Route> {
    let fitting = table
        .values()
        .filter(|route| route.mark == mark && destination & prefix_mask(route.prefix_len) == route.network);
    fitting.max_by_key(|route| precedence(route))
}

fn precedence(route: &Route) -> u16 {
    let ahead = if route.origin == Origin::User { 32 } else { 0 };
    u16::from(route.prefix_len) + ahead
}

#[cfg(test)]
mod tests;
