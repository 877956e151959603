//! `learn` and `fin_timeout`: actions that change rules.
//!
//! Translation adds no rule itself: it says in an effect which rule is to be
//! there, and whoever applies effects adds it, for this packet and again for
//! those that follow it.

use std::sync::Arc;

use base::OfPort;
use fields::{Match, Subfield};
use flow::slot;
use ofp::{
    Action, FinTimeout, FlowFlags, FlowMod, FlowModCommand, Learn, LearnDestination, LearnSource, Output,
    SetField, SetFieldForm,
};

use crate::context::Context;
use crate::effects::Effect;
use crate::trace::action_text;

impl Context<'_> {
    pub(super) fn learn(&mut self, learn: &Learn) {
        for spec in &learn.specs {
            if let LearnSource::Field(source) = spec.source {
                source.add_to_mask(&mut self.out.mask);
            }
        }
        if self.is_question() {
            return self.warning(|| "suppressing side effects, so learn action ignored".to_owned());
        }
        let rule = learned_rule(learn, &self.packet.key);
        self.detail(|| describe(&rule));
        let admitted = learn.limit == 0 || self.walk.bridge.may_learn(&rule, learn.limit);
        self.out.competes |= learn.limit != 0 && !self.walk.bridge.has_learned(&rule);
        if let Some(result) = learn.result {
            result.add_to_mask(&mut self.out.mask);
            result.write(&mut self.packet.key, admitted.into());
            self.packet.record_subfield(&mut self.out, result);
        }
        if admitted {
            self.out.effects.push(Effect::LearnRule {
                bridge: self.walk.bridge.id(),
                rule: Arc::new(rule),
                limit: learn.limit,
            });
        } else {
            self.detail(|| "Limit exceeded, learn failed".to_owned());
        }
    }

    pub(super) fn fin_timeout(&mut self, timeout: &FinTimeout) {
        self.out.mask.add_all(slot::NW_PROTO);
        if let Some(rule) = &self.walk.rule {
            self.out.effects.push(Effect::FinTimeout {
                bridge: self.walk.bridge.id(),
                rule: Arc::clone(rule),
                idle_s: timeout.idle,
                hard_s: timeout.hard,
            });
        }
    }
}

/// The rule that `learn` makes of a packet.
fn learned_rule(learn: &Learn, key: &flow::FlowKey) -> FlowMod {
    let mut rule = FlowMod::new(FlowModCommand::ModifyStrict);
    rule.priority = learn.priority;
    rule.new_cookie = learn.cookie;
    rule.modify_cookie = learn.cookie != u64::MAX;
    rule.table = learn.table;
    rule.idle_timeout = learn.idle_timeout;
    rule.hard_timeout = learn.hard_timeout;
    if learn.send_flow_rem {
        rule.flags.insert(FlowFlags::SEND_FLOW_REM);
    }
    if learn.fin_idle_timeout != 0 || learn.fin_hard_timeout != 0 {
        let timeout = FinTimeout { idle: learn.fin_idle_timeout, hard: learn.fin_hard_timeout };
        rule.actions.push(Action::FinTimeout(timeout));
    }
    let mut matching = Match::default();
    for spec in &learn.specs {
        let value = match spec.source {
            LearnSource::Field(source) => source.read(key),
            LearnSource::Immediate(value) => value,
        };
        match spec.destination {
            LearnDestination::Match(to) => {
                to.write_match(&mut matching, value);
                matching.add_ethernet_prereq(to.field);
            }
            LearnDestination::Load(to) => rule.actions.push(load(to, value)),
            LearnDestination::Output => {
                if let Some(port) = output_port(value) {
                    rule.actions.push(Action::Output(Output { port, max_len: 0 }));
                }
            }
        }
    }
    rule.m = matching;
    rule
}

fn load(to: Subfield, value: u128) -> Action {
    Action::SetField(Box::new(SetField {
        field: to.field,
        value: value << to.start,
        mask: to.field_mask(),
        form: SetFieldForm::Load,
        flow_has_vlan: false,
    }))
}

/// The port to send to, if the value is one that a rule may name.
fn output_port(value: u128) -> Option<OfPort> {
    let port = OfPort::from_u16(u16::try_from(value).ok()?);
    let allowed =
        port < OfPort::MAX || matches!(port, OfPort::IN_PORT | OfPort::FLOOD | OfPort::LOCAL | OfPort::ALL);
    allowed.then_some(port)
}

/// A learned rule as the trace shows it.
fn describe(rule: &FlowMod) -> String {
    let mut text = format!("table={} ", rule.table);
    rule.m.format(&mut text, None, 0x8000);
    text.truncate(text.trim_end().len());
    text.push_str(&format!(" priority={}", rule.priority));
    if rule.new_cookie != 0 {
        text.push_str(&format!(" cookie={:#x}", rule.new_cookie));
    }
    for (name, seconds) in [("idle", rule.idle_timeout), ("hard", rule.hard_timeout)] {
        if seconds != 0 {
            text.push_str(&format!(" {name}={seconds}"));
        }
    }
    if rule.flags.contains(FlowFlags::SEND_FLOW_REM) {
        text.push_str(" send_flow_rem");
    }
    text.push_str(" actions=");
    text.push_str(&action_text(&rule.actions));
    text
}
