//! The conformance test of the worker protocol (docs/worker-protocol.md), for any worker.
//!
//! By default it tests `offby worker` and `examples/worker.py`. To test a different worker, name its command:
//! `OFFBY_WORKER='python3 my_worker.py' cargo test --release --test it protocol::`.

use crate::support::frames::{PROTOCOL, Speaker, frame};
use crate::support::judge::Judge;
use offby::graph::Network;
use offby::tensor::{Digest, Dtype::F32};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a worker may take to exit, with the time for its Python.
const SOON: Duration = Duration::from_secs(5);

// --- the workers under test and their inputs -------------------------------------

/// Runs a test on every worker, each in a fresh process.
fn with_each(test: &str, check: impl Fn(&mut Speaker)) {
    for command in workers() {
        eprintln!("{test}: {}", command.join(" "));
        check(&mut Speaker::start(&command));
    }
}

fn workers() -> Vec<Vec<String>> {
    if let Ok(command) = std::env::var("OFFBY_WORKER") {
        return vec![shell_words::split(&command).unwrap()];
    }
    let ours = vec![env!("CARGO_BIN_EXE_offby").to_owned(), "worker".to_owned()];
    let python = Judge::found().map(|judge| judge.python().display().to_string());
    let example = python.map(|python| vec![python, "examples/worker.py".to_owned()]);
    [ours].into_iter().chain(example).collect()
}

/// `y = -x`, for `x` of three elements.
fn model() -> Vec<u8> {
    let network = Network::new("negative").input("x", F32, &[3]);
    network.node("n", "Neg", &["x"], &["y"], &[]).output("y", F32, &[3]).to_bytes()
}

fn bytes(elements: [f32; 3]) -> Vec<u8> {
    elements.iter().flat_map(|element| element.to_le_bytes()).collect()
}

fn run_onnx(model: &[u8], feed: &[u8]) -> Value {
    let feed = json!({"name": "x", "dtype": "f32", "shape": [3], "digest": Digest::of([feed])});
    json!({"ask": "run_onnx", "model": Digest::of([model]), "feeds": [feed], "repeats": 2})
}

/// The contents whose digests a worker wants, as positions in this list.
fn wanted(reply: &Value, of: &[&[u8]]) -> Vec<usize> {
    assert_eq!(reply["reply"], "wanted", "{reply}");
    let digests = reply["digests"].as_array().unwrap();
    let place =
        |digest: &Value| of.iter().position(|content| *digest == json!(Digest::of([*content])));
    let mut places: Vec<usize> = digests.iter().map(|digest| place(digest).unwrap()).collect();
    places.sort_unstable();
    places
}

fn is_rejected(reply: &Value) {
    let reason = reply["reason"].as_str().unwrap_or_default();
    assert!(reply["reply"] == "rejected" && !reason.is_empty(), "{reply}");
}

/// A worker keeps running while its stdin is open, even after a request that it rejected.
fn lives(worker: &mut Speaker) {
    assert_eq!(worker.greet()["reply"], "hello");
}

// --- asks and replies -----------------------------------------------------------

#[test]
fn it_greets() {
    with_each("it_greets", |worker| {
        let hello = worker.greet();
        assert_eq!(
            (&hello["reply"], &hello["protocol"]),
            (&json!("hello"), &json!(PROTOCOL)),
            "{hello}"
        );
        assert!(!hello["version"].as_str().unwrap().is_empty(), "{hello}");
    });
}

#[test]
fn it_greets_whoever_speaks_another_version() {
    with_each("it_greets_whoever_speaks_another_version", |worker| {
        let hello = worker.ask(&json!({"ask": "hello", "protocol": 99, "moreover": [1]}));
        assert_eq!(
            (&hello["reply"], &hello["protocol"]),
            (&json!("hello"), &json!(PROTOCOL)),
            "{hello}"
        );
        lives(worker);
    });
}

#[test]
fn it_runs_a_network() {
    with_each("it_runs_a_network", |worker| {
        let (model, feed) = (model(), bytes([1.0, -2.5, 0.0]));
        worker.greet();
        let ask = run_onnx(&model, &feed);
        assert_eq!(wanted(&worker.ask(&ask), &[&model, &feed]), [0, 1]);
        assert_eq!(worker.keep(&[&model, &feed])["reply"], "kept");
        let (head, body) = ran(worker, &ask);
        assert_eq!(body, bytes([-1.0, 2.5, -0.0]));
        assert_eq!(head["outputs"], json!([{"name": "y", "dtype": "f32", "shape": [3]}]));
        let runs = &head["runs"];
        assert_eq!((&runs["repeats"], &runs["identical"]), (&json!(2), &json!(true)), "{head}");
        assert_eq!(runs["seconds"].as_array().unwrap().len(), 2, "{head}");
        for key in ["engine", "engine_version", "backend", "device", "driver"] {
            assert!(head["ran_on"][key].is_string(), "{key}: {head}");
        }
    });
}

