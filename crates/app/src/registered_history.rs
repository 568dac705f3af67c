//! Which version of a registered model was what, when: aliases and stages from the audit trail.
//!
//! The trail itself needs a permission of its own; which version an alias named is for everybody who may look at the
//! model.

use std::collections::BTreeMap;

use greenlight_domain::time::Micros;
use greenlight_store::Connection;
use greenlight_store::audit::{AuditLine, of_registered_model};

use crate::AppError;

/// Most changes that are read.
pub const MAX_CHANGES: usize = 1_000;
/// Most names that a model had before, which are followed.
const MAX_RENAMES: usize = 20;
/// The stage of a version that is in none.
const NO_STAGE: &str = "None";

/// What a version was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// An alias named it.
    Alias(String),
    /// It was in a stage.
    Stage(String),
}

/// How long a version was something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it was.
    pub held: Held,
    /// Which version.
    pub version: i64,
    /// Since when; none when that was before the changes that were read.
    pub from: Option<Micros>,
    /// Until when; none while it lasts.
    pub until: Option<Micros>,
    /// Who made it so, if that is known.
    pub by: Option<String>,
}

impl Span {
    /// Whether it holds at some moment from `from` until just before `until`.
    pub fn overlaps(&self, from: Micros, until: Micros) -> bool {
        self.from.is_none_or(|begin| begin < until) && self.until.is_none_or(|end| end > from)
    }
}

/// What is open while the changes are read.
#[derive(Default)]
struct Reader {
    aliases: BTreeMap<String, Span>,
    stages: BTreeMap<(String, i64), Span>,
    closed: Vec<Span>,
}

impl Reader {
    fn close(&mut self, open: Option<Span>, known: Option<(Held, i64)>, at: Micros) {
        let before = known.map(|(held, version)| Span { held, version, from: None, until: None, by: None });
        if let Some(span) = open.or(before) {
            self.closed.push(Span { until: Some(at), ..span });
        }
    }

    fn begin(held: Held, version: i64, line: &AuditLine) -> Span {
        Span { held, version, from: Some(line.at), until: None, by: Some(line.actor.clone()) }
    }

    fn leave_alias(&mut self, alias: &str, before: Option<i64>, at: Micros) {
        let open = self.aliases.remove(alias);
        self.close(open, before.map(|version| (Held::Alias(alias.to_owned()), version)), at);
    }

    fn leave_stage(&mut self, stage: &str, version: i64, at: Micros) {
        if stage != NO_STAGE {
            let open = self.stages.remove(&(stage.to_owned(), version));
            self.close(open, Some((Held::Stage(stage.to_owned()), version)), at);
        }
    }

    fn enter_stage(&mut self, stage: &str, version: i64, line: &AuditLine) {
        if stage != NO_STAGE {
            let span = Self::begin(Held::Stage(stage.to_owned()), version, line);
            self.stages.insert((stage.to_owned(), version), span);
        }
    }

