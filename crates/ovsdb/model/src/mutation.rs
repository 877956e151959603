//! Changes that depend on what is there (RFC 7047 §5.1 `<mutation>`).

use crate::atom::Atom;
use crate::datum::Datum;
use crate::error::Error;
use crate::schema::TableSchema;
use crate::symbols::Symbols;
use crate::types::{AtomType, BaseType, Type};
use serde_json::Value;

/// What is done to a column (RFC 7047 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutator {
    /// `+=`, to each number.
    Add,
    /// `-=`, from each number.
    Subtract,
    /// `*=`, each number.
    Multiply,
    /// `/=`, each number.
    Divide,
    /// `%=`, each integer.
    Remainder,
    /// `insert`: what a set or map lacks of the argument is added.
    Insert,
    /// `delete`: what a set or map has of the argument is removed.
    Delete,
}

impl Mutator {
    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Mutator::Add => "+=",
            Mutator::Subtract => "-=",
            Mutator::Multiply => "*=",
            Mutator::Divide => "/=",
            Mutator::Remainder => "%=",
            Mutator::Insert => "insert",
            Mutator::Delete => "delete",
        }
    }

    fn from_name(name: &str) -> Result<Mutator, Error> {
        use Mutator::*;
        [Add, Subtract, Multiply, Divide, Remainder, Insert, Delete]
            .into_iter()
            .find(|m| m.name() == name)
            .ok_or_else(|| Error::new("unknown mutator", format!("No mutator named {name}.")))
    }
}

/// One change of one column; its number is that of the table's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// The number of the column.
    pub column: usize,
    /// What is done.
    pub mutator: Mutator,
    /// With what.
    pub argument: Datum,
}

impl Mutation {
    /// Reads a `<mutation>` (RFC 7047 §5.1).
    pub fn from_json(
        json: &Value,
        table: &TableSchema,
        symbols: Option<&mut Symbols>,
    ) -> Result<Mutation, Error> {
        let Some([Value::String(name), Value::String(mutator), argument]) =
            json.as_array().map(Vec::as_slice)
        else {
            return Err(Error::syntax(json, "Parse error in mutation."));
        };
        let column = table.column(name).ok_or_else(|| {
            Error::new("unknown column", format!("No column {name} in table {}.", table.name)).about(json)
        })?;
        if !column.mutable {
            let message = format!("Cannot mutate immutable column {name} in table {}.", table.name);
            return Err(Error::constraint(message).about(json));
        }
        let mutator = Mutator::from_name(mutator)?;
        let argument = parse_argument(mutator, &column.r#type, argument, symbols).ok_or_else(|| {
            Error::syntax(
                json,
                format!(
                    "Type mismatch: \"{}\" operator may not be applied to column {} of type {}.",
                    mutator.name(),
                    column.name,
                    column.r#type.to_english()
                ),
            )
        })??;
        Ok(Mutation { column: column.index, mutator, argument })
    }

    /// Changes the value of a column of that type.
    pub fn apply(&self, value: &mut Datum, r#type: &Type) -> Result<(), Error> {
        match self.mutator {
            Mutator::Insert => value.insert_all(&self.argument),
            Mutator::Delete => value.remove_all(&self.argument),
            arithmetic => {
                let Some(operand) = self.argument.one() else {
                    return Err(Error::general("Operation not supported."));
                };
                return compute(arithmetic, value, operand, &r#type.key);
            }
        }
        if !value.conforms_to(r#type) {
            return Err(Error::constraint(format!(
                "Attempted to store {} elements in {}.",
                value.len(),
                r#type.to_english()
            )));
        }
        Ok(())
    }
}

/// `None` when the mutator does not fit the column.
fn parse_argument(
    mutator: Mutator,
    declared: &Type,
    json: &Value,
    mut symbols: Option<&mut Symbols>,
) -> Option<Result<Datum, Error>> {
    let mut r#type = declared.clone();
    match mutator {
        Mutator::Insert | Mutator::Delete => {
            if declared.is_scalar() {
                return None;
            }
            r#type.min = 0;
            if mutator == Mutator::Insert {
                return Some(Datum::from_json(json, &r#type, symbols));
            }
            r#type.max = u32::MAX;
            let argument = Datum::from_json(json, &r#type, symbols.as_deref_mut());
            if argument.is_err() && declared.is_map() {
                // Keys alone may say what to delete from a map.
                r#type.value = None;
                return Some(Datum::from_json(json, &r#type, symbols));
            }
            Some(argument)
        }
        arithmetic => {
            let kind = declared.key.kind;
            let number = matches!(kind, AtomType::Integer | AtomType::Real);
            if declared.is_map() || !number || (arithmetic == Mutator::Remainder && kind == AtomType::Real) {
                return None;
            }
            let scalar = Type { key: BaseType::plain(kind), value: None, min: 1, max: 1 };
            Some(Datum::from_json(json, &scalar, symbols))
        }
    }
}

fn compute(mutator: Mutator, value: &mut Datum, operand: &Atom, base: &BaseType) -> Result<(), Error> {
    let mut results = Vec::with_capacity(value.len());
    for atom in value.atoms() {
        let result = match (atom, operand) {
            (Atom::Integer(x), Atom::Integer(y)) => integer(mutator, *x, *y).map(Atom::Integer),
            (Atom::Real(x), Atom::Real(y)) => real(mutator, *x, *y).map(Atom::from),
            _ => Err(Error::general("Operation not supported.")),
        };
        results.push(result?);
    }
    for result in &results {
        result.check(base)?;
    }
    let n = results.len();
    *value = Datum::set(results);
    if value.len() < n {
        let name = mutator.name();
        return Err(Error::constraint(format!("Result of \"{name}\" operation contains duplicates.")));
    }
    Ok(())
}

fn out_of_range(mutator: Mutator) -> Error {
    let name = mutator.name();
    Error::new("range error", format!("Result of \"{name}\" operation is out of range."))
}

fn division_by_zero() -> Error {
    Error::new("domain error", "Division by zero.")
}

fn integer(mutator: Mutator, x: i64, y: i64) -> Result<i64, Error> {
    let result = match mutator {
        Mutator::Add => x.checked_add(y),
        Mutator::Subtract => x.checked_sub(y),
        Mutator::Multiply => x.checked_mul(y),
        Mutator::Divide if y != 0 => x.checked_div(y),
        Mutator::Remainder if y != 0 => x.checked_rem(y),
        _ => return Err(division_by_zero()),
    };
    result.ok_or_else(|| out_of_range(mutator))
}

fn real(mutator: Mutator, x: f64, y: f64) -> Result<f64, Error> {
    let result = match mutator {
        Mutator::Add => x + y,
        Mutator::Subtract => x - y,
        Mutator::Multiply => x * y,
        Mutator::Divide if y != 0.0 => x / y,
        Mutator::Divide => return Err(division_by_zero()),
        _ => return Err(Error::general("Operation not supported.")),
    };
    if result.is_finite() { Ok(result) } else { Err(out_of_range(mutator)) }
}
