//! A compiled file written as text in the language, for those who read texts only. What it cannot
//! say (extensions, custom options, groups, editions) makes it say nothing: the text is taken only
//! if it compiles to the same file.

use std::fmt::Write as _;

use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileOptions, MethodDescriptorProto, ServiceDescriptorProto,
};

/// The first number that no field has.
const END: i32 = 1 << 29;

struct Printer {
    text: String,
    depth: usize,
    proto3: bool,
}

/// Writes a file; `None` if it holds what is not written here.
pub(super) fn print(file: &FileDescriptorProto) -> Option<String> {
    let proto3 = match file.syntax() {
        "proto3" => true,
        "" | "proto2" => false,
        _ => return None,
    };
    if !file.extension.is_empty() {
        return None;
    }
    let mut out = Printer {
        text: String::new(),
        depth: 0,
        proto3,
    };
    let syntax = if proto3 { "proto3" } else { "proto2" };
    out.line(format_args!("syntax = \"{syntax}\";"));
    if !file.package().is_empty() {
        out.line(format_args!("package {};", file.package()));
    }
    if !file.dependency.is_empty() {
        out.text.push('\n');
    }
    for (at, import) in file.dependency.iter().enumerate() {
        let is_in = |list: &[i32]| list.iter().any(|known| usize::try_from(*known) == Ok(at));
        let public = is_in(&file.public_dependency);
        let kind = match (public, is_in(&file.weak_dependency)) {
            (true, _) => "public ",
            (_, true) => "weak ",
            _ => "",
        };
        out.line(format_args!("import {kind}\"{import}\";"));
    }
    if let Some(options) = &file.options {
        out.file_options(options);
    }
    for message in &file.message_type {
        out.text.push('\n');
        out.message(message)?;
    }
    for declared in &file.enum_type {
        out.text.push('\n');
        out.enumeration(declared);
    }
    for service in &file.service {
        out.text.push('\n');
        out.service(service);
    }
    Some(out.text)
}

