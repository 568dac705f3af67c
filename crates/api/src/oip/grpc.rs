//! The Open Inference Protocol over gRPC, on the port of everything else.
//!
//! Handlers are those of REST with other clothes: they parse, call, answer. A request with raw contents is answered
//! with raw contents; one with typed contents, with typed contents.

use std::borrow::Cow;
use std::collections::HashMap;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use bytes::Bytes;
use greenlight_app::allow;
use greenlight_app::live::{self, LiveEndpoint};
use greenlight_domain::frame::{Column, Field};
use greenlight_domain::role::Action;
use greenlight_oip::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};
use greenlight_oip::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use greenlight_oip::model_infer_response::InferOutputTensor;
use greenlight_oip::model_metadata_response::TensorMetadata;
use greenlight_oip::{self as oip, InferTensorContents, ModelInferRequest, ModelInferResponse};
use greenlight_serving::{Answer, Request};
use tonic::{Response, Status};

use super::error::OipError;
use super::output::{OUTPUTS, Output};
use super::tensor::{Columns, Datatype, Shape, from_bytes, shown};
use super::{metadata, repository};
use crate::auth::{actor, counted_actor};
use crate::{ApiState, MAX_BODY};

/// The service, ready to be merged into a router.
pub(crate) fn service(state: ApiState) -> GrpcInferenceServiceServer<Grpc> {
    GrpcInferenceServiceServer::new(Grpc(state)).max_decoding_message_size(MAX_BODY)
}

/// Calls that need no token; their messages hold a name at most.
const OPEN: [&str; 4] = ["ServerLive", "ServerReady", "ServerMetadata", "ModelReady"];

/// Refuses a call without a valid token before its message is decoded, because decoding takes memory.
pub(crate) async fn refuse_strangers(
    State(state): State<ApiState>,
    request: axum::extract::Request,
    next: Next,
) -> axum::response::Response {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    let authorization = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if OPEN.contains(&method) {
        return next.run(request).await;
    }
    match actor(&state, authorization) {
        Ok(_) => next.run(request).await,
        Err(error) => Status::from(OipError::from(error)).into_http(),
    }
}

pub(crate) struct Grpc(ApiState);

impl Grpc {
    /// Fails unless the request carries a token that allows `action`.
    fn allow<T>(
        &self,
        request: &tonic::Request<T>,
        action: Action,
    ) -> Result<std::sync::Arc<greenlight_domain::role::Actor>, OipError> {
        let authorization =
            request.metadata().get("authorization").map(tonic::metadata::MetadataValue::as_bytes);
        let actor = counted_actor(&self.0, authorization)?;
        allow(&actor, action)?;
        Ok(actor)
    }

    async fn infer(
        &self,
        request: tonic::Request<ModelInferRequest>,
    ) -> Result<ModelInferResponse, OipError> {
        self.allow(&request, Action::Infer)?;
        let traceparent = request.metadata().get("traceparent");
        let trace = super::trace(traceparent.map(tonic::metadata::MetadataValue::as_bytes));
        let request = request.into_inner();
        let endpoint = super::find(&self.0, &request.model_name, Some(&request.model_version))?;
        let _admitted = super::admit(&self.0, &endpoint).await?;
        let raw = !request.raw_input_contents.is_empty();
        let parsed = tracing::info_span!(target: "trace", "parse").in_scope(|| {
            let outputs = wanted(&request.outputs)?;
            Ok((outputs, columns(&endpoint.features, &request.inputs, &request.raw_input_contents)?))
        });
        let (outputs, mut rows) = parsed.inspect_err(|_: &OipError| {
            endpoint.meters.invalid.inc();
        })?;
        rows.trace = trace;
        let answer = self.0.serving.infer(&endpoint, rows).await?;
        Ok(respond(&endpoint, request.id, &answer, &outputs, raw))
    }

