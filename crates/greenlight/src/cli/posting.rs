//! `greenlight ledger export`: postings for other tools.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use greenlight_app::AppError;
use greenlight_app::lake::LakeError;
use greenlight_app::posting::{PostingView, Postings};
use greenlight_domain::money::Money;
use greenlight_lake::posting_rows;
use greenlight_lake::score::{DeltaOutput, write_part};
use serde_json::json;

use super::{Server, show};
use crate::client::Client;
use crate::failure::Failure;

/// Postings of a request.
const PAGE: u32 = 10_000;
/// Most postings of an export: some hundred years of an endpoint.
const MAX_POSTINGS: usize = 10_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Csv,
    Parquet,
    Delta,
}

/// Write the postings of an endpoint as CSV, Parquet or a Delta table.
///
/// A Delta table that exists is given what runs have posted since, once; a file is replaced.
#[derive(Debug, Args)]
pub(crate) struct Export {
    endpoint: String,
    /// File, or folder of a Delta table.
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Told by the name's ending when left out: .csv, .parquet, and a Delta table otherwise.
    #[arg(long, value_name = "FORM")]
    form: Option<Form>,
    #[command(flatten)]
    server: Server,
}

impl Export {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let client = self.server.client()?;
        let form = self.form.unwrap_or_else(|| form_of(&self.to));
        let written = match form {
            Form::Delta => self.append(&client).await?,
            Form::Csv | Form::Parquet => {
                let postings = fetch(&client, &self.endpoint, 0).await?;
                let (path, count) = (self.to.clone(), postings.len());
                let write = move || match form {
                    Form::Csv => write_csv(&path, &postings),
                    Form::Parquet | Form::Delta => export(|| write_part(&path, &[posting_rows(&postings)?])),
                };
                tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other)??;
                count
            }
        };
        let told = json!({ "endpoint": self.endpoint, "to": self.to, "postings": written });
        show(json, &told, |_| match (form, written) {
            (Form::Delta, 0) => format!("{} holds every posting already.", self.to.display()),
            _ => format!("Wrote {written} postings to {}.", self.to.display()),
        });
        Ok(())
    }

    /// Appends what was posted since the last export, in one commit that names the newest run.
    async fn append(&self, client: &Client) -> Result<usize, Failure> {
        let table = DeltaOutput::open(&self.to, &format!("ledger/{}", self.endpoint))
            .await
            .map_err(AppError::from)?;
        let postings = fetch(client, &self.endpoint, table.chunks()).await?;
        let newest = postings.last().and_then(|posting| u64::try_from(posting.settle_run).ok());
        if let Some(newest) = newest {
            let rows = posting_rows(&postings).map_err(AppError::from)?;
            table.commit(newest, vec![rows]).await.map_err(AppError::from)?;
        }
        Ok(postings.len())
    }
}

fn export(write: impl FnOnce() -> Result<(), LakeError>) -> Result<(), Failure> {
    Ok(write().map_err(AppError::from)?)
}

fn form_of(path: &Path) -> Form {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Form::Csv,
        Some("parquet") => Form::Parquet,
        _ => Form::Delta,
    }
}

async fn fetch(client: &Client, endpoint: &str, after_run: u64) -> Result<Vec<PostingView>, Failure> {
    let mut all = Vec::new();
    let base = format!("/v1/endpoints/{endpoint}/ledger/postings?limit={PAGE}");
    let mut path = format!("{base}&after_run={after_run}");
    loop {
        let answer = client.get(&path).await?;
        let page: Postings = serde_json::from_value(answer)
            .map_err(|e| Failure::Input(format!("the server's list of postings: {e}")))?;
        all.extend(page.postings);
        match page.next {
            Some(next) if all.len() < MAX_POSTINGS => path = format!("{base}&after={next}"),
            Some(_) => return Err(Failure::Input(format!("there are more than {MAX_POSTINGS} postings"))),
            None => return Ok(all),
        }
    }
}

/// Under another name first, so that a file of that name is whole.
fn write_csv(path: &Path, postings: &[PostingView]) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut writer = csv::Writer::from_writer(&mut file);
    let header = [
        "id",
        "initiative",
        "endpoint",
        "release",
        "model",
        "variant",
        "day",
        "kind",
        "amount",
        "currency",
        "grade",
        "settle_run",
        "at",
    ];
    writer.write_record(header).map_err(std::io::Error::other)?;
    for posting in postings {
        let amount = plain(Money::new(posting.amount_minor, posting.currency));
        writer
            .write_record([
                posting.id.as_str(),
                &posting.initiative,
                &posting.endpoint,
                posting.release.as_deref().unwrap_or_default(),
                posting.model.as_deref().unwrap_or_default(),
                posting.variant.map_or("", |variant| variant.as_str()),
                &posting.day,
                posting.kind.as_str(),
                &amount,
                posting.currency.code(),
                &posting.grade.to_string(),
                &posting.settle_run.to_string(),
                &posting.at.to_string(),
            ])
            .map_err(std::io::Error::other)?;
    }
    writer.flush()?;
    drop(writer);
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

/// Without sign of the currency or separators of thousands.
fn plain(money: Money) -> String {
    let sign = if money.minor < 0 { "-" } else { "" };
    let minor = money.minor.unsigned_abs();
    format!("{sign}{}.{:02}", minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use greenlight_domain::money::Currency;

    use super::*;

    #[test]
    fn amounts_are_plain_numbers() {
        let plain = |minor| plain(Money::new(minor, Currency::EUR));
        assert_eq!([5, -5, -123_456_789, 100].map(plain), ["0.05", "-0.05", "-1234567.89", "1.00"]);
    }
}
