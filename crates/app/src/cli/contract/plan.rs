//! A plan as people read it: a line a change, `+` new, `~` changed, `-` gone, `=` taken over as it is.

use serde_json::Value;

/// Names longer than this stand out of their column.
const MAX_WIDTH: usize = 40;

/// Writes a plan.
pub(super) fn text(plan: &Value) -> String {
    let mut lines = Vec::new();
    let actions = list(&plan["actions"]);
    let shown: Vec<_> = actions.iter().map(action_line).collect();
    let names = shown.iter().map(|(_, _, name, _)| name.chars().count());
    let width = names.max().unwrap_or(0).min(MAX_WIDTH);
    for (action, (sign, what, name, about)) in actions.iter().zip(shown) {
        let line = format!("{sign} {what:<8} {name:<width$}  {about}");
        lines.push(line.trim_end().to_owned());
        for finding in list(&action["findings"]) {
            if finding["rule"] != "contract-added" {
                lines.push(finding_line(finding));
            }
        }
    }
    for refusal in list(&plan["refusals"]) {
        lines.push(format!(
            "! refused  {}: {}",
            word(refusal, "about"),
            word(refusal, "message")
        ));
        lines.push(format!("    hint: {}", word(refusal, "hint")));
    }
    for approval in list(&plan["approvals"]) {
        let given: Vec<&str> = list(&approval["given"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let (team, why) = (word(approval, "team"), word(approval, "for"));
        let given = match given.as_slice() {
            [] => "nobody".to_owned(),
            names => names.join(", "),
        };
        let needed = &approval["needed"];
        lines.push(format!(
            "? approval {team} wants {needed} ({why}); approved by {given}"
        ));
    }
    for note in list(&plan["notes"]) {
        lines.push(format!("note: {}", note.as_str().unwrap_or_default()));
    }
    let generation = &plan["generation"];
    if plan["changes"] != true && list(&plan["refusals"]).is_empty() {
        lines.push(format!(
            "nothing to do: generation {generation} is in force"
        ));
        return lines.join("\n");
    }
    lines.push(format!(
        "\nplan {} from generation {generation}: {} to add, {} to change, {} to remove",
        word(plan, "id"),
        plan["add"],
        plan["change"],
        plan["remove"]
    ));
    lines.join("\n")
}

/// Sign, kind of thing, its name, and what is done to it.
fn action_line(action: &Value) -> (char, &'static str, String, String) {
    let topic = || word(action, "topic").to_owned();
    match word(action, "do") {
        "create-topic" => ('+', "topic", topic(), word(action, "about").to_owned()),
        "register-schema" => {
            let (version, contract) = (&action["version"], word(action, "contract"));
            let about = format!("version {version}, of {contract}");
            ('+', "schema", word(action, "subject").to_owned(), about)
        }
        "adopt-topic" => {
            let about = format!("is there, and comes under {}", word(action, "contract"));
            ('=', "topic", topic(), about)
        }
        "grow-topic" => {
            let about = format!("{} partitions -> {}", action["from"], action["to"]);
            ('~', "topic", topic(), about)
        }
        "widen-topic" => ('~', "topic", topic(), settings(action)),
        "narrow-topic" => (
            '~',
            "topic",
            topic(),
            format!("{} (narrower)", settings(action)),
        ),
        "delete-topic" => ('-', "topic", topic(), "with all its events".to_owned()),
        "put-document" => ('+', kind(action), named(action), place(action)),
        "replace-document" => ('~', kind(action), named(action), place(action)),
        "remove-document" => {
            let about = match kind(action) {
                "contract" => "its topic and history stay",
                _ => "",
            };
            ('-', kind(action), named(action), about.to_owned())
        }
        _ => ('~', "", topic(), action.to_string()),
    }
}

fn kind(action: &Value) -> &'static str {
    match word(action, "kind") {
        "EventContract" => "contract",
        "ConsumerContract" => "reader",
        "Team" => "team",
        _ => "document",
    }
}

fn named(action: &Value) -> String {
    let (name, version) = (word(action, "name"), word(action, "version"));
    match word(action, "from") {
        _ if version.is_empty() => name.to_owned(),
        "" => format!("{name} {version}"),
        from => format!("{name} {from} -> {version}"),
    }
}

fn place(action: &Value) -> String {
    format!("{}:{}", word(action, "file"), action["line"])
}

fn settings(action: &Value) -> String {
    let settings = list(&action["settings"]).iter();
    settings
        .map(|it| word(it, "about"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn finding_line(finding: &Value) -> String {
    let mut line = format!(
        "    {}: {}:{}:{}: {} [{}]",
        word(finding, "severity"),
        word(finding, "file"),
        finding["line"],
        finding["column"],
        word(finding, "message"),
        word(finding, "rule"),
    );
    if let Some(hint) = finding["hint"].as_str().filter(|hint| !hint.is_empty()) {
        line.push_str(&format!("\n      hint: {hint}"));
    }
    line
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}
