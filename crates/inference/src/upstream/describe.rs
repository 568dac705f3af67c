//! What a server says of its model, and how the columns of a data set meet it.
//!
//! Used once, at registration: afterwards the artifact says everything.

use greenlight_app::runtime::RuntimeError;
use greenlight_domain::frame::{ColumnType, Field};
use serde::Deserialize;

use super::failed::clean;
use super::spec::{Datatype, Input, Protocol, Spec};
use crate::artifact::{MAX_FEATURES, refused};

/// A tensor, as the metadata of a model have it. -1 stands for a size that varies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) datatype: String,
    #[serde(default)]
    pub(crate) shape: Vec<i64>,
}

/// The metadata of a model; empty where the server has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) inputs: Vec<Meta>,
    pub(crate) outputs: Vec<Meta>,
}

/// Fills in what the wish leaves open. `columns` are those that may go in, in order.
pub(crate) fn complete(
    mut spec: Spec,
    described: &Described,
    columns: &[Field],
) -> Result<Spec, RuntimeError> {
    if spec.columns.is_empty() {
        spec.columns = columns.to_vec();
    }
    if spec.input.is_none() {
        let (input, columns) = input(&spec, described)?;
        spec.input = Some(input);
        spec.columns = columns;
    }
    if spec.output.name.is_none() {
        spec.output.name = output(described)?;
    } else if let Some(name) = &spec.output.name
        && !described.outputs.is_empty()
        && !described.outputs.iter().any(|output| &output.name == name)
    {
        return Err(refused(format!(
            "the model has no output '{name}'; it has {}",
            names(&described.outputs)
        )));
    }
    spec.check_input()?;
    Ok(spec)
}

fn input(spec: &Spec, described: &Described) -> Result<(Input, Vec<Field>), RuntimeError> {
    let columns = &spec.columns;
    if spec.protocol == Protocol::Mlflow {
        return Ok((Input::Frame {}, columns.clone()));
    }
    match described.inputs.as_slice() {
        [] if columns.iter().all(|column| column.column_type == ColumnType::Number) => {
            Ok((Input::Matrix { name: "input".to_owned(), datatype: Datatype::Fp64 }, columns.clone()))
        }
        [] => {
            let datatype = |column: &Field| match column.column_type {
                ColumnType::Number => Datatype::Fp64,
                ColumnType::Text => Datatype::Bytes,
            };
            let datatypes = columns.iter().map(datatype).collect();
            Ok((Input::Columns { datatypes, rank: 1 }, columns.clone()))
        }
        [only] if !columns.iter().any(|column| column.name.as_ref() == only.name) => {
            let width = only.shape.last().copied().filter(|_| only.shape.len() == 2).unwrap_or(-1);
            if only.shape.len() != 2 || (width >= 0 && width != columns.len() as i64) {
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_ref()).collect();
                return Err(refused(format!(
                    "the model takes '{}' of shape {:?} and {} columns would go in ({}); name those that go in, in \
                     order",
                    clean(&only.name),
                    only.shape,
                    names.len(),
                    names.join(", ")
                )));
            }
            let datatype = datatype(only)?;
            Ok((Input::Matrix { name: only.name.clone(), datatype }, columns.clone()))
        }
        several => by_name(several, columns),
    }
}

/// One tensor a column, found by name.
fn by_name(inputs: &[Meta], columns: &[Field]) -> Result<(Input, Vec<Field>), RuntimeError> {
    if inputs.len() > MAX_FEATURES {
        return Err(refused(format!(
            "the model takes {} inputs; {MAX_FEATURES} can be served",
            inputs.len()
        )));
    }
    let mut taken = Vec::with_capacity(inputs.len());
    let mut datatypes = Vec::with_capacity(inputs.len());
    let mut rank = 1;
    for input in inputs {
        let column = columns.iter().find(|column| column.name.as_ref() == input.name).ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_ref()).collect();
            refused(format!(
                "the model takes '{}' and there is no such column; there are {}",
                clean(&input.name),
                names.join(", ")
            ))
        })?;
        if input.shape.len() > 2 || input.shape.get(1).is_some_and(|&width| !matches!(width, -1 | 1)) {
            let name = clean(&input.name);
            return Err(refused(format!(
                "input '{name}' has the shape {:?}, not one value a row",
                input.shape
            )));
        }
        rank = rank.max(input.shape.len() as u8);
        taken.push(column.clone());
        datatypes.push(datatype(input)?);
    }
    Ok((Input::Columns { datatypes, rank }, taken))
}

