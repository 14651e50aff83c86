//! A plan as people read it: a line a change, `+` new, `~` changed, `-` gone, `=` taken over as it is.

use serde_json::Value;

/// Units of a setting, largest first.
const TIMES: [(&str, i64); 4] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
];
const SIZES: [(&str, i64); 2] = [("MiB", 1 << 20), ("KiB", 1 << 10)];

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
        "create-topic" => {
            let settings = &action["settings"];
            let partitions = match action["partitions"].as_i64() {
                Some(1) => "1 partition".to_owned(),
                count => format!("{} partitions", count.unwrap_or(0)),
            };
            let about = format!(
                "{partitions}, keeps events {}, messages up to {}",
                value("retention.ms", word(settings, "retention.ms")),
                value("max.message.bytes", word(settings, "max.message.bytes")),
            );
            ('+', "topic", topic(), about)
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
    let settings = list(&action["settings"]).iter().map(|it| {
        let name = word(it, "setting");
        let (from, to) = (value(name, word(it, "from")), value(name, word(it, "to")));
        format!("{name} {from} -> {to}")
    });
    settings.collect::<Vec<_>>().join(", ")
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

/// Writes a value of a topic's setting with the largest unit that it is a whole number of.
fn value(setting: &str, text: &str) -> String {
    let Ok(number) = text.parse::<i64>() else {
        return text.to_owned();
    };
    let (units, least): (&[_], &str) = match setting {
        "retention.ms" if number == -1 => return "for ever".to_owned(),
        "retention.bytes" if number == -1 => return "all".to_owned(),
        "retention.ms" => (&TIMES, "ms"),
        "max.message.bytes" | "retention.bytes" => (&SIZES, "B"),
        _ => return text.to_owned(),
    };
    let fits = |(_, size): &&(&str, i64)| number != 0 && number % size == 0;
    match units.iter().find(fits) {
        Some((unit, size)) => format!("{}{unit}", number / size),
        None => format!("{number}{least}"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_the_largest_unit_it_is_whole_in() {
        for (setting, text, expected) in [
            ("retention.ms", "-1", "for ever"),
            ("retention.ms", "604800000", "7d"),
            ("retention.ms", "5400000", "90m"),
            ("retention.ms", "1500", "1500ms"),
            ("retention.ms", "0", "0ms"),
            ("retention.bytes", "-1", "all"),
            ("max.message.bytes", "1114112", "1088KiB"),
            ("max.message.bytes", "1048588", "1048588B"),
            ("flush.ms", "1000", "1000"),
            ("retention.ms", "soon", "soon"),
        ] {
            assert_eq!(value(setting, text), expected, "{setting}={text}");
        }
    }
}
