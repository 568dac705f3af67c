//! The Open Inference Protocol over gRPC: messages, client and server as `proto/open_inference.proto` defines them.
//!
//! Owns the wire format and nothing else. `api` serves it and `inference` calls upstreams with it.

tonic::include_proto!("inference");
