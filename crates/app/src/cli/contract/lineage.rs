//! `contract lineage`: where events come from, who copies and who reads them, drawn.

use std::path::PathBuf;

use clap::Args;
use tidegate_contract::lineage::Lineage as Drawn;

use super::read;
use crate::cli::client::Server;
use crate::cli::failure::{Exit, Failure};
use crate::ui::{Answer, Ui};

/// Draw where events come from and who reads them.
#[derive(Args, Debug)]
pub(crate) struct Lineage {
    /// The folder of contracts.
    #[arg(value_name = "DIR", default_value = "contracts")]
    folder: PathBuf,
    /// Draw the contracts in force in the gateway at this address, with what bridges do now.
    #[arg(long, value_name = "URL", conflicts_with = "folder")]
    from: Option<String>,
    /// How it is drawn.
    #[arg(long, value_name = "FORM", default_value = "text")]
    format: Form,
}

/// A way to draw.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Form {
    /// A tree for people.
    Text,
    /// One JSON document.
    Json,
    /// A flow chart of Mermaid.
    Mermaid,
    /// For Graphviz.
    Dot,
}

impl Lineage {
    /// Reads files or asks a gateway, and draws.
    ///
    /// # Errors
    /// `Found` if contracts cannot be used; the gateway's.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let lineage = match &self.from {
            None => Drawn::of(&read(&self.folder)?),
            Some(url) => {
                let client = Server::at(url).client()?;
                let answer = crate::cli::block_on(client.get("/v1/lineage"))?;
                serde_json::from_value(answer).map_err(|error| {
                    let message = format!("the gateway's answer is no lineage: {error}");
                    Failure::new(Exit::Failed, message)
                })?
            }
        };
        let value = serde_json::json!(lineage);
        let text = match self.format {
            Form::Text => lineage.to_text(),
            Form::Json => format!("{value:#}"),
            Form::Mermaid => lineage.to_mermaid(),
            Form::Dot => lineage.to_dot(),
        };
        let text = text.trim_end().to_owned();
        ui.print(&Answer::one(value, &[]).with_text(text))
    }
}
