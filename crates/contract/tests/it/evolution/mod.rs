//! The evolution of a real schema: every published version of `@octokit/webhooks-schemas`, each event
//! a contract, each step judged as `contract check` judges it, and every recorded payload of
//! `@octokit/webhooks-examples` tried on both sides. `docs/reference/schema-evolution.md` is made of
//! it. A STRICT «compatible» that a payload contradicts is a fault of the checker.

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tidegate_contract::model::CompatibilityPolicy::{self, Lenient, Strict};
use tidegate_contract::schema::compatibility::{Direction, unreadable};
use tidegate_contract::{Contracts, Event, diff, load};

/// What npm has, oldest first.
const SCHEMAS: [&str; 18] = [
    "3.69.1", "3.69.3", "3.77.1", "4.1.0", "4.13.0", "5.5.1", "5.8.0", "6.7.0", "6.10.0", "6.11.0",
    "7.0.2", "7.0.3", "7.1.0", "7.3.1", "7.4.0", "7.5.0", "7.5.1", "7.6.1",
];
const PAYLOADS: [&str; 10] = [
    "4.0.2", "4.18.0", "5.8.0", "6.11.0", "7.1.0", "7.2.0", "7.3.1", "7.3.2", "7.5.1", "7.6.1",
];
const ASKED: [(Direction, CompatibilityPolicy); 4] = [
    (Direction::Backward, Lenient),
    (Direction::Backward, Strict),
    (Direction::Forward, Lenient),
    (Direction::Forward, Strict),
];

/// One version of the schemas as a set of contracts.
struct Version {
    number: &'static str,
    contracts: Contracts,
    /// By contract: which of its event's payloads it accepts.
    accepts: BTreeMap<String, Vec<bool>>,
}

/// One contract from one version to the next.
struct Step {
    from: &'static str,
    to: &'static str,
    contract: String,
    /// The rules that are broken, as `ASKED` asks.
    broken: [BTreeSet<&'static str>; 4],
    /// Payloads that the writer's schema accepts, and how many of them the reader's refuses;
    /// readers of the new schema, then of the earlier one.
    payloads: [Payloads; 2],
}

#[derive(Clone, Copy, Default)]
struct Payloads {
    tried: usize,
    refused: usize,
}

impl Step {
    fn payloads(&self, asked: usize) -> Payloads {
        self.payloads[usize::from(ASKED[asked].0 == Direction::Forward)]
    }

    fn is_broken(&self, asked: usize) -> bool {
        !self.broken[asked].is_empty()
    }

    /// Broken, and a recorded payload fails.
    fn is_shown(&self, asked: usize) -> bool {
        self.is_broken(asked) && self.payloads(asked).refused > 0
    }

