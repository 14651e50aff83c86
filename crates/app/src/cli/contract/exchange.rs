//! `contract export|import`: contracts to other formats and back. What the formats mean is the contract
//! crate's; here files are read and written, and nothing that is there is lost unasked.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tidegate_contract::exchange::{
    self, ExchangeError, ExportForm, ImportForm, Options, SCHEMA_FILE, Servers, pact,
};
use tidegate_contract::{format, load};

use super::Folder;
use crate::cli::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column};

/// A document at most; the contract crate says the same.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What contracts are written as.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum To {
    /// AsyncAPI 3.1: a document a contract and one a reader.
    Asyncapi,
    /// Open Data Contract Standard 3.1: a document a contract.
    Odcs,
    /// JSON Schema of the data: a file a contract.
    Jsonschema,
    /// Pages for browsers: an index, and a page a contract, reader and team.
    Html,
    /// The same pages in Markdown.
    Markdown,
}

/// Write contracts in another form.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The form.
    #[arg(value_name = "FORM")]
    to: To,
    #[command(flatten)]
    folder: Folder,
    /// The folder to write to; one file alone is printed without it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only this contract and its readers.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    /// Where the events are, for AsyncAPI and ODCS: `kafka://HOST:PORT` or `https://HOST`; may be repeated.
    #[arg(long, value_name = "URL")]
    server: Vec<String>,
    /// The schema registry's address, for AsyncAPI.
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
}

/// Read contracts from another form.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// AsyncAPI 3.0 or 3.1.
    Asyncapi(Document),
    /// Open Data Contract Standard 3.
    Odcs(Document),
    /// Pact 4 with messages: a reader.
    Pact {
        #[command(flatten)]
        document: Document,
        /// Which contract the messages are of, where the pact does not say.
        #[arg(long, value_name = "NAME")]
        contract: Option<String>,
    },
    /// Topics of a running gateway that have no contract yet, with their settings and schemas.
    Cluster(super::adopt::Cluster),
}

/// A document, and where contracts go.
#[derive(Args, Debug)]
pub(crate) struct Document {
    /// The document, YAML or JSON.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder to write to.
    #[arg(long, value_name = "DIR", default_value = "contracts")]
    out: PathBuf,
    /// Write over files that are there.
    #[arg(long)]
    force: bool,
}

const EXPORTED: &[Column] = &[column("path", "/path")];
const IMPORTED: &[Column] = &[column("path", "/path"), column("what", "/what")];

impl Export {
    /// Writes the files, or prints the one there is.
    ///
    /// # Errors
    /// `Found` if the contracts cannot be used, `NotFound`, `Usage`, `Failed` if a file cannot be
    /// written.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let folder = &self.folder.folder;
        let unusable = |found: load::Diagnostics| {
            Failure::of_findings(Exit::Found, found.iter().cloned().collect())
        };
        let (contracts, texts) = load::texts(folder).map_err(unusable)?;
        let pieces = load::split(&texts).map_err(unusable)?;
        if let Some(name) = &self.contract
            && contracts.by_name(name).is_none()
        {
            return Err(super::unknown(&contracts, name));
        }
        let options = Options {
            contract: self.contract,
            servers: servers(&self.server, self.registry)?,
        };
        let form = match self.to {
            To::Asyncapi => ExportForm::Asyncapi,
            To::Odcs => ExportForm::Odcs,
            To::Jsonschema => ExportForm::JsonSchema,
            To::Html => ExportForm::Html,
            To::Markdown => ExportForm::Markdown,
        };
        let exported = exchange::export(form, &contracts, &pieces, &options)
            .map_err(|error| failure(Exit::Failed, error))?;
        let files: Vec<Value> = exported
            .files
            .keys()
            .map(|path| json!({ "path": path }))
            .collect();
        let Some(out) = self.out else {
            let mut all = exported.files.iter();
            let (Some((path, text)), None) = (all.next(), all.next()) else {
                let message = format!("{} files cannot be printed as one", exported.files.len());
                let hint = "name a folder with `--out`, or one contract with `--contract`";
                return Err(Failure::new(Exit::Usage, message).with_hint(hint));
            };
            told(ui, &exported.told);
            let value = json!({ "files": [{ "path": path, "text": text }], "told": exported.told });
            let text = text.trim_end().to_owned();
            return ui.print(&Answer::list(value, "files", EXPORTED).with_text(text));
        };
        for (path, text) in &exported.files {
            write(&out.join(path), text)?;
        }
        told(ui, &exported.told);
        let value = json!({ "out": out, "files": files, "told": exported.told });
        let text = format!("{} files in `{}`", files.len(), out.display());
        ui.print(&Answer::list(value, "files", EXPORTED).with_text(text))
    }
}

/// Tells on stderr what could not be said in the other form.
fn told(ui: &Ui, told: &[String]) {
    for sentence in told {
        ui.note(sentence);
    }
}

