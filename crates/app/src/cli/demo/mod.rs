//! `demo`: the main job end to end in one process, on sample or real input. Sends every event, all
//! once more as a provider redelivers, reads everything back through the Kafka port with a client
//! that is not ours, and accounts for every one: it ends with 0 only if the account adds up.

mod account;
mod input;
mod reader;
mod sender;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tidegate_contract::Contracts;

use self::account::{Account, Pass};
use self::input::{Door, Input};
use self::reader::{Found, Reader};
use super::client::http_client;
use super::failure::{Exit, Failure};
use crate::config::Layers;
use crate::ui::Ui;
use crate::wire::Running;

/// Topics read at the same time; with kcat each is a process.
const READ_SIDE_BY_SIDE: usize = 8;

/// Show the main job end to end, on a small sample set or on a directory of input; ends by itself.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// A directory with `contracts/`, `events.ndjson` and `demo.json`; the sample set if there is none.
    #[arg(long, value_name = "DIR")]
    input: Option<PathBuf>,
    /// An empty directory for the log, which stays; a temporary one if there is none.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Leave the temporary directory behind.
    #[arg(long)]
    keep: bool,
    /// The client that reads the events back.
    #[arg(long, value_name = "CLIENT", default_value = "rskafka")]
    reader: Reader,
}

impl Demo {
    /// Runs it and prints the account.
    ///
    /// # Errors
    /// `Found` if the account does not add up, `Interrupted`, and whatever fails underneath.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        // A missing client is told before anything is done.
        let reader = self.reader.name()?;
        let place = Place::make(self.data.as_deref(), self.keep)?;
        let root = place.path();
        let secret = secret(root)?;
        let folder = match &self.input {
            Some(folder) => folder.clone(),
            None => {
                let folder = root.join("input");
                Input::write_small(&folder)?;
                folder
            }
        };
        let input = Input::read(&folder, &secret)?;
        let path = |path: PathBuf| Some(path.display().to_string());
        let any = || Some("127.0.0.1:0".to_owned());
        let secret_file = format!("file:{}", root.join(SECRET).display());
        let config = Layers::default()
            .flag("--data", "data", path(root.join("data")))
            .flag("--input", "contracts", path(input.contracts()))
            .flag("demo", "ingress.listen", any())
            .flag("demo", "registry.listen", any())
            .flag("demo", "kafka.listen", any())
            .flag("demo", "operations.listen", any())
            .flag("demo", "sources.github.secret", Some(secret_file))
            // It starts faster so, and writes little.
            .flag("demo", "log.wal.segment", Some("32MiB".to_owned()))
            .flag("demo", "log.wal.budget", Some("128MiB".to_owned()))
            .settle()
            .map_err(|found| Failure::of_findings(Exit::Failed, found))?;
        let contracts = crate::wire::contracts(&config)?.unwrap_or_default();
        let running = Running::start(&config).await?;
        let kafka = running
            .kafka()
            .context("the demo's log has no Kafka port")?;
        ui.note(&format!(
            "tidegate {}  {}\n  events in  http://{}   kafka  {}   data  {}\n",
            env!("CARGO_PKG_VERSION"),
            input.expected.title,
            running.http,
            kafka,
            root.display()
        ));
        let account = tokio::select! {
            account = take_account(ui, &input, &contracts, &running, self.reader, reader) => account,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        };
        running.stop().await?;
        let account = account?;
        ui.print(&account.answer(&input.expected))?;
        if let Some(kept) = place.keep() {
            ui.note(&format!(
                "\nlook around: tidegate serve --data {} --contracts {}",
                kept.join("data").display(),
                input.contracts().display()
            ));
        }
        match account.mistakes.len() {
            0 => Ok(()),
            count => {
                let message = format!("the account does not add up: {count} mistakes");
                Err(Failure::new(Exit::Found, message))
            }
        }
    }
}

