//! Findings in the forms that machines read: JUnit, SARIF 2.1.0, GitHub's annotations and GitLab's
//! code quality, beside text and JSON. The same findings make each; a form drops none of them.

use serde_json::{Value, json};
use tidegate_contract::diff::{Concerned, EventPlace};

use crate::cli::client;

/// How findings are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// JUnit XML: a test case a contract, and one a reader that something is found about.
    Junit,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// GitHub's annotations, as workflow commands.
    Github,
    /// GitLab's code quality report.
    Gitlab,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Weight {
    Error,
    Warning,
    Note,
}

/// One finding with its place.
pub(super) struct Finding {
    pub(super) weight: Weight,
    pub(super) rule: String,
    /// The contract that it is about; empty if it is about a file.
    pub(super) contract: String,
    pub(super) file: String,
    /// From 1; 0 when it is about the file as a whole.
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// The reader that it is about.
    pub(super) reader: Option<Concerned>,
    /// The first event of the log that shows it.
    pub(super) first_offset: Option<EventPlace>,
}

/// A rule as reports describe it.
pub(super) struct Described {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
}

/// Everything a report is made of.
pub(super) struct Report {
    /// The command, `contract check`.
    pub(super) command: &'static str,
    /// What was looked at, found wanting or not.
    pub(super) contracts: Vec<String>,
    pub(super) findings: Vec<Finding>,
    pub(super) rules: Vec<Described>,
}

impl Report {
    /// Writes the report; text and JSON are the command's own.
    pub(super) fn write(&self, format: ReportFormat) -> Option<String> {
        Some(match format {
            ReportFormat::Text | ReportFormat::Json => return None,
            ReportFormat::Junit => self.junit(),
            ReportFormat::Sarif => format!("{:#}", self.sarif()),
            ReportFormat::Github => self.github(),
            ReportFormat::Gitlab => format!("{:#}", self.gitlab()),
        })
    }

    fn junit(&self) -> String {
        let case = |finding: &Finding| match &finding.reader {
            Some(reader) => ("readers", reader.name.clone()),
            None => ("contracts", finding.contract.clone()),
        };
        let of = |wanted: &(&str, String)| -> Vec<&Finding> {
            let findings = self.findings.iter();
            findings
                .filter(|finding| case(finding) == *wanted)
                .collect()
        };
        let contracts = self.contracts.iter();
        let mut names: Vec<(&str, String)> =
            contracts.map(|name| ("contracts", name.clone())).collect();
        for finding in &self.findings {
            if !names.contains(&case(finding)) {
                names.push(case(finding));
            }
        }
        let is_error = |finding: &&Finding| finding.weight == Weight::Error;
        let failed = names
            .iter()
            .filter(|name| of(name).iter().any(is_error))
            .count();
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let counts = format!(
            "tests=\"{}\" failures=\"{failed}\" errors=\"0\"",
            names.len()
        );
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line(format!("<testsuites {counts}>"));
        line(format!(
            "  <testsuite name=\"tidegate {}\" {counts}>",
            self.command
        ));
        for case in &names {
            let (class, name) = case;
            let shown = if name.is_empty() { "files" } else { name };
            line(format!(
                "    <testcase classname=\"{class}\" name=\"{}\">",
                xml(shown)
            ));
            let (errors, others): (Vec<&Finding>, Vec<&Finding>) =
                of(case).into_iter().partition(is_error);
            if let Some(first) = errors.first() {
                let told: Vec<String> = errors.iter().map(|finding| told(finding)).collect();
                let (message, kind) = (xml(&first.message), xml(&first.rule));
                line(format!(
                    "      <failure message=\"{message}\" type=\"{kind}\">"
                ));
                line(format!("{}</failure>", xml(&told.join("\n"))));
            }
            if !others.is_empty() {
                let told: Vec<String> = others.iter().map(|finding| told(finding)).collect();
                line(format!(
                    "      <system-out>{}</system-out>",
                    xml(&told.join("\n"))
                ));
            }
            line("    </testcase>".to_owned());
        }
        line("  </testsuite>".to_owned());
        text.push_str("</testsuites>");
        text
    }

