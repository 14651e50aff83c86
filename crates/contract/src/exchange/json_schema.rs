//! JSON Schema of the data, one file a contract that needs no other. Avro and Protobuf have types and
//! encodings that JSON Schema does not (bytes, decimals, 64-bit integers as text, unions by name): a
//! schema made of them would promise something else, so they are refused with what to use instead.

use super::schemas::{Files, bundle, text_of};
use super::{ExchangeError, Exported, Told};
use crate::model::SchemaFormat;
use crate::schema::{Schema, beside};

pub(super) fn export(contracts: &[Told<'_>], into: &mut Exported) -> Result<(), ExchangeError> {
    for told in contracts {
        let contract = told.contract;
        if contract.schema.format != SchemaFormat::Json {
            let format = contract.schema.format;
            into.told.push(format!(
                "`{}` has its schema in `{format}`, whose values JSON Schema cannot describe as they are; \
                 `export asyncapi` takes it as it is",
                contract.name
            ));
            continue;
        }
        let name = format!("{}.schema.json", contract.name);
        into.files.insert(name, text_of(&self_contained(told)));
    }
    match (into.files.is_empty(), into.told.first()) {
        (true, Some(first)) => Err(ExchangeError {
            message: first.clone(),
            hint: None,
        }),
        _ => Ok(()),
    }
}

fn self_contained(told: &Told<'_>) -> serde_json::Value {
    let contract = told.contract;
    let (main, pointer) = contract
        .schema
        .file
        .split_once('#')
        .unwrap_or((&contract.schema.file, ""));
    let draft_7 = match &contract.schema.schema {
        Schema::Json(schema) => schema.file.draft == jsonschema::Draft::Draft7,
        Schema::Avro(_) | Schema::Protobuf(_) => false,
    };
    let main = beside(&told.piece.file, main);
    // The request's shape and what it leads to are no part of the data's.
    let wanted = match &contract.schema.schema {
        Schema::Json(schema) => schema.file.documents.keys().cloned().collect(),
        Schema::Avro(_) | Schema::Protobuf(_) => Vec::new(),
    };
    let texts = told
        .piece
        .schemas
        .iter()
        .filter(|(path, _)| wanted.len() > 1 || **path == main)
        .map(|(path, text)| (path.clone(), text.clone()))
        .collect();
    let home = if draft_7 { "/definitions" } else { "/$defs" };
    let files = Files::take(&contract.name, &main, &texts, &|name| {
        format!("{home}/{name}")
    });
    match (files.all.as_slice(), pointer) {
        // Alone it is what it was.
        ([_], "") => {
            let own = Files::take(&contract.name, &main, &texts, &|_| String::new());
            own.all[0].value.clone()
        }
        _ => bundle(&files, pointer, draft_7),
    }
}
