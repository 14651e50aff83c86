//! `audit list|verify`: who changed what, and whether the records of it are whole.

use clap::Subcommand;
use serde_json::{Value, json};
use tidegate_gateway::Chain;

use super::client::{Client, Server, query};
use super::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column, wide};

/// Intents without an outcome that are named.
const MAX_NAMED: usize = 20;

/// Who changed what.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List changes and refusals, newest first.
    List {
        #[command(flatten)]
        server: Server,
        /// Only those of this object, such as `subject/orders-value`.
        #[arg(long, value_name = "OBJECT")]
        object: Option<String>,
        /// Only those of this actor.
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        /// Only those that did this, such as `contract.apply`.
        #[arg(long, value_name = "VERB")]
        verb: Option<String>,
        /// Only those from this time on (RFC 3339).
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only those before this time (RFC 3339).
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// How many at most.
        #[arg(long, default_value = "50")]
        limit: usize,
    },
    /// Check that no record was changed, taken away or moved; ends with 3 and the first place if one was.
    Verify {
        #[command(flatten)]
        server: Server,
        /// A hash that was noted earlier; it has to be in the chain.
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
}

const LIST: &[Column] = &[
    column("time", "/time"),
    column("phase", "/phase"),
    column("verb", "/verb"),
    column("object", "/object"),
    column("actor", "/actor/name"),
    column("outcome", "/outcome"),
    column("problem", "/problem"),
    wide("sequence", "/sequence"),
    wide("intent", "/intent"),
    wide("how", "/actor/how"),
    wide("peer", "/from/peer"),
    wide("door", "/from/door"),
    wide("request", "/from/request"),
];

const VERIFIED: &[Column] = &[
    column("records", "/records"),
    column("first", "/first"),
    column("last", "/last"),
    column("head", "/head"),
    column("not_known", "/not_known_count"),
];

impl Audit {
    /// Asks and prints.
    ///
    /// # Errors
    /// The gateway's; `Found` if the chain is broken, or the noted hash is not in it.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::List {
                server,
                object,
                actor,
                verb,
                since,
                until,
                limit,
            } => {
                let mut filter = String::new();
                for (name, value) in [
                    ("object", object),
                    ("actor", actor),
                    ("verb", verb),
                    ("since", since),
                    ("until", until),
                ] {
                    if let Some(value) = value {
                        filter.push_str(&format!("&{name}={}", query(&value)));
                    }
                }
                let records = list(&server.client()?, &filter, limit).await?;
                let answer = json!({ "records": records });
                ui.print(&Answer::list(answer, "records", LIST))
            }
            Self::Verify { server, head } => verify(&server.client()?, head.as_deref(), ui).await,
        }
    }
}

/// Reads pages until there are enough.
async fn list(client: &Client, filter: &str, limit: usize) -> Result<Vec<Value>, Failure> {
    let mut records = Vec::new();
    let mut before = String::new();
    while records.len() < limit {
        let left = limit - records.len();
        let path = format!("/v1/audit?limit={left}{filter}{before}");
        let mut page = client.get(&path).await?;
        if let Value::Array(found) = page["records"].take() {
            records.extend(found);
        }
        match page["next"].as_i64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    Ok(records)
}

async fn verify(client: &Client, noted: Option<&str>, ui: &Ui) -> Result<(), Failure> {
    let mut chain = Chain::default();
    let mut seen = noted.is_none();
    let mut from = String::new();
    loop {
        let page = client.get(&format!("/v1/audit/chain{from}")).await?;
        for record in page["records"].as_array().into_iter().flatten() {
            let taken = chain.take(record.as_str().unwrap_or_default());
            let hash = taken.map_err(|broken| {
                let hint =
                    "what comes after it cannot be trusted; compare with a backup of the log";
                Failure::new(Exit::Found, format!("the audit is broken: {broken}")).with_hint(hint)
            })?;
            seen |= noted == Some(hash.as_str());
        }
        match page["next"].as_i64() {
            Some(next) => from = format!("?from={next}"),
            None => break,
        }
    }
    if let (false, Some(noted)) = (seen, noted) {
        let message = format!(
            "`{noted}` is not in the audit: records at its end were taken away, or all were"
        );
        return Err(
            Failure::new(Exit::Found, message).with_hint("compare with a backup of the log")
        );
    }
    let open: Vec<u64> = chain.open().collect();
    let head = chain.head();
    let answer = json!({
        "records": chain.records(),
        "first": chain.first(),
        "last": head.map(|(sequence, _)| sequence),
        "head": head.map(|(_, hash)| hash),
        "not_known_count": open.len(),
        "not_known": open,
    });
    if !open.is_empty() {
        let named: Vec<String> = open.iter().take(MAX_NAMED).map(u64::to_string).collect();
        ui.note(&format!(
            "not known whether they were done: {} intents without an outcome (sequence {})",
            open.len(),
            named.join(", ")
        ));
    }
    ui.print(&Answer::one(answer, VERIFIED))
}
