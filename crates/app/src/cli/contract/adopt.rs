//! `contract import cluster`: topics that exist come under contracts as they are. Topics and settings
//! are asked of the gateway, schemas of a registry; before anything is written the gateway is asked what
//! an `apply` of it would do, so that a change that nobody asked for is told here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tidegate_contract::exchange::SCHEMA_FILE;
use tidegate_contract::exchange::cluster::{Adopted, ExistingSchema, ExistingTopic, adopt, team};
use tidegate_contract::load::Texts;
use tidegate_contract::model::SchemaFormat;
use tidegate_contract::{Contracts, format, load};

use super::apply::{PLANS, body_of};
use super::exchange;
use crate::cli::client::{Client, Server, segment};
use crate::cli::failure::{Exit, Failure};
use crate::cli::registry::{Registry, RegistryAddress, with_type};
use crate::cli::topic;
use crate::ui::{Answer, Column, Ui, column, wide};

/// A schema with more references than this is told, not taken.
const MAX_REFERENCES: usize = 100;

/// Read contracts from the topics of a running gateway.
#[derive(Args, Debug)]
pub(crate) struct Cluster {
    /// The gateway's address.
    #[arg(
        long,
        visible_alias = "url",
        env = "TIDEGATE_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    from: String,
    #[command(flatten)]
    registry: RegistryAddress,
    /// Only this topic; may be repeated.
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// The team that answers for them; without one nobody does, and `contract lint` warns.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Where that team is reached, if the folder does not have it: `mailto:…` or `webhook:https://…`.
    #[arg(long, value_name = "WHERE", requires = "owner")]
    pager: Option<String>,
    /// The folder to write to.
    #[arg(long, value_name = "DIR", default_value = "contracts")]
    out: PathBuf,
    /// Write over files that are there.
    #[arg(long)]
    force: bool,
}

const ADOPTED: &[Column] = &[
    column("topic", "/topic"),
    column("contract", "/contract"),
    column("file", "/file"),
    column("subject", "/subject"),
    wide("told", "/told"),
];

/// What the folder has already.
#[derive(Default)]
struct Folder {
    contracts: Contracts,
    texts: Texts,
}

