//! What the pages say.

use super::{Block, Line, Page, Span};
use crate::explain::{Explained, Origin};
use crate::load::Piece;
use crate::model::{Contracts, EventContract, OnFailure, SourceRule, Team};
use crate::reader::{Reader, Via};
use crate::schema::Member;

const INDEX: &str = "index";

pub(super) fn pages(
    contracts: &Contracts,
    pieces: &[Piece],
    wanted: &dyn Fn(&str) -> bool,
) -> Vec<Page> {
    let mut pages = vec![index(contracts, wanted)];
    for contract in contracts.iter().filter(|c| wanted(&c.name)) {
        let piece = pieces
            .iter()
            .find(|piece| piece.kind == "EventContract" && piece.name == contract.name);
        let file = piece.map_or_else(|| contract.file(), |piece| &piece.file);
        pages.push(contract_page(contracts, contract, file));
    }
    for reader in contracts.readers().filter(|r| wanted(&r.contract)) {
        pages.push(reader_page(contracts, reader));
    }
    pages.extend(
        contracts
            .teams()
            .map(|team| team_page(contracts, wanted, team)),
    );
    pages
}

fn text(text: impl Into<String>) -> Span {
    Span::Text(text.into())
}

fn code(text: impl Into<String>) -> Span {
    Span::Code(text.into())
}

fn link(to: String, text: &str) -> Span {
    let text = text.to_owned();
    Span::Link { to, text }
}

fn plain(of: impl Into<String>) -> Line {
    vec![text(of)]
}

fn coded(of: impl Into<String>) -> Line {
    vec![code(of)]
}

fn contract_link(contracts: &Contracts, name: &str) -> Span {
    match contracts.by_name(name) {
        Some(_) => link(format!("contracts/{name}"), name),
        None => code(name),
    }
}

fn team_link(contracts: &Contracts, name: Option<&str>) -> Span {
    match name {
        Some(name) if contracts.team(name).is_some() => link(format!("teams/{name}"), name),
        Some(name) => text(format!("{name} (not in this set)")),
        None => text("nobody"),
    }
}

