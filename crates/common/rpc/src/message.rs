//! JSON-RPC 1.0 messages (RFC 7047 §4) and their JSON form.

use std::fmt;

use serde_json::{Map, Value};

/// One message, of one of the four shapes that JSON-RPC 1.0 has.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Request { method: String, params: Vec<Value>, id: Value },
    Notify { method: String, params: Vec<Value> },
    Reply { result: Value, id: Value },
    Error { error: Value, id: Value },
}

/// The JSON is none of the four shapes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidMessage(String);

/// As the log has it: the kind, and what the message has.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Message::Request { method, params, id } => {
                write!(f, ", method=\"{method}\", params={}, id={id}", List(params))
            }
            Message::Notify { method, params } => write!(f, ", method=\"{method}\", params={}", List(params)),
            Message::Reply { result, id } => write!(f, ", result={result}, id={id}"),
            Message::Error { error, id } => write!(f, ", error={error}, id={id}"),
        }
    }
}

/// A list of values as JSON.
struct List<'a>(&'a [Value]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, value) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{value}")?;
        }
        f.write_str("]")
    }
}

impl Message {
    pub fn request(method: &str, params: Vec<Value>, id: impl Into<Value>) -> Message {
        Message::Request { method: method.to_owned(), params, id: id.into() }
    }

    pub fn notify(method: &str, params: Vec<Value>) -> Message {
        Message::Notify { method: method.to_owned(), params }
    }

    /// "request", "notification", "reply" or "error".
    pub fn kind(&self) -> &'static str {
        match self {
            Message::Request { .. } => "request",
            Message::Notify { .. } => "notification",
            Message::Reply { .. } => "reply",
            Message::Error { .. } => "error",
        }
    }

    /// The compact JSON text.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(256);
        match self {
            Message::Request { method, params, id } => request(&mut text, method, params, id),
            Message::Notify { method, params } => request(&mut text, method, params, &Value::Null),
            Message::Reply { result, id } => {
                write_value(&mut text, b"{\"id\":", id);
                write_value(&mut text, b",\"result\":", result);
                text.extend_from_slice(b",\"error\":null}");
            }
            Message::Error { error, id } => {
                write_value(&mut text, b"{\"id\":", id);
                write_value(&mut text, b",\"result\":null,\"error\":", error);
                text.push(b'}');
            }
        }
        text
    }

    /// From the JSON of one message.
    pub fn from_json(json: Value) -> Result<Message, InvalidMessage> {
        let Value::Object(mut object) = json else {
            return Err(InvalidMessage("message is not a JSON object".to_owned()));
        };
        let method = match object.swap_remove("method") {
            None => None,
            Some(Value::String(method)) => Some(method),
            Some(_) => return Err(InvalidMessage("method is not a JSON string".to_owned())),
        };
        let params = take(&mut object, "params");
        let result = take(&mut object, "result");
        let error = take(&mut object, "error");
        let id = take(&mut object, "id");
        if let Some((name, _)) = object.iter().next() {
            return Err(InvalidMessage(format!("message has unexpected member \"{name}\"")));
        }
        let params = match params {
            None => None,
            Some(Value::Array(params)) => Some(params),
            Some(_) => return Err(InvalidMessage("\"params\" must be JSON array".to_owned())),
        };
        shape(method, params, result, error, id)
    }

    /// From the bytes of one message.
    pub fn decode(bytes: &[u8]) -> Result<Message, InvalidMessage> {
        let json = base::json::parse(bytes).map_err(|e| InvalidMessage(e.to_string()))?;
        Message::from_json(json)
    }
}

impl Message {
    /// The answer to a request whose bytes are no text; `None` when they are no request at all.
    pub(crate) fn refusal_of_bytes(bytes: &[u8], error: &InvalidMessage) -> Option<Message> {
        if std::str::from_utf8(bytes).is_ok() {
            return None;
        }
        // Replaced bytes serve only to find whom to answer.
        let json = base::json::parse(String::from_utf8_lossy(bytes).as_bytes()).ok()?;
        match Message::from_json(json) {
            Ok(Message::Request { id, .. }) => {
                Some(Message::Error { error: Value::from(format!("request refused: {error}")), id })
            }
            _ => None,
        }
    }
}

