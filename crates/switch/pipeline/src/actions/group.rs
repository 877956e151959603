//! `group`: every bucket, or the chosen one, on a copy of the packet.

use std::sync::Arc;

use base::OfPort;
use dp::DropReason;
use ofp::{GROUP_ANY, GroupType};

use crate::context::{Context, Course};
use crate::effects::Effect;
use crate::group::{Bucket, Group, Selection};
use crate::hash;
use crate::request::Error;
use crate::state::Port;
use crate::trace::Kind;

/// How far groups may watch groups that watch groups.
const MAX_LIVENESS_DEPTH: u32 = 128;

impl Context<'_> {
    /// Runs a group; false when there is none of this number.
    pub(super) fn group_action(&mut self, id: u32, last: bool) -> bool {
        if !self.may_resubmit() {
            return true;
        }
        let bridge = self.walk.bridge;
        let Some(group) = bridge.group(id) else {
            self.lost(DropReason::NoGroup).warning(|| format!("output to nonexistent group {id}"));
            return false;
        };
        match group.kind {
            GroupType::All | GroupType::Indirect => {
                for (index, bucket) in group.buckets.iter().enumerate() {
                    self.run_bucket(bucket, last && index + 1 == group.buckets.len());
                }
                self.out.effects.push(Effect::CountGroup { group: Arc::clone(group), bucket: None });
            }
            GroupType::Select | GroupType::FastFailover => {
                let chosen = match group.kind {
                    GroupType::FastFailover => self.first_live(group, 0),
                    GroupType::Select | GroupType::All | GroupType::Indirect => self.select(group),
                };
                if let Some((index, bucket)) =
                    chosen.and_then(|index| Some((index, group.buckets.get(index)?)))
                {
                    self.detail(|| format!("using bucket {}", bucket.desc.id));
                    self.run_bucket(bucket, last);
                    let group = Arc::clone(group);
                    self.out.effects.push(Effect::CountGroup { group, bucket: Some(index) });
                } else if self.course.freeze().is_none() {
                    self.lost(DropReason::NoGroup).detail(|| "no live bucket".to_owned());
                }
            }
        }
        true
    }

    /// A bucket works on a copy of the packet: nothing of what it does is seen behind the group.
    fn run_bucket(&mut self, bucket: &Bucket, last: bool) {
        self.out.record.open(Kind::Bucket, || format!("bucket {}", bucket.desc.id));
        let list = super::action_set::ordered(&bucket.desc.actions);
        let kept = (self.packet.key.clone(), self.packet.was_mpls);
        let kept_walk = self.walk.clone();
        self.walk.depth += 1;
        self.walk.list = self.walk.list.bucket();
        self.run_actions(&list, last);
        self.walk = kept_walk;
        self.finish_freezing();
        // What it pushed and what it wrote into the action set stays, as in the reference.
        (self.packet.key, self.packet.was_mpls) = kept;
        self.course = Course::On;
        // A fault of one bucket is not one of the others, unless it is a bound on the work itself.
        if matches!(self.out.error, Some(Error::TooManyMplsLabels)) {
            self.out.error = None;
        }
        self.out.record.close();
    }

    fn select(&mut self, group: &Group) -> Option<usize> {
        // What is under the labels is not in the key yet.
        if self.packet.was_mpls {
            self.begin_freezing();
            return None;
        }
        match &group.selection {
            Selection::Flow => {
                let basis = hash::symmetric_l4(&self.packet.key, &mut self.out.mask, 0);
                self.best_live(group, basis)
            }
            Selection::Fields => {
                let basis = self.hash_named_fields(group);
                self.best_live(group, basis)
            }
            Selection::Datapath { algorithm, basis, buckets } => {
                let value = self.packet.key.dp_hash();
                // A hash is never zero: zero means that there is none yet. Which of
                // the two it is, the number of the frozen state tells, not the mask.
                if value == 0 {
                    self.begin_freezing();
                    if let Some(freeze) = self.course.freeze() {
                        freeze.hash = Some((*algorithm, *basis));
                    }
                    self.detail(|| "selection method in use: dp_hash, recirculating".to_owned());
                    return None;
                }
                let bits = (buckets.len() - 1) as u32;
                self.out.mask.add(flow::slot::DP_HASH, bits.into());
                (0..=bits)
                    .map(|step| buckets[(value.wrapping_add(step) & bits) as usize] as usize)
                    .find(|&index| group.buckets.get(index).is_some_and(|b| self.is_live(group, b, 0)))
            }
        }
    }

    fn hash_named_fields(&mut self, group: &Group) -> u32 {
        let mut hash = hash::of_value(0, group.properties.selection_method_param.into());
        for (field, bits) in &group.properties.fields {
            if field.info().prereq.met_by(&self.packet.key, Some(&mut self.out.mask)) {
                hash = hash::of_value(hash, field.read(&self.packet.key) & bits);
                field.add_bits_to_mask(&mut self.out.mask, *bits);
            }
        }
        hash
    }

    /// The live bucket with the highest score: a hash that is as evenly spread as weights ask for.
    fn best_live(&mut self, group: &Group, basis: u32) -> Option<usize> {
        let mut best: Option<(usize, u32)> = None;
        for (index, bucket) in group.buckets.iter().enumerate() {
            if !self.is_live(group, bucket, 0) {
                self.report_dead(bucket);
                continue;
            }
            let score = (hash::of_pair(bucket.desc.id, basis) & 0xffff) * u32::from(bucket.desc.weight);
            if best.is_none_or(|(_, highest)| score >= highest) {
                best = Some((index, score));
            }
            self.detail(|| format!("bucket {}: score {score}", bucket.desc.id));
        }
        best.map(|(index, _)| index)
    }

    fn first_live(&mut self, group: &Group, depth: u32) -> Option<usize> {
        for (index, bucket) in group.buckets.iter().enumerate() {
            if self.is_live(group, bucket, depth) {
                return Some(index);
            }
            self.report_dead(bucket);
        }
        None
    }

    fn is_live(&mut self, group: &Group, bucket: &Bucket, depth: u32) -> bool {
        if depth >= MAX_LIVENESS_DEPTH {
            self.fault(|| format!("bucket chaining exceeded {MAX_LIVENESS_DEPTH} links"));
            return false;
        }
        let desc = &bucket.desc;
        if group.kind == GroupType::Select && desc.weight == 0 {
            return false;
        }
        if desc.watch_port == OfPort::ANY && desc.watch_group == GROUP_ANY {
            return true;
        }
        let bridge = self.walk.bridge;
        let port_lives = match desc.watch_port {
            OfPort::ANY => false,
            OfPort::CONTROLLER => bridge.has_controller(),
            port => bridge.port(port).is_some_and(Port::is_live),
        };
        port_lives
            || desc.watch_group != GROUP_ANY
                && bridge
                    .group(desc.watch_group)
                    .is_some_and(|watched| self.first_live(watched, depth + 1).is_some())
    }

    fn report_dead(&mut self, bucket: &Bucket) {
        let desc = &bucket.desc;
        self.detail(|| {
            let mut reasons = Vec::new();
            if desc.watch_port != OfPort::ANY {
                reasons.push(format!("port {}", fields::format_port_plain(desc.watch_port)));
            }
            if desc.watch_group != GROUP_ANY {
                reasons.push(format!("port {}", desc.watch_group));
            }
            format!("bucket {}: not live due to {}", desc.id, reasons.join(" and "))
        });
    }
}