/// Sends twice, reads back, compares.
async fn take_account(
    ui: &Ui,
    input: &Input,
    contracts: &Contracts,
    running: &Running,
    reader: Reader,
    reader_name: String,
) -> Result<Account, Failure> {
    let client = http_client()?;
    let signed = match input.expected.send {
        Door::Github => "sending, signed",
        Door::CloudEvents => "sending",
    };
    let pass = async |what: &str| {
        let start = Instant::now();
        let steps = ui.progress(what, input.deliveries.len());
        let outcomes = sender::send(&client, running.http, &input.deliveries, &steps).await?;
        let took = start.elapsed();
        anyhow::Ok(Pass { outcomes, took })
    };
    let first = pass(signed).await?;
    let second = pass("sending once more").await?;
    let start = Instant::now();
    let found = read_back(ui, contracts, running, reader).await?;
    let read = account::ReadBack {
        by: reader_name,
        topics: contracts.len(),
        took: start.elapsed(),
        found,
    };
    let status = status(&client, running).await?;
    Ok(Account::take(
        input, contracts, first, second, read, &status,
    ))
}

/// Reads every topic that a contract names.
async fn read_back(
    ui: &Ui,
    contracts: &Contracts,
    running: &Running,
    reader: Reader,
) -> anyhow::Result<Vec<Found>> {
    let steps = ui.progress("reading topics back", contracts.len());
    let kafka = running
        .kafka()
        .context("the demo's log has no Kafka port")?;
    let (steps, reader) = (&steps, &reader);
    let topics = contracts.iter().map(async |contract| {
        let found = reader.read(kafka, &contract.topic.name).await;
        steps.advance();
        found
    });
    let found = stream::iter(topics).buffer_unordered(READ_SIDE_BY_SIDE);
    found.try_concat().await
}

/// Asks for the gateway's own account.
async fn status(client: &reqwest::Client, running: &Running) -> anyhow::Result<serde_json::Value> {
    let response = client
        .get(format!("http://{}/v1/status", running.http))
        .send()
        .await?;
    let body = response.error_for_status()?.bytes().await?;
    serde_json::from_slice(&body).context("the gateway's status")
}

const SECRET: &str = "webhook-secret";

/// Makes a secret and keeps it in a file, as `serve` wants it.
fn secret(root: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let secret = uuid::Uuid::new_v4().simple().to_string().into_bytes();
    let path = root.join(SECRET);
    let open = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    let written = open.and_then(|mut file| file.write_all(&secret));
    written.with_context(|| format!("`{}`", path.display()))?;
    Ok(secret)
}

/// Where the demo keeps its files.
enum Place {
    Temporary {
        directory: tempfile::TempDir,
        keep: bool,
    },
    Given(PathBuf),
}

impl Place {
    fn make(given: Option<&Path>, keep: bool) -> anyhow::Result<Self> {
        let Some(path) = given else {
            let directory = tempfile::Builder::new().prefix("tidegate-demo-").tempdir();
            let directory = directory.context("a temporary directory cannot be made")?;
            return Ok(Self::Temporary { directory, keep });
        };
        let about = || format!("`{}`", path.display());
        std::fs::create_dir_all(path).with_context(about)?;
        let empty = std::fs::read_dir(path)
            .with_context(about)?
            .next()
            .is_none();
        let hint = "the demo accounts for a log that begins with it";
        ensure!(
            empty,
            "`{}` is not empty\nhint: name another directory, {hint}",
            path.display()
        );
        // The paths in messages and hints hold wherever they are used.
        Ok(Self::Given(path.canonicalize().with_context(about)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary { directory, .. } => directory.path(),
            Self::Given(path) => path,
        }
    }

    /// Returns the path if the files stay.
    fn keep(self) -> Option<PathBuf> {
        match self {
            Self::Temporary { directory, keep } => keep.then(|| directory.keep()),
            Self::Given(path) => Some(path),
        }
    }
}

/// Writes how long something took.
fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