    fn sarif(&self) -> Value {
        let rules: Vec<Value> = self
            .rules
            .iter()
            .map(|rule| json!({ "id": rule.name, "shortDescription": { "text": rule.what } }))
            .collect();
        let results: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                let level = match finding.weight {
                    Weight::Error => "error",
                    Weight::Warning => "warning",
                    Weight::Note => "note",
                };
                let mut place =
                    json!({ "artifactLocation": { "uri": client::path(&finding.file) } });
                if finding.line > 0 {
                    place["region"] =
                        json!({ "startLine": finding.line, "startColumn": finding.column.max(1) });
                }
                let mut result = json!({
                    "ruleId": finding.rule,
                    "level": level,
                    "message": { "text": with_hint(finding) },
                    "locations": [{ "physicalLocation": place }],
                    "partialFingerprints": { "tidegate/v1": fingerprint(finding) },
                });
                if let Some(properties) = properties(finding) {
                    result["properties"] = properties;
                }
                result
            })
            .collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "tidegate",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                }},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        })
    }

    fn github(&self) -> String {
        let lines = self.findings.iter().map(|finding| {
            let command = match finding.weight {
                Weight::Error => "error",
                Weight::Warning => "warning",
                Weight::Note => "notice",
            };
            let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
            let place = match finding.line {
                0 => String::new(),
                line => format!(",line={line},col={}", finding.column.max(1)),
            };
            let (file, title) = (property(&finding.file), property(&finding.rule));
            let message = data(&with_hint(finding));
            format!("::{command} file={file}{place},title={title}::{message}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn gitlab(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            let severity = match finding.weight {
                Weight::Error => "blocker",
                Weight::Warning => "minor",
                Weight::Note => "info",
            };
            json!({
                "description": with_hint(finding),
                "check_name": finding.rule,
                "fingerprint": fingerprint(finding),
                "severity": severity,
                "location": { "path": finding.file, "lines": { "begin": finding.line.max(1) } },
            })
        });
        findings.collect()
    }
}

fn told(finding: &Finding) -> String {
    let Finding {
        file,
        line,
        column,
        rule,
        ..
    } = finding;
    format!("{file}:{line}:{column}: {} [{rule}]", with_hint(finding))
}

fn with_hint(finding: &Finding) -> String {
    match &finding.hint {
        Some(hint) => format!("{}; {hint}", finding.message),
        None => finding.message.clone(),
    }
}

/// What SARIF has no words for: the reader, the field, the first event.
fn properties(finding: &Finding) -> Option<Value> {
    let mut found = json!({});
    if let Some(reader) = &finding.reader {
        found["reader"] = json!(reader.name);
        found["owner"] = json!(reader.owner);
        found["group"] = json!(reader.group);
        if let Some(field) = &reader.field {
            found["field"] = json!(field);
        }
    }
    if let Some(place) = &finding.first_offset {
        found["topic"] = json!(place.topic);
        found["partition"] = json!(place.partition);
        found["firstOffset"] = json!(place.offset);
    }
    let is_empty = found.as_object().is_none_or(serde_json::Map::is_empty);
    (!is_empty).then_some(found)
}

/// Tells one finding from another over runs; lines may move, and the log grows.
fn fingerprint(finding: &Finding) -> String {
    let about = match (&finding.first_offset, &finding.reader) {
        (None, _) => finding.message.clone(),
        (Some(_), None) => String::new(),
        (Some(_), Some(reader)) => {
            let field = reader.field.as_deref().unwrap_or_default();
            format!("{} {field}", reader.name)
        }
    };
    let parts = [&finding.rule, &finding.contract, &finding.file, &about];
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325; // FNV-1a
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// Escapes the text of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes text for XML 1.0, which has no place for most control characters.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