    /// Not broken, and a recorded payload fails all the same.
    fn is_untold(&self, asked: usize) -> bool {
        !self.is_broken(asked) && self.payloads(asked).refused > 0
    }
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

fn installed(package: &str, file: &str) -> String {
    let path = folder("tests/schema-evolution/node_modules")
        .join(package)
        .join(file);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `tools/setup evolution`", path.display()))
}

/// Every payload by the name of its event; what several versions recorded is there once.
fn payloads() -> BTreeMap<String, Vec<Bytes>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for version in PAYLOADS {
        let text = installed(&format!("payloads-{version}"), "api.github.com/index.json");
        let types: Vec<Value> = serde_json::from_str(&text).unwrap();
        for event in types {
            let name = event["name"].as_str().unwrap().to_owned();
            let examples = event["examples"].as_array().unwrap().iter();
            found
                .entry(name)
                .or_default()
                .extend(examples.map(Value::to_string));
        }
    }
    let bytes = |texts: BTreeSet<String>| texts.into_iter().map(Bytes::from).collect();
    found
        .into_iter()
        .map(|(name, texts)| (name, bytes(texts)))
        .collect()
}

impl Version {
    fn read(number: &'static str, payloads: &BTreeMap<String, Vec<Bytes>>) -> Self {
        let schema = installed(&format!("schemas-{number}"), "schema.json");
        let root: Value = serde_json::from_str(&schema).unwrap();
        let roots = root["oneOf"].as_array().unwrap().iter();
        let sources: Vec<(String, String)> = roots
            .map(|root| {
                let definition = root["$ref"]
                    .as_str()
                    .unwrap()
                    .trim_start_matches("#/definitions/");
                let event = event_of(definition);
                (format!("{event}.yaml"), contract(event, definition))
            })
            .collect();
        let contracts = load::sources(&sources, &|_| Some(schema.clone())).unwrap();
        let accepts = contracts.iter().map(|contract| {
            let event_type = contract.event.event_type.as_str();
            let payloads = payloads.get(event_type).map_or(&[][..], Vec::as_slice);
            let accepts = payloads.iter().map(|payload| {
                let event = Event {
                    id: "1".to_owned(),
                    event_type: event_type.to_owned(),
                    source: "https://github.com".to_owned(),
                    data: Some(payload.clone()),
                    ..Event::default()
                };
                contract.check(&event, 0).is_ok()
            });
            (contract.name.clone(), accepts.collect())
        });
        let accepts = accepts.collect();
        Self {
            number,
            contracts,
            accepts,
        }
    }
}

/// A definition is `push$event` or, where an event has several forms, `issues_event`.
fn event_of(definition: &str) -> &str {
    let event = definition
        .strip_suffix("_event")
        .or_else(|| definition.strip_suffix("$event"));
    event.unwrap_or_else(|| panic!("`{definition}` is no event"))
}

/// A contract of one event, at the levels that are the defaults.
fn contract(event: &str, definition: &str) -> String {
    let template = fs::read_to_string(folder("tests/schema-evolution/contract.yaml")).unwrap();
    template
        .replace("NAME", &event.replace('_', "-"))
        .replace("EVENT", event)
        .replace("DEFINITION", definition)
}

/// Does `each` for every item, on as many threads as there are processors, and keeps the order.
fn in_parallel<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::default();
    let work = || {
        while let Some((at, item)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            items.get(at).map(|item| (at, item))
        } {
            let result = each(item);
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Judges every contract that two versions have.
fn steps(old: &Version, new: &Version) -> Vec<Step> {
    let mut steps = Vec::new();
    for before in &old.contracts {
        let Some(after) = new.contracts.by_name(&before.name) else {
            continue;
        };
        let (earlier, later) = (&before.schema.schema, &after.schema.schema);
        let broken = ASKED.map(|(direction, policy)| {
            let found = match direction {
                Direction::Backward => unreadable(later, earlier, policy),
                Direction::Forward => unreadable(earlier, later, policy),
            };
            found.into_iter().map(|found| found.rule).collect()
        });
        let (earlier, later) = (&old.accepts[&before.name], &new.accepts[&before.name]);
        let refused = |writer: &[bool], reader: &[bool]| {
            let written = writer.iter().zip(reader).filter(|(wrote, _)| **wrote);
            written.fold(Payloads::default(), |all, (_, reads)| Payloads {
                tried: all.tried + 1,
                refused: all.refused + usize::from(!reads),
            })
        };
        steps.push(Step {
            from: old.number,
            to: new.number,
            contract: before.name.clone(),
            broken,
            payloads: [refused(earlier, later), refused(later, earlier)],
        });
    }
    // The command says the same: its default is BACKWARD, LENIENT.
    let told: BTreeSet<String> = diff::diff(&old.contracts, &new.contracts)
        .into_iter()
        .filter(|change| change.rule == "schema-incompatible")
        .map(|change| change.contract)
        .collect();
    let judged = steps.iter().filter(|step| step.is_broken(0));
    let judged: BTreeSet<String> = judged.map(|step| step.contract.clone()).collect();
    assert_eq!(told, judged, "{} to {}", old.number, new.number);
    steps
}

#[test]
#[ignore = "needs `tools/setup evolution`: `make test` runs it"]
fn the_page_says_what_the_steps_show() {
    let payloads = payloads();
    let versions = in_parallel(&SCHEMAS, |number| Version::read(number, &payloads));
    let pairs: Vec<&[Version]> = versions.windows(2).collect();
    let steps: Vec<Step> = in_parallel(&pairs, |pair| steps(&pair[0], &pair[1]))
        .into_iter()
        .flatten()
        .collect();

    // What STRICT calls compatible no payload contradicts, in either direction.
    for step in &steps {
        for asked in [1, 3] {
            assert!(
                !step.is_untold(asked),
                "`{}` {} to {}: compatible by {:?}, and {} of {} payloads fail",
                step.contract,
                step.from,
                step.to,
                ASKED[asked].0,
                step.payloads(asked).refused,
                step.payloads(asked).tried
            );
        }
    }
    let count = payloads.values().map(Vec::len).sum();
    page::check(&page::page(&versions, &steps, count));
}
