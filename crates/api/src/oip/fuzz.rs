//! The parsers of the protocol under inputs that mean harm: JSON with binary tensors, and gRPC messages.
//!
//! Whatever is accepted fits what was sent: every column has as many values as the request has rows, and there are not
//! more values than bytes.

use axum::http::{HeaderMap, HeaderValue};
use greenlight_domain::frame::{Column, Field};
use greenlight_oip::ModelInferRequest;
use greenlight_serving::Request;
use greenlight_testkit::fuzz::{Target, Verdict};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use prost::Message;

use super::error::OipError;
use super::tensor::MAX_INPUTS;
use super::{grpc, infer, json};

/// What an endpoint takes, beside its unit.
pub(crate) fn features() -> Vec<Field> {
    vec![Field::number("age"), Field::number("balance"), Field::text("job"), Field::number("x")]
}

/// Fails unless a request of `bytes` bytes is what it may be.
pub(crate) fn check_request(request: &Request<'_>, bytes: usize, allowed: usize) -> String {
    let (mut numbers, mut texts, mut text_bytes) = (0, 0, 0);
    for (name, column) in &request.columns {
        assert_eq!(column.len(), request.rows, "the length of column '{name}'");
        match column {
            Column::Number(_) => numbers += 1,
            Column::Text(values) => {
                texts += 1;
                text_bytes += values.iter().flatten().map(|text| text.len()).sum::<usize>();
            }
        }
    }
    let cells = (numbers + texts) * request.rows;
    assert!(cells <= bytes + allowed, "{cells} values were read from {bytes} bytes");
    assert!(text_bytes <= bytes * 3, "{text_bytes} bytes of text were read from {bytes} bytes");
    assert!(request.columns.len() <= MAX_INPUTS + features().len());
    format!("{} number and {} text columns, {} rows", numbers.min(4), texts.min(4), request.rows.min(3))
}

