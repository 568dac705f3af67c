//! A small typed table: the rows that models score, gates judge and the lake logs.
//!
//! Columns are numbers (missing is NaN) or text (missing is `None`). It refuses to be a data-frame library:
//! no joins, no group-by, no expressions. Those belong to the lake.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::DomainError;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// IEEE double; NaN stands for missing.
    Number,
    /// UTF-8 text.
    Text,
}

/// A name and a type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Column name, unique in its schema.
    pub name: Arc<str>,
    /// What it holds.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

impl Field {
    /// A field of numbers.
    pub fn number(name: &str) -> Self {
        Self { name: name.into(), column_type: ColumnType::Number }
    }

    /// A field of text.
    pub fn text(name: &str) -> Self {
        Self { name: name.into(), column_type: ColumnType::Text }
    }
}

/// The values of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Numbers; NaN is missing.
    Number(Vec<f64>),
    /// Text; `None` is missing.
    Text(Vec<Option<Arc<str>>>),
}

impl Column {
    /// An empty column of that type.
    pub fn empty(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Number => Self::Number(Vec::new()),
            ColumnType::Text => Self::Text(Vec::new()),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Number(v) => v.len(),
            Self::Text(v) => v.len(),
        }
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it holds.
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Number(_) => ColumnType::Number,
            Self::Text(_) => ColumnType::Text,
        }
    }

    fn take(&self, rows: &[usize]) -> Self {
        match self {
            Self::Number(v) => Self::Number(rows.iter().map(|&i| v[i]).collect()),
            Self::Text(v) => Self::Text(rows.iter().map(|&i| v[i].clone()).collect()),
        }
    }

    fn extend(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.extend_from_slice(b),
            (Self::Text(a), Self::Text(b)) => a.extend(b.iter().cloned()),
            _ => return false,
        }
        true
    }
}

/// Rows in columns of equal length, described by a shared schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    fields: Arc<[Field]>,
    columns: Vec<Column>,
    rows: usize,
}

impl Frame {
    /// Builds a frame; fails when lengths or types disagree with `fields`.
    pub fn new(fields: Arc<[Field]>, columns: Vec<Column>) -> Result<Self, DomainError> {
        if fields.len() != columns.len() {
            let problem = format!("{} fields but {} columns", fields.len(), columns.len());
            return Err(DomainError::invalid("frame", problem));
        }
        let rows = columns.first().map_or(0, Column::len);
        for (field, column) in fields.iter().zip(&columns) {
            if column.len() != rows {
                let problem = format!("has {} rows where the first column has {rows}", column.len());
                return Err(DomainError::invalid(field.name.as_ref(), problem));
            }
            if column.column_type() != field.column_type {
                return Err(DomainError::invalid(
                    field.name.as_ref(),
                    "holds another type than its field says",
                ));
            }
        }
        Ok(Self { fields, columns, rows })
    }

    /// A frame without rows.
    pub fn empty(fields: Arc<[Field]>) -> Self {
        let columns = fields.iter().map(|f| Column::empty(f.column_type)).collect();
        Self { fields, columns, rows: 0 }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The schema.
    pub fn fields(&self) -> &Arc<[Field]> {
        &self.fields
    }

    /// All columns, in the order of the fields.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Position of the column of that name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name.as_ref() == name)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.index_of(name).map(|i| &self.columns[i])
    }

    /// The numbers of that column; fails when it is missing or holds text.
    pub fn numbers(&self, name: &str) -> Result<&[f64], DomainError> {
        match self.column(name) {
            Some(Column::Number(v)) => Ok(v),
            Some(Column::Text(_)) => Err(DomainError::invalid(name, "holds text where numbers are needed")),
            None => Err(DomainError::invalid(name, "there is no such column")),
        }
    }

    /// The texts of that column; fails when it is missing or holds numbers.
    pub fn texts(&self, name: &str) -> Result<&[Option<Arc<str>>], DomainError> {
        match self.column(name) {
            Some(Column::Text(v)) => Ok(v),
            Some(Column::Number(_)) => Err(DomainError::invalid(name, "holds numbers where text is needed")),
            None => Err(DomainError::invalid(name, "there is no such column")),
        }
    }

    /// The same rows with only the named fields, in that order.
    pub fn select(&self, fields: &Arc<[Field]>) -> Result<Self, DomainError> {
        let columns = fields
            .iter()
            .map(|f| {
                let column = self
                    .column(&f.name)
                    .ok_or_else(|| DomainError::invalid(f.name.as_ref(), "there is no such column"))?;
                Ok(column.clone())
            })
            .collect::<Result<Vec<_>, DomainError>>()?;
        let mut frame = Self::new(Arc::clone(fields), columns)?;
        frame.rows = self.rows;
        Ok(frame)
    }

    /// The rows at these positions, in that order. Positions past the end are a caller's defect and panic.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        let columns = self.columns.iter().map(|c| c.take(rows)).collect();
        Self { fields: Arc::clone(&self.fields), columns, rows: rows.len() }
    }

    /// Appends the rows of `other`, which must have the same schema.
    pub fn append(&mut self, other: &Self) -> Result<(), DomainError> {
        if self.fields != other.fields {
            return Err(DomainError::invalid("frame", "cannot append rows of another schema"));
        }
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            mine.extend(theirs);
        }
        self.rows += other.rows;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_rows() -> Frame {
        let fields: Arc<[Field]> = vec![Field::number("balance"), Field::text("job")].into();
        let columns = vec![Column::Number(vec![1.0, 2.0]), Column::Text(vec![Some("admin.".into()), None])];
        Frame::new(fields, columns).unwrap()
    }

    #[test]
    fn columns_of_unequal_length_are_refused_by_name() {
        let fields: Arc<[Field]> = vec![Field::number("a"), Field::number("b")].into();
        let error = Frame::new(fields, vec![Column::Number(vec![1.0]), Column::Number(vec![])]).unwrap_err();
        assert!(error.to_string().starts_with("b:"), "{error}");
    }

    #[test]
    fn select_take_and_append_keep_rows_together() {
        let frame = two_rows();
        let mut second = frame.take(&[1]);
        assert_eq!(second.numbers("balance").unwrap(), &[2.0]);
        second.append(&frame).unwrap();
        assert_eq!(second.rows(), 3);
        let only: Arc<[Field]> = vec![Field::text("job")].into();
        assert_eq!(second.select(&only).unwrap().texts("job").unwrap()[1].as_deref(), Some("admin."));
    }
}
