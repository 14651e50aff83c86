//! Where events come from and who reads them, over a whole set: doors, contracts with their topics,
//! bridges between them, readers with their groups, dead letters. Plain data that travels as JSON,
//! and three drawings of it. What a bridge does right now is known to a gateway, which adds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::model::{Contracts, EventContract, SourceRule};
use crate::reader::Reader;

/// A set of contracts as it is drawn.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lineage {
    /// By name.
    pub contracts: Vec<Contract>,
    /// By name.
    pub readers: Vec<ReadBy>,
}

/// An event type.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Contract {
    /// Its name.
    pub name: String,
    /// The version of the promise.
    pub version: String,
    /// Whether events are taken.
    pub lifecycle: String,
    /// The topic the events are in.
    pub topic: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The `source` that its events have; absent means any.
    pub source: Option<String>,
    /// Where its events are copied from, beside those that are sent.
    pub bridge: Option<Bridge>,
}

/// A bridge from an earlier event type.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bridge {
    /// The earlier contract.
    pub from: String,
    /// What it does now, as a gateway says; absent for contracts in files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How many earlier events are not yet copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
}

/// A reader.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReadBy {
    /// Its name.
    pub name: String,
    /// The contract whose events it reads.
    pub contract: String,
    /// Its consumer group.
    pub group: String,
    /// Who answers for it.
    pub owner: String,
    /// Whether it tries out what is new.
    pub canary: bool,
    /// The topic of what it could not process.
    pub dead_letters: Option<String>,
}

impl Lineage {
    /// Takes down a set of contracts.
    pub fn of(contracts: &Contracts) -> Self {
        Self::of_parts(
            contracts.iter().map(|contract| &**contract),
            contracts.readers().map(|reader| &**reader),
        )
    }

