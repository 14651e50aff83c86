//! What the guides show is what the binary takes: each block of YAML is a set of contracts that loads, and
//! that lint has nothing to say about.

use std::fs;
use std::path::Path;

use tidegate_contract::{Contracts, lint, load};

/// The data of every example; one that a guide's paths lead into.
const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["orderId"],
  "properties": {
    "orderId": {"type": "string"},
    "commandId": {"type": "string"},
    "invoiceId": {"type": "string"},
    "deadline": {"type": "string", "format": "date-time"}
  }
}"#;

/// Loads the blocks of a guide.
fn blocks(guide: &str) -> Vec<Contracts> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides");
    let text = fs::read_to_string(path.join(guide)).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let load = |block: &str| {
        let files = [(guide.to_owned(), block.to_owned())];
        let schema = |path: &str| path.starts_with("schemas/").then(|| SCHEMA.to_owned());
        load::sources(&files, &schema).unwrap_or_else(|found| panic!("{found}"))
    };
    blocks.map(load).collect()
}

#[test]
fn the_contracts_of_the_guides_load_without_a_finding() {
    for (guide, expected) in [("design-topics.md", 4), ("saga.md", 1)] {
        let blocks = blocks(guide);
        assert_eq!(blocks.len(), expected, "{guide}");
        for contracts in blocks {
            let found = lint::lint(&contracts);
            assert!(found.is_empty(), "{guide}: {found}");
        }
    }
}

#[test]
fn every_command_of_the_saga_is_known_by_its_id() {
    let saga = blocks("saga.md").pop().unwrap();
    let names: Vec<&str> = saga.iter().map(|contract| contract.name.as_str()).collect();
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/saga.md"))
            .unwrap();
    let told = text.split("```yaml\n").next().unwrap();
    for contract in &saga {
        // The picture and the table above speak of every one of them.
        assert!(told.contains(contract.name.as_str()), "{}", contract.name);
        let is_command = contract.class.as_str() == "command";
        assert_eq!(
            contract.ingress.idempotency.required, is_command,
            "{}",
            contract.name
        );
        assert_eq!(contract.event.id.is_some(), is_command, "{}", contract.name);
    }
    assert_eq!(names.len(), 10);
}
