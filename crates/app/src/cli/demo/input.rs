//! What the demo sends: a directory with contracts, a line an event, and the account that has to
//! come out. The small sample set is part of the binary and is laid out as such a directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use aws_lc_rs::hmac;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_contract::tree::Tree;
use tidegate_contract::{Contracts, EventContract};

macro_rules! small {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../../../../examples/small/", $file)))),+]
    };
}

/// The sample set, as `examples/small` has it.
const SMALL: &[(&str, &str)] = small![
    "contracts/order-placed.yaml",
    "contracts/payment-captured.yaml",
    "contracts/schemas/order-placed.json",
    "contracts/schemas/payment-captured.json",
    "contracts/schemas/stock-reserve.json",
    "contracts/schemas/temperature-measured.json",
    "contracts/stock-reserve.yaml",
    "contracts/teams.yaml",
    "contracts/temperature-measured.yaml",
    "demo.json",
    "events.ndjson",
];

/// What `demo.json` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) title: String,
    pub(super) send: Door,
    pub(super) events: usize,
    pub(super) types: usize,
    pub(super) contracts: usize,
    pub(super) first: Counts,
    pub(super) second: Counts,
}

/// How the events go in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Door {
    /// As CloudEvents in structured mode, a line each.
    CloudEvents,
    /// As GitHub's webhooks, signed.
    Github,
}

/// What became of the events of a pass.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    pub(super) accepted: usize,
    pub(super) repeated: usize,
    pub(super) quarantined: usize,
    pub(super) refused: usize,
}

/// A request, and what has to be found in the log if it is accepted.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) event_type: String,
    pub(super) path: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// The event's data, byte for byte.
    pub(super) data: Bytes,
}

/// All that is sent.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) folder: PathBuf,
    pub(super) expected: Expected,
    pub(super) deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct GithubLine<'a> {
    event: String,
    delivery: String,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct EventLine<'a> {
    r#type: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Input {
    /// Lays the sample set out in `folder`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn write_small(folder: &Path) -> anyhow::Result<()> {
        for (name, text) in SMALL {
            let path = folder.join(name);
            let parent = path.parent().expect("a name below the folder");
            fs::create_dir_all(parent).with_context(|| format!("`{}`", parent.display()))?;
            fs::write(&path, text).with_context(|| format!("`{}`", path.display()))?;
        }
        Ok(())
    }

    /// Reads what stands in `folder`; `secret` signs webhooks.
    ///
    /// # Errors
    /// A file is missing, or not as it has to be.
    pub(super) fn read(folder: &Path, secret: &[u8]) -> anyhow::Result<Self> {
        let file = |name: &str| {
            let path = folder.join(name);
            let text = fs::read_to_string(&path);
            text.with_context(|| format!("`{}`", path.display()))
        };
        let expected: Expected =
            serde_json::from_str(&file("demo.json")?).context("`demo.json`")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let events = file("events.ndjson")?;
        let deliveries = events
            .lines()
            .enumerate()
            .map(|(at, line)| {
                let delivery = match expected.send {
                    Door::CloudEvents => Delivery::event(line),
                    Door::Github => Delivery::github(line, &key),
                };
                delivery.with_context(|| format!("`events.ndjson`, line {}", at + 1))
            })
            .collect::<anyhow::Result<Vec<Delivery>>>()?;
        let types: BTreeSet<&str> = deliveries.iter().map(|d| d.event_type.as_str()).collect();
        let found = (deliveries.len(), types.len());
        ensure!(
            found == (expected.events, expected.types),
            "`events.ndjson` has {} events of {} types, `demo.json` says {} of {}",
            found.0,
            found.1,
            expected.events,
            expected.types
        );
        let folder = folder.to_owned();
        Ok(Self {
            folder,
            expected,
            deliveries,
        })
    }

    /// Returns the folder of contracts.
    pub(super) fn contracts(&self) -> PathBuf {
        self.folder.join("contracts")
    }
}

impl Delivery {
    fn event(line: &str) -> anyhow::Result<Self> {
        let event: EventLine<'_> = serde_json::from_str(line)?;
        let content_type = "application/cloudevents+json".to_owned();
        Ok(Self {
            event_type: event.r#type,
            path: "/v1/events",
            headers: vec![("content-type", content_type)],
            body: Bytes::copy_from_slice(line.as_bytes()),
            data: Bytes::copy_from_slice(event.data.get().as_bytes()),
        })
    }

    fn github(line: &str, key: &hmac::Key) -> anyhow::Result<Self> {
        let github: GithubLine<'_> = serde_json::from_str(line)?;
        let body = Bytes::copy_from_slice(github.body.get().as_bytes());
        let tag = hmac::sign(key, &body);
        let hex: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            event_type: format!("com.github.{}", github.event),
            path: "/v1/sources/github",
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-github-event", github.event),
                ("x-github-delivery", github.delivery),
                ("x-hub-signature-256", format!("sha256={hex}")),
            ],
            data: body.clone(),
            body,
        })
    }

    /// Returns the contract that governs it.
    pub(super) fn contract<'c>(&self, contracts: &'c Contracts) -> Option<&'c EventContract> {
        contracts.by_type(&self.event_type).map(AsRef::as_ref)
    }

    /// Returns the key that its record has to have.
    pub(super) fn key(&self, contract: &EventContract) -> Option<Vec<u8>> {
        let data = Tree::parse(&self.data).ok()?;
        let key = contract.key.from.find(&data)?.as_name()?;
        Some(key.into_owned().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_set_is_what_the_examples_hold() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/small"));
        let mut found = BTreeSet::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        found.remove("README.md");
        let embedded: BTreeSet<String> = SMALL.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(embedded, found);
    }

    /// GitHub Docs, «Validating webhook deliveries», «Testing».
    #[test]
    fn a_payload_is_signed_as_github_signs_it() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"It's a Secret to Everybody");
        let line = r#"{"event":"push","delivery":"1","body":{"a": 1.0 }}"#;
        let delivery = Delivery::github(line, &key).unwrap();
        assert_eq!(
            delivery.body.as_ref(),
            br#"{"a": 1.0 }"#,
            "the text as it stands"
        );
        let signed = hmac::sign(&key, b"Hello, World!");
        assert_eq!(signed.as_ref()[..2], [0x75, 0x71]);
    }
}
