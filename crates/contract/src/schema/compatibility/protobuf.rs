//! Protobuf as Confluent's registry judges it: what keeps its number, kind and message on the wire
//! may change its name, come and go. Compared are the messages of the file and those that their
//! fields lead to; enums may change at will, services are not looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, Syntax};

use super::super::protobuf::ProtobufSchema;
use super::beyond::{FIELD_MADE_REQUIRED, FIELD_PACKED_LIST_CHANGED};
use super::{Incompatibility, MAX_DEPTH, MAX_REASONS, MAX_STEPS, Rules};

pub(super) fn unreadable(
    reader: &ProtobufSchema,
    writer: &ProtobufSchema,
    rules: Rules,
) -> Vec<Incompatibility> {
    let (read, written) = (reader.message.parent_file(), writer.message.parent_file());
    let mut comparing = Comparing {
        ours: rules.is_ours(),
        known: HashMap::new(),
        found: Vec::new(),
        steps: MAX_STEPS,
        at: vec!["#".to_owned()],
    };
    if read.package_name() != written.package_name() {
        let detail = format!(
            "the package is `{}`, not `{}`",
            read.package_name(),
            written.package_name()
        );
        comparing.add("PACKAGE_CHANGED", detail);
    }
    comparing.types(written.messages().collect(), read.messages().collect());
    comparing.found
}

struct Comparing {
    /// Whether what Confluent lets pass is told.
    ours: bool,
    /// Pairs of messages by their names, and whether they fit; nothing while one is looked at.
    known: HashMap<(String, String), Option<bool>>,
    found: Vec<Incompatibility>,
    steps: usize,
    at: Vec<String>,
}

impl Comparing {
    /// Compares the messages of a file, or those inside a message, by their names.
    fn types(&mut self, written: Vec<MessageDescriptor>, read: Vec<MessageDescriptor>) {
        let read: HashMap<String, MessageDescriptor> = read
            .into_iter()
            .map(|message| (message.name().to_owned(), message))
            .collect();
        for written in written {
            if written.is_map_entry() {
                continue;
            }
            self.at.push(written.name().to_owned());
            match read.get(written.name()) {
                None => {
                    let detail = format!("message `{}` is gone", written.full_name());
                    self.add("MESSAGE_REMOVED", detail);
                }
                Some(read) => {
                    self.messages(&written, read);
                }
            }
            self.at.pop();
        }
    }

    /// Compares two messages; says whether they fit. A pair is told once.
    fn messages(&mut self, written: &MessageDescriptor, read: &MessageDescriptor) -> bool {
        let pair = (written.full_name().to_owned(), read.full_name().to_owned());
        if let Some(known) = self.known.get(&pair) {
            return known.unwrap_or(true);
        }
        if self.steps == 0 || self.at.len() > MAX_DEPTH {
            self.steps = 0;
            let path = self.at.join("/");
            self.found.push(Incompatibility::too_complex(path));
            return false;
        }
        self.known.insert(pair.clone(), None);
        let before = self.found.len();
        self.oneofs(written, read);
        self.fields(written, read);
        self.types(
            written.child_messages().collect(),
            read.child_messages().collect(),
        );
        let fits = self.found.len() == before;
        self.known.insert(pair, Some(fits));
        fits
    }

