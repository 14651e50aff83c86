//! From a request to contracts in force: check everything, add what is missing, put the set in force,
//! then take away what was allowed to go.
//!
//! An apply goes on when its caller is gone, and one runs at a time. Whatever breaks before the set is
//! in force leaves the earlier one in force and nothing behind but what adds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::json;
use tidegate_contract::load::{self, Piece, Texts};
use tidegate_event_log::{AlterTopic, LogError, TopicSpec};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::action::{Action, Plan};
use super::plan::{Current, Options, Planned, World, plan};
use super::problems::{
    RETRY, invalid, late, not_applied, not_registered, topic_problem, unavailable,
};
use super::record::{Approval, Hash, Set, Why, hash_of};
use super::store::{MAX_APPROVALS, Store, Writer};
use super::topics::set;
use super::{Unreadable, documents, read_back, upload};
use crate::Gateway;
use crate::audit::{Act, Object, Outcome};
use crate::problem::{Fault, Kind, Problem};

/// Topics that are made at the same time.
const TOPICS_AT_ONCE: usize = 32;

/// What is to be in force.
pub(crate) enum Wanted {
    Documents(Texts),
    /// A document as it was in the newest set that had this version.
    Earlier {
        name: String,
        version: String,
    },
}

/// An apply, asked for.
pub(crate) struct Request {
    pub(crate) wanted: Wanted,
    pub(crate) options: Options,
    /// Apply only if the plan is this one.
    pub(crate) plan: Option<String>,
    /// Who asks, as declared.
    pub(crate) by: String,
}

/// What an apply came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Applied {
    /// Whether anything was done.
    pub(crate) applied: bool,
    /// The generation in force.
    pub(crate) generation: u64,
    pub(crate) plan: Plan,
}

impl Gateway {
    fn contract_store(&self) -> Result<&Store, Problem> {
        self.contracts.store.as_ref().ok_or_else(|| {
            let detail = "this gateway was started with `--contracts`: change the folder and start \
                          it anew, or start it without the flag to apply contracts over HTTP";
            Problem::new(Kind::ContractsFromFolder, detail)
        })
    }

    /// Says what an apply would do.
    ///
    /// # Errors
    /// `ContractsFromFolder`, `ContractsInvalid`, `ContractNotFound`, `LogUnavailable`.
    pub(crate) async fn plan_contracts(
        &self,
        wanted: Wanted,
        options: Options,
    ) -> Result<Plan, Problem> {
        let store = self.contract_store()?;
        let deadline = Instant::now() + self.settings.apply_deadline;
        // Read to the end of the topic, so that what somebody else applied counts.
        let writer = store.writer(deadline).await.map_err(not_applied)?;
        let planned = self.planned(store, wanted, options, deadline).await;
        drop(writer);
        Ok(planned?.plan)
    }

    /// Does it, to its end, whether or not the caller waits for that.
    ///
    /// # Errors
    /// Those of [`Gateway::plan_contracts`]; `PlanChanged`, `PlanRefused`, `ApprovalMissing`,
    /// `ContractsInDoubt`.
    pub(crate) async fn apply_contracts(
        self: &Arc<Self>,
        request: Request,
        act: Act,
    ) -> Result<Applied, Problem> {
        let gateway = Arc::clone(self);
        let applying = tokio::spawn(async move { gateway.apply(request, act).await });
        applying.await.unwrap_or_else(|error| {
            tracing::error!(error = %error, "an apply of contracts ended");
            Err(Problem::new(Kind::Internal, "the gateway failed"))
        })
    }