fn datatype(input: &Meta) -> Result<Datatype, RuntimeError> {
    let known = [Datatype::Fp32, Datatype::Fp64, Datatype::Int32, Datatype::Int64, Datatype::Bytes];
    known.into_iter().find(|datatype| datatype.as_str() == input.datatype).ok_or_else(|| {
        refused(format!(
            "input '{}' is {}; FP32, FP64, INT32, INT64 and BYTES can be sent",
            clean(&input.name),
            clean(&input.datatype)
        ))
    })
}

/// The only output, or the only one that is called a probability.
fn output(described: &Described) -> Result<Option<String>, RuntimeError> {
    let likely = described.outputs.iter().filter(|output| output.name.to_lowercase().contains("prob"));
    match (described.outputs.as_slice(), likely.collect::<Vec<_>>().as_slice()) {
        ([], _) => Ok(None),
        ([only], _) => Ok(Some(only.name.clone())),
        (_, [likely]) => Ok(Some(likely.name.clone())),
        (several, _) => {
            let names = names(several);
            Err(refused(format!("say which output is the probability: {names}")))
        }
    }
}

fn names(tensors: &[Meta]) -> String {
    tensors.iter().take(20).map(|tensor| clean(&tensor.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meta(name: &str, datatype: &str, shape: &[i64]) -> Meta {
        Meta { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec() }
    }

    fn completed(inputs: Vec<Meta>, outputs: Vec<Meta>) -> Result<Spec, String> {
        let wanted = json!({"protocol": "oip-rest", "addresses": ["http://a"], "model": "m"});
        let columns = [Field::number("age"), Field::number("balance")];
        let spec = Spec::wanted(&wanted).unwrap();
        complete(spec, &Described { inputs, outputs }, &columns).map_err(|e| e.to_string())
    }

    #[test]
    fn a_matrix_takes_all_columns_and_tensors_by_name_take_theirs() {
        let spec = completed(vec![meta("x", "FP32", &[-1, 2])], vec![meta("y", "FP32", &[-1, 1])]).unwrap();
        assert_eq!(spec.input, Some(Input::Matrix { name: "x".to_owned(), datatype: Datatype::Fp32 }));
        assert_eq!(spec.output.name.as_deref(), Some("y"));
        let spec = completed(vec![meta("balance", "INT64", &[-1, 1])], vec![]).unwrap();
        assert_eq!(spec.input, Some(Input::Columns { datatypes: vec![Datatype::Int64], rank: 2 }));
        assert_eq!(spec.columns, [Field::number("balance")]);
        let spec = completed(vec![], vec![]).unwrap();
        assert!(matches!(spec.input, Some(Input::Matrix { .. })));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let outputs = || vec![meta("label", "INT64", &[-1]), meta("scores", "FP32", &[-1, 2])];
        for (inputs, outputs, part) in [
            (vec![meta("x", "FP32", &[-1, 3])], vec![], "2 columns would go in (age, balance)"),
            (vec![meta("x", "BF16", &[-1, 2])], vec![], "BF16"),
            (vec![meta("x", "FP32", &[-1, 3, 8, 8])], vec![], "[-1, 3, 8, 8]"),
            (vec![meta("age", "FP32", &[-1]), meta("unit", "BYTES", &[-1])], vec![], "takes 'unit'"),
            (vec![meta("age", "BYTES", &[-1])], vec![], "takes BYTES for 'age'"),
            (vec![], outputs(), "label, scores"),
        ] {
            let error = completed(inputs, outputs).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let likely = vec![meta("label", "INT64", &[-1]), meta("probabilities", "FP32", &[-1, 2])];
        assert_eq!(completed(vec![], likely).unwrap().output.name.as_deref(), Some("probabilities"));
    }
}
