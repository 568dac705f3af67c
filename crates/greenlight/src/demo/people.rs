//! The people of the demo, each with a token and a role of their own.

use std::collections::BTreeMap;

use serde_json::json;

use super::text;
use crate::client::Client;
use crate::failure::Failure;

pub(crate) struct People {
    /// Dana trains and submits.
    pub scientist: Client,
    /// Ada approves first.
    pub first_approver: Client,
    /// Bo approves second.
    pub second_approver: Client,
    /// Olga runs the traffic.
    pub operator: Client,
    /// Vera looks.
    pub viewer: Client,
    /// Their tokens by role, to sign in with. The data of a demo are thrown away, and so are these.
    pub tokens: BTreeMap<&'static str, String>,
}

/// The roles, in the order in which their tokens are issued.
const ROLES: [&str; 5] = ["scientist", "approver", "second approver", "operator", "viewer"];

impl People {
    /// Issues their tokens.
    pub(crate) async fn hire(url: &str, admin_token: &str) -> Result<Self, Failure> {
        let admin = Client::new(url, admin_token)?;
        let mut tokens = Vec::new();
        for (name, role) in [
            ("dana", "scientist"),
            ("ada", "approver"),
            ("bo", "approver"),
            ("olga", "operator"),
            ("vera", "viewer"),
        ] {
            let issued = admin.post("/v1/tokens", &json!({ "name": name, "role": role })).await?;
            tokens.push(text(&issued, "token"));
        }
        Ok(Self {
            scientist: admin.with_token(&tokens[0]),
            first_approver: admin.with_token(&tokens[1]),
            second_approver: admin.with_token(&tokens[2]),
            operator: admin.with_token(&tokens[3]),
            viewer: admin.with_token(&tokens[4]),
            tokens: ROLES.into_iter().zip(tokens).collect(),
        })
    }
}
