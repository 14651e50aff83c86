//! Fields that look like they are about persons are declared.

use super::super::words::words;
use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Contracts, EventContract};
use crate::schema::{Outlined, Schema};

pub(in super::super) static RULE: Rule = Rule {
    name: "personal-declared",
    level: Level::Warning,
    why: "what nobody has declared is in nobody's list when a person asks to be forgotten",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/order.json}
  key: {from: $.orderId}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/order.json}
  key: {from: $.orderId}
  privacy: {fields: {$.customer.email: {category: contact}}}
"##,
    schemas: &[(
        "schemas/order.json",
        r##"{"properties": {"orderId": {"type": "string"}, "customer": {"properties": {"email": {"type": "string"}}}}}"##,
    )],
    check,
};

/// The last words of names that mean a person's, without gaps, and what such a field tells.
const PERSONAL: &[(&str, &str)] = &[
    ("birthdate", "identity"),
    ("birthday", "identity"),
    ("clientip", "online-id"),
    ("creditcardnumber", "payment"),
    ("dateofbirth", "identity"),
    ("email", "contact"),
    ("emailaddress", "contact"),
    ("firstname", "identity"),
    ("iban", "payment"),
    ("ip", "online-id"),
    ("ipaddress", "online-id"),
    ("ipv4", "online-id"),
    ("ipv6", "online-id"),
    ("lastname", "identity"),
    ("maidenname", "identity"),
    ("mobilenumber", "contact"),
    ("msisdn", "contact"),
    ("nationalid", "identity"),
    ("passportnumber", "identity"),
    ("phone", "contact"),
    ("phonenumber", "contact"),
    ("postaladdress", "contact"),
    ("socialsecuritynumber", "identity"),
    ("ssn", "identity"),
    ("streetaddress", "contact"),
    ("surname", "identity"),
    ("taxid", "identity"),
    ("telephone", "contact"),
    ("telephonenumber", "contact"),
];
/// More than these are counted, not named.
const MAX_NAMED: usize = 5;

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let undeclared: Vec<String> = personal_fields(&contract.schema.schema)
            .into_iter()
            .filter(|(field, _)| !is_declared(contract, field))
            .map(|(field, _)| format!("`{}`", field.path()))
            .collect();
        if undeclared.is_empty() {
            continue;
        }
        let named = undeclared
            .iter()
            .take(MAX_NAMED)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let more = match undeclared.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message =
            format!("{named}{more}: by the name about persons, and not in `privacy.fields`");
        let hint = "declare each in `spec.privacy.fields` with its category";
        findings.add(contract.as_ref(), "spec.schema.file", message, hint);
    }
}

/// Says whether a field may hold a text; a schema that says nothing allows it.
fn is_text(field: &Outlined) -> bool {
    field.types.is_empty() || field.types.contains("string")
}

/// Returns what a field tells about a person, by its name.
fn category(field: &Outlined) -> Option<&'static str> {
    let words = words(field.names.last()?);
    let mut endings = (0..words.len()).map(|from| words[from..].concat());
    endings.find_map(|ending| {
        let found = PERSONAL.iter().find(|(name, _)| *name == ending);
        found.map(|(_, category)| *category)
    })
}

/// Returns the fields of a schema that look like they are about persons, each with its category.
pub(in super::super) fn personal_fields(schema: &Schema) -> Vec<(Outlined, &'static str)> {
    let fields = schema.outline().into_iter().filter(is_text);
    fields
        .filter_map(|field| category(&field).map(|category| (field, category)))
        .collect()
}

fn is_declared(contract: &EventContract, field: &Outlined) -> bool {
    let declared = contract
        .personal
        .iter()
        .map(|personal| personal.path.names());
    // Whoever declares a part declares what is inside it.
    declared
        .into_iter()
        .any(|names| field.names.starts_with(names))
}
