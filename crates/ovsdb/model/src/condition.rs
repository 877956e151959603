//! Which rows an operation is about (RFC 7047 §5.1 `<condition>`).

use crate::datum::Datum;
use crate::error::Error;
use crate::schema::TableSchema;
use crate::symbols::Symbols;
use crate::types::{AtomType, Type};
use serde_json::Value;
use std::cmp::Ordering;

/// What is asked of a column. The order is by how few rows are expected to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// `false`: holds for no row.
    False,
    /// `true`: holds for every row.
    True,
    /// `==`
    Equal,
    /// `includes`: the column has all that the argument has.
    Includes,
    /// `<=`, of a single number.
    LessOrEqual,
    /// `<`, of a single number.
    Less,
    /// `>=`, of a single number.
    GreaterOrEqual,
    /// `>`, of a single number.
    Greater,
    /// `excludes`: the column has nothing that the argument has.
    Excludes,
    /// `!=`
    NotEqual,
}

impl Function {
    /// As JSON has it (RFC 7047 §5.1).
    pub const fn name(self) -> &'static str {
        match self {
            Function::False => "false",
            Function::True => "true",
            Function::Equal => "==",
            Function::Includes => "includes",
            Function::LessOrEqual => "<=",
            Function::Less => "<",
            Function::GreaterOrEqual => ">=",
            Function::Greater => ">",
            Function::Excludes => "excludes",
            Function::NotEqual => "!=",
        }
    }

    fn from_name(name: &str) -> Result<Function, Error> {
        use Function::*;
        [False, True, Equal, Includes, LessOrEqual, Less, GreaterOrEqual, Greater, Excludes, NotEqual]
            .into_iter()
            .find(|f| f.name() == name)
            .ok_or_else(|| Error::new("unknown function", format!("No function named {name}.")))
    }

    fn is_relational(self) -> bool {
        matches!(self, Function::Less | Function::LessOrEqual | Function::Greater | Function::GreaterOrEqual)
    }
}

/// One question about one column; its number is that of the table's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// The number of the column.
    pub column: usize,
    /// How the column is compared.
    pub function: Function,
    /// What it is compared with.
    pub argument: Datum,
    /// The column holds one atom at most.
    scalar: bool,
}

impl Clause {
    /// Reads a `<condition>` (RFC 7047 §5.1), or a boolean.
    pub fn from_json(
        json: &Value,
        table: &TableSchema,
        symbols: Option<&mut Symbols>,
    ) -> Result<Clause, Error> {
        if let Value::Bool(truth) = json {
            let function = if *truth { Function::True } else { Function::False };
            return Ok(Clause { column: 0, function, argument: Datum::Empty, scalar: true });
        }
        let Some([Value::String(column), Value::String(function), argument]) =
            json.as_array().map(Vec::as_slice)
        else {
            return Err(Error::syntax(json, "Parse error in condition."));
        };
        let column = table.column(column).ok_or_else(|| {
            let message = format!("No column {column} in table {}.", table.name);
            Error::new("unknown column", message).about(json)
        })?;
        let function = Function::from_name(function)?;
        let declared = &column.r#type;
        let argument_type = argument_type(function, declared).ok_or_else(|| {
            Error::syntax(
                json,
                format!(
                    "Type mismatch: \"{}\" operator may not be applied to column {} of type {}.",
                    function.name(),
                    column.name,
                    declared.to_english()
                ),
            )
        })?;
        let argument = Datum::from_json(argument, &argument_type, symbols)?;
        let scalar = declared.is_scalar() || declared.is_optional_scalar();
        Ok(Clause { column: column.index, function, argument, scalar })
    }