pub(super) fn failure(exit: Exit, error: ExchangeError) -> Failure {
    let failure = Failure::new(exit, error.message);
    match error.hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn servers(urls: &[String], registry: Option<String>) -> Result<Servers, Failure> {
    let mut servers = Servers {
        registry,
        ..Servers::default()
    };
    for url in urls {
        let place = match url.split_once("://") {
            Some(("kafka", host)) if !host.is_empty() => {
                servers.kafka.replace(host.trim_end_matches('/').to_owned())
            }
            Some(("http" | "https", host)) if !host.is_empty() => servers.http.replace(url.clone()),
            _ => {
                let message = format!("`{url}` is no server of events");
                let hint = "`kafka://broker.example.com:9092` or `https://events.example.com`";
                return Err(Failure::new(Exit::Usage, message).with_hint(hint));
            }
        };
        if place.is_some() {
            let message = format!("`{url}` is the second server of its kind");
            return Err(Failure::new(Exit::Usage, message).with_hint("name one of each"));
        }
    }
    Ok(servers)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        let message = format!("cannot write `{}`: {error}", path.display());
        Failure::new(Exit::Failed, message)
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(wrong)?;
    }
    fs::write(path, text).map_err(wrong)
}

impl Import {
    /// Reads what is there and writes contracts, all or none.
    ///
    /// # Errors
    /// `Usage` if there is no such file, `Found` if nothing of it can become a contract, `Refused` if a
    /// file would be overwritten, `Failed`.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::Asyncapi(document) => document.run(ui, |name, text, _| {
                exchange::import(ImportForm::Asyncapi, name, text)
            }),
            Self::Odcs(document) => document.run(ui, |name, text, _| {
                exchange::import(ImportForm::Odcs, name, text)
            }),
            Self::Pact { document, contract } => document.run(ui, |name, text, out| {
                let known = load::folder(out).ok();
                pact::import(name, text, contract.as_deref(), known.as_ref())
            }),
            Self::Cluster(cluster) => crate::cli::block_on(cluster.run(ui)),
        }
    }
}

/// Writes files into a folder, all or none, and returns what became of each. Files that are others are
/// written over only with `force`, but for the editors' schema, which is ours.
///
/// # Errors
/// `Refused`, `Failed`.
pub(super) fn write_all(
    out: &Path,
    files: &[(String, String)],
    force: bool,
) -> Result<Vec<Value>, Failure> {
    let mut planned = Vec::new();
    let mut taken = Vec::new();
    for (path, text) in files {
        let whole = out.join(path);
        let what = match fs::read_to_string(&whole) {
            Ok(there) if there == *text => "is there already",
            Ok(_) if force || path == SCHEMA_FILE => "written over",
            Ok(_) => {
                taken.push(format!("`{}`", whole.display()));
                continue;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "written",
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", whole.display());
                return Err(Failure::new(Exit::Failed, message));
            }
        };
        planned.push((whole, text, what));
    }
    if !taken.is_empty() {
        let message = format!("there are other files already: {}", taken.join(", "));
        let hint = "nothing was written; `--force` writes over them, `--out` elsewhere";
        return Err(Failure::new(Exit::Refused, message).with_hint(hint));
    }
    for (path, text, _) in &planned {
        write(path, text)?;
    }
    let listed = planned.iter();
    Ok(listed
        .map(|(path, _, what)| json!({ "path": path, "what": what }))
        .collect())
}

impl Document {
    fn run(
        self,
        ui: &Ui,
        import: impl FnOnce(&str, &str, &Path) -> Result<exchange::Imported, ExchangeError>,
    ) -> Result<(), Failure> {
        let name = self.file.display().to_string();
        let text = read(&self.file)?;
        let imported = import(&name, &text, &self.out);
        let imported = imported.map_err(|error| failure(Exit::Found, error))?;
        let mut files = imported.texts.files;
        self.without_known_teams(&mut files);
        files.extend(imported.texts.schemas);
        files.push((
            SCHEMA_FILE.to_owned(),
            format!("{:#}\n", format::json_schema()),
        ));
        let listed = write_all(&self.out, &files, self.force)?;
        told(ui, &imported.told);
        let value = json!({ "files": listed, "told": imported.told });
        ui.print(&Answer::list(value, "files", IMPORTED))
    }

    /// Leaves out teams that the folder has, wherever they stand there.
    fn without_known_teams(&self, files: &mut Vec<(String, String)>) {
        if let Ok(known) = load::folder(&self.out) {
            files.retain(|(path, _)| {
                let team = path.strip_suffix(".team.yaml");
                team.is_none_or(|team| known.team(team).is_none())
            });
        }
    }
}

/// Reads a document that is not larger than may be.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let wrong = |why: String| Failure::new(Exit::Usage, format!("cannot read `{shown}`: {why}"));
    let file = fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(text)
}