fn target(name: &'static str, seeds: Vec<Vec<u8>>, tokens: &'static [&'static [u8]]) -> Target {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    Target { name, corpus, seeds, tokens, growth: 64, fixed: 16 << 20 }
}

const JSON_TOKENS: &[&[u8]] = &[
    b"[",
    b"]",
    b"{",
    b"}",
    b"[[",
    b"]]",
    b"null",
    b"true",
    b",",
    b"1,",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xc3\x28",
    b"NaN",
    b"\"shape\":[1],",
    b"\"shape\":[0],",
    b"\"shape\":[9223372036854775807],",
    b"\"shape\":[-1,1],",
    b"\"shape\":[10000,1000],",
    b"\"datatype\":\"BYTES\",",
    b"\"datatype\":\"FP64\",",
    b"\"datatype\":\"FP16\",",
    b"\"data\":[1],",
    b"\"name\":\"features\",",
    b"\"parameters\":{\"binary_data_size\":8},",
    b"\"parameters\":{\"binary_data_size\":18446744073709551615},",
    b"\"outputs\":[{\"name\":\"probability\"}],",
    b"{\"name\":\"features\",\"shape\":[0,4],\"datatype\":\"FP64\",\"data\":[]},",
];

/// One tensor: name, datatype, values as JSON, values as bytes.
fn tensor(rows: usize) -> impl Strategy<Value = (&'static str, &'static str, String, Vec<u8>)> {
    let numbers = prop::collection::vec(prop_oneof![-5.0..5.0_f64, Just(f64::NAN), any::<f64>()], rows);
    let integers = prop::collection::vec(any::<i32>(), rows);
    let texts = prop::collection::vec("[a-z\"\\\\é☃]{0,4}", rows);
    let names = prop::sample::select(vec!["age", "balance", "job", "x", "unit", "features", ""]);
    (names, numbers, integers, texts, 0..4_u8).prop_map(|(name, numbers, integers, texts, kind)| match kind {
        0 => {
            let json = serde_json::to_string(&numbers).unwrap();
            (name, "FP64", json, numbers.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        1 => {
            let bytes = numbers.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
            (name, "FP32", serde_json::to_string(&numbers).unwrap(), bytes)
        }
        2 => {
            let json = serde_json::to_string(&integers).unwrap();
            (name, "INT32", json, integers.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        _ => {
            let length = |text: &String| (text.len() as u32).to_le_bytes().to_vec();
            let bytes =
                texts.iter().flat_map(|text| [length(text), text.as_bytes().to_vec()].concat()).collect();
            (name, "BYTES", serde_json::to_string(&texts).unwrap(), bytes)
        }
    })
}

/// A request: four bytes that say how long the JSON is (all set: the header is not sent), the JSON, the tensors.
fn rest_request() -> impl Strategy<Value = Vec<u8>> {
    let tensors = (0..5_usize).prop_flat_map(|rows| {
        (Just(rows), prop::collection::vec((tensor(rows), any::<bool>(), any::<bool>(), any::<bool>()), 1..6))
    });
    (tensors, any::<bool>()).prop_map(|((rows, tensors), is_binary)| {
        let (mut inputs, mut tail) = (Vec::new(), Vec::new());
        for ((name, datatype, json, bytes), data_first, is_column, in_binary) in tensors {
            let shape = if is_column { format!("[{rows},1]") } else { format!("[{rows}]") };
            let mut keys = vec![
                format!("\"name\":\"{name}\""),
                format!("\"shape\":{shape}"),
                format!("\"datatype\":\"{datatype}\""),
            ];
            let data = if in_binary && is_binary {
                tail.extend_from_slice(&bytes);
                format!("\"parameters\":{{\"binary_data_size\":{}}}", bytes.len())
            } else {
                format!("\"data\":{json}")
            };
            keys.insert(if data_first { 0 } else { 3 }, data);
            inputs.push(format!("{{{}}}", keys.join(",")));
        }
        let json = format!("{{\"id\":\"a\",\"inputs\":[{}]}}", inputs.join(","));
        let length = if is_binary { json.len() as u32 } else { u32::MAX };
        [&length.to_le_bytes()[..], json.as_bytes(), &tail].concat()
    })
}

fn check_rest(input: &[u8], features: &[Field]) -> Verdict {
    let Some((length, body)) = input.split_first_chunk::<4>() else { return Err("too short".to_owned()) };
    let mut headers = HeaderMap::new();
    let length = u32::from_le_bytes(*length);
    if length != u32::MAX {
        headers.insert(infer::HEADER_LENGTH, HeaderValue::from(length));
    }
    let read = || -> Result<String, OipError> {
        let (json, tail) = infer::split(&headers, body)?;
        let request = json::parse(json)?;
        infer::wanted(&request.outputs, &request.parameters)?;
        let request = infer::columns(features, request, tail)?;
        Ok(check_request(&request, body.len(), 0))
    };
    read().map_err(|error| error.message)
}

#[test]
fn rest_requests() {
    let features = features();
    target("infer", Vec::new(), JSON_TOKENS).run(rest_request(), |input| check_rest(input, &features));
}

const GRPC_TOKENS: &[&[u8]] = &[
    b"\x2a\x00",
    b"\x32\x00",
    b"\x3a\x00",
    b"\x2a\x02\x2a\x00",
    b"\x18\x01",
    b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x1a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x22\x00",
    b"\x42\x00",
    b"\xff\xff\xff\xff\x0f",
    b"\x0b",
    b"\x0c",
    b"\x2b",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
];

fn grpc_request() -> impl Strategy<Value = Vec<u8>> {
    let tensors = (0..5_usize)
        .prop_flat_map(|rows| (Just(rows), prop::collection::vec((tensor(rows), any::<bool>()), 1..6)));
    (tensors, any::<bool>()).prop_map(|((rows, tensors), raw)| {
        let mut request = ModelInferRequest { model_name: "calls".to_owned(), ..Default::default() };
        for ((name, datatype, json, bytes), is_column) in tensors {
            let mut input = greenlight_oip::model_infer_request::InferInputTensor {
                name: name.to_owned(),
                datatype: datatype.to_owned(),
                shape: if is_column { vec![rows as i64, 1] } else { vec![rows as i64] },
                ..Default::default()
            };
            if raw {
                request.raw_input_contents.push(bytes.into());
            } else {
                input.contents = Some(contents(datatype, &json, &bytes));
            }
            request.inputs.push(input);
        }
        request.encode_to_vec()
    })
}

fn contents(datatype: &str, json: &str, bytes: &[u8]) -> greenlight_oip::InferTensorContents {
    let mut contents = greenlight_oip::InferTensorContents::default();
    let (fours, eights) = (bytes.as_chunks::<4>().0, bytes.as_chunks::<8>().0);
    match datatype {
        "FP64" => contents.fp64_contents = eights.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        "FP32" => contents.fp32_contents = fours.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        "INT32" => contents.int_contents = fours.iter().map(|b| i32::from_le_bytes(*b)).collect(),
        _ => {
            let texts: Vec<String> = serde_json::from_str(json).unwrap();
            contents.bytes_contents = texts.into_iter().map(String::into_bytes).collect();
        }
    }
    contents
}

fn check_grpc(input: &[u8], features: &[Field]) -> Verdict {
    let request = ModelInferRequest::decode(input).map_err(|error| error.to_string())?;
    let read = || -> Result<String, OipError> {
        grpc::wanted(&request.outputs)?;
        let read = grpc::columns(features, &request.inputs, &request.raw_input_contents)?;
        Ok(check_request(&read, input.len(), 0))
    };
    read().map_err(|error| error.message)
}

#[test]
fn grpc_requests() {
    let features = features();
    // A tensor without anything takes two bytes on the wire, and its struct in memory.
    let target = Target { growth: 512, ..target("grpc", Vec::new(), GRPC_TOKENS) };
    target.run(grpc_request(), |input| check_grpc(input, &features));
}

/// The generators make what is accepted: mutations of what is refused anyway would find little.
#[test]
fn what_is_generated_is_mostly_accepted() {
    let features = features();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut rest, mut grpc) = (0, 0);
    for _ in 0..200 {
        let request = rest_request().new_tree(&mut runner).unwrap().current();
        rest += u32::from(check_rest(&request, &features).is_ok());
        let request = grpc_request().new_tree(&mut runner).unwrap().current();
        grpc += u32::from(check_grpc(&request, &features).is_ok());
    }
    assert!(rest > 100 && grpc > 100, "{rest} and {grpc} of 200");
}
