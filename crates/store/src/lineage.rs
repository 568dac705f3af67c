//! Edges of the lineage, read from where the nouns keep them; and what other systems reported.
//!
//! Every function takes many nodes at once and answers at most a given number of edges. What is deleted has no edges.

use greenlight_domain::lineage::{Direction, Edge, Node, NodeKind};
use greenlight_domain::time::Micros;
use sqlx::AssertSqlSafe;

use crate::{Connection, StoreError};

/// A query between nodes of two kinds; `{}` stands for the places of the nodes that are asked for.
struct Link {
    from: NodeKind,
    to: NodeKind,
    /// Selects pairs; ends in a condition on `from_name` or `to_name`.
    pairs: &'static str,
}

/// How a version is written.
macro_rules! reference {
    ($table:literal) => {
        concat!($table, ".name || '@' || cast(", $table, ".version as text)")
    };
}

const LINKS: &[Link] = &[
    Link {
        from: NodeKind::Dataset,
        to: NodeKind::Run,
        pairs: "select dataset as from_name, id as to_name from run where dataset <> '' and deleted_at is null",
    },
    // A run that logged data from the place of a version read the newest version there.
    Link {
        from: NodeKind::Dataset,
        to: NodeKind::Run,
        pairs: concat!(
            "select ",
            reference!("d"),
            " as from_name, r.id as to_name from dataset_version as d \
             join logged_dataset as l on l.place = d.source join run_input as i on i.dataset = l.number \
             join run as r on r.number = i.run \
             where d.source <> '' and r.deleted_at is null and not exists (select 1 from dataset_version as n \
             where n.source = d.source and (n.created_at > d.created_at or (n.created_at = d.created_at \
             and n.version > d.version)))"
        ),
    },
    Link {
        from: NodeKind::LoggedDataset,
        to: NodeKind::Run,
        pairs: "select l.name || '#' || l.digest as from_name, r.id as to_name from logged_dataset as l \
                join run_input as i on i.dataset = l.number join run as r on r.number = i.run \
                where r.deleted_at is null and (l.place = '' \
                or not exists (select 1 from dataset_version as d where d.source = l.place))",
    },
    Link {
        from: NodeKind::Run,
        to: NodeKind::Dataset,
        pairs: concat!(
            "select d.run_id as from_name, ",
            reference!("d"),
            " as to_name from dataset_version as d where d.run_id <> ''"
        ),
    },
    Link {
        from: NodeKind::Run,
        to: NodeKind::LoggedModel,
        pairs: "select source_run_id as from_name, id as to_name from logged_model \
                where source_run_id <> '' and deleted_at is null",
    },
    Link {
        from: NodeKind::LoggedModel,
        to: NodeKind::Run,
        pairs: "select m.model_id as from_name, r.id as to_name from run_model as m join run as r on r.number = m.run \
                where m.is_output = 0 and r.deleted_at is null",
    },
    Link {
        from: NodeKind::Run,
        to: NodeKind::RegisteredVersion,
        pairs: "select v.run_id as from_name, m.name || '/' || cast(v.version as text) as to_name \
                from registered_version as v join registered_model as m on m.number = v.model \
                where v.run_id is not null and v.run_id <> '' and v.deleted_at is null",
    },
    Link {
        from: NodeKind::LoggedModel,
        to: NodeKind::RegisteredVersion,
        pairs: "select l.id as from_name, m.name || '/' || cast(v.version as text) as to_name \
                from logged_model as l join registered_version as v on v.source = 'models:/' || l.id \
                join registered_model as m on m.number = v.model \
                where l.deleted_at is null and v.deleted_at is null",
    },
    Link {
        from: NodeKind::Run,
        to: NodeKind::Model,
        pairs: concat!(
            "select v.run_id as from_name, ",
            reference!("v"),
            " as to_name from model_version as v where v.run_id <> ''"
        ),
    },
    Link {
        from: NodeKind::RegisteredVersion,
        to: NodeKind::Model,
        pairs: concat!(
            "select v.registered_name || '/' || cast(v.registered_version as text) as from_name, ",
            reference!("v"),
            " as to_name from model_version as v where v.registered_name is not null"
        ),
    },
    Link {
        from: NodeKind::Model,
        to: NodeKind::Release,
        pairs: "select model || '@' || cast(model_version as text) as from_name, id as to_name from release \
                where id <> ''",
    },
    Link {
        from: NodeKind::Release,
        to: NodeKind::Endpoint,
        pairs: "select id as from_name, endpoint as to_name from release where id <> ''",
    },
    Link {
        from: NodeKind::Endpoint,
        to: NodeKind::Initiative,
        pairs: "select name as from_name, initiative as to_name from endpoint where initiative <> ''",
    },
    Link {
        from: NodeKind::Place,
        to: NodeKind::Job,
        pairs: "select place as from_name, job as to_name from lineage_edge where is_output = 0 \
                and not exists (select 1 from dataset_version as d where d.source = lineage_edge.place)",
    },
    Link {
        from: NodeKind::Job,
        to: NodeKind::Place,
        pairs: "select job as from_name, place as to_name from lineage_edge where is_output = 1 \
                and not exists (select 1 from dataset_version as d where d.source = lineage_edge.place)",
    },
    Link {
        from: NodeKind::Dataset,
        to: NodeKind::Job,
        pairs: concat!(
            "select ",
            reference!("d"),
            " as from_name, e.job as to_name from lineage_edge as e \
             join dataset_version as d on d.source = e.place where e.is_output = 0 and d.source <> ''"
        ),
    },
    Link {
        from: NodeKind::Job,
        to: NodeKind::Dataset,
        pairs: concat!(
            "select e.job as from_name, ",
            reference!("d"),
            " as to_name from lineage_edge as e \
             join dataset_version as d on d.source = e.place where e.is_output = 1 and d.source <> ''"
        ),
    },
    // Data that a job elsewhere wrote and a run here logged under the same place.
    Link {
        from: NodeKind::Place,
        to: NodeKind::LoggedDataset,
        pairs: "select l.place as from_name, l.name || '#' || l.digest as to_name from logged_dataset as l \
                where l.place <> '' and exists (select 1 from lineage_edge as e where e.place = l.place) \
                and not exists (select 1 from dataset_version as d where d.source = l.place)",
    },
];

