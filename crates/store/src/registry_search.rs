//! Finding registered models and their versions: conditions and orders as SQL.

use greenlight_domain::registry_search::{
    PROMPT_TAG, RegistryCondition, RegistryFilter, RegistryOrder, RegistrySubject,
};
use sqlx::AssertSqlSafe;

use crate::registered_model::{self, RegisteredModel};
use crate::registered_version::{self, RegisteredVersion};
use crate::statement::{Bound, Statement};
use crate::{Connection, StoreError};

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What all of them meet.
    pub filter: &'a RegistryFilter,
    /// In which order, before the usual one.
    pub orders: &'a [RegistryOrder],
    /// Most of them.
    pub limit: i64,
    /// How many to leave out at the start.
    pub offset: i64,
}

/// Which table a question is put to.
struct Place {
    /// Its rows, as `v` or `registered_model`.
    row: &'static str,
    /// Their tags.
    tags: (&'static str, &'static str),
    /// The model's number in a row, and its name.
    model: (&'static str, &'static str),
}

const MODELS: Place = Place {
    row: "registered_model",
    tags: ("registered_model_tag", "owner = registered_model.number"),
    model: ("registered_model.number", "registered_model.name"),
};

const VERSIONS: Place =
    Place { row: "v", tags: ("registered_version_tag", "owner = v.number"), model: ("v.model", "m.name") };

impl Place {
    fn column(&self, subject: &RegistrySubject) -> String {
        let of = |column: &str| format!("{}.{column}", self.row);
        match subject {
            RegistrySubject::Name | RegistrySubject::Tag(_) => self.model.1.to_owned(),
            RegistrySubject::Version => of("version"),
            RegistrySubject::RunId => of("run_id"),
            RegistrySubject::Source => of("source"),
            RegistrySubject::CreationTime => of("created_at"),
            RegistrySubject::LastUpdateTime => of("updated_at"),
        }
    }

    fn conditions<'a>(&self, statement: &mut Statement<'a>, filter: &'a RegistryFilter) {
        for RegistryCondition { subject, test } in &filter.conditions {
            let text = match subject {
                RegistrySubject::Tag(key) => statement.pair(self.tags, key, test),
                subject => statement.test(&self.column(subject), test),
            };
            statement.wheres.push(text);
        }
        if !filter.prompts {
            let key = statement.bind(Bound::Text(PROMPT_TAG));
            statement.wheres.push(format!(
                "not exists (select 1 from registered_model_tag as t where t.owner = {} and t.key = {key} \
                 and t.value = 'true')",
                self.model.0
            ));
        }
    }

    fn orders(&self, orders: &[RegistryOrder]) -> Vec<String> {
        let direction = |order: &RegistryOrder| if order.ascending { "asc" } else { "desc" };
        orders.iter().map(|order| format!("{} {}", self.column(&order.subject), direction(order))).collect()
    }
}

/// The models that a question asks for.
pub async fn search_models(
    connection: &mut Connection,
    asked: Question<'_>,
) -> Result<Vec<RegisteredModel>, StoreError> {
    let mut statement = Statement::default();
    statement.wheres.push("1 = 1".to_owned());
    MODELS.conditions(&mut statement, asked.filter);
    let mut orders = MODELS.orders(asked.orders);
    orders.push("registered_model.name".to_owned());
    let page = statement.page(asked.limit, asked.offset);
    let text = format!(
        "select {} from registered_model where {} order by {} {page}",
        registered_model::COLUMNS,
        statement.wheres.join(" and "),
        orders.join(", ")
    );
    let query = sqlx::query_as(AssertSqlSafe(text));
    let rows = statement.apply(query).fetch_all(&mut *connection).await?;
    registered_model::filled(connection, rows).await
}

/// The versions that a question asks for.
pub async fn search_versions(
    connection: &mut Connection,
    asked: Question<'_>,
) -> Result<Vec<RegisteredVersion>, StoreError> {
    let mut statement = Statement::default();
    statement.wheres.push("v.deleted_at is null".to_owned());
    VERSIONS.conditions(&mut statement, asked.filter);
    let mut orders = VERSIONS.orders(asked.orders);
    if asked.orders.is_empty() {
        orders.push("v.updated_at desc".to_owned());
    }
    orders.push("m.name".to_owned());
    orders.push("v.version desc".to_owned());
    let page = statement.page(asked.limit, asked.offset);
    let text = format!(
        "select {} where {} order by {} {page}",
        registered_version::COLUMNS,
        statement.wheres.join(" and "),
        orders.join(", ")
    );
    let query = sqlx::query_as(AssertSqlSafe(text));
    let rows = statement.apply(query).fetch_all(&mut *connection).await?;
    registered_version::filled(connection, rows).await
}