impl Printer {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
        self.text.write_fmt(line).expect("a string takes any text");
        self.text.push('\n');
    }

    fn open(&mut self, line: std::fmt::Arguments<'_>) {
        self.line(format_args!("{line} {{"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line(format_args!("}}"));
    }

    fn file_options(&mut self, options: &FileOptions) {
        let texts = [
            ("java_package", &options.java_package),
            ("java_outer_classname", &options.java_outer_classname),
            ("go_package", &options.go_package),
            ("objc_class_prefix", &options.objc_class_prefix),
            ("csharp_namespace", &options.csharp_namespace),
            ("swift_prefix", &options.swift_prefix),
            ("php_class_prefix", &options.php_class_prefix),
            ("php_namespace", &options.php_namespace),
            ("ruby_package", &options.ruby_package),
        ];
        let flags = [
            ("java_multiple_files", options.java_multiple_files),
            ("cc_enable_arenas", options.cc_enable_arenas),
            ("deprecated", options.deprecated),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                self.line(format_args!("option {name} = \"{}\";", escaped(value)));
            }
        }
        for (name, value) in flags {
            if let Some(value) = value {
                self.line(format_args!("option {name} = {value};"));
            }
        }
    }

    fn message(&mut self, message: &DescriptorProto) -> Option<()> {
        if !message.extension.is_empty() {
            return None;
        }
        self.open(format_args!("message {}", message.name()));
        if message
            .options
            .as_ref()
            .is_some_and(|options| options.deprecated())
        {
            self.line(format_args!("option deprecated = true;"));
        }
        for range in &message.reserved_range {
            let range = span(range.start(), range.end());
            self.line(format_args!("reserved {range};"));
        }
        for name in &message.reserved_name {
            self.line(format_args!("reserved \"{name}\";"));
        }
        for range in &message.extension_range {
            let range = span(range.start(), range.end());
            self.line(format_args!("extensions {range};"));
        }
        let mut opened = Vec::new();
        for field in &message.field {
            let one_of = field.oneof_index.filter(|_| !field.proto3_optional());
            let Some(at) = one_of else {
                self.field(field, message, false)?;
                continue;
            };
            if opened.contains(&at) {
                continue;
            }
            opened.push(at);
            let declared = message.oneof_decl.get(usize::try_from(at).ok()?)?;
            self.open(format_args!("oneof {}", declared.name()));
            for field in message
                .field
                .iter()
                .filter(|field| field.oneof_index == Some(at))
            {
                self.field(field, message, true)?;
            }
            self.close();
        }
        for inner in &message.nested_type {
            let is_entry = inner
                .options
                .as_ref()
                .is_some_and(|options| options.map_entry());
            if !is_entry {
                self.text.push('\n');
                self.message(inner)?;
            }
        }
        for inner in &message.enum_type {
            self.text.push('\n');
            self.enumeration(inner);
        }
        self.close();
        Some(())
    }

    fn field(
        &mut self,
        field: &FieldDescriptorProto,
        message: &DescriptorProto,
        in_one_of: bool,
    ) -> Option<()> {
        let entry = (field.r#type() == Type::Message)
            .then(|| map_entry(field, message))
            .flatten();
        let (label, kind) = match entry {
            Some(entry) => {
                let [key, value] = entry.field.as_slice() else {
                    return None;
                };
                let kind = format!("map<{}, {}>", type_name(key)?, type_name(value)?);
                ("", kind)
            }
            None => {
                let label = match field.label() {
                    Label::Repeated => "repeated ",
                    Label::Required => "required ",
                    Label::Optional if in_one_of => "",
                    Label::Optional if self.proto3 && !field.proto3_optional() => "",
                    Label::Optional => "optional ",
                };
                (label, type_name(field)?)
            }
        };
        let mut options = Vec::new();
        if let Some(value) = &field.default_value {
            options.push(match field.r#type() {
                Type::String => format!("default = \"{}\"", escaped(value)),
                // Escaped in the descriptor already.
                Type::Bytes => format!("default = \"{value}\""),
                _ => format!("default = {value}"),
            });
        }
        if let Some(name) = &field.json_name
            && *name != json_name(field.name())
        {
            options.push(format!("json_name = \"{}\"", escaped(name)));
        }
        if let Some(given) = &field.options {
            for (name, value) in [("packed", given.packed), ("deprecated", given.deprecated)] {
                options.extend(value.map(|value| format!("{name} = {value}")));
            }
        }
        let options = match options.is_empty() {
            true => String::new(),
            false => format!(" [{}]", options.join(", ")),
        };
        let (name, number) = (field.name(), field.number());
        self.line(format_args!("{label}{kind} {name} = {number}{options};"));
        Some(())
    }

    fn enumeration(&mut self, declared: &EnumDescriptorProto) {
        self.open(format_args!("enum {}", declared.name()));
        if let Some(options) = &declared.options {
            let flags = [
                ("allow_alias", options.allow_alias),
                ("deprecated", options.deprecated),
            ];
            for (name, value) in flags {
                if let Some(value) = value {
                    self.line(format_args!("option {name} = {value};"));
                }
            }
        }
        for range in &declared.reserved_range {
            let (start, end) = (range.start(), range.end());
            match end {
                i32::MAX => self.line(format_args!("reserved {start} to max;")),
                end if end == start => self.line(format_args!("reserved {start};")),
                end => self.line(format_args!("reserved {start} to {end};")),
            }
        }
        for name in &declared.reserved_name {
            self.line(format_args!("reserved \"{name}\";"));
        }
        for value in &declared.value {
            let deprecated = value
                .options
                .as_ref()
                .and_then(|options| options.deprecated);
            let options = deprecated.map_or(String::new(), |d| format!(" [deprecated = {d}]"));
            let (name, number) = (value.name(), value.number());
            self.line(format_args!("{name} = {number}{options};"));
        }
        self.close();
    }

    fn service(&mut self, service: &ServiceDescriptorProto) {
        self.open(format_args!("service {}", service.name()));
        for method in &service.method {
            self.method(method);
        }
        self.close();
    }

    fn method(&mut self, method: &MethodDescriptorProto) {
        let stream = |streams: bool| if streams { "stream " } else { "" };
        self.line(format_args!(
            "rpc {} ({}{}) returns ({}{});",
            method.name(),
            stream(method.client_streaming()),
            relative(method.input_type()),
            stream(method.server_streaming()),
            relative(method.output_type()),
        ));
    }
}

fn map_entry<'m>(
    field: &FieldDescriptorProto,
    message: &'m DescriptorProto,
) -> Option<&'m DescriptorProto> {
    let name = field.type_name().rsplit('.').next()?;
    message.nested_type.iter().find(|inner| {
        let is_entry = inner
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry());
        is_entry && inner.name() == name
    })
}

fn type_name(field: &FieldDescriptorProto) -> Option<String> {
    Some(
        match field.r#type() {
            Type::Double => "double",
            Type::Float => "float",
            Type::Int64 => "int64",
            Type::Uint64 => "uint64",
            Type::Int32 => "int32",
            Type::Fixed64 => "fixed64",
            Type::Fixed32 => "fixed32",
            Type::Bool => "bool",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Uint32 => "uint32",
            Type::Sfixed32 => "sfixed32",
            Type::Sfixed64 => "sfixed64",
            Type::Sint32 => "sint32",
            Type::Sint64 => "sint64",
            Type::Message | Type::Enum => relative(field.type_name()),
            Type::Group => return None,
        }
        .to_owned(),
    )
}