/// The edges that lead to or from these nodes, all of one kind; at most `limit` for each kind of neighbour.
pub async fn edges(
    connection: &mut Connection,
    direction: Direction,
    kind: NodeKind,
    names: &[&str],
    limit: i64,
) -> Result<Vec<Edge>, StoreError> {
    let mut found = Vec::new();
    for link in LINKS {
        let (own, column) = match direction {
            Direction::Down => (link.from, "from_name"),
            Direction::Up => (link.to, "to_name"),
        };
        if own != kind || names.is_empty() {
            continue;
        }
        let places: Vec<String> = (1..=names.len()).map(|at| format!("${at}")).collect();
        let text = format!(
            "select distinct from_name, to_name from ({}) as pairs where {column} in ({}) \
             order by from_name desc, to_name desc limit ${}",
            link.pairs,
            places.join(","),
            names.len() + 1
        );
        let mut query = sqlx::query_as(AssertSqlSafe(text));
        for name in names {
            query = query.bind(*name);
        }
        let rows: Vec<(String, String)> = query.bind(limit).fetch_all(&mut *connection).await?;
        found.extend(
            rows.into_iter()
                .map(|(from, to)| Edge { from: Node::new(link.from, from), to: Node::new(link.to, to) }),
        );
    }
    Ok(found)
}

/// Names for people and a word of detail, of runs, logged models and releases.
pub async fn labels(
    connection: &mut Connection,
    kind: NodeKind,
    names: &[&str],
) -> Result<Vec<(String, String, String)>, StoreError> {
    let select = match kind {
        NodeKind::Run => "select id, name, status from run where id in",
        NodeKind::LoggedModel => "select id, name, model_type from logged_model where id in",
        NodeKind::Release => "select id, id, stage from release where id in",
        _ => return Ok(Vec::new()),
    };
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (1..=names.len()).map(|at| format!("${at}")).collect();
    let mut query = sqlx::query_as(AssertSqlSafe(format!("{select} ({})", places.join(","))));
    for name in names {
        query = query.bind(*name);
    }
    Ok(query.fetch_all(connection).await?)
}

/// Whether a node exists.
pub async fn exists(connection: &mut Connection, node: &Node) -> Result<bool, StoreError> {
    let select = match node.kind {
        NodeKind::Place => "select cast(1 as bigint) from lineage_edge where place = $1 limit 1",
        NodeKind::Job => "select cast(1 as bigint) from lineage_edge where job = $1 limit 1",
        NodeKind::Dataset => {
            "select cast(1 as bigint) from dataset_version where name || '@' || cast(version as text) = $1 limit 1"
        }
        NodeKind::LoggedDataset => {
            "select cast(1 as bigint) from logged_dataset where name || '#' || digest = $1 limit 1"
        }
        NodeKind::Run => "select cast(1 as bigint) from run where id = $1",
        NodeKind::LoggedModel => "select cast(1 as bigint) from logged_model where id = $1",
        NodeKind::RegisteredVersion => {
            "select cast(1 as bigint) from registered_version as v join registered_model as m on m.number = v.model \
             where m.name || '/' || cast(v.version as text) = $1 limit 1"
        }
        NodeKind::Model => {
            "select cast(1 as bigint) from model_version where name || '@' || cast(version as text) = $1 limit 1"
        }
        NodeKind::Release => "select cast(1 as bigint) from release where id = $1",
        NodeKind::Endpoint => "select cast(1 as bigint) from endpoint where name = $1",
        NodeKind::Initiative => "select cast(1 as bigint) from initiative where name = $1",
    };
    let found: Option<(i64,)> = sqlx::query_as(select).bind(&node.name).fetch_optional(connection).await?;
    Ok(found.is_some())
}

/// What a job of another system read or wrote, seen at a moment. Reporting it again moves only the last moment.
pub async fn report(
    connection: &mut Connection,
    (job, place, is_output): (&str, &str, bool),
    at: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into lineage_edge (job, place, is_output, first_at, last_at) values ($1, $2, $3, $4, $4) \
         on conflict (job, place, is_output) do update set last_at = excluded.last_at \
         where lineage_edge.last_at < excluded.last_at",
    )
    .bind(job)
    .bind(place)
    .bind(i64::from(is_output))
    .bind(at.0)
    .execute(connection)
    .await?;
    Ok(())
}