fn table(caption: &str, head: &[&'static str], rows: Vec<Vec<Line>>) -> Block {
    Block::Table {
        caption: caption.to_owned(),
        head: head.to_vec(),
        rows,
    }
}

/// Adds a part with its table, or says why there is none.
fn part(blocks: &mut Vec<Block>, title: &str, none: &str, made: Block) {
    blocks.push(Block::Heading(title.to_owned()));
    match &made {
        Block::Table { rows, .. } if rows.is_empty() => blocks.push(Block::Text(plain(none))),
        _ => blocks.push(made),
    }
}

fn facts(caption: &str, rows: Vec<(&str, Line)>) -> Block {
    let rows = rows
        .into_iter()
        .map(|(name, value)| vec![plain(name), value]);
    table(caption, &["What", "Value"], rows.collect())
}

fn index(contracts: &Contracts, wanted: &dyn Fn(&str) -> bool) -> Page {
    let mut blocks = Vec::new();
    let rows = contracts
        .iter()
        .filter(|c| wanted(&c.name))
        .map(|contract| {
            vec![
                vec![link(format!("contracts/{}", contract.name), &contract.name)],
                plain(contract.version.to_string()),
                plain(contract.lifecycle.as_str()),
                plain(contract.class.as_str()),
                coded(&contract.topic.name),
                vec![team_link(contracts, contract.owner.as_deref())],
                plain(contract.summary.as_deref().unwrap_or_default()),
            ]
        });
    let head = [
        "Contract",
        "Version",
        "Lifecycle",
        "Class",
        "Topic",
        "Owner",
        "What it means",
    ];
    let rows = rows.collect();
    let made = table("Events and who answers for them", &head, rows);
    part(&mut blocks, "Contracts", "There are no contracts.", made);
    let rows = contracts
        .readers()
        .filter(|r| wanted(&r.contract))
        .map(|reader| {
            vec![
                vec![link(format!("readers/{}", reader.name), &reader.name)],
                vec![contract_link(contracts, &reader.contract)],
                coded(reader.accepts.to_string()),
                plain(reader.priority.as_str()),
                vec![team_link(contracts, Some(&reader.owner))],
            ]
        });
    let head = ["Reader", "Reads", "Accepts", "Priority", "Owner"];
    let made = table("Who reads which events", &head, rows.collect());
    part(&mut blocks, "Readers", "No reader is known.", made);
    let rows = contracts.teams().map(|team| {
        let owned = contracts
            .iter()
            .filter(|c| c.owner.as_ref() == Some(&team.name));
        vec![
            vec![link(format!("teams/{}", team.name), &team.name)],
            plain(owned.count().to_string()),
            coded(&team.pager),
        ]
    });
    let made = table(
        "Who is told when something breaks",
        &["Team", "Contracts", "Reached at"],
        rows.collect(),
    );
    part(&mut blocks, "Teams", "There are no teams.", made);
    Page {
        path: INDEX.to_owned(),
        title: "Contracts".to_owned(),
        kind: "Overview",
        blocks,
    }
}

fn contract_page(contracts: &Contracts, contract: &EventContract, file: &str) -> Page {
    let mut blocks = Vec::new();
    let summary = contract
        .summary
        .as_deref()
        .unwrap_or("No summary is written.");
    blocks.push(Block::Text(plain(summary)));
    let source = match &contract.event.source {
        SourceRule::Only(source) => coded(source),
        SourceRule::Any { plain } => vec![text("any; of a plain body "), code(plain)],
    };
    let mut rows = vec![
        ("Version", plain(contract.version.to_string())),
        ("Lifecycle", plain(contract.lifecycle.as_str())),
        ("Class", plain(contract.class.as_str())),
        ("Audience", plain(contract.audience.as_str())),
        (
            "Owner",
            vec![team_link(contracts, contract.owner.as_deref())],
        ),
    ];
    if let Some(domain) = &contract.domain {
        rows.push(("Domain", plain(domain)));
    }
    rows.extend([
        ("Event type", coded(&contract.event.event_type)),
        ("Source", source),
        ("Written in", coded(file)),
    ]);
    blocks.push(Block::Heading("At a glance".to_owned()));
    blocks.push(facts("What it is and who answers for it", rows));
    blocks.push(Block::Heading("Key and topic".to_owned()));
    blocks.push(facts(
        "Where the events are and in which order",
        vec![
            ("Topic", coded(&contract.topic.name)),
            ("Key", coded(contract.key.from.to_string())),
            ("Order", plain(contract.key.ordering.as_str())),
            ("Partitions", plain(contract.topic.partitions.to_string())),
            ("Kept for", plain(contract.topic.retention.to_string())),
            (
                "Largest data",
                plain(contract.topic.max_message.to_string()),
            ),
        ],
    ));
    let mut rows = Vec::new();
    fields(
        contract,
        &contract.schema.schema.members(),
        "$",
        false,
        &mut rows,
    );
    let head = ["Field", "Type", "Required", "About a person", "Meaning"];
    let caption = format!(
        "The data, as {} of {}",
        contract.schema.format, contract.schema.file
    );
    let none = "The schema names no fields.";
    part(&mut blocks, "Fields", none, table(&caption, &head, rows));
    let rules = contract.schema.rules.iter().map(|rule| {
        let then = match rule.on_failure {
            OnFailure::Reject => "refused",
            OnFailure::Quarantine => "refused, kept for the owner",
            OnFailure::Warn => "accepted and counted",
        };
        vec![
            plain(&rule.name),
            coded(rule.expression.as_str()),
            plain(then),
        ]
    });
    let made = table(
        "What must hold beyond the schema",
        &["Rule", "Holds", "If not"],
        rules.collect(),
    );
    part(&mut blocks, "Rules", "Nothing beyond the schema.", made);
    let readers = contracts.readers_of(&contract.name).map(|reader| {
        let fits = match reader.accepts.contains(contract.version) {
            true => "yes",
            false => "no",
        };
        vec![
            vec![link(format!("readers/{}", reader.name), &reader.name)],
            coded(reader.accepts.to_string()),
            plain(fits),
            paths(reader),
            plain(reader.priority.as_str()),
            vec![team_link(contracts, Some(&reader.owner))],
        ]
    });
    let current = format!(
        "Who reads it, and whether version {} is accepted",
        contract.version
    );
    let head = [
        "Reader",
        "Accepts",
        "This version",
        "Fields it reads",
        "Priority",
        "Owner",
    ];
    let none = "No reader is known.";
    part(
        &mut blocks,
        "Readers and versions",
        none,
        table(&current, &head, readers.collect()),
    );
    every_value(&mut blocks, contract.explain());
    Page {
        path: format!("contracts/{}", contract.name),
        title: contract.name.clone(),
        kind: "Contract",
        blocks,
    }
}

fn paths(reader: &Reader) -> Line {
    if reader.reads.is_empty() {
        return plain("any");
    }
    let mut line = Vec::new();
    for (number, path) in reader.reads.iter().enumerate() {
        if number > 0 {
            line.push(text(", "));
        }
        line.push(code(path.to_string()));
    }
    line
}

fn fields(
    contract: &EventContract,
    members: &[Member],
    parent: &str,
    in_list: bool,
    rows: &mut Vec<Vec<Line>>,
) {
    for member in members {
        let here = format!("{parent}.{}", member.name);
        let shown = match member.list {
            true => format!("{here}[]"),
            false => here.clone(),
        };
        let types: Vec<&str> = member.types.iter().map(String::as_str).collect();
        let mut types = types.join(" or ");
        if types.is_empty() {
            types = "any".to_owned();
        }
        if member.list {
            types = format!("list of {types}");
        }
        let personal = contract
            .personal
            .iter()
            .find(|field| !in_list && field.path.to_string() == here)
            .map_or("", |field| field.category.as_str());
        rows.push(vec![
            coded(&shown),
            plain(types),
            plain(if member.required { "yes" } else { "no" }),
            plain(personal),
            plain(member.about.as_deref().unwrap_or_default()),
        ]);
        fields(
            contract,
            &member.members,
            &shown,
            in_list || member.list,
            rows,
        );
    }
}

fn every_value(blocks: &mut Vec<Block>, explained: &[Explained]) {
    let rows = explained.iter().map(|explained| {
        let value = match &explained.value {
            Some(value) => coded(value),
            None => plain("nothing"),
        };
        let origin = match explained.origin {
            Origin::Written(line) => format!("written, line {line}"),
            Origin::Default => "default".to_owned(),
            Origin::Absent => "absent".to_owned(),
        };
        vec![
            coded(&explained.key),
            value,
            plain(origin),
            plain(explained.reason),
        ]
    });
    let head = ["Key", "Value", "From", "Reason"];
    let made = table("Every value in force, and why", &head, rows.collect());
    part(blocks, "Every value", "Nothing is in force.", made);
}

fn reader_page(contracts: &Contracts, reader: &Reader) -> Page {
    let mut blocks = Vec::new();
    let summary = reader
        .summary
        .as_deref()
        .unwrap_or("No summary is written.");
    blocks.push(Block::Text(plain(summary)));
    let via = match &reader.via {
        Via::Kafka { group } => vec![text("Kafka consumer group "), code(group)],
        Via::Connect { connector } => vec![text("Kafka Connect's sink "), code(connector)],
    };
    let duplicates = reader.duplicates.as_ref().map_or_else(
        || "not known".to_owned(),
        |duplicates| duplicates.handling.to_string(),
    );
    blocks.push(Block::Heading("At a glance".to_owned()));
    blocks.push(facts(
        "What it reads and who answers for it",
        vec![
            ("Contract", vec![contract_link(contracts, &reader.contract)]),
            ("Accepts", coded(reader.accepts.to_string())),
            ("Reached by", via),
            ("Owner", vec![team_link(contracts, Some(&reader.owner))]),
            ("Priority", plain(reader.priority.as_str())),
            ("An event met twice", plain(duplicates)),
        ],
    ));
    let contract = contracts.by_name(&reader.contract);
    let rows = reader.reads.iter().map(|path| {
        let field = contract.and_then(|contract| contract.schema.schema.field(path));
        let (types, required) = match (&field, contract) {
            (Some(field), _) => {
                let types: Vec<&str> = field.types.iter().map(String::as_str).collect();
                (
                    types.join(" or "),
                    if field.required { "yes" } else { "no" },
                )
            }
            (None, Some(_)) => ("not declared".to_owned(), ""),
            (None, None) => ("the contract is not in this set".to_owned(), ""),
        };
        vec![coded(path.to_string()), plain(types), plain(required)]
    });
    let made = table(
        "What it uses of the data",
        &["Field", "Type", "Required"],
        rows.collect(),
    );
    part(&mut blocks, "Fields it reads", "Any field.", made);
    let rows = reader.requires.iter().map(|requirement| {
        vec![
            plain(&requirement.name),
            coded(requirement.expression.as_str()),
        ]
    });
    let made = table(
        "What must hold of every event",
        &["Name", "Holds"],
        rows.collect(),
    );
    part(
        &mut blocks,
        "What it requires",
        "Nothing beyond the schema.",
        made,
    );
    every_value(&mut blocks, reader.explain());
    Page {
        path: format!("readers/{}", reader.name),
        title: reader.name.clone(),
        kind: "Reader",
        blocks,
    }
}

fn team_page(contracts: &Contracts, wanted: &dyn Fn(&str) -> bool, team: &Team) -> Page {
    let mut blocks = vec![Block::Heading("At a glance".to_owned())];
    blocks.push(facts(
        "How it is reached and what it approves",
        vec![
            ("Reached at", coded(&team.pager)),
            (
                "Approvals of a new topic",
                plain(team.approves.topic.to_string()),
            ),
            (
                "Approvals of a breaking change",
                plain(team.approves.breaking.to_string()),
            ),
            (
                "Approvals of a reader",
                plain(team.approves.reader.to_string()),
            ),
        ],
    ));
    let owned = contracts
        .iter()
        .filter(|c| c.owner.as_ref() == Some(&team.name) && wanted(&c.name))
        .map(|contract| {
            vec![
                vec![contract_link(contracts, &contract.name)],
                plain(contract.lifecycle.as_str()),
                plain(contract.summary.as_deref().unwrap_or_default()),
            ]
        });
    let head = ["Contract", "Lifecycle", "What it means"];
    let made = table("Contracts it answers for", &head, owned.collect());
    part(&mut blocks, "Contracts", "It owns no contract.", made);
    let readers = contracts
        .readers()
        .filter(|reader| reader.owner == team.name && wanted(&reader.contract))
        .map(|reader| {
            vec![
                vec![link(format!("readers/{}", reader.name), &reader.name)],
                vec![contract_link(contracts, &reader.contract)],
            ]
        });
    let made = table(
        "Readers it answers for",
        &["Reader", "Reads"],
        readers.collect(),
    );
    part(&mut blocks, "Readers", "It owns no reader.", made);
    every_value(&mut blocks, team.explain());
    Page {
        path: format!("teams/{}", team.name),
        title: team.name.clone(),
        kind: "Team",
        blocks,
    }
}
