//! A Kafka cluster that ends with the tests that hold it, however they end. Tests of other crates have this file too.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

pub(crate) struct Held {
    pub(crate) bootstrap: String,
    holder: Child,
    input: Option<ChildStdin>,
}

impl Held {
    /// Starts one by `tools/kafka hold`, with more of its options.
    pub(crate) fn start(options: &[&str]) -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/kafka");
        let mut holder = Command::new(tool)
            .arg("hold")
            .args(options)
            .env("KAFKA_HEAP_OPTS", "-Xms256m -Xmx512m")
            .env("KAFKA_START_TIMEOUT_S", "300")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = holder.stdin.take();
        let mut line = String::new();
        let mut output = BufReader::new(holder.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "no kafka: run `tools/kafka install`");
        Self {
            bootstrap: line.trim().to_owned(),
            holder,
            input,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.holder.wait());
    }
}