/// Asks for a run, and skips the messages that may precede its result.
fn ran(worker: &mut Speaker, ask: &Value) -> (Value, Vec<u8>) {
    let (mut head, mut body) = worker.ask_with(ask, &[]);
    while head["reply"] == "opened" {
        assert!(head["as_asked"].as_bool().unwrap(), "{head}");
        (head, body) = worker.next();
    }
    assert_eq!(head["reply"], "ran", "{head}");
    (head, body)
}

#[test]
fn it_wants_contents_once() {
    with_each("it_wants_contents_once", |worker| {
        let (model, first, second) = (model(), bytes([1.0, 2.0, 3.0]), bytes([4.0, 5.0, 6.0]));
        worker.greet();
        worker.ask(&run_onnx(&model, &first));
        worker.keep(&[&model, &first]);
        ran(worker, &run_onnx(&model, &first));
        ran(worker, &run_onnx(&model, &first));
        let ask = run_onnx(&model, &second);
        assert_eq!(wanted(&worker.ask(&ask), &[&model, &first, &second]), [2]);
        assert_eq!(worker.keep(&[&second])["reply"], "kept");
        assert_eq!(ran(worker, &ask).1, bytes([-4.0, -5.0, -6.0]));
    });
}

#[test]
fn it_keeps_only_what_has_its_digest() {
    with_each("it_keeps_only_what_has_its_digest", |worker| {
        let model = model();
        worker.greet();
        let head = json!({"digest": Digest::of([&model[1..]]), "bytes": model.len()});
        is_rejected(&worker.ask_with(&json!({"ask": "keep", "contents": [head]}), &model).0);
        for length in [model.len() - 1, model.len() + 1] {
            let head = json!({"digest": Digest::of([&model[..]]), "bytes": length});
            is_rejected(&worker.ask_with(&json!({"ask": "keep", "contents": [head]}), &model).0);
        }
        lives(worker);
    });
}

#[test]
fn it_rejects_what_it_does_not_know() {
    with_each("it_rejects_what_it_does_not_know", |worker| {
        worker.greet();
        is_rejected(&worker.ask(&json!({"ask": "dance"})));
        is_rejected(&worker.ask(&json!({"ask": "run_onnx", "model": 7})));
        is_rejected(&worker.ask_with(&json!(["hello"]), b"with a body").0);
        worker.write(&frame(b"{no JSON", b"with a body"));
        is_rejected(&worker.next().0);
        lives(worker);
    });
}

#[test]
fn it_rejects_a_network_that_is_none() {
    with_each("it_rejects_a_network_that_is_none", |worker| {
        let (broken, feed) = (b"no network".to_vec(), bytes([1.0, 2.0, 3.0]));
        worker.greet();
        worker.ask(&run_onnx(&broken, &feed));
        worker.keep(&[&broken, &feed]);
        is_rejected(&worker.ask(&run_onnx(&broken, &feed)));
        lives(worker);
    });
}

#[test]
fn it_rejects_a_feed_of_another_size() {
    with_each("it_rejects_a_feed_of_another_size", |worker| {
        let (model, feed) = (model(), bytes([1.0, 2.0, 3.0]));
        worker.greet();
        worker.ask(&run_onnx(&model, &feed[..8]));
        worker.keep(&[&model, &feed[..8]]);
        is_rejected(&worker.ask(&run_onnx(&model, &feed[..8])));
        lives(worker);
    });
}

/// A worker may take an environment or refuse it; it must say which.
#[test]
fn it_answers_an_environment() {
    with_each("it_answers_an_environment", |worker| {
        worker.greet();
        let ask = json!({"ask": "environment", "variables": {"OFFBY_TEST": "1"}});
        let answer = worker.ask(&ask);
        if answer["reply"] != "restarted" {
            is_rejected(&answer);
        }
        lives(worker);
    });
}

// --- how a worker ends -----------------------------------------------------------

/// Starts every worker, greets it, writes to it, and expects it to exit without a further message.
fn ends(written: &[u8], hang_up: bool, in_peace: bool) {
    for command in workers() {
        let mut worker = Speaker::start(&command);
        worker.greet();
        worker.write(written);
        if hang_up {
            worker.hang_up();
        }
        let status = worker.end(SOON);
        assert_eq!(status.success(), in_peace, "{command:?} ends with {status}");
    }
}

#[test]
fn it_ends_with_its_stdin() {
    ends(b"", true, true);
}

#[test]
fn half_a_frame_is_its_end() {
    let whole = frame(br#"{"ask": "hello", "protocol": 4}"#, b"body");
    for cut in [1, 3, 4, 10, 16, 20, whole.len() - 1] {
        ends(&whole[..cut], true, false);
    }
}

/// The worker must not wait for the announced bytes, nor allocate room for them.
#[test]
fn an_oversized_frame_is_its_end() {
    let start =
        |head: u32, body: u64| [&b"OFBY"[..], &head.to_le_bytes(), &body.to_le_bytes()].concat();
    ends(&start((64 << 20) + 1, 0), false, false);
    ends(&start(2, (16 << 30) + 1), false, false);
    ends(&start(u32::MAX, u64::MAX), false, false);
}

#[test]
fn garbage_is_its_end() {
    ends(b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n", false, false);
}