    fn read(&mut self, line: &AuditLine) {
        let text = |key: &str| line.detail[key].as_str();
        let (version, before) = (line.detail["version"].as_i64(), line.detail["before"].as_i64());
        match line.action.as_str() {
            "registered_model.set_alias" => {
                let (Some(alias), Some(version)) = (text("alias"), version) else { return };
                if self.aliases.get(alias).is_some_and(|open| open.version == version) {
                    return;
                }
                if before == Some(version) {
                    let held = Held::Alias(alias.to_owned());
                    let span = Span { held, version, from: None, until: None, by: None };
                    self.aliases.insert(alias.to_owned(), span);
                    return;
                }
                self.leave_alias(alias, before, line.at);
                let span = Self::begin(Held::Alias(alias.to_owned()), version, line);
                self.aliases.insert(alias.to_owned(), span);
            }
            "registered_model.delete_alias" => {
                if let Some(alias) = text("alias") {
                    self.leave_alias(alias, before, line.at);
                }
            }
            "registered_version.set_stage" => {
                let (Some(version), Some(from), Some(to)) = (version, text("from"), text("to")) else {
                    return;
                };
                if from != to {
                    self.leave_stage(from, version, line.at);
                    self.enter_stage(to, version, line);
                }
                for other in line.detail["archived"].as_array().into_iter().flatten() {
                    if let Some(other) = other.as_i64() {
                        self.leave_stage(to, other, line.at);
                        self.enter_stage("Archived", other, line);
                    }
                }
            }
            "registered_version.delete" => {
                let (Some(version), Some(stage)) = (version, text("stage")) else { return };
                self.leave_stage(stage, version, line.at);
                for alias in line.detail["aliases"].as_array().into_iter().flatten() {
                    if let Some(alias) = alias.as_str() {
                        self.leave_alias(alias, Some(version), line.at);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The spans of changes, given the oldest first: those that last before those that ended, then the newest first.
pub fn spans(changes: &[AuditLine]) -> Vec<Span> {
    let mut reader = Reader::default();
    for line in changes {
        reader.read(line);
    }
    let mut all = reader.closed;
    all.extend(reader.aliases.into_values());
    all.extend(reader.stages.into_values());
    all.sort_by(|a, b| {
        let lasts = |span: &Span| span.until.is_none();
        lasts(b).cmp(&lasts(a)).then(b.from.cmp(&a.from)).then(a.held.cmp(&b.held))
    });
    all
}

/// The changes of the model that has this name now, the oldest first, under the names that it had before, too; whether
/// there were more than are read. A model of the same name that is gone is another model.
pub(crate) async fn changes(
    connection: &mut Connection,
    name: &str,
) -> Result<(Vec<AuditLine>, bool), AppError> {
    let mut all: Vec<AuditLine> = Vec::new();
    let (mut name, mut before, mut came_as) = (name.to_owned(), None::<String>, None::<String>);
    'names: for _ in 0..=MAX_RENAMES {
        let left = MAX_CHANGES - all.len() + 1;
        let mut renamed = None;
        for line in of_registered_model(connection, &name, before.as_deref(), left as i64).await? {
            let (from, to) = (line.detail["from"].as_str(), line.detail["to"].as_str());
            match (line.action.as_str(), from, to) {
                ("registered_model.rename", Some(from), _) => {
                    renamed = Some((from.to_owned(), line.id));
                    break;
                }
                ("registered_model.rename", None, Some(to)) if came_as.as_deref() == Some(to) => {}
                ("registered_model.create" | "registered_model.delete" | "registered_model.rename", ..) => {
                    break 'names;
                }
                _ if all.len() == MAX_CHANGES => {
                    all.reverse();
                    return Ok((all, true));
                }
                _ => all.push(line),
            }
        }
        let Some((from, id)) = renamed else { break };
        came_as = Some(std::mem::replace(&mut name, from));
        before = Some(id);
    }
    all.reverse();
    Ok((all, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn line(at: i64, action: &str, detail: Value) -> AuditLine {
        AuditLine {
            id: format!("{at:03}"),
            at: Micros(at),
            actor: "dana".into(),
            role: "scientist".into(),
            action: action.into(),
            subject: "churn".into(),
            detail,
        }
    }

    fn alias(at: i64, version: i64, before: Option<i64>) -> AuditLine {
        let detail = json!({ "alias": "champion", "version": version, "before": before });
        line(at, "registered_model.set_alias", detail)
    }

    fn brief(changes: &[AuditLine]) -> Vec<(i64, Option<i64>, Option<i64>)> {
        let brief = |s: &Span| (s.version, s.from.map(|at| at.0), s.until.map(|at| at.0));
        spans(changes).iter().map(brief).collect()
    }

    #[test]
    fn an_alias_moves_from_version_to_version() {
        let gone = line(30, "registered_model.delete_alias", json!({ "alias": "champion", "before": 2 }));
        let changes = [alias(10, 1, None), alias(15, 1, Some(1)), alias(20, 2, Some(1)), gone];
        assert_eq!(brief(&changes[..3]), [(2, Some(20), None), (1, Some(10), Some(20))]);
        assert_eq!(brief(&changes), [(2, Some(20), Some(30)), (1, Some(10), Some(20))]);
    }

    #[test]
    fn what_began_before_the_changes_has_no_beginning() {
        assert_eq!(brief(&[alias(20, 2, Some(1))]), [(2, Some(20), None), (1, None, Some(20))]);
        assert_eq!(brief(&[alias(20, 2, Some(2))]), [(2, None, None)]);
    }

    #[test]
    fn a_version_archives_the_others_of_its_stage() {
        let stage = |at, version, from: &str, to: &str, archived: &[i64]| {
            let detail = json!({ "version": version, "from": from, "to": to, "archived": archived });
            line(at, "registered_version.set_stage", detail)
        };
        let changes = [stage(1, 1, "None", "Production", &[]), stage(5, 2, "Staging", "Production", &[1])];
        let all = spans(&changes);
        let of = |stage: &str, version| {
            let held = Held::Stage(stage.to_owned());
            all.iter().find(|span| span.held == held && span.version == version).unwrap()
        };
        assert_eq!(of("Production", 1).until, Some(Micros(5)));
        assert_eq!(of("Archived", 1).from, Some(Micros(5)));
        assert_eq!((of("Staging", 2).from, of("Staging", 2).until), (None, Some(Micros(5))));
        assert_eq!(of("Production", 2).until, None);
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_deleted_version_is_nothing_any_more() {
        let detail = json!({ "version": 1, "stage": "Production", "aliases": ["champion"] });
        let changes = [
            alias(1, 1, None),
            line(
                2,
                "registered_version.set_stage",
                json!({ "version": 1, "from": "None", "to": "Production" }),
            ),
            line(9, "registered_version.delete", detail),
        ];
        assert_eq!(brief(&changes), [(1, Some(2), Some(9)), (1, Some(1), Some(9))]);
    }

    #[test]
    fn a_span_overlaps_the_moments_that_it_holds() {
        let changes = [alias(10, 1, None), alias(20, 2, Some(1))];
        let all = spans(&changes);
        let during = |from, until| {
            let found = all.iter().filter(|span| span.overlaps(Micros(from), Micros(until)));
            found.map(|span| span.version).collect::<Vec<_>>()
        };
        assert_eq!(during(0, 10), [0; 0]);
        assert_eq!(during(10, 11), [1]);
        assert_eq!(during(15, 25), [2, 1]);
        assert_eq!(during(20, 21), [2]);
    }
}
