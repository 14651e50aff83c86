//! Protobuf files, edits of them, and messages: encoded under one file and decoded under the other by
//! `prost-reflect`. What the verdict promises is tried field by field: the reader's decoder takes the
//! bytes, a field of the same number and type has the value that was written, and what must be there is.
//!
//! Bytes are text, since a string may be read from them.

use std::fmt;

use prost_reflect::prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value,
};
use protox::file::{File, FileResolver};
use tidegate_contract::schema::Schema;
use tidegate_contract::schema::protobuf::ProtobufSchema;

use super::Language;
use super::choices::Choices;

pub(super) struct Protobuf;

const KINDS: [&str; 14] = [
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool", "fixed32", "sfixed64",
    "float", "double", "string", "bytes", "E",
];
const MESSAGES: [&str; 3] = ["A", "B", "C"];

#[derive(Clone)]
pub(super) struct Proto {
    proto2: bool,
    /// Fields of `A`, `B` and `C`.
    messages: Vec<Vec<Field>>,
}

#[derive(Clone)]
struct Field {
    number: usize,
    name: String,
    kind: String,
    label: Label,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Label {
    Plain,
    Optional,
    Repeated,
    Required,
    Oneof,
    Map,
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "syntax = \"proto{}\"; enum E {{ X = 0; Y = 1; }}",
            if self.proto2 { 2 } else { 3 }
        )?;
        for (name, fields) in MESSAGES.iter().zip(&self.messages) {
            write!(f, " message {name} {{")?;
            for field in fields.iter().filter(|field| field.label != Label::Oneof) {
                let label = match (field.label, self.proto2) {
                    (Label::Plain, true) | (Label::Optional, _) => "optional ",
                    (Label::Repeated, _) => "repeated ",
                    (Label::Required, true) => "required ",
                    _ => "",
                };
                let Field {
                    number, name, kind, ..
                } = field;
                match field.label {
                    Label::Map => write!(f, " map<string, {kind}> {name} = {number};")?,
                    _ => write!(f, " {label}{kind} {name} = {number};")?,
                }
            }
            let mut alternatives = fields
                .iter()
                .filter(|field| field.label == Label::Oneof)
                .peekable();
            if alternatives.peek().is_some() {
                write!(f, " oneof o {{")?;
                for Field {
                    number, name, kind, ..
                } in alternatives
                {
                    write!(f, " {kind} {name} = {number};")?;
                }
                write!(f, " }}")?;
            }
            write!(f, " }}")?;
        }
        Ok(())
    }
}

fn field(number: usize, choices: &mut Choices) -> Field {
    let kind = match choices.once_in(4) {
        true => choices.of(&MESSAGES),
        false => choices.of(&KINDS),
    };
    Field {
        number,
        name: format!("f{number}"),
        kind: kind.to_owned(),
        label: label(choices),
    }
}

fn label(choices: &mut Choices) -> Label {
    use Label::{Map, Oneof, Optional, Plain, Repeated, Required};
    [
        Plain, Plain, Optional, Repeated, Oneof, Oneof, Map, Required,
    ][choices.below(8)]
}

impl Language for Protobuf {
    type Text = Proto;
    type Real = MessageDescriptor;

    fn schema(choices: &mut Choices) -> Proto {
        let proto2 = choices.once_in(3);
        let messages = (0..1 + choices.below(3)).map(|_| {
            let numbers: Vec<usize> = (1..6).filter(|_| choices.once_in(2)).collect();
            numbers
                .into_iter()
                .map(|number| field(number, choices))
                .collect()
        });
        let messages: Vec<Vec<Field>> = messages.collect();
        Proto { proto2, messages }
    }

    fn edit(text: &mut Proto, choices: &mut Choices) {
        let message = choices.below(text.messages.len());
        let fields = &mut text.messages[message];
        let number = 1 + choices.below(6);
        let Some(at) = fields.iter().position(|field| field.number == number) else {
            return fields.push(field(number, choices));
        };
        match choices.below(5) {
            0 => fields[at].name = format!("g{number}"),
            1 => drop(fields.remove(at)),
            2 => fields[at].label = label(choices),
            // Mostly what has the same encoding.
            3 => {
                let groups: [&[&str]; 4] = [
                    &["int32", "int64", "uint32", "uint64", "bool", "E"],
                    &["string", "bytes"],
                    &["sint32", "sint64"],
                    &["fixed32", "sfixed32"],
                ];
                let kind = fields[at].kind.as_str();
                let group = groups.iter().find(|group| group.contains(&kind));
                let kind = choices.of(group.unwrap_or(&groups[0]));
                fields[at].kind = kind.to_owned();
            }
            _ => fields[at] = field(number, choices),
        }
    }

