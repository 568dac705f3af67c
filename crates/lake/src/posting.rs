//! Postings as a table for other tools: rows of Arrow, written as Parquet or appended to a Delta table.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use greenlight_app::lake::LakeError;
use greenlight_app::posting::PostingView;
use greenlight_domain::time::Micros;

use crate::error;

/// Digits of an amount, and those of them behind the point: every currency of the ledger has two.
const AMOUNT: (u8, i8) = (18, 2);

/// One row a posting, in their order. Amounts are decimals.
pub fn posting_rows(postings: &[PostingView]) -> Result<RecordBatch, LakeError> {
    let text = |name: &str, of: &dyn Fn(&PostingView) -> Option<String>| {
        let values: StringArray = postings.iter().map(of).collect();
        (Field::new(name, DataType::Utf8, true), Arc::new(values) as ArrayRef)
    };
    let days: Result<Vec<i32>, LakeError> = postings.iter().map(|posting| day(&posting.day)).collect();
    let amounts = Decimal128Array::from_iter_values(postings.iter().map(|p| i128::from(p.amount_minor)))
        .with_precision_and_scale(AMOUNT.0, AMOUNT.1)
        .map_err(error::arrow)?;
    let runs = Int64Array::from_iter_values(postings.iter().map(|posting| posting.settle_run));
    let written = TimestampMicrosecondArray::from_iter_values(postings.iter().map(|posting| posting.at.0))
        .with_timezone("UTC");
    let columns: [(Field, ArrayRef); 13] = [
        text("id", &|p| Some(p.id.clone())),
        text("initiative", &|p| Some(p.initiative.clone())),
        text("endpoint", &|p| Some(p.endpoint.clone())),
        text("release", &|p| p.release.clone()),
        text("model", &|p| p.model.clone()),
        text("variant", &|p| p.variant.map(|variant| variant.as_str().to_owned())),
        (Field::new("day", DataType::Date32, true), Arc::new(Date32Array::from(days?))),
        text("kind", &|p| Some(p.kind.as_str().to_owned())),
        (Field::new("amount", DataType::Decimal128(AMOUNT.0, AMOUNT.1), true), Arc::new(amounts)),
        text("currency", &|p| Some(p.currency.code().to_owned())),
        text("grade", &|p| Some(p.grade.to_string())),
        (Field::new("settle_run", DataType::Int64, true), Arc::new(runs)),
        (
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Arc::new(written),
        ),
    ];
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(error::arrow)
}

fn day(text: &str) -> Result<i32, LakeError> {
    let at: Micros = text.parse().map_err(|e| LakeError::Schema(format!("day '{text}': {e}")))?;
    Ok(at.day())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Date32Type, Decimal128Type};
    use greenlight_domain::evidence::Grade;
    use greenlight_domain::ledger::PostingKind;
    use greenlight_domain::money::Currency;

    use super::*;

    #[test]
    fn a_posting_is_a_row_with_a_decimal_and_a_date() {
        let posting = PostingView {
            id: "1".into(),
            initiative: "calls".into(),
            endpoint: "calls".into(),
            release: None,
            model: None,
            variant: None,
            day: "1970-01-11".into(),
            kind: PostingKind::Cost,
            amount_minor: -12_345,
            currency: Currency::EUR,
            grade: Grade::D,
            settle_run: 7,
            at: Micros(1),
        };
        let rows = posting_rows(&[posting]).unwrap();
        let amounts = rows["amount"].as_primitive::<Decimal128Type>();
        assert_eq!(amounts.value_as_string(0), "-123.45");
        assert_eq!(rows["day"].as_primitive::<Date32Type>().value(0), 10);
        assert!(rows["release"].is_null(0));
        assert_eq!(rows["grade"].as_string::<i32>().value(0), "D");
    }
}
