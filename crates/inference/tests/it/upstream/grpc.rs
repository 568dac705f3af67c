//! A server of the Open Inference Protocol over gRPC that answers each row with its first number.

use std::collections::HashMap;

use greenlight_oip::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};
use greenlight_oip::model_infer_response::InferOutputTensor;
use greenlight_oip::model_metadata_response::TensorMetadata;
use greenlight_oip::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse, RepositoryIndexRequest, RepositoryIndexResponse,
    RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use tonic::{Request, Response, Status};

struct First;

pub(crate) async fn start() -> String {
    let routes = tonic::service::Routes::new(GrpcInferenceServiceServer::new(First));
    super::server::serve(routes.into_axum_router()).await
}

type Answer<T> = Result<Response<T>, Status>;

fn absent<T>() -> Answer<T> {
    Err(Status::unimplemented("not needed here"))
}

#[tonic::async_trait]
impl GrpcInferenceService for First {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answer<ServerLiveResponse> {
        absent()
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answer<ServerReadyResponse> {
        Ok(Response::new(ServerReadyResponse { ready: true }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Answer<ModelReadyResponse> {
        Ok(Response::new(ModelReadyResponse { ready: request.into_inner().name == "m" }))
    }

    async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Answer<ServerMetadataResponse> {
        absent()
    }

    async fn model_metadata(&self, _: Request<ModelMetadataRequest>) -> Answer<ModelMetadataResponse> {
        let tensor = |name: &str, shape: &[i64]| TensorMetadata {
            name: name.to_owned(),
            datatype: "FP64".to_owned(),
            shape: shape.to_vec(),
        };
        Ok(Response::new(ModelMetadataResponse {
            name: "m".to_owned(),
            versions: vec![],
            platform: String::new(),
            inputs: vec![tensor("input", &[-1, 2])],
            outputs: vec![tensor("p", &[-1, 2])],
        }))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Answer<ModelInferResponse> {
        let request = request.into_inner();
        let (numbers, _) = request.raw_input_contents[0].as_chunks::<8>();
        let first = numbers.iter().step_by(2).map(|eight| f64::from_le_bytes(*eight));
        // Two classes, as typed contents for few rows and raw for many: a client must read both.
        let pairs: Vec<f64> = first.flat_map(|p| [1.0 - p, p]).collect();
        let rows = (pairs.len() / 2) as i64;
        let raw = rows > 5;
        let contents = InferTensorContents { fp64_contents: pairs.clone(), ..Default::default() };
        let output = InferOutputTensor {
            name: "p".to_owned(),
            datatype: "FP64".to_owned(),
            shape: vec![rows, 2],
            parameters: HashMap::default(),
            contents: (!raw).then_some(contents),
        };
        let bytes: Vec<u8> = pairs.iter().flat_map(|p| p.to_le_bytes()).collect();
        Ok(Response::new(ModelInferResponse {
            model_name: request.model_name,
            model_version: String::new(),
            id: request.id,
            parameters: HashMap::default(),
            outputs: vec![output],
            raw_output_contents: if raw { vec![bytes.into()] } else { vec![] },
        }))
    }

    async fn repository_index(&self, _: Request<RepositoryIndexRequest>) -> Answer<RepositoryIndexResponse> {
        absent()
    }

    async fn repository_model_load(
        &self,
        _: Request<RepositoryModelLoadRequest>,
    ) -> Answer<RepositoryModelLoadResponse> {
        absent()
    }

    async fn repository_model_unload(
        &self,
        _: Request<RepositoryModelUnloadRequest>,
    ) -> Answer<RepositoryModelUnloadResponse> {
        absent()
    }
}
