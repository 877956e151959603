use super::*;
use serde_json::{Value, json};
use std::cell::Cell;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Default)]
struct State {
    kept: Vec<Responder>,
    count: u32,
}

fn registry() -> Registry<State> {
    let mut registry = Registry::new("x (Open vSwitch) 1");
    registry.add("count", "[STEP]", 0, 1, |state: &mut State, arguments| {
        let step = arguments.first().map_or(Ok(1), |a| a.parse::<u32>());
        state.count += step.map_err(|_| "bad step".to_owned())?;
        Ok(state.count.to_string())
    });
    registry.add_formatted("tell", "", 0, 0, |state: &mut State, _, format| {
        Ok(match format {
            Format::Json => Reply::Json(json!({ "count": state.count })),
            Format::Text => Reply::Text(format!("count: {}", state.count)),
        })
    });
    registry.add_deferred("wait", "", 0, 0, |state: &mut State, _, responder| state.kept.push(responder));
    registry
}

fn run(test: impl AsyncFn(&str)) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ctl").display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut server = Server::new(Some(&path), "x").await.unwrap();
        let (registry, mut state) = (registry(), State::default());
        let serve = async {
            loop {
                let request = server.next().await;
                let release = request.command == "count";
                registry.dispatch(&mut state, request);
                if release {
                    state.kept.drain(..).for_each(|r| r.reply(Ok("at last".into())));
                }
            }
        };
        tokio::select! {
            () = serve => {}
            () = test(&path) => {}
        }
    });
}

async fn ask(path: &str, command: &str, arguments: &[&str]) -> Result<Value, Value> {
    let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
    Client::connect(path).await.unwrap().transact(command, &arguments).await.unwrap()
}

#[test]
fn commands_run_or_say_why_not() {
    run(async |path| {
        assert_eq!(ask(path, "count", &["2"]).await, Ok(json!("2\n")));
        assert_eq!(ask(path, "count", &[]).await, Ok(json!("3\n")));
        assert_eq!(ask(path, "count", &["x"]).await, Err(json!("bad step\n")));
        assert_eq!(
            ask(path, "count", &["1", "2"]).await,
            Err(json!("\"count\" command takes at most 1 arguments\n"))
        );
        let unknown =
            "\"foo\" is not a valid command (use \"list-commands\" to see a list of valid commands)\n";
        assert_eq!(ask(path, "foo", &[]).await, Err(json!(unknown)));
        assert_eq!(ask(path, "version", &[]).await, Ok(json!("x (Open vSwitch) 1\n")));
        let list = "The available commands are:\n  count                   [STEP]\n  list-commands           \n  \
                    set-options             [--format text|json]\n  tell                    \n  \
                    version                 \n  wait                    \n";
        assert_eq!(ask(path, "list-commands", &[]).await, Ok(json!(list)));
    });
}

#[test]
fn an_answer_may_come_later_and_in_json() {
    run(async |path| {
        let mut waiting = Client::connect(path).await.unwrap();
        let format = ["--format".to_owned(), "json".to_owned()];
        assert_eq!(
            waiting.transact("set-options", &format).await.unwrap(),
            Ok(json!({"reply": "", "reply-format": "plain"}))
        );
        let wait = waiting.transact("wait", &[]);
        let release = async {
            // The second command finds the first one waiting, as commands are run in their order.
            ask(path, "count", &[]).await.unwrap();
            ask(path, "count", &[]).await.unwrap();
        };
        let (answer, ()) = tokio::join!(wait, release);
        assert_eq!(answer.unwrap(), Ok(json!({"reply": "at last", "reply-format": "plain"})));
    });
}

#[test]
fn a_command_may_answer_in_the_format_that_its_peer_chose() {
    run(async |path| {
        assert_eq!(ask(path, "tell", &[]).await, Ok(json!("count: 0\n")));
        let mut client = Client::connect(path).await.unwrap();
        let set = |format: &str| ["--format".to_owned(), format.to_owned()];
        client.transact("set-options", &set("json")).await.unwrap().unwrap();
        assert_eq!(client.transact("tell", &[]).await.unwrap(), Ok(json!({"count": 0})));
        let list = client.transact("list-commands", &[]).await.unwrap().unwrap();
        assert_eq!(list["count"], json!("[STEP]"));
        client.transact("set-options", &set("TEXT")).await.unwrap().unwrap();
        assert_eq!(client.transact("tell", &[]).await.unwrap(), Ok(json!("count: 0\n")));
        assert_eq!(
            client.transact("set-options", &set("xml")).await.unwrap(),
            Err(json!("option format has invalid value xml\n"))
        );
    });
}

