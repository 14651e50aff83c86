//! What `tidegate contract explain` prints its table from.

use tidegate_contract::explain::Origin;
use tidegate_contract::load;

fn explained(class: &str) -> String {
    let text = format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: order-placed}}\nspec:\n  \
         class: {class}\n  schema: {{file: any.json}}\n  key: {{from: $.id}}\n"
    );
    let files = [("orders.yaml".to_owned(), text)];
    let contracts = load::sources(&files, &|_| Some("{}".to_owned())).unwrap();
    let mut lines = String::new();
    for explained in contracts.by_name("order-placed").unwrap().explain() {
        let origin = match explained.origin {
            Origin::Written(line) => format!("line {line}"),
            Origin::Default => "default".to_owned(),
            Origin::Absent => "absent".to_owned(),
        };
        let value = explained.value.as_deref().unwrap_or("-");
        lines.push_str(&format!(
            "{} = {value} ({origin}): {}\n",
            explained.key, explained.reason
        ));
    }
    lines
}

#[test]
fn every_key_is_explained_with_its_value_and_reason() {
    insta::assert_snapshot!(explained("fact"));
}

#[test]
fn the_class_chooses_defaults() {
    let fact = explained("fact");
    for class in ["command", "telemetry"] {
        let other = explained(class);
        let changed = other
            .lines()
            .zip(fact.lines())
            .filter(|(a, b)| a != b)
            .map(|(a, _)| a);
        insta::assert_snapshot!(class, changed.collect::<Vec<_>>().join("\n"));
    }
}
