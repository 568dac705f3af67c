//! `greenlight endpoint erase`: a unit's data, on request.

use std::io::{IsTerminal, Write};

use clap::Args;

use super::{Server, show};
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// Endpoint.
    name: String,
    /// Whose data.
    #[arg(long)]
    unit: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    server: Server,
}

impl Erase {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        if !self.yes && !confirmed(&self.name, &self.unit)? {
            return Err(Failure::Input("nothing was deleted".to_owned()));
        }
        let unit = percent_encoded(&self.unit);
        let done = self.server.client()?.delete(&format!("/v1/endpoints/{}/units/{unit}", self.name)).await?;
        show(json, &done, |erased| {
            format!("Deleted {} predictions and {} outcomes.", erased["predictions"], erased["outcomes"])
        });
        Ok(())
    }
}

fn confirmed(endpoint: &str, unit: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Input("this deletes for good; add --yes where nobody can be asked".to_owned()));
    }
    let mut out = std::io::stderr();
    write!(out, "Delete everything that '{endpoint}' has logged about unit '{unit}', for good? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A unit as one segment of a path.
fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
