//! `transact` and `query`.

use super::connect::{ask, open, send_change_aware};
use super::schema::print_json;
use super::{Invocation, Needs};
use crate::shared::{Result, parse_json};
use model::Json;
use serde_json::json;

pub(crate) async fn run(invocation: &Invocation, mut daemon: rpc::daemon::Daemon) -> Result<()> {
    let is_query = invocation.command.name == "query";
    let text = invocation.words.last().map_or("", String::as_str);
    let json = parse_json(text)?;
    let invalid = || "not a valid OVSDB query".to_owned();
    let Json::Array(mut operations) = json else { return Err(invalid().into()) };
    let Some(database) = operations.first().and_then(Json::as_str).map(str::to_owned) else {
        return Err(invalid().into());
    };
    if is_query {
        operations.push(json!({"op": "abort"}));
    }
    let n = operations.len() - 1;
    let words = invocation.words.clone();
    let mut connected = open(invocation, words, 1, Needs::Database, Some(&database)).await?;
    if invocation.options.change_aware == Some(true) {
        send_change_aware(&mut connected.connection, Some(true)).await?;
    }
    daemon.complete().map_err(|e| e.to_string())?;
    let mut result = ask(&mut connected.connection, "transact", operations).await?;
    if is_query
        && let Some(results) = result.as_array_mut()
        && results.len() == n
        && results.last().and_then(|r| r.get("error")).and_then(Json::as_str) == Some("aborted")
    {
        results.pop();
    }
    print_json(&result, &invocation.options);
    Ok(())
}
