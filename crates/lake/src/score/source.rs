//! Where rows come from: which files, which columns, and a digest that tells whether they are still the same.
//!
//! Refuses what it cannot read without guessing: Delta tables with deletion vectors or mapped columns, names that occur
//! twice.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arrow_ipc::reader::FileReader;
use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};
use deltalake::{DeltaTable, DeltaTableBuilder, ensure_table_uri};
use greenlight_app::lake::LakeError;
use greenlight_domain::evidence::hex;
use greenlight_domain::frame::{ColumnType, Field};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};

use super::remote::{Fetched, Remote};
use super::write::{DECISION, PROBABILITY};
use crate::{dataset, error, table};

/// Bytes at either end of a file that its digest covers, beside length and time of change.
const DIGESTED: u64 = 65_536;

/// Metadata of a column whose name in the files is another one.
const MAPPED: &str = "delta.columnMapping.physicalName";

/// What the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Csv,
    Arrow,
    Delta,
}

/// One file to read.
#[derive(Debug, Clone)]
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    /// Where to fetch it from, if it is not on this machine.
    remote: Option<Remote>,
    /// Columns that are the same in every row and stand in the log instead of the file.
    pub(super) constants: HashMap<String, Option<String>>,
}

impl DataFile {
    /// Opens it, fetched first if need be. Blocks.
    pub(super) fn open(&self) -> Result<File, LakeError> {
        match &self.remote {
            Some(remote) => remote.fetch(),
            None => File::open(&self.path).map_err(|e| error::io(&self.path, &e)),
        }
    }
}

/// Rows to score: a Parquet or Arrow file, a CSV file with a header, or one version of a Delta table.
#[derive(Debug, Clone)]
pub struct Source {
    pub(super) format: Format,
    pub(super) files: Vec<DataFile>,
    pub(super) schema: SchemaRef,
    name: String,
    rows: Option<u64>,
    version: Option<u64>,
    digest: String,
    /// Keeps a fetched file as long as somebody may read it.
    fetched: Option<Arc<Fetched>>,
}

impl Source {
    /// Opens a path or a URL. `version` pins a Delta table; its newest version otherwise.
    pub async fn open(place: &str, version: Option<u64>) -> Result<Self, LakeError> {
        if let Some(remote) = Remote::parse(place)? {
            return elsewhere(remote, version).await;
        }
        let path = PathBuf::from(place.strip_prefix("file://").unwrap_or(place));
        let path = path.canonicalize().map_err(|e| error::io(&path, &e))?;
        if super::is_delta(&path) {
            let url = ensure_table_uri(path.to_string_lossy()).map_err(error::delta)?;
            let builder = DeltaTableBuilder::from_url(url).map_err(error::delta)?;
            return delta(&Root::Local(path), builder, version).await;
        }
        let task = tokio::task::spawn_blocking(move || file(&path, kind(&path)));
        task.await.map_err(error::task)?
    }

    /// Opens a file of this machine whose name does not say what it is: `parquet`, `csv` or `arrow`.
    pub async fn open_as(path: &Path, format: &str) -> Result<Self, LakeError> {
        let path = path.to_owned();
        let kind = kind(Path::new(&format!("a.{format}")));
        let task = tokio::task::spawn_blocking(move || file(&path, kind));
        task.await.map_err(error::task)?
    }

    /// The last part of its place.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its texts may be anything, because its format has no types.
    pub(crate) fn is_untyped(&self) -> bool {
        self.format == Format::Csv
    }

    /// The type of a column in the format's words; empty for a column that is not there.
    pub(crate) fn type_of(&self, column: &str) -> String {
        self.schema.field_with_name(column).map(|field| field.data_type().to_string()).unwrap_or_default()
    }

