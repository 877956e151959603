//! `lock`, `steal`, `unlock`: holding a lock, and telling what happens to it.

use super::PROGRAM;
use super::options::Options;
use super::schema::print_json;
use crate::shared::{Result, Stop};
use model::Json;
use rpc::unixctl::{Registry, Server};
use rpc::{Connection, Message, error_text};
use std::io::Write;

/// What control commands change.
#[derive(Default)]
struct State {
    exiting: bool,
    requests: Vec<(String, String)>,
}

pub(crate) async fn run(
    mut connection: Connection,
    method: &str,
    words: &[String],
    options: &Options,
    mut daemon: rpc::daemon::Daemon,
) -> Result<()> {
    let path = if options.daemon.detach { None } else { Some("none") };
    let mut unixctl = Server::new(path, PROGRAM)
        .await
        .map_err(|e| format!("failed to create unixctl server ({})", error_text(&e)))?;
    let mut registry = Registry::new(&rpc::version_text(PROGRAM));
    registry.add_log_commands();
    for name in ["lock", "steal", "unlock"] {
        registry.add(name, "LOCK", 1, 1, move |state: &mut State, args| {
            state.requests.extend(args.first().map(|lock| (name.to_owned(), lock.clone())));
            Ok(String::new())
        });
    }
    registry.add("exit", "", 0, 0, |state, _| {
        state.exiting = true;
        Ok(String::new())
    });
    let mut state = State::default();
    state.requests.extend(words.first().map(|lock| (method.to_owned(), lock.clone())));
    let mut next_id = 0;
    while !state.exiting {
        for (method, lock) in state.requests.drain(..) {
            connection.send(&Message::request(&method, vec![Json::from(lock)], next_id));
            next_id += 1;
        }
        tokio::select! {
            request = unixctl.next() => registry.dispatch(&mut state, request),
            message = connection.receive() => {
                let message = message.map_err(|e| match options.daemon.detach {
                    // The output of a detached process is what happens to the lock, and nothing else.
                    true => Stop::Exit(1),
                    false => Stop::Fail(format!("{}: receive failed ({})", connection.name(), error_text(&e))),
                })?;
                match message {
                    Message::Request { method, params, id } if method == "echo" => {
                        connection.send(&Message::Reply { result: params.into(), id });
                    }
                    Message::Reply { result, .. } => {
                        print_json(&result, options);
                        daemon.complete().map_err(|e| e.to_string())?;
                    }
                    Message::Notify { method, params } => {
                        println!("{method}");
                        print_json(&Json::Array(params), options);
                    }
                    Message::Error { error, .. } => print_json(&error, options),
                    Message::Request { .. } => {}
                }
                // Who reads the output wants it now.
                let _ = std::io::stdout().flush();
            }
        }
    }
    unixctl.flush().await;
    Ok(())
}