    async fn apply(&self, request: Request, act: Act) -> Result<Applied, Problem> {
        let store = self.contract_store()?;
        let deadline = Instant::now() + self.settings.apply_deadline;
        let mut writer = store.writer(deadline).await.map_err(not_applied)?;
        let (why, act) = match &request.wanted {
            Wanted::Documents(_) => (Why::Apply, act),
            Wanted::Earlier { .. } => (Why::Rollback, act.named("contract.rollback")),
        };
        let planned = self
            .planned(store, request.wanted, request.options, deadline)
            .await?;
        may_be_applied(&planned.plan, request.plan.as_deref())?;
        if !planned.plan.changes {
            return Ok(Applied {
                applied: false,
                generation: planned.plan.generation,
                plan: planned.plan,
            });
        }
        let intent = act.begin(object_of(&planned, &request.by)).await;
        let intent = intent.map_err(|error| unavailable(&error))?;
        let done = self.carry_out(&mut writer, planned, (request.by, why), &act, deadline);
        let done = done.await;
        let (outcome, problem) = match &done {
            Ok(_) => (Outcome::Done, None),
            Err(problem) if problem.kind() == Kind::ContractsInDoubt => {
                (Outcome::Unknown, Some(problem.kind().slug()))
            }
            Err(problem) => (Outcome::Failed, Some(problem.kind().slug())),
        };
        intent.end(outcome, problem).await;
        done
    }

    /// Does what was planned, in the order in which it may break off.
    async fn carry_out(
        &self,
        writer: &mut Writer<'_>,
        planned: Planned,
        (by, why): (String, Why),
        act: &Act,
        deadline: Instant,
    ) -> Result<Applied, Problem> {
        let mut generation = planned.plan.generation;
        let partitions = self.make_room(&planned.plan.actions, deadline).await?;
        let act = act.named("schema.register");
        let schemas = self.register_schemas(&planned.contracts, &act);
        let schemas = timeout_at(deadline, schemas).await.map_err(|_| late())?;
        let schemas = schemas.map_err(not_registered)?;
        let mut current = self.contracts.current();
        if planned.commits {
            generation += 1;
            let approved = planned.plan.approvals.iter();
            let approved = approved.flat_map(|it| it.given.iter().cloned());
            let set = Set {
                generation,
                documents: planned.documents.clone(),
                at_ms: self.clock.now_ms(),
                by,
                why,
                plan: planned.plan.id.clone(),
                approved: Vec::from_iter(approved.collect::<BTreeSet<_>>()),
                ..Set::default()
            };
            let texts = texts_of(&planned.pieces);
            writer.put_texts(&texts).await.map_err(not_applied)?;
            writer.commit(&set).await.map_err(not_applied)?;
            tracing::info!(generation, by = set.by, "contracts are in force");
            current = Arc::new(Current {
                set,
                pieces: planned.pieces,
                contracts: planned.contracts,
            });
        }
        self.put_in_force(current, &partitions, &schemas);
        self.take_away(&planned.plan.actions, generation, deadline)
            .await?;
        Ok(Applied {
            applied: true,
            generation,
            plan: planned.plan,
        })
    }

    /// Records that somebody approves of a plan.
    ///
    /// # Errors
    /// `ContractsFromFolder`, `PlanRefused` if too many approvals are open, `LogUnavailable`.
    pub(crate) async fn approve_plan(
        &self,
        plan: String,
        name: String,
        act: &Act,
    ) -> Result<(), Problem> {
        let store = self.contract_store()?;
        let deadline = Instant::now() + self.settings.apply_deadline;
        let mut writer = store.writer(deadline).await.map_err(not_applied)?;
        if store.folded().open_approvals() >= MAX_APPROVALS {
            let detail = "too many approvals are open; the next set in force ends them";
            return Err(Problem::new(Kind::PlanRefused, detail));
        }
        if store.folded().approved(&plan).contains(&name) {
            return Ok(());
        }
        let object = Object {
            name: format!("contract-plan/{plan}"),
            before: None,
            after: Some(json!({ "approved_as": name })),
        };
        let intent = act.begin(object).await;
        let intent = intent.map_err(|error| unavailable(&error))?;
        let approval = Approval::new(plan, name, self.clock.now_ms());
        match writer.approve(&approval).await {
            Ok(()) => {
                intent.end(Outcome::Done, None).await;
                Ok(())
            }
            Err(error) => {
                let problem = not_applied(error);
                let slug = problem.kind().slug();
                // An answer that did not come leaves it open.
                intent.end(Outcome::Unknown, Some(slug)).await;
                Err(problem)
            }
        }
    }

