//! A server process over a data folder, and verbs against it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_greenlight");

pub(crate) fn manifests() -> PathBuf {
    // Read when the test runs: two checkouts share compiled tests, but not their folders.
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../examples/bank")
}

pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    /// The admin token, on a first start.
    pub(crate) first_token: Option<String>,
}

impl Server {
    /// Starts a server on a free port and waits until it answers.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(data: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--settle-every", "0", "--data"])
            .arg(data)
            .args(more)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).expect("the first line says where it serves");
        Self {
            child,
            url: started["url"].as_str().unwrap().to_owned(),
            first_token: started["first_token"]["token"].as_str().map(str::to_owned),
        }
    }

    /// SIGKILL: nothing is flushed, nothing is closed.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM: please stop.
    pub(crate) fn terminate(&self) {
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits until it has ended by itself; whether it ended well.
    pub(crate) fn ended(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// Runs a verb against this server.
    pub(crate) fn verb(&self, token: &str, arguments: &[&str]) -> Output {
        Command::new(BINARY)
            .args(arguments)
            .env("GREENLIGHT_URL", &self.url)
            .env("GREENLIGHT_TOKEN", token)
            .output()
            .unwrap()
    }

    /// Runs a verb with `--json` that must succeed.
    pub(crate) fn json(&self, token: &str, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let output = self.verb(token, &all);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
