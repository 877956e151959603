//! Crashes: whatever is killed at whatever moment, what was acknowledged is
//! there afterwards, and the switch forwards again with the same numbers.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use end_to_end::{Programs, Switch, World, can_run, until};

use crate::Pair;

/// How often each daemon is killed.
const KILLS: u32 = 50;

#[test]
fn every_acknowledged_transaction_survives() {
    if !can_run() {
        return;
    }
    let world = World::new();
    let host = world.host("sw");
    let mut switch = Switch::start(&world, &host, "sw", Programs::Ours);
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        // A client writes as fast as it can until the server is gone.
        let mut client = switch
            .host
            .command("sh")
            .args(["-c", &writer_script(&switch, round)])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(client.stdout.take().unwrap()).lines().map_while(Result::ok);
        // However long it takes until the first one is through.
        acknowledged.push(said.next().expect("an acknowledged transaction"));
        let moment = Instant::now() + Duration::from_millis(u64::from(round * 13 % 180));
        while Instant::now() < moment {
            std::thread::yield_now();
        }
        switch.kill_database();
        let _ = client.kill();
        client.wait().unwrap();
        acknowledged.extend(said);
        switch.start_database();
        let ids = switch.ctl("ovs-vsctl", "--no-wait get Open_vSwitch . external_ids").ok();
        for id in &acknowledged {
            assert!(
                ids.contains(&format!("{id}=")),
                "round {round}: {id} was acknowledged and is lost: {ids}"
            );
        }
    }
}

/// Sets one key after the other and says so, each time with a reply waited for.
fn writer_script(switch: &Switch, round: u32) -> String {
    let vsctl = Programs::Ours.path("ovs-vsctl");
    let socket = switch.dir.join("db.sock");
    format!(
        "n=0; while :; do {} --db=unix:{} --no-wait --timeout=60 set Open_vSwitch . external_ids:k{round}-$n=1 && echo k{round}-$n || exit; n=$((n+1)); done",
        vsctl.display(),
        socket.display()
    )
}

#[test]
fn the_switch_forwards_again_with_the_same_numbers() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new();
    let numbers = |pair: &Pair| {
        ["ovsbr0", "pa", "pb"].map(|name| pair.switch.vsctl(&format!("get interface {name} ofport")))
    };
    let before = numbers(&pair);
    for round in 0..KILLS {
        let mut load = pair
            .a
            .command("ping")
            .args(["-q", "-i", "0.002", "-c", "100", "10.1.0.2"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let moment = Instant::now() + Duration::from_millis(u64::from(round * 17 % 120));
        while Instant::now() < moment {
            std::thread::yield_now();
        }
        pair.switch.kill_daemon();
        pair.switch.start_daemon();
        load.kill().unwrap();
        load.wait().unwrap();
        until("packets pass again", || pair.a.is_answered("10.1.0.2"));
    }
    assert_eq!(numbers(&pair), before);
    assert!(pair.switch.is_alive());
}
