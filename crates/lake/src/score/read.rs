//! Reading a source chunk by chunk, from any row on.
//!
//! Never holds more than one chunk and one batch. What stands before the first row that is asked for is skipped, in
//! Parquet without decoding it. Refuses values that are not what the model takes, by row and column.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Schema, SchemaRef};
use greenlight_app::lake::LakeError;
use greenlight_domain::frame::{Column, ColumnType, Field, Frame};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::source::{DataFile, Format, Source};
use crate::session::BATCH_ROWS;
use crate::{dataset, error};

/// Some rows of a chunk: what the model takes, and what is carried through.
#[derive(Debug)]
pub struct Piece {
    /// Rows of the source before the first one.
    pub before: u64,
    /// Columns of the model.
    pub features: Frame,
    /// Columns to keep, as they are in the source (text always as plain UTF-8).
    pub kept: RecordBatch,
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// A source that is being read.
pub struct Reader {
    source: Source,
    features: Arc<[Field]>,
    kept: SchemaRef,
    files: VecDeque<DataFile>,
    open: Option<(DataFile, Batches)>,
    /// Rows of a batch that the last chunk had no room for.
    rest: Option<RecordBatch>,
    skip: u64,
    /// Rows handed out or skipped so far, for messages.
    row: u64,
}

impl Reader {
    /// Reads `source` from row `skip` on.
    pub fn open(
        source: &Source,
        features: Arc<[Field]>,
        keep: &[String],
        skip: u64,
    ) -> Result<Self, LakeError> {
        source.check(&features, keep)?;
        Ok(Self::new(source, features, keep, skip))
    }

    /// Reads all of `source`, all columns to keep.
    pub fn whole(source: &Source) -> Self {
        Self::new(source, Arc::new([]), &source.columns(), 0)
    }

    fn new(source: &Source, features: Arc<[Field]>, keep: &[String], skip: u64) -> Self {
        let kept = keep
            .iter()
            .filter_map(|name| source.schema.field_with_name(name).ok())
            .map(|field| ArrowField::new(field.name(), plain(field.data_type()), true));
        Self {
            features,
            kept: Arc::new(Schema::new(kept.collect::<Vec<_>>())),
            files: source.files.iter().cloned().collect(),
            source: source.clone(),
            open: None,
            rest: None,
            skip,
            row: skip,
        }
    }

    /// Columns that are carried through.
    pub fn kept(&self) -> &SchemaRef {
        &self.kept
    }

    /// The next `rows` rows, fewer only at the end; nothing behind it. Blocks.
    pub fn next_chunk(&mut self, rows: usize) -> Result<Vec<Piece>, LakeError> {
        let mut pieces = Vec::new();
        let mut wanted = rows;
        while wanted > 0 {
            let Some(batch) = self.next_batch()? else { break };
            let taken = batch.num_rows().min(wanted);
            if taken < batch.num_rows() {
                self.rest = Some(batch.slice(taken, batch.num_rows() - taken));
            }
            wanted -= taken;
            pieces.push(self.piece(&batch.slice(0, taken))?);
            self.row += taken as u64;
        }
        Ok(pieces)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        loop {
            if let Some((file, batches)) = &mut self.open {
                match batches.next() {
                    Some(Ok(batch)) if batch.num_rows() == 0 => continue,
                    Some(Ok(batch)) => return Ok(Some(batch)),
                    Some(Err(e)) => {
                        return Err(error::corrupt(&file.path, format!("after row {}: {e}", self.row)));
                    }
                    None => {}
                }
            }
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            self.open = match self.source.format {
                Format::Csv => Some(self.csv(file)?),
                Format::Arrow => Some(self.arrow(file)?),
                Format::Parquet | Format::Delta => self.parquet(file)?,
            };
        }
    }

    fn wanted(&self, name: &str) -> bool {
        self.features.iter().any(|field| field.name.as_ref() == name) || self.kept.index_of(name).is_ok()
    }

    /// Opens a Parquet file behind the rows to skip; nothing when it ends before.
    fn parquet(&mut self, file: DataFile) -> Result<Option<(DataFile, Batches)>, LakeError> {
        let opened = file.open()?;
        let corrupt = |e| error::corrupt(&file.path, format!("is not a whole Parquet file: {e}"));
        let reader = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(corrupt)?;
        let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        if rows <= self.skip && self.skip > 0 {
            self.skip -= rows;
            return Ok(None);
        }
        let fields = reader.schema().fields().iter().enumerate();
        let roots: Vec<usize> = fields.filter(|(_, f)| self.wanted(f.name())).map(|(at, _)| at).collect();
        let mask = ProjectionMask::roots(reader.parquet_schema(), roots);
        let skip = usize::try_from(std::mem::take(&mut self.skip)).unwrap_or(usize::MAX);
        let batches = reader
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .with_offset(skip)
            .build()
            .map_err(corrupt)?;
        Ok(Some((file, Box::new(batches))))
    }