/// Full names read well without the dot before them; where that means another type, the file that
/// comes out is another one, and the text is not taken.
fn relative(name: &str) -> &str {
    name.strip_prefix('.').unwrap_or(name)
}

/// Writes a range whose end is not in it.
fn span(start: i32, end: i32) -> String {
    match end {
        END.. => format!("{start} to max"),
        end if end == start + 1 => start.to_string(),
        end => format!("{start} to {}", end - 1),
    }
}

/// The name in JSON that a field has by itself.
fn json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        match character {
            '_' => upper = true,
            other if upper => {
                json.push(other.to_ascii_uppercase());
                upper = false;
            }
            other => json.push(other),
        }
    }
    json
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out
}

/// Takes out what two descriptions of one file may differ in.
pub(super) fn tidy(file: &mut FileDescriptorProto) {
    fn message(declared: &mut DescriptorProto) {
        empty_to_none(&mut declared.options);
        for field in &mut declared.field {
            empty_to_none(&mut field.options);
        }
        for one_of in &mut declared.oneof_decl {
            empty_to_none(&mut one_of.options);
        }
        declared.enum_type.iter_mut().for_each(enumeration);
        declared.nested_type.iter_mut().for_each(message);
        // Entries of maps stand where their fields are; the order of types says nothing.
        declared.nested_type.sort_by(|a, b| a.name.cmp(&b.name));
    }
    fn enumeration(declared: &mut EnumDescriptorProto) {
        empty_to_none(&mut declared.options);
        for value in &mut declared.value {
            empty_to_none(&mut value.options);
        }
    }
    file.source_code_info = None;
    empty_to_none(&mut file.options);
    if file.syntax() == "proto2" {
        file.syntax = None;
    }
    file.message_type.iter_mut().for_each(message);
    file.enum_type.iter_mut().for_each(enumeration);
    for service in &mut file.service {
        empty_to_none(&mut service.options);
        for method in &mut service.method {
            empty_to_none(&mut method.options);
            // Written or not, `false` is what it is.
            for flag in [&mut method.client_streaming, &mut method.server_streaming] {
                *flag = flag.filter(|streams| *streams);
            }
        }
    }
}

/// Puts in one order what means the same in any. Messages keep theirs: data names them by it.
pub(super) fn sort(file: &mut FileDescriptorProto) {
    fn message(declared: &mut DescriptorProto) {
        declared.field.sort_by_key(FieldDescriptorProto::number);
        declared.extension.sort_by_key(FieldDescriptorProto::number);
        declared.reserved_range.sort_by_key(|range| range.start());
        declared.extension_range.sort_by_key(|range| range.start());
        declared.reserved_name.sort();
        let mut order: Vec<usize> = (0..declared.oneof_decl.len()).collect();
        order.sort_by_key(|at| declared.oneof_decl[*at].name.clone());
        for field in &mut declared.field {
            let place = field.oneof_index.and_then(|old| {
                let place = order.iter().position(|at| i32::try_from(*at) == Ok(old));
                place.and_then(|place| i32::try_from(place).ok())
            });
            field.oneof_index = place;
        }
        declared.oneof_decl.sort_by(|a, b| a.name.cmp(&b.name));
        declared.enum_type.sort_by(|a, b| a.name.cmp(&b.name));
        declared.enum_type.iter_mut().for_each(enumeration);
        declared.nested_type.iter_mut().for_each(message);
    }
    fn enumeration(declared: &mut EnumDescriptorProto) {
        let by = |a: &EnumValueDescriptorProto, b: &EnumValueDescriptorProto| {
            (a.number(), a.name()).cmp(&(b.number(), b.name()))
        };
        declared.value.sort_by(by);
        declared.reserved_range.sort_by_key(|range| range.start());
        declared.reserved_name.sort();
    }
    let name = |at: &i32| {
        usize::try_from(*at)
            .ok()
            .and_then(|at| file.dependency.get(at))
    };
    let public: Vec<String> = file
        .public_dependency
        .iter()
        .filter_map(name)
        .cloned()
        .collect();
    file.dependency.sort();
    let places = (0_i32..).zip(&file.dependency);
    let public = places.filter(|(_, name)| public.contains(name));
    file.public_dependency = public.map(|(at, _)| at).collect();
    file.extension.sort_by_key(FieldDescriptorProto::number);
    file.message_type.iter_mut().for_each(message);
    file.enum_type.iter_mut().for_each(enumeration);
}

fn empty_to_none<T: Default + PartialEq>(options: &mut Option<T>) {
    if options.as_ref().is_some_and(|given| *given == T::default()) {
        *options = None;
    }
}
