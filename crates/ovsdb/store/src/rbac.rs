//! Role-based access control: what clients with a role may change (ovsdb-server(7)).
//!
//! The rules are rows of the database itself: a table `RBAC_Role` of names,
//! each with a map from table names to rows that say who is authorised, which
//! columns may be changed, and whether rows may come and go. A database
//! without such a table, and a client without a role, know no limits.

use crate::database::{Database, Table};
use crate::row::Row;
use model::{Atom, Datum, Error};
use std::sync::Arc;

/// The rules that one client is under.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) database: &'a Database,
    pub(crate) role: Option<&'a str>,
    pub(crate) client: Option<&'a str>,
}

/// What a client wants to do to rows.
#[derive(Clone, Copy)]
pub(crate) enum Deed<'c> {
    Insert,
    Delete,
    Update(&'c [&'c str]),
    Mutate(&'c [&'c str]),
}

impl Access<'_> {
    /// Whether the deed may be done to all of `rows`.
    pub(crate) fn check<'r>(
        &self,
        table: &str,
        deed: Deed<'_>,
        rows: impl IntoIterator<Item = &'r Row>,
    ) -> Result<(), Error> {
        let (Some(roles), Some(role)) = (self.database.table("RBAC_Role"), self.role) else { return Ok(()) };
        if self.is_permitted(roles, role, table, deed, rows).unwrap_or(false) {
            return Ok(());
        }
        let what = match deed {
            Deed::Insert => "row insertion into",
            Deed::Delete => "row deletion from",
            Deed::Update(_) => "modification of",
            Deed::Mutate(_) => "mutate operation on",
        };
        let client = self.client.unwrap_or("(null)");
        Err(Error::new(
            "permission error",
            format!("RBAC rules for client \"{client}\" role \"{role}\" prohibit {what} table \"{table}\"."),
        ))
    }

    fn is_permitted<'r>(
        &self,
        roles: &Table,
        role: &str,
        table: &str,
        deed: Deed<'_>,
        rows: impl IntoIterator<Item = &'r Row>,
    ) -> Option<bool> {
        let client = self.client?;
        let schema = &self.database.table(table)?.schema;
        let (permissions, row) = self.permissions(roles, role, table)?;
        let column = |name: &str| row.column(permissions.schema.column(name)?.index);
        let authorization = column("authorization")?;
        let is_authorized = |row: &Row| {
            authorization.atoms().iter().filter_map(Atom::as_str).any(|rule| {
                let value = |name: &str| row.column(schema.column(name)?.index);
                match rule.split_once(':') {
                    _ if rule.is_empty() => true,
                    Some((name, key)) => value(name).and_then(|map| map.get(key)) == Some(client),
                    None => value(rule).and_then(Datum::one).and_then(Atom::as_str) == Some(client),
                }
            })
        };
        let all_authorized = rows.into_iter().all(is_authorized);
        let is_allowed = match deed {
            Deed::Insert | Deed::Delete => column("insert_delete")?.one()?.as_boolean()?,
            Deed::Update(names) | Deed::Mutate(names) => {
                let modifiable = column("update")?;
                names.iter().all(|name| modifiable.atoms().iter().any(|atom| atom.as_str() == Some(name)))
            }
        };
        Some(all_authorized && is_allowed)
    }

    /// The row of permissions that a role has for a table.
    fn permissions(&self, roles: &Table, role: &str, table: &str) -> Option<(&Table, &Arc<Row>)> {
        let name = roles.schema.column("name")?;
        let row = roles.rows().find(|row| {
            row.column(name.index).is_some_and(|names| names.atoms().iter().any(|a| a.as_str() == Some(role)))
        });
        let Some(row) = row else {
            log::info!(target: "ovsdb_rbac", "rbac: role \"{role}\" not found in rbac roles table");
            return None;
        };
        let Some(column) = roles.schema.column("permissions") else {
            log::info!(target: "ovsdb_rbac", "rbac: \"permissions\" column not present in rbac roles table");
            return None;
        };
        let uuid = row.column(column.index)?.value_of(&Atom::from(table))?.as_uuid()?;
        let (target, _) = column.r#type.value.as_ref()?.reference()?;
        let permissions = self.database.table(target)?;
        Some((permissions, permissions.row(&uuid)?))
    }
}
