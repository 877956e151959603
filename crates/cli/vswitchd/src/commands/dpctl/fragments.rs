//! How fragments are put together before they are tracked.

use super::connections::{leading_number, open_for, tracker};
use super::{Dpctl, Handler, Known, Style};

pub(super) fn register(mut add: impl FnMut(&'static str, &'static str, usize, usize, Handler)) {
    add("dpctl/ipf-set-enabled", "[dp] v4|v6", 1, 2, |dpctl, _, words| enable(dpctl, words, true));
    add("dpctl/ipf-set-disabled", "[dp] v4|v6", 1, 2, |dpctl, _, words| enable(dpctl, words, false));
    add("dpctl/ipf-set-min-frag", "[dp] v4|v6 minfragment", 2, 3, set_min_size);
    add("dpctl/ipf-set-max-nfrags", "[dp] maxfrags", 1, 2, set_max);
    add("dpctl/ipf-get-status", "[dp]", 0, 1, show);
}

/// Whether a word means IPv6; only its first letters count.
fn is_v6(word: Option<&&str>) -> Option<bool> {
    let word = word?;
    if word.starts_with("v6") { Some(true) } else { word.starts_with("v4").then_some(false) }
}

fn enable(dpctl: &Dpctl, words: &[&str], is_enabled: bool) -> Result<String, String> {
    let (Known { datapath, .. }, rest) = open_for(dpctl, words, 1)?;
    let is_v6 =
        is_v6(rest.last()).ok_or("parameter missing: 'v4' for IPv4 or 'v6' for IPv6 (Invalid argument)")?;
    tracker(&*datapath)?.fragments.set_enabled(is_v6, is_enabled);
    let done = if is_enabled { "enabling" } else { "disabling" };
    Ok(format!("{done} fragmentation reassembly successful"))
}

fn set_min_size(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (Known { datapath, .. }, rest) = open_for(dpctl, words, 2)?;
    let version = rest.len().checked_sub(2).and_then(|index| rest.get(index));
    let is_v6 = is_v6(version).ok_or("parameter missing: v4 for IPv4 or v6 for IPv6 (Invalid argument)")?;
    let bytes = rest.last().and_then(|word| leading_number(word));
    let bytes = bytes.ok_or("parameter missing for minimum fragment size (Invalid argument)")?;
    if tracker(&*datapath)?.fragments.set_min_size(is_v6, bytes) {
        Ok("setting minimum fragment size successful".to_owned())
    } else {
        // The reference shows its 1 as an error of the system.
        Err("requested minimum fragment size too small; see documentation (Operation not permitted)"
            .to_owned())
    }
}

fn set_max(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let (Known { datapath, .. }, rest) = open_for(dpctl, words, 1)?;
    let max = rest.last().and_then(|word| leading_number(word));
    let max = max.ok_or("parameter missing for maximum fragments (Invalid argument)")?;
    if tracker(&*datapath)?.fragments.set_max(max) {
        Ok("setting maximum fragments successful".to_owned())
    } else {
        Err("setting maximum fragments failed (Operation not permitted)".to_owned())
    }
}

fn show(dpctl: &Dpctl, style: Style, words: &[&str]) -> Result<String, String> {
    let (Known { datapath, .. }, _) = open_for(dpctl, words, 0)?;
    let mut out = tracker(&*datapath)?.fragments.show();
    if style.verbose {
        out.push_str("\n        Fragment Lists:\n\n");
        out.push_str(&datapath.waiting_fragments());
    }
    Ok(out)
}
