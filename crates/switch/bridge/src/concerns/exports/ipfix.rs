//! What the database asks for of IPFIX and of the samples of rules: rows to types.

use std::collections::BTreeMap;
use std::time::Duration;

use replica::{Row, Tables};
use schema::{bridge, flow_sample_collector_set, ipfix, open_vswitch};
use telemetry::{IPFIX_INTERVAL, IpfixConfig, IpfixSource, MAX_VIRTUAL_ID};

use crate::columns::Columns;

/// One packet in so many is sampled where nobody says.
const DEFAULT_SAMPLING: u32 = 400;

/// IPFIX export: of a bridge, or of the samples of its rules for one set of collectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredIpfix {
    /// Each once.
    pub targets: Vec<String>,
    /// What is exported.
    pub source: IpfixSource,
    /// A bridge's packets are sampled where they come in.
    pub samples_input: bool,
    /// They are sampled where they leave.
    pub samples_output: bool,
    pub active_timeout: Duration,
    pub max_flows: u32,
    pub stats_interval: Duration,
    pub template_interval: Duration,
    pub virtual_id: Option<String>,
    pub reports_tunnels: bool,
}

/// What a bridge does with the samples of its rules beside IPFIX.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredSampling {
    /// The group of the kernel that gets those for a set of collectors.
    pub groups: BTreeMap<u32, u32>,
    /// Packets that are only sampled are dropped by an action of their own.
    pub explicit_drops: bool,
}

impl DesiredIpfix {
    /// The exporter of this number, or why there can be none.
    pub(super) fn config(&self, id: u32) -> Result<IpfixConfig, String> {
        if let Some(long) = self.virtual_id.as_ref().filter(|text| text.len() > MAX_VIRTUAL_ID) {
            let length = long.len();
            return Err(format!(
                "Virtual obsevation ID too long ({length} bytes), should not be longer than {MAX_VIRTUAL_ID} bytes."
            ));
        }
        Ok(IpfixConfig {
            id,
            source: self.source,
            active_timeout: self.active_timeout,
            max_flows: self.max_flows,
            stats_interval: self.stats_interval,
            template_interval: self.template_interval,
            virtual_id: self.virtual_id.clone(),
            reports_tunnels: self.reports_tunnels,
        })
    }
}

/// IPFIX of the bridge, then that of its sets of collectors; none without a target.
pub(super) fn desire(rows: &Tables, bridge_row: &Row) -> Vec<DesiredIpfix> {
    let find = |uuid| rows.row(ipfix::NAME_OF_TABLE, &uuid);
    let of_bridge = bridge_row.reference(bridge::IPFIX).and_then(find).map(|row| {
        let source = IpfixSource::Bridge {
            domain: number(row, ipfix::OBS_DOMAIN_ID).unwrap_or(0),
            point: number(row, ipfix::OBS_POINT_ID).unwrap_or(0),
            probability: u32::MAX / number(row, ipfix::SAMPLING).unwrap_or(DEFAULT_SAMPLING).max(1),
        };
        desire_row(row, source)
    });
    let of_sets = sets(rows, bridge_row).filter_map(|(id, set)| {
        let row = set.reference(flow_sample_collector_set::IPFIX).and_then(find)?;
        Some(desire_row(row, IpfixSource::CollectorSet(id)))
    });
    let mut of_sets: Vec<DesiredIpfix> = of_sets.collect();
    of_sets.sort_by_key(|export| export.source.collector_set());
    of_bridge.into_iter().chain(of_sets).filter(|export| !export.targets.is_empty()).collect()
}

/// What is done with the samples of the bridge's rules beside IPFIX.
pub(crate) fn desire_sampling(rows: &Tables, root: Option<&Row>, bridge_row: &Row) -> DesiredSampling {
    let groups = sets(rows, bridge_row)
        .filter_map(|(id, set)| Some((id, number(set, flow_sample_collector_set::LOCAL_GROUP_ID)?)));
    let explicit =
        root.and_then(|root| root.map_boolean(open_vswitch::OTHER_CONFIG, "explicit-sampled-drops"));
    DesiredSampling { groups: groups.collect(), explicit_drops: explicit.unwrap_or(false) }
}

/// The sets of collectors of a bridge, by their ids.
fn sets<'a>(rows: &'a Tables, bridge_row: &'a Row) -> impl Iterator<Item = (u32, &'a Row)> {
    let all = rows.rows(flow_sample_collector_set::NAME_OF_TABLE).map(|row| &**row);
    let own = all.filter(|row| row.reference(flow_sample_collector_set::BRIDGE) == Some(bridge_row.uuid));
    own.filter_map(|row| Some((number(row, flow_sample_collector_set::ID)?, row)))
}

fn desire_row(row: &Row, source: IpfixSource) -> DesiredIpfix {
    let seconds = |column| number(row, column).map(|seconds| Duration::from_secs(seconds.into()));
    let flag = |key| row.map_boolean(ipfix::OTHER_CONFIG, key).unwrap_or(true);
    let mut targets: Vec<String> = row.strings(ipfix::TARGETS).into_iter().map(str::to_owned).collect();
    targets.dedup();
    DesiredIpfix {
        targets,
        source,
        samples_input: flag("enable-input-sampling"),
        samples_output: flag("enable-output-sampling"),
        active_timeout: seconds(ipfix::CACHE_ACTIVE_TIMEOUT).unwrap_or_default(),
        max_flows: number(row, ipfix::CACHE_MAX_FLOWS).unwrap_or(0),
        stats_interval: seconds(ipfix::STATS_INTERVAL).unwrap_or(IPFIX_INTERVAL),
        template_interval: seconds(ipfix::TEMPLATE_INTERVAL).unwrap_or(IPFIX_INTERVAL),
        virtual_id: row.map_text(ipfix::OTHER_CONFIG, "virtual_obs_id").map(str::to_owned),
        reports_tunnels: flag("enable-tunnel-sampling"),
    }
}

fn number(row: &Row, column: &str) -> Option<u32> {
    row.integer(column).and_then(|number| u32::try_from(number).ok())
}