    async fn switch(
        &self,
        request: tonic::Request<(String, String)>,
        load: bool,
    ) -> Result<String, OipError> {
        let actor = self.allow(&request, Action::Rollout)?;
        let (repository, model) = request.into_inner();
        // The KServe SDK sends the model's name where Triton has the repository's.
        let name = if model.is_empty() { repository } else { model };
        if load {
            live::load_endpoint(&self.0.app, &actor, &name).await?;
        } else {
            live::unload_endpoint(&self.0.app, &actor, &name).await?;
        }
        Ok(name)
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Grpc {
    async fn server_live(
        &self,
        _: tonic::Request<oip::ServerLiveRequest>,
    ) -> Result<Response<oip::ServerLiveResponse>, Status> {
        Ok(Response::new(oip::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: tonic::Request<oip::ServerReadyRequest>,
    ) -> Result<Response<oip::ServerReadyResponse>, Status> {
        Ok(Response::new(oip::ServerReadyResponse { ready: !self.0.app.is_draining() }))
    }

    async fn model_ready(
        &self,
        request: tonic::Request<oip::ModelReadyRequest>,
    ) -> Result<Response<oip::ModelReadyResponse>, Status> {
        let request = request.into_inner();
        let ready = super::find(&self.0, &request.name, Some(&request.version)).is_ok();
        Ok(Response::new(oip::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: tonic::Request<oip::ServerMetadataRequest>,
    ) -> Result<Response<oip::ServerMetadataResponse>, Status> {
        Ok(Response::new(oip::ServerMetadataResponse {
            name: super::SERVER.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: super::EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: tonic::Request<oip::ModelMetadataRequest>,
    ) -> Result<Response<oip::ModelMetadataResponse>, Status> {
        self.allow(&request, Action::Read)?;
        let request = request.into_inner();
        let endpoint = super::find(&self.0, &request.name, Some(&request.version))?;
        let tensor = |(name, datatype): (&str, &str)| TensorMetadata {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: vec![-1],
        };
        Ok(Response::new(oip::ModelMetadataResponse {
            name: endpoint.name.to_string(),
            versions: vec![endpoint.routes.version.to_string()],
            platform: super::SERVER.to_owned(),
            inputs: metadata::inputs(&endpoint).map(tensor).collect(),
            outputs: metadata::outputs().map(tensor).collect(),
        }))
    }

    async fn model_infer(
        &self,
        request: tonic::Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        Ok(self.infer(request).await.map(Response::new)?)
    }

    async fn repository_index(
        &self,
        request: tonic::Request<oip::RepositoryIndexRequest>,
    ) -> Result<Response<oip::RepositoryIndexResponse>, Status> {
        let actor = self.allow(&request, Action::Read)?;
        let only_ready = request.into_inner().ready;
        let models = repository::models(&self.0, &actor, only_ready).await.map_err(OipError::from)?;
        let models = models
            .into_iter()
            .map(|model| oip::repository_index_response::ModelIndex {
                name: model.name,
                version: model.version,
                state: model.state.to_owned(),
                reason: model.reason.to_owned(),
            })
            .collect();
        Ok(Response::new(oip::RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: tonic::Request<oip::RepositoryModelLoadRequest>,
    ) -> Result<Response<oip::RepositoryModelLoadResponse>, Status> {
        let model_name = self.switch(request.map(|r| (r.repository_name, r.model_name)), true).await?;
        Ok(Response::new(oip::RepositoryModelLoadResponse { model_name, is_loaded: true }))
    }

    async fn repository_model_unload(
        &self,
        request: tonic::Request<oip::RepositoryModelUnloadRequest>,
    ) -> Result<Response<oip::RepositoryModelUnloadResponse>, Status> {
        let model_name = self.switch(request.map(|r| (r.repository_name, r.model_name)), false).await?;
        Ok(Response::new(oip::RepositoryModelUnloadResponse { model_name, is_unloaded: true }))
    }
}

pub(super) fn wanted(outputs: &[InferRequestedOutputTensor]) -> Result<Vec<Output>, OipError> {
    if outputs.is_empty() {
        return Ok(OUTPUTS.to_vec());
    }
    let mut wanted: Vec<Output> = Vec::with_capacity(OUTPUTS.len());
    for asked in outputs {
        let output = Output::find(&asked.name)?;
        if wanted.contains(&output) {
            return Err(OipError::invalid(format!("output '{}' is asked for twice", output.name())));
        }
        wanted.push(output);
    }
    Ok(wanted)
}

pub(super) fn columns<'a>(
    features: &'a [Field],
    inputs: &'a [InferInputTensor],
    raw: &[Bytes],
) -> Result<Request<'a>, OipError> {
    let mut columns = Columns::new(inputs.len())?;
    if !raw.is_empty() && raw.len() != inputs.len() {
        let problem = format!("raw_input_contents has {} entries for {} inputs", raw.len(), inputs.len());
        return Err(OipError::invalid(problem));
    }
    for (at, input) in inputs.iter().enumerate() {
        let name = &input.name;
        let shape = Shape::check(name, &input.shape)?;
        let datatype = Datatype::parse(&input.datatype).ok_or_else(|| {
            let problem =
                format!("input '{}': datatype '{}' is unknown", shown(name), shown(&input.datatype));
            OipError::invalid(problem)
        })?;
        let column = match (raw.get(at), &input.contents) {
            (Some(bytes), None) => from_bytes(name, datatype, shape, bytes)?,
            (None, Some(contents)) => from_contents(name, datatype, shape, contents)?,
            (None, None) if shape.elements() == 0 => Column::Number(Vec::new()),
            (None, None) => return Err(OipError::invalid(format!("input '{}' has no data", shown(name)))),
            (Some(_), Some(_)) => {
                let problem = format!("input '{}' has its data both raw and typed", shown(name));
                return Err(OipError::invalid(problem));
            }
        };
        columns.push(Cow::Borrowed(name), shape, column, features)?;
    }
    Ok(columns.into_request())
}

fn from_contents(
    name: &str,
    datatype: Datatype,
    shape: Shape,
    contents: &InferTensorContents,
) -> Result<Column, OipError> {
    fn numbers<T: Copy>(values: &[T], number: impl Fn(T) -> f64) -> Column {
        Column::Number(values.iter().map(|value| number(*value)).collect())
    }
    let c = contents;
    let column = match datatype {
        Datatype::Bool => numbers(&c.bool_contents, |v| f64::from(u8::from(v))),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => numbers(&c.int_contents, f64::from),
        Datatype::Int64 => numbers(&c.int64_contents, |v| v as f64),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => numbers(&c.uint_contents, f64::from),
        Datatype::Uint64 => numbers(&c.uint64_contents, |v| v as f64),
        Datatype::Fp32 => numbers(&c.fp32_contents, f64::from),
        Datatype::Fp64 => numbers(&c.fp64_contents, |v| v),
        Datatype::Fp16 => {
            return Err(OipError::invalid(format!("input '{}': send FP16 as raw contents", shown(name))));
        }
        Datatype::Bytes => {
            let text = |bytes: &Vec<u8>| {
                str::from_utf8(bytes)
                    .map(|text| Some(text.into()))
                    .map_err(|_| OipError::invalid(format!("input '{}' is not UTF-8", shown(name))))
            };
            Column::Text(c.bytes_contents.iter().map(text).collect::<Result<_, _>>()?)
        }
    };
    if column.len() == shape.elements() {
        return Ok(column);
    }
    Err(OipError::invalid(format!(
        "input '{}': shape says {} values of {datatype:?}, contents have {}",
        shown(name),
        shape.elements(),
        column.len()
    )))
}

fn respond(
    endpoint: &LiveEndpoint,
    id: String,
    answer: &Answer,
    wanted: &[Output],
    raw: bool,
) -> ModelInferResponse {
    let rows = answer.batch.predictions.len();
    let mut raw_output_contents = Vec::new();
    let mut outputs = Vec::with_capacity(wanted.len());
    for output in wanted {
        let contents = if raw {
            let mut bytes = Vec::with_capacity(rows * 40);
            output.push_bytes(answer, &mut bytes);
            raw_output_contents.push(bytes.into());
            None
        } else {
            Some(typed(*output, answer))
        };
        outputs.push(InferOutputTensor {
            name: output.name().to_owned(),
            datatype: output.datatype().to_owned(),
            shape: vec![rows as i64],
            parameters: HashMap::new(),
            contents,
        });
    }
    ModelInferResponse {
        model_name: endpoint.name.to_string(),
        model_version: answer.model.as_deref().unwrap_or_default().to_owned(),
        id,
        parameters: HashMap::new(),
        outputs,
        raw_output_contents,
    }
}

fn typed(output: Output, answer: &Answer) -> InferTensorContents {
    let predictions = &answer.batch.predictions;
    match output.number() {
        Some(number) => InferTensorContents {
            fp64_contents: predictions.iter().map(number).collect(),
            ..InferTensorContents::default()
        },
        None => InferTensorContents {
            bytes_contents: predictions
                .iter()
                .map(|prediction| output.text(prediction, |text| text.as_bytes().to_vec()))
                .collect(),
            ..InferTensorContents::default()
        },
    }
}