    /// Takes down contracts and readers, both by name.
    pub fn of_parts<'a>(
        contracts: impl Iterator<Item = &'a EventContract>,
        readers: impl Iterator<Item = &'a Reader>,
    ) -> Self {
        Self {
            contracts: contracts.map(Contract::of).collect(),
            readers: readers.map(ReadBy::of).collect(),
        }
    }

    /// Draws it for people, in a terminal.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for name in self.roots() {
            self.draw(name, "", &mut text, &mut BTreeSet::new());
        }
        text
    }

    /// Draws it as a flow chart of Mermaid.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        let nodes = self.nodes();
        let ids: BTreeMap<&str, usize> = (nodes.iter().enumerate())
            .map(|(id, node)| (node.key.as_str(), id))
            .collect();
        for (id, node) in nodes.iter().enumerate() {
            let label = node.label.replace('"', "#quot;").replace('\n', "<br>");
            let (open, close) = match node.kind {
                Kind::Source => ("([", "])"),
                Kind::Contract => ("[", "]"),
                Kind::Reader => ("[/", "/]"),
                Kind::DeadLetters => ("[(", ")]"),
            };
            writeln!(text, "  n{id}{open}\"{label}\"{close}").expect(TAKES_TEXT);
        }
        for edge in self.edges() {
            let (from, to) = (ids[edge.from.as_str()], ids[edge.to.as_str()]);
            match &edge.label {
                Some(label) => writeln!(text, "  n{from} -->|\"{label}\"| n{to}"),
                None => writeln!(text, "  n{from} --> n{to}"),
            }
            .expect(TAKES_TEXT);
        }
        text
    }

    /// Draws it in the language of Graphviz.
    pub fn to_dot(&self) -> String {
        let quoted = |text: &str| {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{}\"", text.replace('\n', "\\n"))
        };
        let mut text = String::from("digraph lineage {\n  rankdir=LR;\n");
        for node in self.nodes() {
            let shape = match node.kind {
                Kind::Source => "oval",
                Kind::Contract => "box",
                Kind::Reader => "parallelogram",
                Kind::DeadLetters => "cylinder",
            };
            let (key, label) = (quoted(&node.key), quoted(&node.label));
            writeln!(text, "  {key} [shape={shape}, label={label}];").expect(TAKES_TEXT);
        }
        for edge in self.edges() {
            let (from, to) = (quoted(&edge.from), quoted(&edge.to));
            let label = edge.label.as_deref().map(quoted);
            let label = label.map_or_else(String::new, |label| format!(" [label={label}]"));
            writeln!(text, "  {from} -> {to}{label};").expect(TAKES_TEXT);
        }
        text.push_str("}\n");
        text
    }

    fn contract(&self, name: &str) -> Option<&Contract> {
        self.contracts.iter().find(|contract| contract.name == name)
    }

    /// Returns the contracts that no other one is copied into, and names that only others speak of.
    fn roots(&self) -> BTreeSet<&str> {
        let contracts = self
            .contracts
            .iter()
            .map(|contract| match &contract.bridge {
                Some(bridge) => bridge.from.as_str(),
                None => contract.name.as_str(),
            });
        let read = self.readers.iter().map(|reader| reader.contract.as_str());
        let named: BTreeSet<&str> = contracts.chain(read).collect();
        named
            .into_iter()
            .filter(|name| self.contract(name).is_none_or(|c| c.bridge.is_none()))
            .collect()
    }

    fn draw(&self, name: &str, indent: &str, text: &mut String, seen: &mut BTreeSet<String>) {
        let contract = self.contract(name);
        let head = contract.map_or_else(|| format!("{name} · not in this set"), Contract::line);
        writeln!(text, "{head}").expect(TAKES_TEXT);
        // What came over the wire may go round.
        if !seen.insert(name.to_owned()) {
            return;
        }
        let from = contract.map(Contract::sent_by);
        let readers = self.readers.iter().filter(|r| r.contract == name);
        let mut lines: Vec<(String, Option<&str>)> = from.into_iter().map(|l| (l, None)).collect();
        lines.extend(readers.map(|reader| (reader.line(), None)));
        for later in &self.contracts {
            let bridge = later.bridge.as_ref().filter(|bridge| bridge.from == name);
            lines.extend(bridge.map(|bridge| (bridge.line(), Some(later.name.as_str()))));
        }
        let last = lines.len().saturating_sub(1);
        for (at, (line, later)) in lines.into_iter().enumerate() {
            let (branch, below) = if at == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            write!(text, "{indent}{branch}{line}").expect(TAKES_TEXT);
            match later {
                Some(later) => self.draw(later, &format!("{indent}{below}"), text, seen),
                None => text.push('\n'),
            }
        }
    }

    fn nodes(&self) -> Vec<Node> {
        let mut nodes = BTreeMap::new();
        let mut add = |key: String, kind, label: String| {
            nodes.entry(key).or_insert((kind, label));
        };
        for contract in &self.contracts {
            add(source_key(contract), Kind::Source, contract.source_name());
            let label = contract.line().replace(" · ", "\n");
            add(contract_key(&contract.name), Kind::Contract, label);
        }
        for reader in &self.readers {
            let label = format!("{}\ngroup {}\n{}", reader.name, reader.group, reader.owner);
            add(reader_key(&reader.name), Kind::Reader, label);
            if let Some(topic) = &reader.dead_letters {
                add(dead_key(topic), Kind::DeadLetters, topic.clone());
            }
        }
        for name in self.roots() {
            let label = format!("{name}\nnot in this set");
            add(contract_key(name), Kind::Contract, label);
        }
        let nodes = nodes.into_iter();
        nodes
            .map(|(key, (kind, label))| Node { key, kind, label })
            .collect()
    }

    fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for contract in &self.contracts {
            let to = contract_key(&contract.name);
            edges.push(Edge {
                from: source_key(contract),
                to: to.clone(),
                label: None,
            });
            edges.extend(contract.bridge.as_ref().map(|bridge| Edge {
                from: contract_key(&bridge.from),
                to,
                label: Some(bridge.label()),
            }));
        }
        for reader in &self.readers {
            edges.push(Edge {
                from: contract_key(&reader.contract),
                to: reader_key(&reader.name),
                label: reader.canary.then(|| "canary".to_owned()),
            });
            edges.extend(reader.dead_letters.as_ref().map(|topic| Edge {
                from: reader_key(&reader.name),
                to: dead_key(topic),
                label: None,
            }));
        }
        edges
    }
}

const TAKES_TEXT: &str = "a string takes any text";

struct Node {
    key: String,
    kind: Kind,
    label: String,
}

#[derive(Clone, Copy)]
enum Kind {
    Source,
    Contract,
    Reader,
    DeadLetters,
}

struct Edge {
    from: String,
    to: String,
    label: Option<String>,
}

fn contract_key(name: &str) -> String {
    format!("contract {name}")
}

fn reader_key(name: &str) -> String {
    format!("reader {name}")
}

fn dead_key(topic: &str) -> String {
    format!("dead letters {topic}")
}

