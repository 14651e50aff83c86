//! A folder as the source: at start its topics are brought nearer to what their contracts say. What
//! adds is done; what would narrow is told, with the command that does it.

use tidegate_event_log::AlterTopic;

use super::topics::{differences, growth_breaks, set};
use crate::Gateway;
use crate::gateway::StartError;
use crate::ingress::lane::topic_spec;

impl Gateway {
    /// Brings topics nearer to what the contracts of a folder say: adds and widens, never narrows.
    ///
    /// # Errors
    /// The log does not take a change.
    pub(crate) async fn widen_topics(&self) -> Result<(), StartError> {
        let world = self.world().await.map_err(StartError::Topics)?;
        for contract in self.contracts.contracts().iter() {
            let wanted = topic_spec(contract);
            let Some(topic) = world.topics.get(&wanted.name) else {
                continue;
            };
            let name = topic.name.as_str();
            let found = differences(&wanted, topic, &world.bounds);
            let mut alter = set(&found.widen);
            match (found.partitions, growth_breaks(contract)) {
                (Some((from, to)), None) if from < to => alter.partitions = Some(to),
                (Some((from, to)), Some(why)) if from < to => tracing::warn!(
                    topic = name,
                    from,
                    to,
                    why,
                    command = format!("kafka-topics.sh --alter --topic {name} --partitions {to}"),
                    "a topic has fewer partitions than its contract says, and keeps them"
                ),
                _ => {}
            }
            if alter != AlterTopic::default() {
                let altered = self.log.alter_topic(name, alter).await;
                altered.map_err(|source| StartError::Topic {
                    topic: name.to_owned(),
                    source,
                })?;
                tracing::info!(
                    topic = name,
                    "a topic was widened to what its contract says"
                );
            }
            for it in &found.narrow {
                tracing::warn!(
                    topic = name,
                    setting = it.setting,
                    from = it.from,
                    to = it.to,
                    command = format!(
                        "kafka-configs.sh --alter --entity-type topics --entity-name {name} \
                         --add-config {}={}",
                        it.setting, it.to
                    ),
                    "a topic keeps more or takes larger messages than its contract says"
                );
            }
        }
        Ok(())
    }
}