    fn parse(text: &Proto) -> Option<(Schema, MessageDescriptor)> {
        let text = text.to_string();
        let schema = ProtobufSchema::parse("s.proto", &text).ok()?;
        let mut compiler = protox::Compiler::with_file_resolver(Only(text));
        compiler.open_file("s.proto").ok()?;
        let message = compiler.descriptor_pool().get_message_by_name("A")?;
        Some((Schema::Protobuf(schema), message))
    }

    fn meets(
        _: [&Proto; 2],
        writer: &MessageDescriptor,
        reader: &MessageDescriptor,
        choices: &mut Choices,
    ) -> Option<Result<(), String>> {
        let written = message(writer, choices, 3)?;
        let read = DynamicMessage::decode(reader.clone(), written.encode_to_vec().as_slice());
        let kept = match read {
            Err(error) => Err(error.to_string()),
            Ok(read) => keeps(&written, &read),
        };
        Some(kept.map_err(|problem| format!("{written}: {problem}")))
    }
}

struct Only(String);

impl FileResolver for Only {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "s.proto" => File::from_source(name, &self.0),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Makes a message with what it requires; nothing if that goes on for ever.
fn message(of: &MessageDescriptor, choices: &mut Choices, depth: usize) -> Option<DynamicMessage> {
    let mut made = DynamicMessage::new(of.clone());
    for field in of.fields() {
        let required = field.is_required();
        if !required && (depth == 0 || choices.once_in(3)) {
            continue;
        }
        if depth == 0 && matches!(field.kind(), Kind::Message(_)) {
            return None;
        }
        let value = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let kind = entry.map_entry_value_field().kind();
                let names = choices.some(&["x", "y"]);
                let one = |name: &str| {
                    Some((
                        MapKey::String(name.to_owned()),
                        value(&kind, choices, depth)?,
                    ))
                };
                Value::Map(names.into_iter().map(one).collect::<Option<_>>()?)
            }
            kind if field.is_list() => {
                let count = choices.below(3);
                Value::List(
                    (0..count)
                        .map(|_| value(&kind, choices, depth))
                        .collect::<Option<_>>()?,
                )
            }
            kind => value(&kind, choices, depth)?,
        };
        made.set_field(&field, value);
    }
    Some(made)
}

fn value(kind: &Kind, choices: &mut Choices, depth: usize) -> Option<Value> {
    let at = choices.below(4);
    Some(match kind {
        Kind::Double => Value::F64([0.0, 1.5, -1.0, f64::MAX][at]),
        Kind::Float => Value::F32([0.0, 1.5, -1.0, f32::MAX][at]),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32([0, 1, -1, i32::MAX][at]),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64([0, 1, -1, i64::MAX][at]),
        Kind::Uint32 | Kind::Fixed32 => Value::U32([0, 1, 300, u32::MAX][at]),
        Kind::Uint64 | Kind::Fixed64 => Value::U64([0, 1, 300, u64::MAX][at]),
        Kind::Bool => Value::Bool(at % 2 == 1),
        Kind::String => Value::String(["", "x", "long\u{e9}", "y"][at].to_owned()),
        Kind::Bytes => Value::Bytes(["", "x", "long\u{e9}", "y"][at].as_bytes().to_vec().into()),
        Kind::Enum(_) => Value::EnumNumber([0, 1, 0, 1][at]),
        Kind::Message(inner) => Value::Message(message(inner, choices, depth.checked_sub(1)?)?),
    })
}

/// Says what of the written message the reader does not have.
fn keeps(written: &DynamicMessage, read: &DynamicMessage) -> Result<(), String> {
    for field in read.descriptor().fields() {
        if field.is_required() && !read.has_field(&field) {
            return Err(format!("required field {} is absent", field.number()));
        }
        let Some(before) = written.descriptor().get_field(field.number()) else {
            continue;
        };
        if !written.has_field(&before) && !read.has_field(&field) {
            continue;
        }
        let (wrote, reads) = (written.get_field(&before), read.get_field(&field));
        if same_type(&before, &field) {
            if !same(&wrote, &reads) {
                return Err(format!("field {} was {wrote}, is {reads}", field.number()));
            }
        } else if written.has_field(&before)
            && !read.has_field(&field)
            && read
                .unknown_fields()
                .any(|unknown| unknown.number() == field.number())
        {
            return Err(format!("field {} is not understood", field.number()));
        }
    }
    Ok(())
}

fn same_type(left: &FieldDescriptor, right: &FieldDescriptor) -> bool {
    let name = |kind: Kind| match kind {
        Kind::Message(message) if message.is_map_entry() => {
            format!(
                "map of {:?}",
                name_of(&message.map_entry_value_field().kind())
            )
        }
        kind => name_of(&kind),
    };
    left.is_list() == right.is_list()
        && left.is_map() == right.is_map()
        && name(left.kind()) == name(right.kind())
}

fn name_of(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(declared) => declared.full_name().to_owned(),
        kind => format!("{kind:?}"),
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Message(left), Value::Message(right)) => keeps(left, right).is_ok(),
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        (left, right) => left == right,
    }
}