    async fn planned(
        &self,
        store: &Store,
        wanted: Wanted,
        mut options: Options,
        deadline: Instant,
    ) -> Result<Planned, Problem> {
        if let Wanted::Earlier { name, .. } = &wanted {
            options.only.insert(name.clone());
        }
        let read = async {
            self.see_newest(store).await?;
            let pieces = match wanted {
                Wanted::Documents(texts) => off_thread(move || taken_apart(&texts)).await?,
                Wanted::Earlier { name, version } => earlier(store, &name, &version).await?,
            };
            let world = self.world().await.map_err(|error| unavailable(&error))?;
            Ok((pieces, world))
        };
        let read = timeout_at(deadline, read).await;
        let (pieces, world) = read.unwrap_or_else(|_| Err(late()))?;
        let (current, folded) = (self.contracts.current(), store.folded());
        let planned = move || {
            plan(&current, &folded, &world, &pieces, &options).map_err(|found| invalid(&found))
        };
        off_thread(planned).await
    }

    /// Puts in force what somebody else has applied, or what turned up after its answer was lost.
    async fn see_newest(&self, store: &Store) -> Result<(), Problem> {
        let newest = store.folded().set.generation;
        if newest == self.contracts.current().set.generation {
            return Ok(());
        }
        let current = read_back(store).await.map_err(|error| match error {
            Unreadable::Store(error) => not_applied(error),
            Unreadable::Contracts { .. } => {
                tracing::error!(error = %error, "the newest contracts cannot be used");
                Problem::new(Kind::Internal, "the newest contracts cannot be used")
            }
        })?;
        // Until it is done the earlier set is in force, and the next look tries again.
        let replaced = self.make_ready(Arc::new(current)).await;
        replaced.map_err(|error| {
            tracing::error!(error = %error, "the newest contracts are not in force yet");
            late()
        })
    }

    pub(super) async fn world(&self) -> Result<World, LogError> {
        let topics = self.log.topics().await?;
        Ok(World {
            terms: self.terms.clone(),
            topics: topics.into_iter().map(|it| (it.name.clone(), it)).collect(),
            bounds: self.log.bounds().await?,
            registry: self.registry.table(),
        })
    }

    /// Does what adds, and returns the partitions of all topics afterwards.
    async fn make_room(
        &self,
        actions: &[Action],
        deadline: Instant,
    ) -> Result<HashMap<String, i32>, Problem> {
        let adding: Vec<_> = actions.iter().map(|action| self.add(action)).collect();
        let adding = stream::iter(adding)
            .buffer_unordered(TOPICS_AT_ONCE)
            .try_collect::<Vec<()>>();
        let added = async {
            adding.await?;
            self.world().await.map_err(|error| unavailable(&error))
        };
        let world = timeout_at(deadline, added).await;
        let topics = world.unwrap_or_else(|_| Err(late()))?.topics.into_values();
        Ok(topics.map(|topic| (topic.name, topic.partitions)).collect())
    }

    async fn add(&self, action: &Action) -> Result<(), Problem> {
        let (topic, done) = match action {
            Action::CreateTopic {
                topic,
                partitions,
                settings,
                ..
            } => {
                let spec = TopicSpec {
                    name: topic.clone(),
                    partitions: Some(*partitions),
                    config: settings.clone(),
                };
                (topic, self.log.create_topic(spec).await)
            }
            Action::GrowTopic { topic, to, .. } => {
                let grow = AlterTopic {
                    partitions: Some(*to),
                    ..AlterTopic::default()
                };
                (topic, self.log.alter_topic(topic, grow).await)
            }
            Action::WidenTopic {
                topic, settings, ..
            } => (topic, self.log.alter_topic(topic, set(settings)).await),
            _ => return Ok(()),
        };
        done.map(drop).map_err(|error| topic_problem(topic, &error))
    }

