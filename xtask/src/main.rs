//! House-keeping that cargo has no word for. `cargo xtask tidy` holds the tree to the house habits.
//!
//! It has no dependencies, so that it is built in a second or two and can run before anything else.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for the terminal: findings are its output"
)]

mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy

  tidy    lengths of files and functions, edges between crates, forbidden words, blanks,
          decision records, and features that would compile DataFusion twice";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => report(tidy::run()),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn report(outcome: Result<tidy::Report, String>) -> ExitCode {
    match outcome {
        Ok(report) if report.findings.is_empty() => {
            println!("tidy: {} files, nothing to say", report.files);
            ExitCode::SUCCESS
        }
        Ok(report) => {
            for finding in &report.findings {
                eprintln!("{finding}");
            }
            eprintln!("tidy: {} in {} files", count(report.findings.len(), "finding"), report.files);
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("tidy: {message}");
            ExitCode::from(2)
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