    fn csv(&mut self, file: DataFile) -> Result<(DataFile, Batches), LakeError> {
        let opened = file.open()?;
        let fields = self.source.schema.fields().iter().enumerate();
        let columns: Vec<usize> = fields.filter(|(_, f)| self.wanted(f.name())).map(|(at, _)| at).collect();
        let skip = usize::try_from(std::mem::take(&mut self.skip)).unwrap_or(usize::MAX / 2);
        let batches = arrow_csv::ReaderBuilder::new(Arc::clone(&self.source.schema))
            .with_header(true)
            .with_batch_size(BATCH_ROWS)
            .with_bounds(skip, usize::MAX / 2)
            .with_projection(columns)
            .build(opened)
            .map_err(|e| error::corrupt(&file.path, e))?;
        Ok((file, Box::new(batches)))
    }

    fn arrow(&mut self, file: DataFile) -> Result<(DataFile, Batches), LakeError> {
        let opened = file.open()?;
        let corrupt = |e| error::corrupt(&file.path, format!("is not a whole Arrow file: {e}"));
        let fields = self.source.schema.fields().iter().enumerate();
        let columns: Vec<usize> = fields.filter(|(_, f)| self.wanted(f.name())).map(|(at, _)| at).collect();
        let batches = FileReader::try_new_buffered(opened, Some(columns)).map_err(corrupt)?;
        let mut skip = usize::try_from(std::mem::take(&mut self.skip)).unwrap_or(usize::MAX);
        let batches = batches.map(move |batch| {
            batch.map(|batch| {
                let before = skip.min(batch.num_rows());
                skip -= before;
                batch.slice(before, batch.num_rows() - before)
            })
        });
        Ok((file, Box::new(batches)))
    }

    fn piece(&self, batch: &RecordBatch) -> Result<Piece, LakeError> {
        let columns =
            self.features.iter().map(|field| self.feature(batch, field)).collect::<Result<Vec<_>, _>>()?;
        let features =
            Frame::new(Arc::clone(&self.features), columns).map_err(|e| LakeError::Schema(e.to_string()))?;
        let kept = self.kept.fields().iter().map(|field| {
            let column = self.column(batch, field.name(), field.data_type());
            arrow_cast::cast(&column, field.data_type()).map_err(error::arrow)
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let kept = kept.collect::<Result<Vec<_>, _>>()?;
        let kept = RecordBatch::try_new_with_options(Arc::clone(&self.kept), kept, &options);
        Ok(Piece { before: self.row, features, kept: kept.map_err(error::arrow)? })
    }

    /// A column of a batch, or what the log says it holds in every row; null in files that are older than it.
    fn column(&self, batch: &RecordBatch, name: &str, data_type: &DataType) -> ArrayRef {
        if let Some(column) = batch.column_by_name(name) {
            return Arc::clone(column);
        }
        let constants = self.open.as_ref().map(|(file, _)| &file.constants);
        match constants.and_then(|constants| constants.get(name)) {
            Some(value) => Arc::new(StringArray::from(vec![value.as_deref(); batch.num_rows()])),
            None => new_null_array(data_type, batch.num_rows()),
        }
    }

    fn feature(&self, batch: &RecordBatch, field: &Field) -> Result<Column, LakeError> {
        let empty = match field.column_type {
            ColumnType::Number => DataType::Float64,
            ColumnType::Text => DataType::Utf8,
        };
        let column = self.column(batch, &field.name, &empty);
        let textual = self.source.format == Format::Csv || batch.column_by_name(&field.name).is_none();
        if textual && field.column_type == ColumnType::Number {
            let texts = arrow_cast::cast(&column, &DataType::Utf8).map_err(error::arrow)?;
            let number = |(index, text): (usize, Option<&str>)| match text.map(str::trim) {
                None | Some("") => Ok(f64::NAN),
                Some(text) => text.parse().map_err(|_| self.not_a_number(index, &field.name, text)),
            };
            let numbers = texts.as_string::<i32>().iter().enumerate().map(number);
            return Ok(Column::Number(numbers.collect::<Result<_, _>>()?));
        }
        let mut values = Column::empty(field.column_type);
        dataset::push(&mut values, &column)
            .map_err(|e| LakeError::Schema(format!("column '{}': {e}", field.name)))?;
        Ok(values)
    }

    fn not_a_number(&self, index: usize, column: &str, text: &str) -> LakeError {
        let shown: String = text.chars().take(40).collect();
        let row = self.row + index as u64 + 1;
        LakeError::Schema(format!("row {row}: column '{column}' holds '{shown}', which is not a number"))
    }
}

/// The type that a column is carried through as: text in any form becomes plain text.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, values) => plain(values),
        other => other.clone(),
    }
}
