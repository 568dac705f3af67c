//! The `MLmodel` file of a model that MLflow's client has logged: which of the files beside it is served as it is, and
//! what the model's columns are called.
//!
//! It refuses objects of Python by name, because to load one is to run what it says.

use serde_json::Value;

use crate::AppError;

/// Name of the file.
pub(crate) const FILE: &str = "MLmodel";
/// Most bytes of it.
pub(crate) const MAX_BYTES: u64 = 4 << 20;
/// Flavors whose file is served as it is. A library's own file comes before one that was made of it.
const SERVED: [&str; 3] = ["lightgbm", "xgboost", "onnx"];
/// How files end that only Python reads.
const OF_PYTHON: [&str; 6] = ["pkl", "pickle", "cloudpickle", "joblib", "skops", "dill"];

/// A file that can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// Its path, from the folder of the `MLmodel` file.
    pub(crate) path: String,
    /// What the signature calls the columns, in order; empty when it does not name them all.
    pub(crate) columns: Vec<String>,
}

/// Finds the file to serve of a model, which messages call `model`.
pub(crate) fn read(text: &str, model: &str) -> Result<Served, AppError> {
    let described: Value = serde_saphyr::from_str(text).map_err(|error| {
        let problem: String = error.to_string().chars().take(300).collect();
        AppError::Invalid(format!(
            "the {FILE} file of {model} cannot be read: {problem}; log the model again"
        ))
    })?;
    let mut problem = None;
    for flavor in SERVED {
        match described["flavors"].get(flavor).map(|configuration| file_of(flavor, configuration)) {
            Some(Ok(path)) => return Ok(Served { path, columns: columns(&described) }),
            Some(Err(why)) => problem = problem.or(Some(why)),
            None => {}
        }
    }
    let problem = problem.unwrap_or_else(|| not_served(&described));
    Err(AppError::Invalid(format!("{model} cannot be served without conversion: {problem}")))
}

fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}

fn file_of(flavor: &str, configuration: &Value) -> Result<String, String> {
    let Some(path) = configuration["data"].as_str().filter(|path| !path.is_empty()) else {
        return Err(format!("its flavor {flavor} names no file; log it with mlflow 2 or newer"));
    };
    let ending = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    if OF_PYTHON.contains(&ending.as_str()) {
        let booster = if flavor == "xgboost" { "model.get_booster()" } else { "model.booster_" };
        return Err(format!(
            "its flavor {flavor} lies in '{}', an object of Python, which is never loaded; log the booster itself: \
             mlflow.{flavor}.log_model({booster}, …)",
            shown(path)
        ));
    }
    Ok(path.to_owned())
}

fn not_served(described: &Value) -> String {
    let names = described["flavors"].as_object().map(|flavors| flavors.keys().take(20));
    let names: Vec<String> = names.into_iter().flatten().map(|name| shown(name)).collect();
    let has = if names.is_empty() { "no flavor".to_owned() } else { format!("only {}", names.join(", ")) };
    format!(
        "it has {has}, and {} are served; log it with mlflow.onnx.log_model (skl2onnx converts models of \
         scikit-learn), or serve it elsewhere and register that server: greenlight model register NAME --upstream …",
        SERVED.join(", ")
    )
}

/// The names in the signature, which lies in the file as JSON.
fn columns(described: &Value) -> Vec<String> {
    let text = described["signature"]["inputs"].as_str().unwrap_or_default();
    let inputs: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    let names = inputs.iter().map(|input| input["name"].as_str().map(str::to_owned));
    names.collect::<Option<Vec<String>>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &[&str]), &str>) {
        match (read(text, "models:/churn/3"), expected) {
            (Ok(served), Ok((path, columns))) => {
                assert_eq!(served.path, path);
                assert_eq!(served.columns, columns);
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    /// As mlflow 3.17 writes it, shortened.
    #[test]
    fn files_of_boosters_and_graphs() {
        let booster = "flavors:\n  lightgbm:\n    code: null\n    data: model.lgb\n    lgb_version: 4.6.0\n    \
                       model_class: lightgbm.basic.Booster\n    serialization_format: cloudpickle\n  python_function:\n    \
                       data: model.lgb\n    loader_module: mlflow.lightgbm\nmlflow_version: 3.17.2\nsignature:\n  \
                       inputs: '[{\"type\": \"double\", \"name\": \"age\", \"required\": true}, {\"type\": \"long\", \
                       \"name\": \"visits\", \"required\": true}]'\n  outputs: null\n  params: null\n";
        check(booster, Ok(("model.lgb", &["age", "visits"])));
        let trees = "flavors:\n  xgboost:\n    data: model.ubj\n    model_format: ubj\nsignature: null\n";
        check(trees, Ok(("model.ubj", &[])));
        let graph = "flavors:\n  onnx:\n    data: model.onnx\n    providers: [CPUExecutionProvider]\nsignature:\n  \
                     inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1, 4]}}]'\n";
        check(graph, Ok(("model.onnx", &[])));
    }

    #[test]
    fn what_only_python_reads_is_refused_with_the_next_step() {
        let wrapped = "flavors:\n  lightgbm:\n    data: model.pkl\n    serialization_format: cloudpickle\n";
        check(wrapped, Err("mlflow.lightgbm.log_model(model.booster_"));
        let forest = "flavors:\n  python_function:\n    env: {conda: conda.yaml}\n  sklearn:\n    pickled_model: m.pkl\n";
        check(forest, Err("it has only python_function, sklearn, and lightgbm, xgboost, onnx are served"));
        check("flavors: {}\n", Err("no flavor"));
        check("flavors:\n  xgboost: {}\n", Err("names no file"));
        check("a: [", Err("cannot be read"));
    }
}
