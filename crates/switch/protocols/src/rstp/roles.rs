//! The port role transitions machine (clause 17.29): when a port may learn and forward in its role.

use super::port::Port;
use super::{Env, MIGRATE, Role, Wish};

impl Port {
    pub(super) fn change_role(&mut self, env: &Env, wish: &mut Wish) -> bool {
        if !self.selected || self.updt_info {
            return false;
        }
        if self.role != self.selected_role {
            self.take_role();
            return true;
        }
        if self.is_stopping {
            if self.learning || self.forwarding {
                return false;
            }
            self.is_stopping = false;
            self.rest();
            return true;
        }
        match self.role {
            Role::Disabled => self.stay_disabled(),
            Role::Root => self.be_root(env, wish),
            Role::Designated => self.be_designated(),
            Role::Alternate | Role::Backup => self.be_alternate(env, wish),
        }
    }

    fn take_role(&mut self) {
        self.role = self.selected_role;
        match self.role {
            Role::Root => self.rr_while = self.fwd_delay(),
            Role::Designated => {}
            Role::Alternate | Role::Backup | Role::Disabled => {
                (self.learn, self.forward) = (false, false);
                self.is_stopping = true;
                return;
            }
        }
        self.is_stopping = false;
    }

    /// What a port is that does not forward: nobody has to wait for it.
    fn rest(&mut self) {
        self.fd_while = self.resting_delay();
        self.synced = true;
        self.rr_while = 0;
        (self.sync, self.re_root) = (false, false);
    }

    fn resting_delay(&self) -> u16 {
        if self.role == Role::Disabled { self.designated_times.max_age } else { self.fwd_delay() }
    }

    fn is_restless(&self) -> bool {
        self.fd_while != self.resting_delay() || self.sync || self.re_root || !self.synced
    }

    fn stay_disabled(&mut self) -> bool {
        let is_restless = self.is_restless();
        if is_restless {
            self.rest();
        }
        is_restless
    }

    fn be_root(&mut self, env: &Env, wish: &mut Wish) -> bool {
        let may_move = self.fd_while == 0 || env.is_rapid && env.re_rooted && self.rb_while == 0;
        if self.rr_while != self.fwd_delay() {
            self.rr_while = self.fwd_delay();
        } else if self.re_root && self.forward {
            self.re_root = false;
        } else if may_move && !self.learn {
            self.fd_while = self.forward_delay();
            self.learn = true;
        } else if may_move && !self.forward {
            self.fd_while = 0;
            self.forward = true;
        } else if self.proposed && !self.agree {
            wish.sync = true;
            self.proposed = false;
        } else if env.all_synced && !self.agree || self.proposed && self.agree {
            (self.proposed, self.sync) = (false, false);
            (self.agree, self.new_info) = (true, true);
        } else if !self.forward && !self.re_root {
            wish.re_root = true;
        } else {
            return false;
        }
        true
    }

    fn be_designated(&mut self) -> bool {
        let is_retiring = self.re_root && self.rr_while != 0;
        let must_stop = self.sync && !self.synced || is_retiring || self.disputed;
        let may_move = (self.fd_while == 0 || self.agreed || self.oper_edge) && !is_retiring && !self.sync;
        let is_still = !self.learning && !self.forwarding;
        if must_stop && !self.oper_edge && (self.learn || self.forward) {
            (self.learn, self.forward, self.disputed) = (false, false, false);
            self.fd_while = self.forward_delay();
        } else if may_move && !self.learn {
            self.learn = true;
            self.fd_while = self.forward_delay();
        } else if may_move && !self.forward {
            self.forward = true;
            self.fd_while = 0;
            self.agreed = self.send_rstp;
        } else if !self.forward && !self.agreed && !self.proposing && !self.oper_edge {
            self.proposing = true;
            self.edge_delay_while = self.edge_delay();
            self.new_info = true;
        } else if !self.synced && (is_still || self.agreed || self.oper_edge) || self.sync && self.synced {
            self.rr_while = 0;
            self.synced = true;
            self.sync = false;
        } else if self.re_root && self.rr_while == 0 {
            self.re_root = false;
        } else {
            return false;
        }
        true
    }

    fn be_alternate(&mut self, env: &Env, wish: &mut Wish) -> bool {
        let backup_delay = 2 * self.designated_times.hello;
        if self.role == Role::Backup && self.rb_while != backup_delay {
            self.rb_while = backup_delay;
        } else if self.is_restless() {
            self.rest();
        } else if self.proposed && !self.agree {
            wish.sync = true;
            self.proposed = false;
        } else if env.all_synced && !self.agree || self.proposed && self.agree {
            self.proposed = false;
            (self.agree, self.new_info) = (true, true);
        } else {
            return false;
        }
        true
    }

    /// FwdDelay.
    fn fwd_delay(&self) -> u16 {
        self.designated_times.forward_delay
    }

    /// forwardDelay: neighbours of the rapid protocol object within a hello time.
    fn forward_delay(&self) -> u16 {
        if self.send_rstp { self.designated_times.hello } else { self.fwd_delay() }
    }

    /// EdgeDelay.
    fn edge_delay(&self) -> u16 {
        if self.is_point_to_point() { MIGRATE } else { self.designated_times.max_age }
    }
}