    /// Fields that stood apart may not come together: a reader keeps one of them only.
    fn oneofs(&mut self, written: &MessageDescriptor, read: &MessageDescriptor) {
        for oneof in read.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let mut origins = BTreeSet::new();
            let mut from_top = 0;
            for field in oneof.fields() {
                let Some(before) = written.get_field(field.number()) else {
                    continue;
                };
                match oneof_of(&before) {
                    Some(name) => origins.insert(name),
                    None => {
                        from_top += 1;
                        origins.insert(field.number().to_string())
                    }
                };
            }
            if origins.len() > 1 {
                self.at.push(oneof.name().to_owned());
                if from_top > 1 {
                    let detail = "fields that could stand together exclude each other now";
                    self.add("MULTIPLE_FIELDS_MOVED_TO_ONEOF", detail);
                } else {
                    let detail = "a field that stood apart excludes others now";
                    self.add("FIELD_MOVED_TO_EXISTING_ONEOF", detail);
                }
                self.at.pop();
            }
        }
    }

    fn fields(&mut self, written: &MessageDescriptor, read: &MessageDescriptor) {
        let by_number = |message: &MessageDescriptor| -> BTreeMap<u32, FieldDescriptor> {
            message.fields().map(|f| (f.number(), f)).collect()
        };
        let (written_fields, read_fields) = (by_number(written), by_number(read));
        let gone_whole = |name: &str| {
            !read.oneofs().any(|oneof| oneof.name() == name)
                && written
                    .oneofs()
                    .filter(|oneof| oneof.name() == name)
                    .flat_map(|oneof| oneof.fields().collect::<Vec<_>>())
                    .all(|field| !read_fields.contains_key(&field.number()))
        };
        let numbers: BTreeSet<u32> = written_fields
            .keys()
            .chain(read_fields.keys())
            .copied()
            .collect();
        for number in numbers {
            self.steps = self.steps.saturating_sub(1);
            match (written_fields.get(&number), read_fields.get(&number)) {
                (Some(before), None) => match oneof_of(before) {
                    Some(oneof) if !gone_whole(&oneof) => {
                        let path = [oneof, number.to_string()];
                        let detail = format!("`{}` is gone from its oneof", before.name());
                        self.add_at(path, "ONEOF_FIELD_REMOVED", detail);
                    }
                    None if before.is_required() => {
                        let detail = format!("the required field `{}` is gone", before.name());
                        self.add_at([number.to_string()], "REQUIRED_FIELD_REMOVED", detail);
                    }
                    _ => {}
                },
                (None, Some(after)) if after.is_required() => {
                    let detail = format!("the field `{}` is new and required", after.name());
                    self.add_at([number.to_string()], "REQUIRED_FIELD_ADDED", detail);
                }
                (Some(before), Some(after)) => {
                    let depth = self.at.len();
                    self.at.extend(oneof_of(after));
                    self.at.push(number.to_string());
                    self.field(before, after);
                    self.at.truncate(depth);
                }
                (None, _) => {}
            }
        }
    }

    fn field(&mut self, before: &FieldDescriptor, after: &FieldDescriptor) {
        if let (Some(before), Some(after)) = (map_entry(before), map_entry(after)) {
            for field in [
                MessageDescriptor::map_entry_key_field,
                MessageDescriptor::map_entry_value_field,
            ] {
                let (before, after) = (field(&before), field(&after));
                self.kinds(before.kind(), after.kind(), (None, None));
            }
            return;
        }
        if before.is_map() != after.is_map() {
            let detail = format!("`{}` is a map on one side only", after.name());
            return self.add("FIELD_KIND_CHANGED", detail);
        }
        let told = self.found.len();
        if self.ours && after.is_required() && !before.is_required() {
            let detail = format!("`{}` is required now, and may be absent", after.name());
            self.add(FIELD_MADE_REQUIRED, detail);
        }
        self.kinds(before.kind(), after.kind(), (label(before), label(after)));
        if self.ours && self.found.len() == told && before.is_packed() && !after.is_list() {
            let detail = format!(
                "`{}` is one value, and a packed list is written",
                after.name()
            );
            self.add(FIELD_PACKED_LIST_CHANGED, detail);
        }
    }

    fn kinds(
        &mut self,
        before: Kind,
        after: Kind,
        labels: (Option<Cardinality>, Option<Cardinality>),
    ) {
        match (before, after) {
            (Kind::Message(before), Kind::Message(after)) => {
                if local_name(&before) != local_name(&after) {
                    let detail = format!(
                        "its message is `{}`, not `{}`",
                        after.full_name(),
                        before.full_name()
                    );
                    return self.add("FIELD_NAMED_TYPE_CHANGED", detail);
                }
                if !self.messages(&before, &after) {
                    let detail = format!("its message `{}` changed", after.full_name());
                    self.add("FIELD_NAMED_TYPE_CHANGED", detail);
                }
            }
            (Kind::Message(_), after) => {
                let detail = format!("it is {after:?}, no longer a message");
                self.add("FIELD_KIND_CHANGED", detail);
            }
            (before, Kind::Message(_)) => {
                let detail = format!("it is a message, no longer {before:?}");
                self.add("FIELD_KIND_CHANGED", detail);
            }
            (before, after) => {
                let encoding = encoding(&before);
                if encoding != self::encoding(&after) {
                    let detail = format!("{after:?} is written otherwise than {before:?}");
                    self.add("FIELD_SCALAR_KIND_CHANGED", detail);
                } else if let (Some(before), Some(after)) = labels
                    && before != after
                    && encoding != Encoding::StringOrBytes
                {
                    let detail = "one value and several are written differently for numbers";
                    self.add("FIELD_NUMERIC_LABEL_CHANGED", detail);
                }
            }
        }
    }

    fn add_at<const N: usize>(&mut self, path: [String; N], rule: &'static str, detail: String) {
        let depth = self.at.len();
        self.at.extend(path);
        self.add(rule, detail);
        self.at.truncate(depth);
    }

    fn add(&mut self, rule: &'static str, detail: impl Into<String>) {
        // One more than is told, so that the count of findings still grows.
        if self.found.len() <= 4 * MAX_REASONS {
            let path = match self.at.as_slice() {
                [root] => format!("{root}/"),
                path => path.join("/"),
            };
            self.found.push(Incompatibility::new(path, rule, detail));
        }
    }
}

/// What is the same on the wire, as Confluent groups it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Encoding {
    General,
    Signed,
    StringOrBytes,
    Fixed32,
    Fixed64,
    Float,
    Double,
}

fn encoding(kind: &Kind) -> Encoding {
    match kind {
        Kind::Sint32 | Kind::Sint64 => Encoding::Signed,
        Kind::String | Kind::Bytes => Encoding::StringOrBytes,
        Kind::Fixed32 | Kind::Sfixed32 => Encoding::Fixed32,
        Kind::Fixed64 | Kind::Sfixed64 => Encoding::Fixed64,
        Kind::Float => Encoding::Float,
        Kind::Double => Encoding::Double,
        _ => Encoding::General,
    }
}

/// Returns the label as it is written: proto3 may have none, and a oneof's fields never do.
fn label(field: &FieldDescriptor) -> Option<Cardinality> {
    let unlabelled = field.parent_file().syntax() != Syntax::Proto2
        && !field.field_descriptor_proto().proto3_optional();
    match field.cardinality() {
        Cardinality::Optional if unlabelled || oneof_of(field).is_some() => None,
        cardinality => Some(cardinality),
    }
}

fn oneof_of(field: &FieldDescriptor) -> Option<String> {
    field
        .containing_oneof()
        .filter(|oneof| !oneof.is_synthetic())
        .map(|oneof| oneof.name().to_owned())
}

fn map_entry(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => Some(entry),
        _ => None,
    }
}

/// Returns the name inside its package.
fn local_name(message: &MessageDescriptor) -> String {
    let package = message.parent_file().package_name().to_owned();
    let full = message.full_name();
    full.strip_prefix(&format!("{package}."))
        .unwrap_or(full)
        .to_owned()
}