    /// `Parquet`, `CSV` or `Delta`.
    pub fn format(&self) -> &'static str {
        match self.format {
            Format::Parquet => "Parquet",
            Format::Csv => "CSV",
            Format::Arrow => "Arrow",
            Format::Delta => "Delta",
        }
    }

    /// Rows, where the files say so.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// Version of a Delta table.
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// SHA-256 over what tells that the rows are the same: of a file its length, time of change and both ends; of a
    /// Delta table its version and the names and sizes of its files, which never change.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Names of all columns.
    pub fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Refuses, naming all of them, columns that are missing or of a type that does not fit.
    pub fn check(&self, features: &[Field], keep: &[String]) -> Result<(), LakeError> {
        let names: Vec<&str> = features.iter().map(|f| f.name.as_ref()).collect();
        let wanted = names.into_iter().chain(keep.iter().map(String::as_str));
        let mut missing: Vec<&str> =
            wanted.filter(|name| self.schema.column_with_name(name).is_none()).collect();
        missing.dedup();
        let mut problems = Vec::new();
        if !missing.is_empty() {
            problems.push(format!("lacks {}; it has {}", missing.join(", "), self.columns().join(", ")));
        }
        problems.extend(features.iter().filter_map(|field| self.wrong_type(field)));
        for (index, name) in keep.iter().enumerate() {
            if name == PROBABILITY || name == DECISION {
                problems.push(format!("has a column '{name}' to keep, and the result has one of that name"));
            }
            if keep[..index].contains(name) {
                problems.push(format!("is to keep '{name}' twice"));
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(LakeError::Schema(format!("{} {}", self.name, problems.join("; "))))
    }

    fn wrong_type(&self, field: &Field) -> Option<String> {
        let found = self.schema.field_with_name(&field.name).ok()?.data_type();
        let fits = match dataset::column_type(self.name.as_ref(), &field.name, found) {
            // What stands as text in a CSV file or in a path is read as what is needed.
            Ok(_) if self.is_text_form(&field.name) => true,
            Ok(column_type) => column_type == field.column_type,
            Err(_) => false,
        };
        let needed = match field.column_type {
            ColumnType::Number => "a number",
            ColumnType::Text => "text",
        };
        (!fits).then(|| format!("has {found} in column '{}', where the model takes {needed}", field.name))
    }

    fn is_text_form(&self, column: &str) -> bool {
        self.format == Format::Csv || self.files.iter().any(|file| file.constants.contains_key(column))
    }
}

/// Where a Delta table lies.
enum Root {
    Local(PathBuf),
    Remote(Remote),
}

impl Root {
    fn name(&self) -> String {
        match self {
            Self::Local(path) => error::file_name(path),
            Self::Remote(remote) => remote.name(),
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Local(path) => path.display().to_string(),
            Self::Remote(remote) => remote.place(),
        }
    }

    fn file(
        &self,
        relative: &str,
        constants: HashMap<String, Option<String>>,
    ) -> Result<DataFile, LakeError> {
        Ok(match self {
            Self::Local(path) => DataFile { path: path.join(relative), remote: None, constants },
            Self::Remote(remote) => {
                DataFile { path: relative.into(), remote: Some(remote.below(relative)?), constants }
            }
        })
    }
}

async fn elsewhere(remote: Remote, version: Option<u64>) -> Result<Source, LakeError> {
    if kind(Path::new(&remote.name())).is_none() {
        let builder = remote.table()?;
        return delta(&Root::Remote(remote), builder, version).await;
    }
    let (fetched, identity) = remote.fetch_named().await?;
    let path = fetched.path.clone();
    let mut source =
        tokio::task::spawn_blocking(move || file(&path, kind(&path))).await.map_err(error::task)??;
    source.digest = identity;
    source.fetched = Some(Arc::new(fetched));
    Ok(source)
}

/// What a file is, by the end of its name.
fn kind(path: &Path) -> Option<Format> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("parquet" | "pq") => Some(Format::Parquet),
        Some("csv") => Some(Format::Csv),
        Some("arrow" | "feather" | "ipc") => Some(Format::Arrow),
        _ => None,
    }
}

fn file(path: &Path, kind: Option<Format>) -> Result<Source, LakeError> {
    let name = error::file_name(path);
    if path.is_dir() {
        return Err(LakeError::Schema(format!("{name} is a folder without a Delta log (_delta_log)")));
    }
    let (format, schema, rows) = match kind {
        Some(Format::Parquet) => {
            let file = File::open(path).map_err(|e| error::io(path, &e))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(|e| error::corrupt(path, format!("is not a whole Parquet file: {e}")))?;
            let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).ok();
            (Format::Parquet, Arc::clone(reader.schema()), rows)
        }
        Some(Format::Csv) => (Format::Csv, csv_schema(path)?, None),
        Some(Format::Arrow) => {
            let file = File::open(path).map_err(|e| error::io(path, &e))?;
            let reader = FileReader::try_new(file, None)
                .map_err(|e| error::corrupt(path, format!("is not a whole Arrow file: {e}")))?;
            (Format::Arrow, reader.schema(), None)
        }
        _ => {
            let problem = "is neither .parquet nor .csv nor .arrow nor the folder of a Delta table";
            return Err(LakeError::Schema(format!("{name} {problem}")));
        }
    };
    check_names(&name, &schema)?;
    let digest = digest(path).map_err(|e| error::io(path, &e))?;
    let files = vec![DataFile { path: path.to_owned(), remote: None, constants: HashMap::new() }];
    Ok(Source { format, files, schema, name, rows, version: None, digest, fetched: None })
}