#[test]
fn a_request_that_is_no_text_is_refused_and_the_next_one_served() {
    run(async |path| {
        let mut stream = tokio::net::UnixStream::connect(path).await.unwrap();
        stream.write_all(b"{\"method\":\"count\",\"params\":[\"\xff\"],\"id\":7}").await.unwrap();
        stream.write_all(b"{\"method\":\"count\",\"params\":[],\"id\":8}").await.unwrap();
        let mut scanner = crate::framing::Scanner::new(1 << 16);
        let mut replies = Vec::new();
        while replies.len() < 2 {
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).await.unwrap();
            assert_ne!(n, 0, "the connection is kept");
            scanner.push(&bytes[..n]);
            while let Some(value) = scanner.next_value().unwrap() {
                replies.push(crate::message::Message::decode(value).unwrap());
            }
        }
        let error = json!("request refused: line 0, column 29, byte 29: not valid UTF-8");
        assert_eq!(replies[0], crate::message::Message::Error { error, id: json!(7) });
        assert_eq!(replies[1], crate::message::Message::Reply { result: json!("1\n"), id: json!(8) });
    });
}

/// Counts what a server is asked for: its peers ask for as long an answer as they like.
async fn serve_lengths(server: &mut Server, served: &Cell<usize>) {
    loop {
        let Request { arguments, responder, .. } = server.next().await;
        served.set(served.get() + 1);
        responder.reply(Ok("x".repeat(arguments[0].parse().unwrap())));
    }
}

fn lengths(count: usize, length: usize) -> String {
    (0..count).map(|id| format!("{{\"id\":{id},\"method\":\"x\",\"params\":[\"{length}\"]}}")).collect()
}

#[test]
fn a_peer_that_does_not_take_its_answers_is_not_read_from() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ctl").display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut server = Server::new(Some(&path), "x").await.unwrap();
        let served = Cell::new(0);
        const ANSWER: usize = 50_000;
        let mut deaf = tokio::net::UnixStream::connect(&path).await.unwrap();
        deaf.write_all(lengths(1000, ANSWER).as_bytes()).await.unwrap();
        let others = async {
            for _ in 0..100 {
                assert!(ask(&path, "x", &["1"]).await.is_ok());
            }
        };
        tokio::select! {
            () = serve_lengths(&mut server, &served) => {}
            () = others => {}
        }
        // What the kernel took, and one more.
        assert!(served.get() < 150, "{}", served.get());
        // A program that ends does not wait for it for ever.
        assert!(tokio::time::timeout(Duration::from_secs(60), server.flush()).await.is_ok());
        let reading = async {
            let mut answers = 0;
            let mut bytes = vec![0; 1 << 16];
            while answers < 1000 {
                let count = deaf.read(&mut bytes).await.unwrap();
                answers += bytes[..count].iter().filter(|byte| **byte == b'}').count();
            }
        };
        tokio::select! {
            () = serve_lengths(&mut server, &served) => {}
            () = reading => {}
        }
        assert_eq!(served.get(), 1100);
    });
}

#[test]
fn a_peer_that_asks_without_end_leaves_turns_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ctl").display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut server = Server::new(Some(&path), "x").await.unwrap();
        let served = Cell::new(0);
        let mut greedy = tokio::net::UnixStream::connect(&path).await.unwrap();
        greedy.write_all(lengths(1000, 1).as_bytes()).await.unwrap();
        tokio::select! {
            () = serve_lengths(&mut server, &served) => {}
            answer = ask(&path, "x", &["1"]) => assert!(answer.is_ok()),
        }
        assert!(served.get() < 500, "{}", served.get());
    });
}