impl Cluster {
    /// Asks, and writes a contract a topic, all or none.
    ///
    /// # Errors
    /// `NotFound` if a topic that was named is not there, `Found` if none can come under a contract or
    /// the folder cannot be used, `Refused` if a file would be overwritten, `Usage`; the gateway's and
    /// the registry's.
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let gateway = Server::at(&self.from).client()?.named_with("--from");
        let folder = self.folder()?;
        let team = self.team(&folder)?;
        let topics = self.topics(&gateway).await?;
        let (mut adopted, left_out) = self.adopt(&gateway, &folder, &topics).await?;
        let mut told = Vec::new();
        // Naming a subject may ask for another version of it; then it is left out, and asked again.
        for round in 0..2 {
            let texts = texts_of(&adopted, team.as_ref(), &folder);
            match gateway.post_long(PLANS, &body_of(texts)).await {
                Ok(plan) if round == 0 => {
                    if !leave_subjects_out(&mut adopted, &plan) {
                        told = changes(&adopted, &plan);
                        break;
                    }
                }
                Ok(plan) => told = changes(&adopted, &plan),
                Err(failure) => {
                    let why = failure.to_text().replace('\n', "; ");
                    told = vec![format!("what `apply` would do is not known: {why}")];
                    break;
                }
            }
        }
        let mut files: Vec<(String, String)> = Vec::new();
        for one in &adopted {
            files.push(one.file());
            files.extend(one.schemas.clone());
        }
        if !adopted.is_empty() {
            files.extend(team);
            let schema = format!("{:#}\n", format::json_schema());
            files.push((SCHEMA_FILE.to_owned(), schema));
        }
        exchange::write_all(&self.out, &files, self.force)?;
        for one in &adopted {
            for sentence in &one.told {
                ui.note(&format!("{}: {sentence}", one.topic));
            }
        }
        for (topic, why) in &left_out {
            ui.note(&format!("{topic}: left out: it {why}"));
        }
        for sentence in &told {
            ui.note(sentence);
        }
        let rows: Vec<Value> = adopted.iter().map(row).collect();
        let out: BTreeMap<&String, &String> = left_out.iter().map(|(a, b)| (a, b)).collect();
        let value = json!({ "out": self.out, "contracts": rows, "left_out": out, "told": told });
        ui.print(&Answer::list(value, "contracts", ADOPTED))?;
        let unmet = self.topic.iter().any(|name| out.contains_key(name));
        match unmet {
            true => Err(Failure::new(
                Exit::Found,
                "a topic that was named is left out",
            )),
            false => Ok(()),
        }
    }

    /// Reads the folder as it is; one that is not there is empty.
    fn folder(&self) -> Result<Folder, Failure> {
        if !self.out.exists() {
            return Ok(Folder::default());
        }
        match load::texts(&self.out) {
            Ok((contracts, texts)) => Ok(Folder { contracts, texts }),
            Err(found) => {
                let found = found.iter().cloned().collect();
                Err(Failure::of_findings(Exit::Found, found))
            }
        }
    }

    /// Returns the team's file, if there has to be one.
    fn team(&self, folder: &Folder) -> Result<Option<(String, String)>, Failure> {
        let Some(owner) = &self.owner else {
            return Ok(None);
        };
        if folder.contracts.team(owner).is_some() {
            return Ok(None);
        }
        let Some(pager) = &self.pager else {
            let message = format!("`{}` has no team `{owner}`", self.out.display());
            let hint = "`--pager mailto:team@example.com` writes one";
            return Err(Failure::new(Exit::Usage, message).with_hint(hint));
        };
        let file = team(owner, pager);
        match load::sources(std::slice::from_ref(&file), &|_| None) {
            Ok(_) => Ok(Some(file)),
            Err(found) => {
                let found = found.iter().map(|found| found.message.clone());
                let message = found.collect::<Vec<_>>().join("; ");
                Err(Failure::new(Exit::Usage, message).with_hint("see `--owner` and `--pager`"))
            }
        }
    }

    /// Returns the topics that are asked for.
    async fn topics(&self, gateway: &Client) -> Result<Vec<Value>, Failure> {
        let mut topics = topic::all(gateway).await?;
        for name in &self.topic {
            if !topics.iter().any(|topic| topic["name"] == **name) {
                let message = format!("there is no topic `{name}`");
                let hint = "`tidegate topic list` has the topics";
                return Err(Failure::new(Exit::NotFound, message).with_hint(hint));
            }
        }
        let is_asked = |topic: &Value| {
            let name = topic["name"].as_str().unwrap_or_default();
            match self.topic.is_empty() {
                true => topic["internal"] != true && topic["contract"].is_null(),
                false => self.topic.iter().any(|asked| asked == name),
            }
        };
        topics.retain(is_asked);
        Ok(topics)
    }

    /// Makes the contracts; topics that can have none are returned with the reason.
    async fn adopt(
        &self,
        gateway: &Client,
        folder: &Folder,
        topics: &[Value],
    ) -> Result<(Vec<Adopted>, Vec<(String, String)>), Failure> {
        let registry = self.registry.client()?;
        let subjects: BTreeMap<String, Value> = registry
            .versions("", true)
            .await?
            .into_iter()
            .filter_map(|schema| Some((schema["subject"].as_str()?.to_owned(), schema)))
            .collect();
        let mut taken: BTreeSet<String> =
            folder.contracts.iter().map(|it| it.name.clone()).collect();
        let in_force = gateway.get("/v1/contracts").await?;
        let in_force = in_force["contracts"].as_array().into_iter().flatten();
        taken.extend(in_force.filter_map(|it| it["name"].as_str().map(str::to_owned)));
        let (mut adopted, mut left_out) = (Vec::new(), Vec::new());
        for topic in topics {
            let topic = existing(topic);
            let mut leave = |why: String| left_out.push((topic.name.clone(), why));
            if topic.internal {
                leave("holds the product's own state".to_owned());
                continue;
            }
            if let Some(contract) = &topic.contract {
                leave(format!("is under contract `{contract}`"));
                continue;
            }
            let mut of_others = taken.clone();
            let own = folder
                .contracts
                .iter()
                .find(|it| it.topic.name == topic.name);
            if let Some(own) = own {
                of_others.remove(&own.name);
            }
            let subject = subjects.get(&format!("{}-value", topic.name));
            let schema = match subject {
                Some(latest) => Some(existing_schema(&registry, latest).await?),
                None => None,
            };
            match adopt(
                &topic.found,
                schema.as_ref(),
                self.owner.as_deref(),
                &of_others,
            ) {
                Ok(one) => match own
                    .filter(|own| self.out.join(one.file().0) != std::path::Path::new(own.file()))
                {
                    Some(own) => leave(format!("has contract `{}` in `{}`", own.name, own.file())),
                    None => {
                        taken.insert(one.name.clone());
                        adopted.push(one);
                    }
                },
                Err(why) => leave(why),
            }
        }
        Ok((adopted, left_out))
    }
}

fn row(adopted: &Adopted) -> Value {
    json!({
        "topic": adopted.topic,
        "contract": adopted.name,
        "file": adopted.file().0,
        "subject": adopted.subject,
        "told": adopted.told,
    })
}

/// A topic as the gateway tells of it.
struct Existing {
    name: String,
    internal: bool,
    contract: Option<String>,
    found: ExistingTopic,
}