    /// As it is read.
    pub fn to_json(&self, table: &TableSchema) -> Value {
        match self.function {
            Function::True => Value::Bool(true),
            Function::False => Value::Bool(false),
            function => {
                let column = table.columns.get(self.column);
                let is_map = column.is_some_and(|c| c.r#type.is_map());
                Value::Array(vec![
                    Value::from(column.map_or("", |c| c.name.as_str())),
                    Value::from(function.name()),
                    self.argument.to_json(is_map),
                ])
            }
        }
    }

    /// Whether a row passes, given the value of a column by its number.
    pub fn matches<'r>(&self, column: impl Fn(usize) -> Option<&'r Datum>) -> bool {
        match self.function {
            Function::True => return true,
            Function::False => return false,
            _ => {}
        }
        let Some(value) = column(self.column) else { return false };
        if self.function.is_relational() && value.is_empty() {
            return false;
        }
        if self.scalar
            && let (Some(a), Some(b)) = (value.one(), self.argument.one())
        {
            return self.holds(a.cmp(b));
        }
        match self.function {
            Function::Equal => *value == self.argument,
            Function::NotEqual => *value != self.argument,
            Function::Includes => self.argument.is_subset_of(value),
            Function::Excludes => self.argument.is_disjoint_from(value),
            _ => false,
        }
    }

    fn holds(&self, order: Ordering) -> bool {
        match self.function {
            Function::False => false,
            Function::True => true,
            Function::Equal | Function::Includes => order.is_eq(),
            Function::NotEqual | Function::Excludes => order.is_ne(),
            Function::Less => order.is_lt(),
            Function::LessOrEqual => order.is_le(),
            Function::Greater => order.is_gt(),
            Function::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// What the argument must be; `None` when the function does not fit the column.
fn argument_type(function: Function, declared: &Type) -> Option<Type> {
    let mut r#type = declared.clone();
    match function {
        f if f.is_relational() => {
            let scalar = declared.is_scalar() || declared.is_optional_scalar();
            if !scalar || !matches!(declared.key.kind, AtomType::Integer | AtomType::Real) {
                return None;
            }
            r#type.min = 1;
        }
        Function::Excludes if !declared.is_scalar() => {
            r#type.min = 0;
            r#type.max = u32::MAX;
        }
        Function::Includes if !declared.is_scalar() => r#type.min = 0,
        _ => {}
    }
    Some(r#type)
}

/// Clauses that must all, or for monitors any, hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// In an order of their own; see [`Condition::from_json`].
    pub clauses: Vec<Clause>,
}

impl Condition {
    /// From a JSON array of clauses. They are sorted, so that equal conditions are equal values.
    pub fn from_json(
        json: &[Value],
        table: &TableSchema,
        mut symbols: Option<&mut Symbols>,
    ) -> Result<Condition, Error> {
        let mut clauses = Vec::with_capacity(json.len());
        for clause in json {
            clauses.push(Clause::from_json(clause, table, symbols.as_deref_mut())?);
        }
        let rank = |column: usize| if column < 2 { column } else { 2 };
        let name = |column: usize| table.columns.get(column).map_or("", |c| c.name.as_str());
        clauses.sort_by(|a, b| {
            (a.function.cmp(&b.function))
                .then_with(|| rank(a.column).cmp(&rank(b.column)))
                .then_with(|| name(a.column).cmp(name(b.column)))
                .then_with(|| a.argument.compare(&b.argument))
        });
        Ok(Condition { clauses })
    }

    /// As a JSON array of clauses.
    pub fn to_json(&self, table: &TableSchema) -> Value {
        Value::Array(self.clauses.iter().map(|c| c.to_json(table)).collect())
    }

    /// Whether every clause holds for a row, whose columns are given by number.
    pub fn matches_all<'r>(&self, column: impl Fn(usize) -> Option<&'r Datum>) -> bool {
        self.clauses.iter().all(|clause| clause.matches(&column))
    }

    /// Whether a clause holds for a row, whose columns are given by number.
    pub fn matches_any<'r>(&self, column: impl Fn(usize) -> Option<&'r Datum>) -> bool {
        self.clauses.iter().any(|clause| clause.matches(&column))
    }
}
