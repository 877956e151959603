//! `dpctl/*` about texts alone, and about what datapaths do not have.

use super::super::flow_lines::Style;
use super::{Dpctl, Handler, MANY};

pub(super) fn register(add: &mut impl FnMut(&'static str, &'static str, usize, usize, Handler)) {
    add("dpctl/parse-actions", "actions", 1, MANY, parse_actions);
    add("dpctl/normalize-actions", "actions", 2, MANY, normalize_actions);
    add("dpctl/cache-get-size", "[dp]", 0, 1, cache_sizes);
    add("dpctl/cache-set-size", "dp cache <size>", 3, 3, set_cache_size);
}

fn parse_actions(_: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let parse = |text: &&str| match dp::text::parse_actions(text, None) {
        Ok(actions) => Ok(dp::text::format_actions(&actions, None) + "\n"),
        Err(_) => Err("odp_actions_from_string (Invalid argument)".to_owned()),
    };
    words.iter().map(parse).collect()
}

fn normalize_actions(_: &Dpctl, style: Style, words: &[&str]) -> Result<String, String> {
    let [flow, actions, names @ ..] = words else { return Err("flow and actions are missing".to_owned()) };
    let done = dp::text::normalize_actions(flow, actions, names, style.verbose);
    done.map(|text| text + "\n").map_err(|refusal| refusal.why)
}

/// Its caches have no sizes that somebody could want to know.
fn cache_sizes(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let known = match words.first() {
        Some(name) => vec![dpctl.open(name)?],
        None => dpctl.all(),
    };
    Ok(known.iter().map(|known| format!("{}:\n", known.name)).collect())
}

fn set_cache_size(dpctl: &Dpctl, _: Style, words: &[&str]) -> Result<String, String> {
    let [name, _, size] = words else { return Err("dp, cache and size are missing".to_owned()) };
    dpctl.open(name)?;
    if size.parse::<u32>().is_err() {
        return Err("size is malformed (Invalid argument)".to_owned());
    }
    Err("Setting caches not supported (Operation not supported)".to_owned())
}
