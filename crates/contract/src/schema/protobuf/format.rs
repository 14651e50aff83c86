//! A Protobuf file written anew, as Confluent's registry does before it compares and stores a schema
//! (`ProtobufSchemaUtils.toString` and `toNormalizedString` of its 8.x): without comments, with one
//! spacing, messages before enums, a message's parts in one order. Normalised, fields, values, imports
//! and options are sorted too, and types have full names.
//!
//! Departures, by which the text stays as it is sent: options in braces, groups, editions, weak imports.

use std::fmt::Write as _;

use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::syntax::{
    Choice, End, Enumeration, Extend, Field, File, Kind, Message, Method, OneOf, Range, Service,
    Value, read,
};

/// Writes a text anew; normalised with what the compiler made of it. `None` if it holds what is not
/// written here.
pub(super) fn format(text: &str, compiled: Option<&FileDescriptorProto>) -> Option<String> {
    let file = read(text)?;
    Printer { compiled }.file(file)
}

/// Names are looked up in the compiled file, which is there if the text is normalised.
struct Printer<'f> {
    compiled: Option<&'f FileDescriptorProto>,
}

/// Appends what another declaration holds, two spaces further in. Blank lines get them too, as in
/// Confluent's.
fn indent(out: &mut String, text: &str) {
    for line in text.trim_end_matches('\n').split('\n') {
        out.push_str("  ");
        out.push_str(line);
        out.push('\n');
    }
}

/// Appends parts behind a line break, if there are any.
fn section(out: &mut String, parts: Vec<String>) {
    if parts.is_empty() {
        return;
    }
    out.push('\n');
    for part in parts {
        indent(out, &part);
    }
}

