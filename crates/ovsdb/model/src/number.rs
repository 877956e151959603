//! Numbers as the reference reads and prints them.

use serde_json::{Number, Value};

/// A JSON number: whole ones that fit 64 bits are integers however they are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Num {
    /// A number without fraction that fits.
    Integer(i64),
    /// Any other number.
    Real(f64),
}

/// What kind of number this is; `None` when it is beyond any double.
pub fn classify(number: &Number) -> Option<Num> {
    let text = number.as_str();
    if let Ok(integer) = text.parse() {
        return Some(Num::Integer(integer));
    }
    let real: f64 = text.parse().ok()?;
    if !real.is_finite() {
        return None;
    }
    let whole = real as i64;
    if real.fract() == 0.0 && real.abs() < 9_223_372_036_854_775_808.0 {
        return Some(Num::Integer(whole));
    }
    Some(Num::Real(real))
}

/// The integer that a JSON value is, if it is one.
pub fn integer(json: &Value) -> Option<i64> {
    match json {
        Value::Number(n) => match classify(n)? {
            Num::Integer(i) => Some(i),
            Num::Real(_) => None,
        },
        _ => None,
    }
}

/// A real as C's "%.15g" prints it.
pub fn real_text(value: f64) -> String {
    const DIGITS: usize = 15;
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".to_owned() } else { "0".to_owned() };
    }
    if !value.is_finite() {
        return format!("{value}").to_lowercase();
    }
    let scientific = format!("{value:.*e}", DIGITS - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= DIGITS as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(DIGITS as i32 - 1 - exponent).unwrap_or(0);
    trim_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A real as a JSON number.
pub fn real_json(value: f64) -> Value {
    // The text of a finite number is JSON; others cannot be stored.
    real_text(value).parse::<Number>().map_or(Value::Null, Value::Number)
}