fn existing(topic: &Value) -> Existing {
    let name = topic["name"].as_str().unwrap_or_default().to_owned();
    let settings = topic["settings"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Existing {
        internal: topic["internal"] == true,
        contract: topic["contract"].as_str().map(str::to_owned),
        found: ExistingTopic {
            name: name.clone(),
            partitions: topic["partitions"].as_i64().unwrap_or_default(),
            settings: settings
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
        },
        name,
    }
}

/// Reads all that a subject's newest version refers to.
async fn existing_schema(registry: &Registry, latest: &Value) -> Result<ExistingSchema, Failure> {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let subject = text(latest, "subject");
    let mut references = BTreeMap::new();
    let listed = |schema: &Value| schema["references"].as_array().cloned().unwrap_or_default();
    let mut open = listed(latest);
    while let Some(reference) = open.pop() {
        let name = text(&reference, "name");
        if references.contains_key(&name) {
            continue;
        }
        if references.len() == MAX_REFERENCES {
            let message =
                format!("subject `{subject}` refers to more than {MAX_REFERENCES} schemas");
            let hint = "leave its topic out: name the others with `--topic`";
            return Err(Failure::new(Exit::Found, message).with_hint(hint));
        }
        let path = format!(
            "/subjects/{}/versions/{}?deleted=true",
            segment(&text(&reference, "subject")),
            reference["version"]
        );
        let schema = registry.get(&path).await?;
        references.insert(name, text(&schema, "schema"));
        open.extend(listed(&schema));
    }
    let latest = with_type(latest.clone());
    let format = match latest["schemaType"].as_str() {
        Some("JSON") => SchemaFormat::Json,
        Some("PROTOBUF") => SchemaFormat::Protobuf,
        _ => SchemaFormat::Avro,
    };
    let path = format!("/config/{}?defaultToGlobal=true", segment(&subject));
    let config = registry.get(&path).await?;
    Ok(ExistingSchema {
        version: latest["version"].as_i64().unwrap_or_default(),
        format,
        text: text(&latest, "schema"),
        references,
        compatibility: config["compatibilityLevel"].as_str().map(str::to_owned),
        subject,
    })
}

/// The folder as it would be.
fn texts_of(adopted: &[Adopted], team: Option<&(String, String)>, folder: &Folder) -> Texts {
    let mut texts = folder.texts.clone();
    for one in adopted {
        let (file, text) = one.file();
        texts.files.retain(|(path, _)| *path != file);
        texts.files.push((file, text));
        texts.schemas.extend(one.schemas.clone());
    }
    texts.files.extend(team.cloned());
    texts
}

/// Leaves subjects out where a plan would register another version, or cannot. Returns whether there
/// was one. A first version is none of these: then the registry is not the gateway's own.
fn leave_subjects_out(adopted: &mut [Adopted], plan: &Value) -> bool {
    let mut any = false;
    for one in adopted.iter_mut().filter(|one| one.subject.is_some()) {
        let actions = plan["actions"].as_array().into_iter().flatten();
        let another = actions
            .filter(|action| action["contract"] == *one.name)
            .any(|action| {
                action["do"] == "register-schema" && action["version"].as_i64() > Some(1)
            });
        let refusals = plan["refusals"].as_array().into_iter().flatten();
        let refused = refusals
            .filter(|it| it["about"] == *one.name)
            .find_map(|it| {
                let message = it["message"].as_str()?;
                message
                    .starts_with("the registry refuses")
                    .then(|| message.to_owned())
            });
        let why = match refused {
            Some(message) => message,
            None if another => {
                "the schema with what it refers to would be another version there".to_owned()
            }
            None => continue,
        };
        one.leave_subject_out(&why);
        any = true;
    }
    any
}

/// What a plan does to the topics beside taking them over.
fn changes(adopted: &[Adopted], plan: &Value) -> Vec<String> {
    let is_ours = |name: &Value| adopted.iter().any(|one| *name == *one.name);
    let actions = plan["actions"].as_array().into_iter().flatten();
    let actions = actions
        .filter(|action| is_ours(&action["contract"]))
        .filter_map(|action| {
            let settings = action["settings"].as_array().into_iter().flatten();
            let about: Vec<&str> = settings.filter_map(|it| it["about"].as_str()).collect();
            let (about, topic) = (
                about.join(", "),
                action["topic"].as_str().unwrap_or_default(),
            );
            match action["do"].as_str()? {
                "widen-topic" | "narrow-topic" => {
                    Some(format!("`apply` changes topic `{topic}`: {about}"))
                }
                "create-topic" | "grow-topic" => Some(format!("topic `{topic}` changed meanwhile")),
                "register-schema" => {
                    let subject = action["subject"].as_str()?;
                    Some(format!(
                        "`apply` registers `{subject}` in the gateway's own registry"
                    ))
                }
                _ => None,
            }
        });
    let refusals = plan["refusals"].as_array().into_iter().flatten();
    let refusals = refusals
        .filter(|it| is_ours(&it["about"]))
        .filter_map(|it| Some(format!("`apply` is refused: {}", it["message"].as_str()?)));
    actions.chain(refusals).collect()
}