impl Printer<'_> {
    fn normal(&self) -> bool {
        self.compiled.is_some()
    }

    fn file(&self, mut file: File) -> Option<String> {
        let mut out = String::new();
        match file.syntax.as_deref() {
            None => {}
            Some("proto2") if self.normal() => {}
            Some(syntax @ ("proto2" | "proto3")) => {
                writeln!(out, "syntax = \"{syntax}\";").ok()?;
            }
            Some(_) => return None,
        }
        if let Some(package) = &file.package {
            writeln!(out, "package {package};").ok()?;
        }
        if self.normal() {
            for imports in [&mut file.imports, &mut file.public_imports] {
                imports.sort();
                imports.dedup();
            }
        }
        if !file.imports.is_empty() || !file.public_imports.is_empty() {
            out.push('\n');
        }
        for import in &file.imports {
            writeln!(out, "import \"{import}\";").ok()?;
        }
        for import in &file.public_imports {
            writeln!(out, "import public \"{import}\";").ok()?;
        }
        let options = self.option_statements(&file.options)?;
        if !options.is_empty() {
            out.push('\n');
            out.push_str(&options.concat());
        }
        if !file.messages.is_empty() || !file.enumerations.is_empty() {
            out.push('\n');
        }
        for message in file.messages {
            let known = self.compiled.map(|file| &file.message_type);
            let scope = known.and_then(|known| find(known, &message.name));
            out.push_str(&self.message(message, scope)?);
        }
        for declared in file.enumerations {
            out.push_str(&self.enumeration(declared)?);
        }
        let known = self.compiled.map(|file| file.extension.as_slice());
        let extends = self.extends(file.extends, known)?;
        if !extends.is_empty() {
            out.push('\n');
            out.push_str(&extends.concat());
        }
        if !file.services.is_empty() {
            out.push('\n');
        }
        for service in &file.services {
            out.push_str(&self.service(service)?);
        }
        Some(out)
    }

    fn message(&self, message: Message, scope: Option<&DescriptorProto>) -> Option<String> {
        let mut out = format!("message {} {{", message.name);
        section(&mut out, self.ranges("reserved", message.reserved));
        section(&mut out, self.option_statements(&message.options)?);
        let known = scope.map_or(&[][..], |scope| &scope.field);
        section(&mut out, self.fields(message.fields, known, scope)?);
        let mut one_ofs = message.one_ofs;
        if self.normal() {
            let first = |one: &OneOf| one.fields.iter().map(|field| field.number).min();
            one_ofs.retain(|one| !one.fields.is_empty());
            one_ofs.sort_by_key(first);
        }
        let one_ofs = one_ofs.into_iter().map(|one| {
            let mut out = format!("oneof {} {{", one.name);
            section(&mut out, self.option_statements(&one.options)?);
            section(&mut out, self.fields(one.fields, known, scope)?);
            Some(out + "}\n")
        });
        section(&mut out, one_ofs.collect::<Option<_>>()?);
        section(&mut out, self.ranges("extensions", message.extensions));
        let known = scope.map(|scope| scope.extension.as_slice());
        section(&mut out, self.extends(message.extends, known)?);
        let messages = message.messages.into_iter().map(|inner| {
            let scope = scope.and_then(|scope| find(&scope.nested_type, &inner.name));
            self.message(inner, scope)
        });
        let enumerations = message.enumerations.into_iter();
        let enumerations = enumerations.map(|declared| self.enumeration(declared));
        section(
            &mut out,
            messages.chain(enumerations).collect::<Option<_>>()?,
        );
        Some(out + "}\n")
    }

    fn fields(
        &self,
        mut fields: Vec<Field>,
        known: &[FieldDescriptorProto],
        scope: Option<&DescriptorProto>,
    ) -> Option<Vec<String>> {
        if self.normal() {
            fields.sort_by_key(|field| field.number);
        }
        fields
            .into_iter()
            .map(|field| self.field(field, known, scope))
            .collect()
    }

    fn field(
        &self,
        field: Field,
        known: &[FieldDescriptorProto],
        scope: Option<&DescriptorProto>,
    ) -> Option<String> {
        let is_bytes = matches!(&field.kind, Kind::Named(name) if name == "bytes");
        let resolved = |known: &[FieldDescriptorProto], number: i64, written: String| {
            if !self.normal() {
                return Some(written);
            }
            let field = known.iter().find(|one| i64::from(one.number()) == number)?;
            // A type of the language has no name of its own.
            Some(field.type_name.clone().unwrap_or(written))
        };
        let kind = match field.kind {
            Kind::Named(name) => resolved(known, field.number, name)?,
            Kind::Map(key, value) => {
                let entry = known
                    .iter()
                    .find(|one| i64::from(one.number()) == field.number)
                    .and_then(|one| one.type_name().rsplit('.').next())
                    .and_then(|name| find(&scope?.nested_type, name));
                let value = resolved(entry.map_or(&[][..], |entry| &entry.field), 2, value)?;
                format!("map<{key}, {value}>")
            }
        };
        let label = field.label.map_or(String::new(), |label| label + " ");
        let mut out = format!("{label}{kind} {} = {}", field.name, field.number);
        // These two are no options in Confluent's parser, and come last.
        let special = |name: &str| matches!(name, "default" | "json_name");
        let (mut last, mut options): (Vec<_>, Vec<_>) = field
            .options
            .into_iter()
            .partition(|one| special(&one.name));
        if is_bytes && last.iter().any(|one| one.name == "default") {
            // Written without quotes there, which no compiler takes.
            return None;
        }
        last.sort_by(|a, b| a.name.cmp(&b.name));
        options.append(&mut last);
        self.inline_options(&mut out, &options)?;
        Some(out + ";\n")
    }

    fn enumeration(&self, mut declared: Enumeration) -> Option<String> {
        let mut out = format!("enum {} {{", declared.name);
        let mut parts = self.ranges("reserved", declared.reserved);
        parts.extend(self.option_statements(&declared.options)?);
        if self.normal() {
            declared
                .values
                .sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        }
        for (name, number, options) in declared.values {
            let mut value = format!("{name} = {number}");
            self.inline_options(&mut value, &options)?;
            parts.push(value + ";\n");
        }
        section(&mut out, parts);
        Some(out + "}\n")
    }

    fn extends(
        &self,
        extends: Vec<Extend>,
        known: Option<&[FieldDescriptorProto]>,
    ) -> Option<Vec<String>> {
        let Some(known) = known else {
            let write = |one: Extend| {
                let mut out = format!("extend {} {{", one.name);
                section(&mut out, self.fields(one.fields, &[], None)?);
                Some(out + "}\n")
            };
            return extends.into_iter().map(write).collect();
        };
        // Those of one message are put together.
        let mut grouped: Vec<(String, Vec<Field>)> = Vec::new();
        for field in extends.into_iter().flat_map(|one| one.fields) {
            let extendee = known
                .iter()
                .find(|one| one.name() == field.name)?
                .extendee();
            match grouped.iter_mut().find(|(name, _)| name == extendee) {
                Some((_, fields)) => fields.push(field),
                None => grouped.push((extendee.to_owned(), vec![field])),
            }
        }
        let write = |(name, fields): (String, Vec<Field>)| {
            let of: Vec<_> = known
                .iter()
                .filter(|one| one.extendee() == name)
                .cloned()
                .collect();
            let mut out = format!("extend {name} {{");
            section(&mut out, self.fields(fields, &of, None)?);
            Some(out + "}\n")
        };
        grouped.into_iter().map(write).collect()
    }

    fn service(&self, service: &Service) -> Option<String> {
        let mut out = format!("service {} {{", service.name);
        section(&mut out, self.option_statements(&service.options)?);
        let methods = service.methods.iter();
        let methods = methods.map(|method| self.method(service, method));
        section(&mut out, methods.collect::<Option<_>>()?);
        Some(out + "}\n")
    }

    fn method(&self, service: &Service, method: &Method) -> Option<String> {
        let (mut input, mut output) = (method.input.name.clone(), method.output.name.clone());
        if let Some(file) = self.compiled {
            let known = file.service.iter().find(|one| one.name() == service.name)?;
            let known = known.method.iter().find(|one| one.name() == method.name)?;
            input = known.input_type().to_owned();
            output = known.output_type().to_owned();
        }
        let stream = |streams: bool| if streams { "stream " } else { "" };
        let (from, to) = (stream(method.input.streams), stream(method.output.streams));
        let mut out = format!("rpc {} ({from}{input}) returns ({to}{output})", method.name);
        let options = self.option_statements(&method.options)?;
        if !options.is_empty() {
            out.push_str(" {\n");
            options.iter().for_each(|option| indent(&mut out, option));
            out.push('}');
        }
        Some(out + ";\n")
    }

    fn ranges(&self, word: &str, mut statements: Vec<Vec<Range>>) -> Vec<String> {
        if self.normal() {
            let mut all: Vec<Range> = statements.into_iter().flatten().collect();
            for range in &mut all {
                if let Range::Span(first, End::At(last)) = *range
                    && first == last
                {
                    *range = Range::One(first);
                }
            }
            // By the first number, names behind.
            all.sort_by_key(|range| match range {
                Range::One(first) | Range::Span(first, _) => (*first, String::new()),
                Range::Name(name) => (i64::MAX, name.clone()),
            });
            statements = all.into_iter().map(|range| vec![range]).collect();
        }
        let range = |range: &Range| match range {
            Range::One(number) => number.to_string(),
            Range::Span(first, End::Max) => format!("{first} to max"),
            Range::Span(first, End::At(last)) => format!("{first} to {last}"),
            Range::Name(name) => format!("\"{name}\""),
        };
        let statement = |ranges: &Vec<Range>| {
            let ranges: Vec<String> = ranges.iter().map(range).collect();
            format!("{word} {};\n", ranges.join(", "))
        };
        statements.iter().map(statement).collect()
    }

    /// Sorts by name. One's own options have names that would have to be resolved.
    fn sorted<'o>(&self, options: &'o [Choice]) -> Option<Vec<&'o Choice>> {
        let mut options: Vec<&Choice> = options.iter().collect();
        if self.normal() {
            if options.iter().any(|one| one.name.starts_with('(')) {
                return None;
            }
            options.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Some(options)
    }

    fn option_statements(&self, options: &[Choice]) -> Option<Vec<String>> {
        let options = self.sorted(options)?;
        let write = |one: &&Choice| format!("option {};\n", written(one));
        Some(options.iter().map(write).collect())
    }

    fn inline_options(&self, out: &mut String, options: &[Choice]) -> Option<()> {
        let options = self.sorted(options)?;
        let options: Vec<String> = options.into_iter().map(written).collect();
        match options.as_slice() {
            [] => {}
            [one] => write!(out, " [{one}]").ok()?,
            several => {
                out.push_str(" [\n");
                indent(out, &several.join(",\n"));
                out.push(']');
            }
        }
        Some(())
    }
}

fn find<'m>(messages: &'m [DescriptorProto], name: &str) -> Option<&'m DescriptorProto> {
    messages.iter().find(|message| message.name() == name)
}

fn written(choice: &Choice) -> String {
    let name = &choice.name;
    match &choice.value {
        Value::Word(word) => format!("{name} = {word}"),
        Value::Text(text) => format!("{name} = \"{}\"", escaped(text)),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            '\\' | '\'' | '"' => out.extend(['\\', character]),
            other => out.push(other),
        }
    }
    out
}