fn source_key(contract: &Contract) -> String {
    format!("source {}", contract.source_name())
}

impl Contract {
    fn of(contract: &EventContract) -> Self {
        Self {
            name: contract.name.clone(),
            version: contract.version.to_string(),
            lifecycle: contract.lifecycle.to_string(),
            topic: contract.topic.name.clone(),
            owner: contract.owner.clone(),
            source: match &contract.event.source {
                SourceRule::Only(source) => Some(source.clone()),
                SourceRule::Any { .. } => None,
            },
            bridge: contract.migration.as_ref().map(|migration| Bridge {
                from: migration.from.clone(),
                state: None,
                lag: None,
            }),
        }
    }

    fn line(&self) -> String {
        let owner = self.owner.as_deref().unwrap_or("nobody's");
        format!(
            "{} {} · {} · topic {} · {owner}",
            self.name, self.version, self.lifecycle, self.topic
        )
    }

    fn source_name(&self) -> String {
        self.source
            .clone()
            .unwrap_or_else(|| "any source".to_owned())
    }

    fn sent_by(&self) -> String {
        format!("sent by {}", self.source_name())
    }
}

impl Bridge {
    fn label(&self) -> String {
        let mut label = String::from("bridge");
        if let Some(state) = &self.state {
            write!(label, ": {state}").expect(TAKES_TEXT);
        }
        if let Some(lag) = self.lag.filter(|lag| *lag > 0) {
            write!(label, ", {lag} behind").expect(TAKES_TEXT);
        }
        label
    }

    fn line(&self) -> String {
        format!("{} ─▶ ", self.label())
    }
}

impl ReadBy {
    fn of(reader: &Reader) -> Self {
        Self {
            name: reader.name.clone(),
            contract: reader.contract.clone(),
            group: reader.via.group(),
            owner: reader.owner.clone(),
            canary: reader.canary,
            dead_letters: reader.dead_letter.as_ref().map(|dead| dead.topic.clone()),
        }
    }

    fn line(&self) -> String {
        let canary = if self.canary { " · canary" } else { "" };
        let mut line = format!(
            "read by {} · group {} · {}{canary}",
            self.name, self.group, self.owner
        );
        if let Some(topic) = &self.dead_letters {
            write!(line, " · dead letters {topic}").expect(TAKES_TEXT);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    fn lineage() -> Lineage {
        let text = r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: paid, owner: team}
spec: {class: fact, lifecycle: deprecated, event: {source: /shop}, schema: {file: any.json}, key: {from: $.id}}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: paid-2, version: 2.0.0}
spec:
  class: fact
  schema: {file: any.json}
  key: {from: $.orderId}
  migration: {from: paid, map: {orderId: $.id}}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: reports, owner: team}
spec:
  contract: paid-2
  accepts: ">=1 <2"
  via: {kafka: {group: g-reports}}
  failure: {deadLetter: {owner: team}}
  canary: true
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: billing, owner: team}
spec: {contract: paid, accepts: "1", via: {connect: {connector: billing}}}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: lost, owner: team}
spec: {contract: gone, accepts: "1", via: {kafka: {group: lost}}}
---
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
"#;
        let files = [("a.yaml".to_owned(), text.to_owned())];
        let contracts = load::sources(&files, &|_| Some("{}".to_owned()));
        let mut lineage = Lineage::of(&contracts.unwrap_or_else(|e| panic!("{e}")));
        let bridge = lineage.contracts[1].bridge.as_mut().unwrap();
        bridge.state = Some("in full".to_owned());
        bridge.lag = Some(3);
        lineage
    }

    #[test]
    fn a_drawing_shows_who_sends_copies_and_reads() {
        insta::assert_snapshot!(lineage().to_text());
        insta::assert_snapshot!("mermaid", lineage().to_mermaid());
        insta::assert_snapshot!("dot", lineage().to_dot());
    }

    #[test]
    fn it_comes_back_from_json_and_a_circle_ends() {
        let json = serde_json::to_string(&lineage()).unwrap();
        let mut back: Lineage = serde_json::from_str(&json).unwrap();
        assert_eq!(back, lineage());
        back.contracts[0].bridge = Some(Bridge {
            from: "paid-2".to_owned(),
            state: None,
            lag: None,
        });
        back.readers.clear();
        // Nobody is first in a circle; nothing hangs.
        assert_eq!(back.to_text(), "");
    }
}