    /// Does what takes away; the set is in force by then.
    async fn take_away(
        &self,
        actions: &[Action],
        generation: u64,
        deadline: Instant,
    ) -> Result<(), Problem> {
        for action in actions {
            let taken = async {
                match action {
                    Action::NarrowTopic {
                        topic, settings, ..
                    } => {
                        let narrowed = self.log.alter_topic(topic, set(settings)).await;
                        narrowed.map(drop).map_err(|error| (topic, error))
                    }
                    Action::DeleteTopic { topic, .. } => {
                        let deleted = self.log.delete_topic(topic).await;
                        deleted.map_err(|error| (topic, error))
                    }
                    _ => Ok(()),
                }
            };
            let taken = timeout_at(deadline, taken).await;
            let (topic, why) = match taken {
                Ok(Ok(())) | Ok(Err((_, LogError::NotFound(_)))) => continue,
                Ok(Err((topic, error))) => (topic.as_str(), error.to_string()),
                Err(_) => ("", "the log did not answer in time".to_owned()),
            };
            tracing::warn!(topic, why, "an apply was not finished");
            let detail = format!(
                "generation {generation} is in force, but topic `{topic}` was not narrowed or deleted: \
                 apply again, with the same flags"
            );
            return Err(Problem::new(Kind::LogUnavailable, detail).with_retry_after(RETRY));
        }
        Ok(())
    }
}

/// Says to the audit what an apply is about to do.
fn object_of(planned: &Planned, by: &str) -> Object {
    let plan = &planned.plan;
    Object {
        name: "contracts".to_owned(),
        before: Some(json!({ "generation": plan.generation })),
        after: Some(json!({
            "generation": plan.generation + u64::from(planned.commits),
            "plan": plan.id,
            "declared_by": by,
            "actions": plan.actions,
        })),
    }
}

/// Refuses a plan that is not the one that was seen, that has refusals, or that lacks approvals.
fn may_be_applied(plan: &Plan, seen: Option<&str>) -> Result<(), Problem> {
    if seen.is_some_and(|seen| seen != plan.id) {
        let detail = format!(
            "contracts, topics or files are others than when it was made; it is `{}` now",
            plan.id
        );
        return Err(Problem::new(Kind::PlanChanged, detail));
    }
    if !plan.refusals.is_empty() {
        let faults = plan.refusals.iter().map(|it| Fault {
            pointer: it.about.clone(),
            detail: format!("{}; {}", it.message, it.hint),
            rule: None,
        });
        let detail = "nothing was changed";
        return Err(Problem::new(Kind::PlanRefused, detail).with_errors(faults.collect()));
    }
    let missing: Vec<Fault> = plan
        .approvals
        .iter()
        .filter(|it| it.is_missing())
        .map(|it| Fault {
            pointer: it.team.clone(),
            detail: format!(
                "wants `{}` people to approve ({}), and `{}` did",
                it.needed,
                it.for_,
                it.given.len()
            ),
            rule: Some(it.for_.to_owned()),
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "`tidegate contract approve {} --as NAME` records one; nothing was changed",
        plan.id
    );
    Err(Problem::new(Kind::ApprovalMissing, detail).with_errors(missing))
}

/// Reads uploaded files as a whole, then takes them apart.
fn taken_apart(texts: &Texts) -> Result<Vec<Piece>, Problem> {
    upload::load(texts)
        .and_then(|_| load::split(texts))
        .map_err(|found| invalid(&found))
}

/// Finds a document as it was in the newest set that had this version.
async fn earlier(store: &Store, name: &str, version: &str) -> Result<Vec<Piece>, Problem> {
    let found = store
        .newest_with(name, version)
        .await
        .map_err(not_applied)?;
    let Some((mut set, kind)) = found else {
        let folded = store.folded();
        let known = folded.versions_of(name).join("`, `");
        let known = match known.as_str() {
            "" => "the name was never in force".to_owned(),
            known => format!("its versions were `{known}`"),
        };
        let detail = format!("no set had `{name}@{version}`: {known}");
        return Err(Problem::new(Kind::ContractNotFound, detail));
    };
    set.documents
        .retain(|it| it.name == name && it.kind == kind);
    documents(store, &set).await.map_err(not_applied)
}

fn texts_of(pieces: &[Piece]) -> BTreeMap<Hash, Arc<str>> {
    let all = pieces
        .iter()
        .flat_map(|piece| std::iter::once(&piece.text).chain(piece.schemas.values()));
    all.map(|text| (hash_of(text), Arc::clone(text))).collect()
}

/// Runs what may take a while off the threads that serve.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(error = %error, "a plan of contracts failed");
            Err(Problem::new(Kind::Internal, "the gateway failed"))
        })
}
