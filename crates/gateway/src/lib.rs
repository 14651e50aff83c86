//! The product: events in over HTTP, checked against their contracts, onto the log, and receipts
//! out. It holds a [`Log`](tidegate_event_log::Log) and knows no backend.
//!
//! ```no_run
//! # async fn example(log: std::sync::Arc<dyn tidegate_event_log::Log>) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use tidegate_gateway::{Gateway, Parts, RandomIds, Settings, SystemClock, serve_http};
//!
//! let gateway = Gateway::start(Parts {
//!     log,
//!     contracts: tidegate_gateway::ContractSource::Log,
//!     settings: Settings::default(),
//!     clock: Arc::new(SystemClock),
//!     ids: Arc::new(RandomIds),
//! })
//! .await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! serve_http(listener, gateway, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod audit;
mod bridges;
mod clock;
mod contracts;
mod gateway;
mod http;
mod identity;
mod ingress;
mod kept;
mod metrics;
mod openapi;
mod privacy;
pub mod problem;
mod query;
mod reading;
mod refusals;
mod registry;
mod request;
mod server;
mod settings;
mod state;
mod terms;
pub mod tls;
mod write_limit;

pub use audit::{Broken, Chain};
pub use clock::{Clock, Ids, RandomIds, SystemClock};
pub use contracts::ContractSource;
pub use gateway::{Gateway, Parts, StartError};
pub use http::{serve_http, serve_ops, serve_registry};
pub use identity::caller::Role;
pub use ingress::port::RecordRules;
pub use server::Listening;
pub use tidegate_event_log::Log;

pub use settings::{
    Algorithm, CertificateHolder, Encoding, HmacScheme, Identity, Issuer, Provider, Secret,
    Settings, Source, SourceError,
};
