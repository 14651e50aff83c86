//! The API as others see it: OpenAPI 3.1, made from the handlers' own descriptions and from the very
//! types that are serialized. A route joins a room's router by `routes!` only (clippy forbids the other
//! way), so there is none without a description.
//!
//! What any request may meet, whatever it asks for, is added here once; what an address answers stands
//! beside its handler.

use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{
    ArrayBuilder, ContentBuilder, Header, Info, License, OpenApi, Ref, RefOr, Response,
    ResponseBuilder, Schema,
};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::{Body9457, Fault, Kind};

/// Where the document is served.
pub(crate) const PATH: &str = "/openapi.json";

/// What any request may meet.
const ANYWHERE: &[Kind] = &[
    Kind::BadRequest,
    Kind::Unauthenticated,
    Kind::Forbidden,
    Kind::RequestTimeout,
    Kind::Internal,
    Kind::Overloaded,
    Kind::LogUnavailable,
    Kind::IdentityUnavailable,
];

/// Names the problems of an operation, for its `responses`.
macro_rules! problems {
    ($name:ident: $($kind:ident)*) => {
        pub(crate) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                let mut responses = std::collections::BTreeMap::new();
                $crate::openapi::add_problems(
                    &mut responses,
                    &[$($crate::problem::Kind::$kind),*],
                );
                responses
            }
        }
    };
}
pub(crate) use problems;

/// Adds problems to an operation's answers; those of one status share an answer.
pub(crate) fn add_problems(responses: &mut BTreeMap<String, RefOr<Response>>, kinds: &[Kind]) {
    for kind in kinds {
        let line = format!("`{}`: {}.", kind.slug(), kind.title());
        let status = kind.status().to_string();
        if let Some(RefOr::T(response)) = responses.get_mut(&status) {
            if !response.description.contains(&line) {
                response.description = format!("{} {line}", response.description);
            }
            continue;
        }
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let mut response = ResponseBuilder::new()
            .description(line)
            .content("application/problem+json", content)
            .header(
                "X-Request-Id",
                text_header("Which request it was; `instance` holds it too."),
            );
        if kind.status() == 503 {
            let about = "When to come back, in seconds; where it is absent, not at once.";
            response = response.header("Retry-After", number_header(about));
        }
        if kind.status() == 401 {
            response = response.header("WWW-Authenticate", text_header("What proves a caller."));
        }
        responses.insert(status, RefOr::T(response.build()));
    }
}

/// Returns the document that the rooms' routers begin with.
pub(crate) fn begun() -> OpenApi {
    let mut info = Info::new("tidegate", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Events in over HTTP, under contracts, onto a Kafka-compatible log. A 2xx means durable; every \
         error is a problem (RFC 9457) whose `type` is a page of this gateway."
            .to_owned(),
    );
    info.license = Some(License::new("Apache-2.0"));
    let mut document = OpenApi::new(info, utoipa::openapi::Paths::new());
    let components = document.components.get_or_insert_default();
    let mut schemas = vec![(Body9457::name().into_owned(), Body9457::schema())];
    Body9457::schemas(&mut schemas);
    schemas.push((Fault::name().into_owned(), Fault::schema()));
    components.schemas.extend(schemas);
    document
}

/// Writes the document once every room has added its own.
pub(crate) fn written(mut document: OpenApi) -> Vec<u8> {
    for path in document.paths.paths.values_mut() {
        for operation in operations(path) {
            let responses = &mut operation.responses.responses;
            for response in responses.values_mut() {
                finish(response);
            }
            add_problems(responses, ANYWHERE);
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    parameter.schema.iter_mut().for_each(without_null);
                }
            }
        }
    }
    let mut text = serde_json::to_vec_pretty(&document).expect("strings and numbers only");
    text.push(b'\n');
    text
}

/// Gives a success its description, which the format demands; types say what there is to say.
fn finish(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else {
        return;
    };
    if response.description.is_empty() {
        response.description = "Done.".to_owned();
    }
    for header in response.headers.values_mut() {
        if let RefOr::T(header) = header {
            header.schema.iter_mut().for_each(without_null);
        }
    }
}

/// A header or a parameter may be left out, but is never `null`, as an `Option` in JSON may be.
fn without_null(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema
        && let SchemaType::Array(types) = &object.schema_type
        && let [one, Type::Null] = &types[..]
    {
        object.schema_type = SchemaType::Type(one.clone());
    }
}

fn operations(path: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut path.get,
        &mut path.post,
        &mut path.put,
        &mut path.patch,
        &mut path.delete,
    ]
    .into_iter()
    .flatten()
}

fn text_header(about: &str) -> Header {
    header(Type::String, about)
}

fn number_header(about: &str) -> Header {
    header(Type::Integer, about)
}

fn header(of: Type, about: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(of).build();
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(about))
        .build()
}

/// A CloudEvent in structured mode (CloudEvents 1.0.2, JSON format): what is sent, so nothing here
/// serializes it.
pub(crate) struct CloudEvent;

impl ToSchema for CloudEvent {}

impl PartialSchema for CloudEvent {
    fn schema() -> RefOr<Schema> {
        let text = |about: &str| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .description(Some(about))
        };
        let time = text("When it happened (RFC 3339).")
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let version = text("The version of CloudEvents.").enum_values(Some(["1.0"]));
        let object = ObjectBuilder::new()
            .property("specversion", version)
            .property(
                "id",
                text("With `source`, the event's identity: sent twice, stored once."),
            )
            .property("source", text("Where it happened, a URI reference."))
            .property("type", text("Finds the contract."))
            .property("subject", text("What it is about, inside the source."))
            .property("time", time)
            .property("datacontenttype", text("The media type of the data."))
            .property("dataschema", text("The data's schema, a URI."))
            .property(
                "data",
                utoipa::schema!(
                    #[inline]
                    serde_json::Value
                )
                .description(Some("The data, as JSON.")),
            )
            .property("data_base64", text("The data, where it is not JSON."))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some(
                "A CloudEvent; further members are extension attributes.",
            ));
        let required = ["specversion", "id", "source", "type"];
        let object = required.into_iter().fold(object, ObjectBuilder::required);
        RefOr::T(object.build().into())
    }
}

/// Several CloudEvents in one request.
pub(crate) struct CloudEventBatch;

impl ToSchema for CloudEventBatch {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("CloudEvent".to_owned(), CloudEvent::schema()));
    }
}

impl PartialSchema for CloudEventBatch {
    fn schema() -> RefOr<Schema> {
        let events = ArrayBuilder::new().items(Ref::from_schema_name("CloudEvent"));
        RefOr::T(events.build().into())
    }
}