fn request(text: &mut Vec<u8>, method: &str, params: &[Value], id: &Value) {
    write_value(text, b"{\"id\":", id);
    write_value(text, b",\"method\":", method);
    write_value(text, b",\"params\":", params);
    text.push(b'}');
}

fn write_value<T: serde::Serialize + ?Sized>(text: &mut Vec<u8>, before: &[u8], value: &T) {
    text.extend_from_slice(before);
    // Neither writing to a vector nor the text of a value can fail.
    let _ = serde_json::to_writer(text, value);
}

/// A member, where null means that it is absent.
fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    object.swap_remove(name).filter(|v| !v.is_null())
}

fn shape(
    method: Option<String>,
    params: Option<Vec<Value>>,
    result: Option<Value>,
    error: Option<Value>,
    id: Option<Value>,
) -> Result<Message, InvalidMessage> {
    let (kind, pattern) = if result.is_some() {
        ("reply", [false, false, true, false, true])
    } else if error.is_some() {
        ("error", [false, false, false, true, true])
    } else if id.is_some() {
        ("request", [true, true, false, false, true])
    } else {
        ("notification", [true, true, false, false, false])
    };
    let present = [method.is_some(), params.is_some(), result.is_some(), error.is_some(), id.is_some()];
    for (i, name) in ["method", "params", "result", "error", "id"].into_iter().enumerate() {
        let (expected, found) = (pattern.get(i), present.get(i));
        if expected != found {
            let not = if expected == Some(&true) { "" } else { " not" };
            return Err(InvalidMessage(format!("{kind} must{not} have \"{name}\"")));
        }
    }
    Ok(match (method, params, result, error, id) {
        (_, _, Some(result), _, Some(id)) => Message::Reply { result, id },
        (_, _, _, Some(error), Some(id)) => Message::Error { error, id },
        (Some(method), Some(params), _, _, Some(id)) => Message::Request { method, params, id },
        (Some(method), Some(params), ..) => Message::Notify { method, params },
        _ => return Err(InvalidMessage(format!("{kind} is incomplete"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_four_shapes_survive_encoding() {
        for message in [
            Message::request("echo", vec![json!("x"), json!({"a": 1})], 7),
            Message::notify("update", vec![]),
            Message::Reply { result: json!([]), id: json!("echo") },
            Message::Error { error: json!("no"), id: json!(1) },
        ] {
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn the_log_shows_what_a_message_has() {
        for (message, expected) in [
            (
                Message::request("echo", vec![json!("x"), json!({"a": 1})], 7),
                r#"request, method="echo", params=["x",{"a":1}], id=7"#,
            ),
            (Message::notify("update", vec![]), r#"notification, method="update", params=[]"#),
            (Message::Reply { result: json!([]), id: json!("echo") }, r#"reply, result=[], id="echo""#),
            (Message::Error { error: json!("no"), id: json!(1) }, r#"error, error="no", id=1"#),
        ] {
            assert_eq!(message.to_string(), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_place() {
        let error = Message::decode(b"{\"method\":\"a\xffb\",\"params\":[],\"id\":1}").unwrap_err();
        assert_eq!(error.to_string(), "line 0, column 12, byte 12: not valid UTF-8");
    }

    #[test]
    fn other_shapes_are_told_apart() {
        for (text, expected) in [
            (r#"[]"#, "message is not a JSON object"),
            (r#"{"method":1}"#, "method is not a JSON string"),
            (r#"{"method":"a","params":{}}"#, "\"params\" must be JSON array"),
            (r#"{"id":1}"#, "request must have \"method\""),
            (r#"{"result":1,"params":[],"id":1}"#, "reply must not have \"params\""),
            (r#"{"method":"a","params":[],"x":1}"#, "message has unexpected member \"x\""),
        ] {
            assert_eq!(Message::decode(text.as_bytes()).unwrap_err().to_string(), expected);
        }
    }
}
