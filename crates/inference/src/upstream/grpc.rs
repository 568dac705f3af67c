//! Upstreams over gRPC: the Open Inference Protocol with raw tensors, one HTTP/2 connection an address.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use greenlight_app::runtime::RuntimeError;
use greenlight_oip::grpc_inference_service_client::GrpcInferenceServiceClient;
use greenlight_oip::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use greenlight_oip::model_infer_response::InferOutputTensor;
use greenlight_oip::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelReadyRequest, ServerReadyRequest,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::describe::{Described, Meta};
use super::failed::{CallError, clean};
use super::http::{answer_bound, bearer};
use super::spec::{Output, Spec};
use super::tensor::{self, Answered, Tensor};
use crate::artifact::refused;

pub(crate) struct GrpcServers {
    channels: Vec<Channel>,
    model: String,
    version: String,
    bearer: Option<MetadataValue<Ascii>>,
}

type Client = GrpcInferenceServiceClient<Channel>;

/// The request for these tensors.
pub(crate) fn request(spec: &Spec, tensors: &[Tensor<'_>]) -> ModelInferRequest {
    let input = |tensor: &Tensor<'_>| InferInputTensor {
        name: tensor.name.to_owned(),
        datatype: tensor.datatype.to_owned(),
        shape: tensor.shape.iter().map(|&extent| extent as i64).collect(),
        parameters: HashMap::new(),
        contents: None,
    };
    let output =
        |name: &String| InferRequestedOutputTensor { name: name.clone(), parameters: HashMap::new() };
    ModelInferRequest {
        model_name: spec.model.clone(),
        model_version: spec.version.clone().unwrap_or_default(),
        id: String::new(),
        parameters: HashMap::new(),
        inputs: tensors.iter().map(input).collect(),
        outputs: spec.output.name.iter().map(output).collect(),
        raw_input_contents: tensors.iter().map(|tensor| tensor.data.raw()).collect(),
    }
}

impl GrpcServers {
    /// Nothing is connected before the first call. Must be called where a runtime is entered.
    pub(crate) fn new(spec: &Spec) -> Result<Self, RuntimeError> {
        let channel = |address: &String| {
            let endpoint = Endpoint::from_shared(address.clone())
                .map_err(|e| refused(format!("'{address}' cannot be called over gRPC: {e}")))?;
            Ok(endpoint
                .connect_timeout(Duration::from_millis(spec.connect_timeout_ms))
                .http2_keep_alive_interval(Duration::from_secs(30))
                .keep_alive_timeout(Duration::from_secs(10))
                .connect_lazy())
        };
        let channels = spec.addresses.iter().map(channel).collect::<Result<_, RuntimeError>>()?;
        let bearer = bearer(spec)?.and_then(|value| MetadataValue::try_from(value.as_bytes()).ok());
        let version = spec.version.clone().unwrap_or_default();
        Ok(Self { channels, model: spec.model.clone(), version, bearer })
    }

    pub(crate) async fn score(
        &self,
        index: usize,
        request: ModelInferRequest,
        traceparent: Option<&str>,
        rows: usize,
        output: &Output,
    ) -> Result<Vec<f64>, CallError> {
        let mut request = self.request(request);
        if let Some(trace) = traceparent.and_then(|trace| trace.parse().ok()) {
            request.metadata_mut().insert("traceparent", trace);
        }
        let mut client = self.client(index).max_decoding_message_size(answer_bound(rows));
        let answer = client.model_infer(request).await.map_err(|status| failed(&status))?.into_inner();
        let ModelInferResponse { mut outputs, mut raw_output_contents, .. } = answer;
        let chosen = tensor::meant(outputs.iter().map(|output| output.name.as_str()), output)?;
        if !raw_output_contents.is_empty() && raw_output_contents.len() != outputs.len() {
            let (raw, count) = (raw_output_contents.len(), outputs.len());
            return Err(CallError::Answer(format!("it has {count} outputs and {raw} raw contents")));
        }
        let raw = (!raw_output_contents.is_empty()).then(|| raw_output_contents.swap_remove(chosen));
        let answered = numbers(outputs.swap_remove(chosen), raw)?;
        tensor::probabilities(&answered, rows, output)
    }

    /// Whether the server and its model say that they are ready.
    pub(crate) async fn ready(&self, index: usize) -> Result<(), CallError> {
        let mut client = self.client(index);
        let server = client.server_ready(self.request(ServerReadyRequest {})).await;
        if !server.map_err(|status| failed(&status))?.into_inner().ready {
            return Err(CallError::Unavailable("the server says not ready".to_owned()));
        }
        let model = ModelReadyRequest { name: self.model.clone(), version: self.version.clone() };
        let model = client.model_ready(self.request(model)).await.map_err(|status| failed(&status))?;
        if model.into_inner().ready {
            return Ok(());
        }
        Err(CallError::Unavailable("the model is not ready".to_owned()))
    }

    /// What the model takes and answers; empty where the server does not say.
    pub(crate) async fn describe(&self, index: usize) -> Result<Described, CallError> {
        let asked = ModelMetadataRequest { name: self.model.clone(), version: self.version.clone() };
        let answer = self.client(index).model_metadata(self.request(asked)).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        let meta = |tensor: greenlight_oip::model_metadata_response::TensorMetadata| Meta {
            name: tensor.name,
            datatype: tensor.datatype,
            shape: tensor.shape,
        };
        Ok(Described {
            inputs: answer.inputs.into_iter().map(meta).collect(),
            outputs: answer.outputs.into_iter().map(meta).collect(),
        })
    }

    /// Handles share the connection of their channel.
    fn client(&self, index: usize) -> Client {
        Client::new(self.channels[index].clone()).max_decoding_message_size(answer_bound(0))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }
}

fn failed(status: &Status) -> CallError {
    let words = format!("{:?}, '{}'", status.code(), clean(status.message()));
    match status.code() {
        Code::Unavailable => CallError::Unavailable(words),
        // Our own bound on the answer, and a server that has none of this left, have the same code.
        Code::OutOfRange | Code::DataLoss => CallError::Answer(words),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::ResourceExhausted
        | Code::Unimplemented => CallError::Refused(words),
        _ => CallError::Failed(words),
    }
}

fn numbers(output: InferOutputTensor, raw: Option<Bytes>) -> Result<Answered, CallError> {
    let contents = output.contents.unwrap_or_default();
    let numbers = match (output.datatype.as_str(), raw) {
        ("FP64", Some(raw)) => decode(&raw, f64::from_le_bytes)?,
        ("FP32", Some(raw)) => decode(&raw, |four| f64::from(f32::from_le_bytes(four)))?,
        ("FP64", None) => contents.fp64_contents,
        ("FP32", None) => contents.fp32_contents.into_iter().map(f64::from).collect(),
        (other, _) => {
            let (name, other) = (clean(&output.name), clean(other));
            return Err(CallError::Answer(format!("output '{name}' is {other} and scores are FP32 or FP64")));
        }
    };
    Ok(Answered { name: output.name, shape: output.shape, numbers })
}

fn decode<const N: usize>(raw: &[u8], number: impl Fn([u8; N]) -> f64) -> Result<Vec<f64>, CallError> {
    let (elements, rest) = raw.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(elements.iter().map(|element| number(*element)).collect());
    }
    Err(CallError::Answer(format!("{} bytes are no whole number of elements", raw.len())))
}
