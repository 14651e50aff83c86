//! `key create|list|show|rotate|revoke`: API keys of a running gateway.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Server, segment};
use super::failure::Failure;
use crate::ui::{Answer, Column, Ui, column, wide};

/// API keys, by which callers are known.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key; it is shown this once.
    Create(Create),
    /// List the keys, those included that have ended.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Show one key.
    Show {
        /// The key's id.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Give a key a new secret; the earlier one holds on for a while.
    Rotate {
        /// The key's id.
        id: String,
        /// How long both secrets hold.
        #[arg(long, value_name = "TIME", default_value = "24h")]
        overlap: String,
        #[command(flatten)]
        server: Server,
    },
    /// End a key at once.
    Revoke {
        /// The key's id.
        id: String,
        #[command(flatten)]
        server: Server,
    },
}

/// What a new key is for.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// What its holder is called in records and audits.
    name: String,
    /// What its holder may do: producer, consumer, owner, approver, operator, auditor; may be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// Whose events it sends and sees.
    #[arg(long, value_name = "NAME", default_value = "default")]
    tenant: String,
    /// A contract that it may send to; all without one; may be repeated.
    #[arg(long = "contract", value_name = "NAME")]
    contracts: Vec<String>,
    /// When it ends by itself, such as `90d`.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    server: Server,
}

const COLUMNS: &[Column] = &[
    column("id", "/id"),
    column("name", "/name"),
    column("tenant", "/tenant"),
    column("roles", "/roles"),
    column("state", "/state"),
    column("last_used", "/last_used"),
    wide("contracts", "/contracts"),
    wide("created", "/created"),
    wide("created_by", "/created_by"),
    wide("expires", "/expires"),
    wide("revoked", "/revoked"),
    wide("earlier_secret_until", "/earlier_secret_until"),
];
const WITH_SECRET: &[Column] = &[column("id", "/id"), column("key", "/key")];

impl Key {
    /// Asks and prints.
    ///
    /// # Errors
    /// The gateway's.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let at = |id: &str| format!("/v1/keys/{}", segment(id));
        match self {
            Self::Create(create) => {
                let asked = json!({
                    "name": create.name,
                    "tenant": create.tenant,
                    "roles": create.roles,
                    "contracts": create.contracts,
                    "expires_in": create.expires,
                });
                let key = create
                    .server
                    .client()?
                    .post_long("/v1/keys", &asked)
                    .await?;
                show_secret(ui, key)
            }
            Self::List { server } => {
                let keys = server.client()?.get("/v1/keys").await?;
                ui.print(&Answer::list(keys, "keys", COLUMNS))
            }
            Self::Show { id, server } => {
                let key = server.client()?.get(&at(&id)).await?;
                ui.print(&Answer::one(key, COLUMNS))
            }
            Self::Rotate {
                id,
                overlap,
                server,
            } => {
                let path = format!("{}/rotate", at(&id));
                let asked = json!({ "overlap": overlap });
                let key = server.client()?.post_long(&path, &asked).await?;
                show_secret(ui, key)
            }
            Self::Revoke { id, server } => {
                let key = server.client()?.delete(&at(&id)).await?;
                ui.print(&Answer::one(key, COLUMNS))
            }
        }
    }
}

fn show_secret(ui: &Ui, key: Value) -> Result<(), Failure> {
    ui.print(&Answer::one(key, WITH_SECRET))?;
    ui.note("the key is shown this once; send it as `Authorization: Bearer …`");
    Ok(())
}