/// The names of a header row; every column is text until somebody says what it needs.
fn csv_schema(path: &Path) -> Result<SchemaRef, LakeError> {
    let file = File::open(path).map_err(|e| error::io(path, &e))?;
    let format = arrow_csv::reader::Format::default().with_header(true);
    let (header, _) = format.infer_schema(file, Some(0)).map_err(|e| error::corrupt(path, e))?;
    let fields = header.fields().iter().map(|field| {
        // Spreadsheets begin a file with a byte order mark.
        ArrowField::new(field.name().trim_start_matches('\u{feff}'), DataType::Utf8, true)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn check_names(name: &str, schema: &Schema) -> Result<(), LakeError> {
    let fields = schema.fields();
    let twice = fields.iter().enumerate().find(|(i, f)| fields[..*i].iter().any(|g| g.name() == f.name()));
    match twice {
        Some((_, field)) => {
            Err(LakeError::Schema(format!("{name} has two columns named '{}'; rename one", field.name())))
        }
        None => Ok(()),
    }
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let changed = about.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mut hasher = Sha256::new();
    hasher.update(about.len().to_le_bytes());
    hasher.update(changed.to_le_bytes());
    let mut end = Vec::new();
    Read::by_ref(&mut file).take(DIGESTED).read_to_end(&mut end)?;
    file.seek(SeekFrom::Start(about.len().saturating_sub(DIGESTED)))?;
    file.take(DIGESTED).read_to_end(&mut end)?;
    hasher.update(&end);
    Ok(hex(&hasher.finalize()))
}

async fn delta(
    root: &Root,
    mut builder: DeltaTableBuilder,
    version: Option<u64>,
) -> Result<Source, LakeError> {
    let name = root.name();
    if let Some(version) = version {
        builder = builder.with_version(version);
    }
    let table = builder.load().await.map_err(|e| LakeError::Storage(format!("{}: {e}", root.place())))?;
    let (files, rows, digest) = delta_files(root, &name, &table)?;
    let schema = Arc::new(table::table_schema(&table).map_err(error::delta)?);
    check_names(&name, &schema)?;
    if schema.fields().iter().any(|field| field.metadata().contains_key(MAPPED)) {
        return Err(LakeError::Schema(format!("{name} maps its columns to other names, which is not read")));
    }
    let version = table.version();
    Ok(Source { format: Format::Delta, files, schema, name, rows, version, digest, fetched: None })
}

/// The files of a table's version, in the order of their names, so that the same version reads the same.
fn delta_files(
    root: &Root,
    name: &str,
    table: &DeltaTable,
) -> Result<(Vec<DataFile>, Option<u64>, String), LakeError> {
    let state = table.snapshot().map_err(error::delta)?;
    let mut files = Vec::new();
    let mut rows = Some(0_u64);
    for view in state.log_data().iter() {
        if view.deletion_vector_descriptor().is_some() {
            let next = "rewrite it first (REORG TABLE … APPLY (PURGE))";
            return Err(LakeError::Schema(format!(
                "{name} has deletion vectors, which are not read; {next}"
            )));
        }
        let relative = view.path().into_owned();
        if Path::new(&relative).is_absolute() || relative.contains("://") || relative.contains("..") {
            return Err(LakeError::Schema(format!("{name} names a file outside its folder: {relative}")));
        }
        rows = rows.zip(view.num_records()).map(|(sum, more)| sum + more as u64);
        let file = root.file(&relative, view.partition_values_map())?;
        files.push((relative, view.size(), file));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = Sha256::new();
    hasher.update(table.version().unwrap_or_default().to_le_bytes());
    for (relative, bytes, _) in &files {
        hasher.update(relative.as_bytes());
        hasher.update(bytes.to_le_bytes());
    }
    Ok((files.into_iter().map(|(_, _, file)| file).collect(), rows, hex(&hasher.finalize())))
}
