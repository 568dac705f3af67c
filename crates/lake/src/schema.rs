//! The columns of segments and tables.
//!
//! Identity, times and segment come first, because Delta Lake keeps statistics for the leading columns only and
//! queries are pruned by them. Features stand last, as one struct, so that it can grow. Refuses names that Delta
//! Lake cannot hold by escaping them, and names that differ in case only.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Fields, Schema, SchemaRef};
use greenlight_app::lake::LakeError;
use greenlight_domain::frame::{ColumnType, Field};

/// Column of features, a struct; absent while an endpoint has none.
pub(crate) const FEATURES: &str = "features";
/// Column with the number of the segment that a row came from.
pub(crate) const SEGMENT: &str = "segment";
/// Column with the place of an outcome within its segment.
pub(crate) const POSITION: &str = "position";
/// Leading columns of each table that get statistics: all that queries are pruned by, and none of the texts and
/// features after a prediction's latency. A unit is not among them: the log of a table keeps the smallest and largest
/// value of each file, and would still name a unit after it was erased.
pub(crate) const INDEXED_COLUMNS: &str = "15";

fn text(name: &str) -> ArrowField {
    ArrowField::new(name, DataType::Utf8, true)
}

fn int(name: &str) -> ArrowField {
    ArrowField::new(name, DataType::Int64, true)
}

fn double(name: &str) -> ArrowField {
    ArrowField::new(name, DataType::Float64, true)
}

/// Predictions as a segment holds them.
pub(crate) fn predictions(features: &[Field]) -> SchemaRef {
    let mut fields = vec![
        text("id"),
        int("at_us"),
        ArrowField::new("day", DataType::Int32, true),
        text("variant"),
        double("propensity"),
        double("champion_propensity"),
        text("release"),
        text("model"),
        int("route_version"),
        double("probability"),
        text("decision"),
        text("champion_decision"),
        text("mirrors"),
        int("latency_us"),
        text("unit"),
        text("error"),
        text("candidates"),
        text("fallback"),
        double("decision_propensity"),
        double("feature_weight"),
        text("trace"),
    ];
    if !features.is_empty() {
        fields.push(ArrowField::new(FEATURES, DataType::Struct(feature_columns(features)), true));
    }
    Arc::new(Schema::new(fields))
}

/// Outcomes as a segment holds them.
pub(crate) fn outcomes() -> SchemaRef {
    Arc::new(Schema::new(vec![text("prediction_id"), text("name"), double("value"), int("at_us")]))
}

/// Predictions as the table holds them: with their segment, before the features.
pub(crate) fn predictions_table(features: &[Field]) -> SchemaRef {
    let mut fields: Vec<ArrowField> =
        predictions(features).fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.insert(2, int(SEGMENT));
    Arc::new(Schema::new(fields))
}

/// Outcomes as the table holds them: with their segment and their place in it.
pub(crate) fn outcomes_table() -> SchemaRef {
    let mut fields: Vec<ArrowField> =
        outcomes().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(int(SEGMENT));
    fields.push(int(POSITION));
    Arc::new(Schema::new(fields))
}

/// The names of the feature columns of a table.
pub(crate) fn stored_features(table: &Schema) -> HashSet<String> {
    match table.field_with_name(FEATURES).map(ArrowField::data_type) {
        Ok(DataType::Struct(columns)) => columns.iter().map(|column| column.name().clone()).collect(),
        _ => HashSet::new(),
    }
}

/// The children of the features struct.
pub(crate) fn feature_columns(features: &[Field]) -> Fields {
    features
        .iter()
        .map(|field| ArrowField::new(column_name(&field.name), arrow_type(field.column_type), true))
        .collect()
}

fn arrow_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Number => DataType::Float64,
        ColumnType::Text => DataType::Utf8,
    }
}

/// The stored name of a feature. Delta Lake forbids ` ,;{}()\n\t=` in names, so these and `%` become `%XX`.
pub(crate) fn column_name(feature: &str) -> String {
    let mut name = String::with_capacity(feature.len());
    for c in feature.chars() {
        if " ,;{}()\n\t=%".contains(c) {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{:02X}", u32::from(c));
        } else {
            name.push(c);
        }
    }
    name
}

/// Refuses features that no table could hold: empty names, and names that differ in case only.
pub(crate) fn check_features(features: &[Field]) -> Result<(), LakeError> {
    let mut seen = HashSet::new();
    for field in features {
        if field.name.is_empty() {
            return Err(LakeError::Schema("a feature needs a name".to_owned()));
        }
        if !seen.insert(field.name.to_lowercase()) {
            return Err(LakeError::Schema(format!(
                "feature '{}' occurs twice (case does not tell names apart)",
                field.name
            )));
        }
    }
    Ok(())
}

/// Refuses `features` that lack or retype a column which `stored` already has.
pub(crate) fn check_growth(stored: &Schema, features: &[Field]) -> Result<(), LakeError> {
    let Ok(column) = stored.field_with_name(FEATURES) else { return Ok(()) };
    let DataType::Struct(columns) = column.data_type() else {
        return Err(LakeError::Corrupt("the stored column 'features' is not a struct".to_owned()));
    };
    for column in columns {
        let Some(field) = features.iter().find(|field| column_name(&field.name) == *column.name()) else {
            return Err(LakeError::Schema(format!(
                "feature '{}' is in the log but not in the new schema; features may be added, never removed",
                column.name()
            )));
        };
        let is_number = *column.data_type() == DataType::Float64;
        if is_number != (field.column_type == ColumnType::Number) {
            return Err(LakeError::Schema(format!(
                "feature '{}' is logged as {} and cannot become another type; add it under a new name",
                field.name,
                if is_number { "number" } else { "text" }
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_delta_forbids_are_escaped_and_stay_apart() {
        assert_eq!(column_name("age"), "age");
        assert_eq!(column_name("emp.var.rate"), "emp.var.rate");
        assert_eq!(column_name("last contact (days)"), "last%20contact%20%28days%29");
        assert_ne!(column_name("a b"), column_name("a%20b"));
    }

    #[test]
    fn statistics_reach_what_queries_are_pruned_by() {
        let schema = predictions_table(&[Field::number("age")]);
        let features = schema.index_of(FEATURES).unwrap();
        assert_eq!(features, schema.fields().len() - 1);
        let indexed = INDEXED_COLUMNS.parse::<usize>().unwrap();
        assert_eq!(schema.field(indexed - 1).name(), "latency_us");
    }

    #[test]
    fn features_may_grow_but_not_shrink_or_change() {
        let stored = predictions(&[Field::number("age"), Field::text("job")]);
        let grown = [Field::number("age"), Field::text("job"), Field::number("debt")];
        assert!(check_growth(&stored, &grown).is_ok());
        assert!(check_growth(&stored, &grown[..1]).unwrap_err().to_string().contains("'job'"));
        let retyped = [Field::text("age"), Field::text("job")];
        assert!(check_growth(&stored, &retyped).unwrap_err().to_string().contains("'age'"));
        assert!(check_features(&[Field::number("Age"), Field::number("age")]).is_err());
    }
}
